//! Transmission.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;

use crate::program::Program;
use crate::{Netns, Signal, Torrent};

const STOP_LIMIT: Duration = Duration::from_secs(60);
/// What the completion script prints.
const FINISHED: &str = "transmission finished";

/// A running `transmission-cli` that downloads one torrent and then seeds it until stopped.
///
/// It refuses peers on 127.0.0.0/8, so every peer needs another address. It chooses peers to request from only every
/// ten seconds, so even a small download takes 10 to 25 s.
pub struct Transmission {
    program: Program,
    dir: PathBuf,
}

impl Transmission {
    /// Starts a download on the given address.
    #[must_use]
    pub fn start(netns: &Netns, torrent: &Torrent, ip: Ipv4Addr) -> Self {
        let (config, dir) = (torrent.subdir("transmission-config"), torrent.subdir("transmission"));
        let settings = json!({
            "bind-address-ipv4": ip.to_string(),
            "dht-enabled": false,
            "lpd-enabled": false,
            "pex-enabled": false,
            "port-forwarding-enabled": false,
            "rpc-enabled": false,
            "utp-enabled": false,
        });
        fs::write(config.join("settings.json"), settings.to_string()).expect("settings can be written");
        let script = config.join("finished");
        fs::write(&script, format!("#!/bin/sh\necho {FINISHED}\n")).expect("a script can be written");
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
            .expect("a script can be made executable");

        let mut command = netns.command("transmission-cli");
        command.args(["--no-portmap", "--encryption-tolerated", "--config-dir"]).arg(&config);
        command.arg("--download-dir").arg(&dir).arg("--finish").arg(&script);
        command.arg(torrent.file()).env("HOME", &config);
        Self { program: Program::start("transmission", &mut command), dir }
    }

    /// Waits until the download is complete and verified.
    pub fn wait_finished(&self, limit: Duration) {
        self.program.wait_for("the finished download", limit, |line| line.contains(FINISHED).then_some(()));
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
