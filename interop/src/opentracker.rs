//! opentracker, as Debian builds it: it serves only listed torrents.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use tempfile::TempDir;

use crate::program::Program;
use crate::{Netns, client, poll_until};

const PORT: u16 = 6969;
const START_LIMIT: Duration = Duration::from_secs(10);

/// A running `opentracker`, on port 6969.
pub struct Opentracker {
    address: SocketAddrV4,
    /// Held for their `Drop`: the process before its directory.
    _program: Program,
    _dir: TempDir,
}

impl Opentracker {
    /// Starts it on the given address, for the given torrents (in hex), and waits until it answers.
    #[must_use]
    pub fn start(netns: &Netns, ip: Ipv4Addr, info_hashes: &[&str]) -> Self {
        let dir = tempfile::Builder::new().prefix("interop-").tempdir().expect("a temporary directory");
        // Started as root it runs as the user `nobody`, which must be able to read the list.
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions can be set");
        fs::write(dir.path().join("whitelist"), info_hashes.join("\n") + "\n")
            .expect("a list can be written");
        let (address, port) = (SocketAddrV4::new(ip, PORT), PORT.to_string());
        let mut command = netns.command("opentracker");
        command.args(["-i", &ip.to_string(), "-p", &port, "-P", &port]);
        command.args(["-d", ".", "-w", "whitelist"]).current_dir(dir.path());
        let program = Program::start("opentracker", &mut command);
        let tracker = Self { address, _program: program, _dir: dir };
        // It does not print when it is ready.
        poll_until("opentracker to answer", START_LIMIT, || {
            client::scrape(netns, &tracker.url(), info_hashes).map_err(|failed| failed.to_string())
        });
        tracker
    }

    /// The HTTP announce URL; the swarms are the same.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}/announce", self.address)
    }

    /// The announce URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("udp://{}/announce", self.address)
    }
}
