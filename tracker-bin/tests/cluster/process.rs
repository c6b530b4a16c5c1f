//! Nodes in processes of their own, and their clients.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use socket2::{Domain, Socket, Type};
use tempfile::NamedTempFile;
use udp_tracker_proto::blocking::Tracker;
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::{InfoHash, PeerId};

use crate::running::{PROGRAM, Running};

/// The number of torrents whose records fill a packet, which is then sent at once.
pub(crate) const FULL: u8 = 52;

pub(crate) fn torrents() -> impl Iterator<Item = InfoHash> {
    (0..FULL).map(|at| InfoHash([at; 20]))
}

/// A tracker in a process of its own, which is killed on drop.
pub(crate) struct Process {
    pub(crate) running: Running,
    _config: NamedTempFile,
}

impl Process {
    /// Runs the tracker by `command`, to which the program and its arguments are added.
    pub(crate) fn start(mut command: Command, config: &str) -> Self {
        let mut file = NamedTempFile::new().unwrap();
        file.write_all(config.as_bytes()).unwrap();
        command.arg(PROGRAM).arg("--config").arg(file.path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Self { running: Running::spawn(&mut command), _config: file }
    }

    /// Ends it with SIGTERM and returns its log.
    pub(crate) fn end(self) -> String {
        self.running.signal("-TERM");
        let (code, log) = self.running.end();
        assert_eq!(code, Some(0), "{log}");
        log
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

    /// Whether there are so many seeders; if not, how many there are. For [`poll_until`](crate::running::poll_until).
    pub(crate) fn has_seeders(&mut self, expected: u32) -> Result<(), String> {
        let seeders = self.seeders();
        if seeders == expected { Ok(()) } else { Err(format!("{seeders} seeders")) }
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
