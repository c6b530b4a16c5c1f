//! aria2.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, Torrent};

const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running `aria2c` that downloads one torrent and then seeds it until stopped.
pub struct Aria2 {
    program: Program,
    dir: PathBuf,
}

impl Aria2 {
    /// Starts a download on the given address.
    #[must_use]
    pub fn start(netns: &Netns, torrent: &Torrent, ip: Ipv4Addr) -> Self {
        let dir = torrent.subdir("aria2");
        let mut command = netns.command("aria2c");
        command.args(["--no-conf", "--interface", &ip.to_string(), "--listen-port=6881"]);
        // aria2 uses its DHT's socket for UDP trackers, so DHT is on; there are no nodes here.
        command.args(["--enable-dht=true", "--enable-dht6=false", "--dht-listen-port=6881"]);
        command.args(["--bt-enable-lpd=false", "--enable-peer-exchange=false"]);
        // 0.0: seed at any ratio.
        command.args(["--seed-ratio=0.0", "--enable-color=false", "--console-log-level=info"]);
        // The hook's standard output is aria2's own: it prints the download's id, its number of files, and its path.
        command.arg("--on-bt-download-complete=/bin/echo");
        command.args([option("--dht-file-path=", &dir.join("dht.dat")), option("--dir=", &dir)]);
        command.arg(torrent.file()).env("HOME", &dir);
        Self { program: Program::start("aria2", &mut command), dir }
    }

    /// Waits until the download is complete and verified.
    pub fn wait_finished(&self, limit: Duration) {
        let path = self.dir.join("");
        let path = path.to_str().expect("temporary directories have names in UTF-8");
        self.program.wait_for("the finished download", limit, |line| {
            let mut words = line.split(' ');
            let hook = (words.next()?.len(), words.next()?, words.next()?);
            // The id is 16 hex digits.
            (hook.0 == 16 && hook.1.parse::<u32>().is_ok() && hook.2.starts_with(path)).then_some(())
        });
    }

    /// Waits until it logs a line with this text.
    pub fn wait_logged(&self, text: &str, limit: Duration) {
        let what = format!("a line with {text:?}");
        self.program.wait_for(&what, limit, |line| line.contains(text).then_some(()));
    }

    /// The folder of the download.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Sends SIGINT, on which it leaves the swarm and ends, and waits for its end.
    pub fn stop(mut self) {
        self.program.signal(Signal::SIGINT);
        self.program.wait_exit(STOP_LIMIT);
    }
}

fn option(name: &str, path: &Path) -> std::ffi::OsString {
    let mut option = std::ffi::OsString::from(name);
    option.push(path);
    option
}
