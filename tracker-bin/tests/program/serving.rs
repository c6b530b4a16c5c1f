//! Serving: flags, signals, and what prevents it.

use std::io::Write;

use crate::running::{Running, connects, run, text};

#[test]
fn serves_until_a_signal_and_exits_0() {
    for signal in ["-INT", "-TERM"] {
        let mut tracker =
            Running::start(&["--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--workers", "2"]);
        let addresses = [tracker.address(), tracker.address()];
        assert!(addresses[0].is_ipv4() && addresses[1].is_ipv6());
        addresses.into_iter().for_each(connects);
        tracker.signal(signal);
        let (code, log) = tracker.end();
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("received=1/1 connects=1/1"), "{log}");
    }
}

#[test]
fn flags_override_the_file() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    writeln!(file, "listen = [\"127.0.0.1:0\"]\nworkers = 3\ncounters_interval = 1").unwrap();
    let path = file.path().to_str().unwrap();
    let mut tracker = Running::start(&["--config", path, "--listen", "127.0.0.2:0"]);
    let address = tracker.address();
    assert_eq!(address.ip().to_string(), "127.0.0.2");
    tracker.signal("-TERM");
    let (_, log) = tracker.end();
    assert!(log.contains("3 workers on"), "{log}");
}

#[test]
fn sighup_reads_the_access_list_again() {
    let mut list = tempfile::NamedTempFile::new().unwrap();
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let access = format!("access = \"listed\"\naccess_list = {:?}", list.path());
    writeln!(file, "listen = [\"127.0.0.1:0\"]\n{access}").unwrap();
    let mut tracker = Running::start(&["--config", file.path().to_str().unwrap()]);
    tracker.address();
    let log = tracker.log();
    tracker.signal("-HUP");
    log.line_with("read the configuration and the access lists again");
    writeln!(list, "rubbish").unwrap();
    tracker.signal("-HUP");
    let line = log.line_with("ERROR");
    assert!(line.contains("nothing has changed") && line.contains("line 1"), "{line}");
    tracker.signal("-TERM");
    assert_eq!(tracker.child.wait().unwrap().code(), Some(0));
}

#[test]
fn reports_a_port_in_use_in_one_line() {
    let mut first = Running::start(&["--listen", "127.0.0.1:0"]);
    let address = first.address().to_string();
    let second = run(&["--listen", &address]);
    assert_eq!(second.status.code(), Some(1));
    let error = text(&second.stderr);
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.contains(&format!("cannot listen on udp://{address}")), "{error}");
    assert!(error.contains("choose another"), "{error}");
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [&["--listen", "localhost"][..], &["--workers", "many"], &["--nonsense"], &["check"]] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
    for (arguments, example) in [
        (["--listen", "localhost"], "an IP address and a port, such as 0.0.0.0:6969 or [::]:6969"),
        (["--workers", "many"], "a whole number from 0 to 1024, such as 4"),
        (["--workers", "1025"], "a whole number from 0 to 1024, such as 4"),
    ] {
        let refused = run(&arguments);
        assert!(text(&refused.stderr).contains(example), "{}", text(&refused.stderr));
    }
    assert_eq!(run(&["--help"]).status.code(), Some(0));
    assert_eq!(run(&["--version"]).status.code(), Some(0));
}
