//! When memory ends.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::running::{PATIENCE, PROGRAM, Running};

/// Bytes that the process may get after its start.
const MORE: u64 = 8 << 20;
/// Announces that wait for an answer.
const WINDOW: usize = 64;
/// More than enough to fill what it gets: a torrent takes at least 32 bytes.
const ANNOUNCES: u32 = 1_000_000;

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

/// Announces new torrents until the tracker answers no more.
fn fill(tracker: SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(tracker).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut reply = [0; 2048];
    socket.send(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4]).unwrap();
    assert_eq!(socket.recv(&mut reply).unwrap(), 16);
    let mut announce = [0; 98];
    announce[..8].copy_from_slice(&reply[8..16]);
    announce[11] = 1;
    announce[96..].copy_from_slice(&[0x1a, 0xe1]);
    for number in 0..ANNOUNCES {
        announce[16..20].copy_from_slice(&number.to_be_bytes());
        // Refused as soon as the tracker's socket is closed.
        if socket.send(&announce).is_err() || number as usize >= WINDOW && socket.recv(&mut reply).is_err() {
            return;
        }
    }
    panic!("the tracker's memory has not ended");
}
