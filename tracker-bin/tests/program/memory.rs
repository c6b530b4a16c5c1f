//! When memory ends.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::running::{PATIENCE, PROGRAM, Running};

/// Bytes that the process may get after its start.
const MORE: u64 = 8 << 20;
/// Announces that wait for an answer.
const WINDOW: u32 = 64;
/// How long to wait for an answer before the next announce.
const PAUSE: Duration = Duration::from_millis(100);

/// The allocator fails in the store, or, seldom, somewhere else: then Rust itself ends the program. Neither hangs.
#[test]
fn ends_in_order_when_the_allocator_fails() {
    let options = "max_store_bytes = 0\n[admin]\nlisten = \"\"\n";
    let config = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(config.path(), options).unwrap();
    let mut tracker = Running::spawn(
        Command::new(PROGRAM)
            .args(["--config", config.path().to_str().unwrap(), "--listen", "127.0.0.1:0", "--workers", "1"])
            // One heap for all threads, whose growth the limit stops.
            .env("MALLOC_ARENA_MAX", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let address = tracker.address();
    let pid = Pid::from_child(&tracker.child);
    let limit = Some(address_space(pid) + MORE);
    prlimit(Some(pid), Resource::As, Rlimit { current: limit, maximum: limit }).unwrap();

    fill(address);
    let (code, log) = tracker.end();
    let last = log.lines().last().unwrap_or_default();
    let in_order =
        code == Some(1) && last.contains("tracker-bin: out of memory: the system gives no more to the store");
    // Without a code: a signal, SIGABRT.
    let elsewhere = code.is_none() && log.contains("memory allocation of");
    assert!(in_order || elsewhere, "{code:?}: {log}");
    if in_order {
        assert!(log.contains("stopped; stored"), "{log}");
    }
}

/// Bytes of address space that a process has.
fn address_space(pid: Pid) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).unwrap();
    line.trim().strip_suffix("kB").unwrap().trim().parse::<u64>().unwrap() * 1024
}

/// Announces new torrents until the tracker's socket is closed.
fn fill(tracker: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(tracker).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = [0; 2048];
    socket.send(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    assert_eq!(socket.recv(&mut reply).unwrap(), 16);
    socket.set_read_timeout(Some(PAUSE)).unwrap();
    let mut announce = [0; 98];
    announce[..8].copy_from_slice(&reply[8..16]);
    announce[11] = 1;
    announce[96..].copy_from_slice(&[0x1a, 0xe1]);
    let deadline = Instant::now() + PATIENCE;
    for number in 0u32.. {
        announce[16..20].copy_from_slice(&number.to_be_bytes());
        let sent = socket.send(&announce);
        let received = if number < WINDOW { Ok(0) } else { socket.recv(&mut reply) };
        let refused = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
        if sent.as_ref().is_err_and(refused) || received.as_ref().is_err_and(refused) {
            return;
        }
        assert!(Instant::now() < deadline, "the tracker's memory has not ended");
    }
}
