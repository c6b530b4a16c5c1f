//! Nodes in processes of their own, and their clients.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use tempfile::NamedTempFile;
use udp_tracker_proto::blocking::Tracker;
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::{InfoHash, PeerId};

/// Limits every wait. The longest, of 15 seconds, is for a packet that is not full.
const PATIENCE: Duration = Duration::from_secs(60);

/// The number of torrents whose records fill a packet, which is then sent at once.
pub(crate) const FULL: u8 = 52;

pub(crate) fn torrents() -> impl Iterator<Item = InfoHash> {
    (0..FULL).map(|at| InfoHash([at; 20]))
}

/// A tracker in a process of its own, which is killed on drop.
pub(crate) struct Process {
    pub(crate) child: Child,
    stdout: BufReader<ChildStdout>,
    _config: NamedTempFile,
}

impl Process {
    /// Runs the tracker by `command`, to which the program and its arguments are added.
    pub(crate) fn start(mut command: Command, config: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        command.arg(env!("CARGO_BIN_EXE_tracker-bin")).arg("--config").arg(file.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Self { child, stdout, _config: file }
    }

    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The address in the next line that it prints.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line();
        line.strip_prefix("listening on udp://").expect("where it listens").parse().unwrap()
    }

    /// Ends it with SIGTERM and returns its log.
    pub(crate) fn end(mut self) -> String {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success() && self.child.wait().unwrap().success());
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) struct Client(Tracker);

impl Client {
    pub(crate) fn of(tracker: SocketAddr) -> Self {
        Self(Tracker::connect(&tracker.to_string()).unwrap())
    }

    pub(crate) fn seed(&mut self, torrent: InfoHash, port: u16) {
        let announce = Announce::new(torrent, PeerId([1; 20]), port, 0);
        self.0.announce(&announce).unwrap();
    }

    /// The peers that a leecher gets.
    pub(crate) fn peers(&mut self, torrent: InfoHash) -> Vec<SocketAddr> {
        let announce = Announce::new(torrent, PeerId([2; 20]), 9, 1);
        let mut peers = self.0.announce(&announce).unwrap().peers;
        peers.sort_unstable();
        peers
    }

    /// The seeders of all torrents together.
    pub(crate) fn seeders(&mut self) -> u32 {
        let torrents: Vec<_> = torrents().collect();
        self.0.scrape(&torrents).unwrap().iter().map(|entry| entry.seeders).sum()
    }
}

/// A port that is reserved at some addresses until a node binds it there.
pub(crate) struct HeldPort {
    pub(crate) number: u16,
    _sockets: Vec<UdpSocket>,
}

impl HeldPort {
    pub(crate) fn at(addresses: &[&str]) -> Self {
        let mut held = Self { number: 0, _sockets: Vec::new() };
        for address in addresses {
            let address: IpAddr = address.parse().unwrap();
            let socket = Socket::new(Domain::for_address((address, 0).into()), Type::DGRAM, None).unwrap();
            // Nodes set this option too, so they get the port, and no other program does.
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::new(address, held.number).into()).unwrap();
            let socket = UdpSocket::from(socket);
            held.number = socket.local_addr().unwrap().port();
            held._sockets.push(socket);
        }
        held
    }
}

/// Polls until a condition holds: nodes do not report what they receive.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
