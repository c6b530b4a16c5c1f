//! Enhanced CTorrent.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, Torrent};

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running `ctorrent` that downloads one torrent and then seeds it until stopped. It supports HTTP trackers only.
pub struct Ctorrent {
    program: Program,
    dir: PathBuf,
}

impl Ctorrent {
    /// Starts a download on the given address, with peers from an HTTP tracker.
    #[must_use]
    pub fn start(netns: &Netns, torrent: &Torrent, http_tracker: &str, ip: Ipv4Addr) -> Self {
        let dir = torrent.subdir("ctorrent");
        let mut command = netns.command("ctorrent");
        // It prints its status only if it can read commands, and only on changes. -e: hours to seed afterwards.
        command.args(["-u", http_tracker, "-i", &ip.to_string(), "-p", "2706", "-e", "1"]);
        command.arg(torrent.file()).current_dir(&dir).env("HOME", &dir);
        Self { program: Program::start("ctorrent", &mut command), dir }
    }

    /// Waits until the download is complete and verified.
    pub fn wait_finished(&self, limit: Duration) {
        self.program.wait_for("the finished download", limit, |line| {
            line.contains("Download complete").then_some(())
        });
    }

    /// The folder of the download.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Kills it. After SIGINT it would wait long for its tracker before it ends.
    pub fn stop(mut self) {
        self.program.signal(Signal::SIGKILL);
        self.program.wait_exit(STOP_LIMIT);
    }
}
