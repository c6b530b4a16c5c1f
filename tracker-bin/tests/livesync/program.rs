//! The program, as three processes of one host that hear each other by multicast over lo.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use udp_tracker_proto::InfoHash;

use crate::node::Says;
use crate::sockets::{Client, PATIENCE, free_port};

/// Torrents whose peers fill a packet, so that it leaves at once.
pub(crate) const FULL: u8 = 52;

pub(crate) fn torrents() -> impl Iterator<Item = InfoHash> {
    (0..FULL).map(|at| InfoHash([at; 20]))
}

/// A tracker in a process of its own, killed at the end.
pub(crate) struct Process {
    pub(crate) child: Child,
    pub(crate) stdout: BufReader<ChildStdout>,
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

    /// Where it listens, as its next line says.
    pub(crate) fn address(&mut self) -> SocketAddr {
        let line = self.line();
        line.strip_prefix("listening on udp://").expect("where it listens").parse().unwrap()
    }

    /// Tells it to end; what it logged.
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

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn three_processes_on_one_host() {
    let port = free_port("127.0.0.2");
    let mut nodes = ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|node| {
        let config = format!(
            "listen = [\"{node}:0\"]\nworkers = 2\n[livesync]\nenabled = true\ninterface = \"{node}\"\n\
             port = {port}\nnodes = [\"127.0.0.2\", \"127.0.0.3\", \"127.0.0.4\"]\n"
        );
        Process::start(Command::new("env"), &config)
    });
    let addresses = nodes.each_mut().map(Process::address);
    let clients = addresses.map(|address| Client::connect("127.0.0.9:0", address));
    for torrent in torrents() {
        clients[0].announce(torrent, 6881, Says::Seeder);
    }
    for (at, client) in clients.iter().enumerate() {
        wait_until(&format!("node {at} knows all"), || {
            torrents().all(|torrent| client.scrape(torrent).seeders == 1)
        });
        let given = client.announce(InfoHash([7; 20]), 9, Says::Leecher);
        assert_eq!(given.len(), 1);
        assert!(given.contains(&"127.0.0.9:6881".parse().unwrap()));
    }
    let [first, _, third] = nodes;
    let log = first.end();
    assert!(log.contains("livesync_packets_sent=1/0") || log.contains("livesync_packets_sent=2/0"), "{log}");
    let log = third.end();
    assert!(log.contains("hear 127.0.0.2:") && log.contains("nodes heard: 127.0.0.2: "), "{log}");
    assert!(log.contains("127.0.0.3: never"), "{log}");
}
