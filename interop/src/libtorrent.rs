//! libtorrent-rasterbar, through Debian's Python binding.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::Netns;
use crate::program::Program;
use crate::torrent::{PYTHON, Torrent};

const PEER: &str = include_str!("../scripts/libtorrent_peer.py");

/// For events that come at once; generous, because machines are slow and shared.
const SOON: Duration = Duration::from_secs(15);

/// A libtorrent session with one torrent. DHT, local discovery, peer exchange and port mapping are off.
pub struct Libtorrent {
    program: Program,
}

impl Libtorrent {
    /// Starts a session that listens on `ip`, any port, and downloads to, or seeds from, `save_dir`.
    #[must_use]
    pub fn start(netns: &Netns, name: &str, torrent: &Torrent, save_dir: &Path, ip: IpAddr) -> Self {
        let mut command = netns.command(PYTHON);
        command.args(["-u", "-c", PEER]).arg(torrent.file()).arg(save_dir);
        command.arg(SocketAddr::new(ip, 0).to_string());
        Self { program: Program::start(name, &mut command) }
    }

    /// Waits until the tracker has answered an announce.
    pub fn wait_announced(&self) {
        self.wait_event("tracker_reply", SOON);
    }

    /// Waits until the download is complete and verified.
    pub fn wait_finished(&self, limit: Duration) {
        self.wait_event("finished", limit);
    }

    /// Scrapes the torrent; returns seeders and leechers.
    pub fn scrape(&mut self) -> (u64, u64) {
        self.program.write_line("scrape");
        let reply = self.wait_event("scrape_reply", SOON);
        let number = |key| reply[key].as_u64().unwrap_or_else(|| panic!("no number {key:?} in {reply}"));
        (number("seeders"), number("leechers"))
    }

    /// Ends the session, which announces `stopped` and waits for the tracker's reply.
    pub fn stop(mut self) {
        self.program.write_line("stop");
        let status = self.program.wait_exit(SOON);
        assert!(status.success(), "libtorrent_peer.py ended with {status}");
    }

    fn wait_event(&self, event: &str, limit: Duration) -> Value {
        self.program.wait_for(&format!("the event {event:?}"), limit, |line| {
            let status: Value = serde_json::from_str(line).ok()?;
            (status["event"] == event).then_some(status)
        })
    }
}
