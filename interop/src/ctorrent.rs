//! Enhanced CTorrent.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, Torrent};

const STOP_LIMIT: Duration = Duration::from_secs(20);

/// A running `ctorrent` that downloads one torrent and then seeds it until stopped. It knows HTTP trackers only.
pub struct Ctorrent {
    program: Program,
    dir: PathBuf,
}

impl Ctorrent {
    /// Starts a download on the given address, whose peers an HTTP tracker names.
    #[must_use]
    pub fn start(netns: &Netns, torrent: &Torrent, http_tracker: &str, ip: Ipv4Addr) -> Self {
        let dir = torrent.subdir("ctorrent");
        let mut command = netns.command("ctorrent");
        // It shows its status only while it may read commands, and prints on changes; hours to seed afterwards.
        command.args(["-u", http_tracker, "-i", &ip.to_string(), "-p", "2706", "-e", "1"]);
        command.arg(torrent.file()).current_dir(&dir).env("HOME", &dir);
        Self { program: Program::start("ctorrent", &mut command), dir }
    }

    /// Waits until everything is there and checked.
    pub fn wait_finished(&self, limit: Duration) {
        self.program.wait_for("the finished download", limit, |line| {
            line.contains("Download complete").then_some(())
        });
    }

    /// Where the download goes.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Asks it to leave the swarm and to end; twice, because after the first time it waits long for its tracker.
    pub fn stop(mut self) {
        self.program.signal(Signal::SIGINT);
        std::thread::sleep(Duration::from_secs(1));
        self.program.signal(Signal::SIGINT);
        self.program.wait_exit(STOP_LIMIT);
    }
}
