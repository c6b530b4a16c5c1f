//! This workspace's client, as a process that exchanges a torrent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, Torrent, binaries};

/// From start to the port, and from SIGTERM to the end with a tracker that answers.
const SOON: Duration = Duration::from_secs(10);

/// A running `client-bin download` or `client-bin seed`.
pub struct OwnClient {
    program: Program,
    dir: PathBuf,
}

impl OwnClient {
    /// Seeds the content of `dir`.
    #[must_use]
    pub fn seed(netns: &Netns, torrent: &Torrent, dir: &Path, ip: impl Into<IpAddr>) -> Self {
        Self::start(netns, "seed", torrent, dir, ip.into(), &[])
    }

    /// Downloads to the directory of that name; `options` are further ones, such as `["--seed-time", "1"]`.
    #[must_use]
    pub fn download(
        netns: &Netns,
        torrent: &Torrent,
        name: &str,
        ip: impl Into<IpAddr>,
        options: &[&str],
    ) -> Self {
        Self::start(netns, "download", torrent, &torrent.subdir(name), ip.into(), options)
    }

    fn start(
        netns: &Netns,
        action: &str,
        torrent: &Torrent,
        dir: &Path,
        ip: IpAddr,
        options: &[&str],
    ) -> Self {
        let mut command: Command = netns.command(binaries::path("client-bin"));
        command.arg(action).arg(torrent.file()).arg("-d").arg(dir);
        command.args(["-i", &ip.to_string(), "-p", "0"]).args(options);
        // The tests' output shows them when something fails.
        command.env("RUST_LOG", "torrent_client=debug");
        let program = Program::start(&format!("client-bin {action}"), &mut command);
        program.wait_for("its port", SOON, |line| line.strip_prefix("listening on ").map(drop));
        Self { program, dir: dir.to_owned() }
    }

    /// Waits until the download is complete and verified.
    pub fn wait_complete(&self, limit: Duration) {
        self.program.wait_for("`[have/total/` with both equal", limit, |line| {
            let (numbers, _) = line.strip_prefix("- ")?.split_once('[')?.1.split_once(']')?;
            let mut numbers = numbers.split('/');
            (numbers.next()? == numbers.next()?).then_some(())
        });
    }

    /// Waits until it ends by itself, as a download does that need not seed.
    pub fn wait_done(mut self, limit: Duration) {
        let status = self.program.wait_exit(limit);
        assert!(status.success(), "client-bin ended with {status}: {}", self.program.stderr());
    }

    /// The folder of the download.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sends SIGTERM and waits for its end, in order and in time.
    pub fn stop(mut self) {
        self.program.signal(Signal::SIGTERM);
        let status = self.program.wait_exit(SOON);
        assert!(status.success(), "client-bin ended with {status} after SIGTERM");
    }
}
