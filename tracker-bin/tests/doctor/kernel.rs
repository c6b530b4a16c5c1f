//! Receive buffers, the clock, and processes.

use std::net::UdpSocket;
use std::process::{self, Command};

use crate::own_network::in_own_network;
use crate::report::{Copy, Report};
use crate::running::poll_until;
use crate::tracker::{Tracker, config};

/// More than any machine allows to programs without privileges.
const HUGE: &str = "receive_buffer_bytes = 1073741824";

#[test]
fn a_receive_buffer_larger_than_allowed_is_reported_with_the_sysctl() {
    let file = config(&format!("listen = [\"127.0.0.1:0\"]\n{HUGE}\n"));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    let found = report.one("receive_buffer");
    assert!(found.contains("net.core.rmem_max allows receive buffers of"), "{found}");
    assert!(found.contains("instead of 1073741824"), "{found}");
    assert_eq!(report.fix("receive_buffer"), "sysctl -w net.core.rmem_max=1073741824");
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn the_receive_buffer_of_a_running_tracker_without_privileges_is_found() {
    in_own_network(|| {
        let text = format!("listen = [\"127.0.0.1:6969\"]\nworkers = 2\n{HUGE}\n");
        let file = config(&text);
        let copy = Copy::new();
        let _tracker = Tracker::with(copy.as_nobody(&[]).arg("--config").arg(file.path()), 1);
        let report = Report::of(&["--config", file.path().to_str().unwrap()]);
        let found = report.one("receive_buffer");
        assert!(found.contains("the receive buffers of the running tracker have"), "{found}");
        assert!(found.contains("instead of 1073741824"), "{found}");
        let fix = report.fix("receive_buffer");
        assert_eq!(fix, "sysctl -w net.core.rmem_max=1073741824, and restart the tracker");
    });
}

/// The case of an operator who has lowered net.core.rmem_max: the sockets are small, and lose datagrams.
#[test]
#[ignore = "needs root: run scripts/test"]
fn dropped_datagrams_are_explained_by_small_receive_buffers() {
    let tracker = Tracker::start("listen = [\"127.0.0.1:0\"]\nworkers = 1\nreceive_buffer_bytes = 4096\n", 1);
    let address = tracker.addresses[0];
    tracker.running.signal("-STOP");
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for _ in 0..100 {
        client.send_to(&[0; 98], address).unwrap();
    }
    tracker.running.signal("-CONT");
    let file = config(&format!("listen = [\"{address}\"]\nworkers = 1\n"));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(report.code, Some(1));
    let drops = report.one("socket_drops");
    let number = drops.strip_prefix("problem: ").and_then(|drops| drops.split(' ').next());
    let number: u32 = number.and_then(|number| number.parse().ok()).unwrap_or_else(|| panic!("{drops}"));
    // With room for some ten.
    assert!((50..100).contains(&number), "{drops}");
    assert!(drops.contains("their receive buffers of 4096 bytes were full"), "{drops}");
    let buffer = report.one("receive_buffer");
    assert!(buffer.starts_with("problem: ") && buffer.contains("4096 bytes instead of 4194304"), "{buffer}");
    assert!(report.fix("socket_drops").contains("restart the tracker"), "{report:?}");

    // The same tracker with the configuration that it really has.
    let file = config(&format!("listen = [\"{address}\"]\nworkers = 1\nreceive_buffer_bytes = 4096\n"));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert!(report.one("socket_drops").starts_with("warning: "), "{report:?}");
    assert!(report.one("receive_buffer").starts_with("ok: "), "{report:?}");

    // The tracker has heard of them in another way: from its socket, with the next datagram.
    tracker.running.signal("-TERM");
    let (_, log) = tracker.running.end();
    assert!(log.contains(&format!("dropped_by_kernel={number}/0")), "{number}: {log}");
}

#[test]
fn a_stopped_tracker_is_silent() {
    let tracker = Tracker::start("listen = [\"127.0.0.1:0\"]\nworkers = 1\n", 1);
    let file = config(&format!("listen = [\"{}\"]\nworkers = 1\n", tracker.addresses[0]));
    tracker.running.signal("-STOP");
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(report.code, Some(1));
    let expected = format!("problem: no answer at udp://{}", tracker.addresses[0]);
    assert!(report.one("silent_address").starts_with(&expected), "{report:?}");
    tracker.running.signal("-CONT");
    poll_until("the tracker answers again", || {
        let report = Report::of(&["--config", file.path().to_str().unwrap()]);
        if report.all("silent_address").is_empty() { Ok(()) } else { Err(format!("{report:?}")) }
    });
}

#[test]
fn another_program_on_the_port_is_named() {
    let other = UdpSocket::bind("127.0.0.1:0").unwrap();
    let file = config(&format!("listen = [\"{}\"]\n", other.local_addr().unwrap()));
    let report = Report::of(&["--config", file.path().to_str().unwrap()]);
    assert_eq!(report.code, Some(1));
    assert!(report.one("silent_address").starts_with("problem: "), "{report:?}");
    let fix = report.fix("silent_address");
    assert!(fix.contains(&format!("(process {}), which has the port", process::id())), "{fix}");
}

/// Python asks the system in another way.
#[test]
#[ignore = "needs python3: run scripts/test"]
fn reports_the_state_of_the_clock() {
    // STA_UNSYNC is 64; the status comes after modes and four words.
    let script = "import ctypes; state = ctypes.create_string_buffer(512); ctypes.CDLL(None).adjtimex(state); \
                  print(ctypes.c_int.from_buffer(state, ctypes.sizeof(ctypes.c_long) * 5).value & 64)";
    let output = Command::new("python3").args(["-c", script]).output().unwrap();
    let expected = match String::from_utf8(output.stdout).unwrap().trim() {
        "0" => "ok: the system clock is synchronised",
        "64" => "warning: the system clock is not synchronised: ",
        other => panic!("{other}"),
    };
    let file = config("listen = [\"127.0.0.1:0\"]\n");
    let found = Report::of(&["--config", file.path().to_str().unwrap()]).one("clock");
    assert!(found.starts_with(expected), "{found}");
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_privileged_port_needs_the_capability() {
    in_own_network(|| {
        let file = config("listen = [\"127.0.0.1:80\"]\n");
        let copy = Copy::new();
        let found = |options: &[&str]| {
            let mut command = copy.as_nobody(options);
            Report::by(command.args(["doctor", "--json", "--config"]).arg(file.path())).one("privileged_port")
        };
        let denied = found(&[]);
        assert!(denied.starts_with("problem: port 80 is below 1024"), "{denied}");
        let with_capability = ["--inh-caps", "+net_bind_service", "--ambient-caps", "+net_bind_service"];
        let allowed = found(&with_capability);
        assert!(allowed.starts_with("ok: port 80"), "{allowed}");
    });
}
