//! Messages to the service manager.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::time::{ClockId, clock_gettime};

use crate::running::{PATIENCE, PROGRAM, Running, connects};

/// Starts a tracker as a service manager would.
fn start(socket: &Path, environment: &[(&str, &str)]) -> (Running, SocketAddr) {
    let mut command = Command::new(PROGRAM);
    command.args(["--listen", "127.0.0.1:0"]).envs(environment.iter().copied());
    spawn(socket, &mut command)
}

fn spawn(socket: &Path, command: &mut Command) -> (Running, SocketAddr) {
    command.env("NOTIFY_SOCKET", socket).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut tracker = Running::spawn(command);
    let address = tracker.address();
    (tracker, address)
}

struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

impl Manager {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, dir }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("notify")
    }

    fn start(&self, environment: &[(&str, &str)]) -> (Running, SocketAddr) {
        start(&self.path(), environment)
    }

    fn message(&self) -> String {
        let mut bytes = [0; 1000];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    fn message_but_watchdog(&self) -> String {
        loop {
            let message = self.message();
            if message != "WATCHDOG=1" {
                return message;
            }
        }
    }
}

fn monotonic_microseconds() -> i64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

#[test]
fn reports_start_reload_and_end() {
    let manager = Manager::new();
    let (tracker, address) = manager.start(&[]);
    let ready = format!("READY=1\nSTATUS=listening on udp://{address}");
    assert_eq!(manager.message(), ready);
    connects(address);

    let before = monotonic_microseconds();
    tracker.signal("-HUP");
    let reloading = manager.message();
    let at: i64 = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap().parse().unwrap();
    assert!((before..=monotonic_microseconds()).contains(&at), "{before} {at}");
    assert_eq!(manager.message(), ready);

    tracker.signal("-TERM");
    assert_eq!(manager.message(), "STOPPING=1");
    assert_eq!(tracker.end().0, Some(0));
}

#[test]
fn reports_why_a_reload_has_changed_nothing() {
    let manager = Manager::new();
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(&config, "listen = [\"127.0.0.1:0\"]\n").unwrap();
    let (tracker, address) = spawn(&manager.path(), Command::new(PROGRAM).arg("--config").arg(config.path()));
    let ready = format!("READY=1\nSTATUS=listening on udp://{address}");
    assert_eq!(manager.message(), ready);

    fs::write(&config, "nonsense = 1\n").unwrap();
    tracker.signal("-HUP");
    assert!(manager.message().starts_with("RELOADING=1"));
    let refused = manager.message();
    let (_, reason) = refused.split_once(&format!("{ready}; the last reload has changed nothing: ")).unwrap();
    assert!(reason.contains("nonsense") && reason.contains(config.path().to_str().unwrap()), "{reason}");

    fs::write(&config, "").unwrap();
    tracker.signal("-HUP");
    assert!(manager.message().starts_with("RELOADING=1"));
    assert_eq!(manager.message(), ready);
}

#[test]
fn reports_to_the_watchdog_while_it_serves() {
    let manager = Manager::new();
    let (tracker, _) = manager.start(&[("WATCHDOG_USEC", "60000")]);
    assert!(manager.message().starts_with("READY=1"));
    for _ in 0..3 {
        assert_eq!(manager.message(), "WATCHDOG=1");
    }
    tracker.signal("-TERM");
    assert_eq!(manager.message_but_watchdog(), "STOPPING=1");
    assert_eq!(tracker.end().0, Some(0));
}

#[test]
fn a_service_manager_that_does_not_read_stops_nothing() {
    let manager = Manager::new();
    let full = UnixDatagram::unbound().unwrap();
    full.set_nonblocking(true).unwrap();
    let error = loop {
        if let Err(error) = full.send_to(b"full", manager.path()) {
            break error;
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    let (tracker, address) = manager.start(&[("WATCHDOG_USEC", "60000")]);
    connects(address);
    tracker.signal("-TERM");
    let (code, log) = tracker.end();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("cannot send READY=1 to the service manager"), "{log}");
}

#[test]
fn serves_without_the_service_manager_that_it_was_promised() {
    let dir = tempfile::tempdir().unwrap();
    let too_long = dir.path().join("long".repeat(50));
    for socket in [dir.path().join("missing"), too_long] {
        let (tracker, address) = start(&socket, &[]);
        connects(address);
        tracker.signal("-TERM");
        let (code, log) = tracker.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("cannot send"), "{log}");
    }
}
