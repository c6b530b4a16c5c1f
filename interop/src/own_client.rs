//! This workspace's client, as a process that exchanges a torrent.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, Torrent, binaries};

/// Limit from the start until the port is printed, and from SIGTERM to the end if the tracker replies.
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
        // These log lines are part of the output of a failing test.
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

    /// Waits until it ends by itself, as a download without seeding does.
    pub fn wait_done(mut self, limit: Duration) {
        let status = self.program.wait_exit(limit);
        assert!(status.success(), "client-bin ended with {status}: {}", self.program.stderr());
    }

    /// The folder of the download.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sends SIGTERM, and asserts that it ends in time and with exit code 0.
    pub fn stop(mut self) {
        self.program.signal(Signal::SIGTERM);
        let status = self.program.wait_exit(SOON);
        assert!(status.success(), "client-bin ended with {status} after SIGTERM");
    }
}
