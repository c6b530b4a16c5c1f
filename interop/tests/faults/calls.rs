//! System calls that fail, by strace's fault injection.

use std::process::Command;

use interop::client::Load;
use interop::{Http, Netns, Program, Tracker, poll_until};
use serde_json::Value;

use crate::LIMIT;

/// Lets calls of a running tracker fail, until it is dropped.
fn inject(tracker: &Tracker, fault: &str) -> Program {
    let call = fault.split(':').next().expect("a call");
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--trace", call, "--inject", fault, "--quiet=exit"]);
    command.args(["--attach", &tracker.pid().to_string()]);
    let strace = Program::start("strace", &mut command);
    strace.wait_for("`attached`", LIMIT, |line| line.contains("attached").then_some(()));
    strace
}

fn requests(http: &mut Http, tracker: &Tracker) -> Value {
    http.get_json(&format!("{}/api/status", tracker.page()))["requests"].take()
}

fn count(requests: &Value, key: &str) -> u64 {
    match &requests[key] {
        Value::Object(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
        number => number.as_u64().unwrap_or_else(|| panic!("no {key} in {requests}")),
    }
}

/// Some replies are not sent. They are counted, and all others arrive.
#[test]
#[ignore = "needs strace: run scripts/test"]
fn replies_that_cannot_be_sent_are_counted_and_the_others_arrive() {
    for error in ["ENOBUFS", "EPERM"] {
        let netns = Netns::new();
        let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", "workers = 1\n");
        let mut http = Http::start(&netns);
        let strace = inject(&tracker, &format!("sendmmsg:error={error}:when=1+7"));
        let options = ["--rate", "500", "--seconds", "3", "--mix", "1:8:1:1"];
        let loaded = Load::start(&netns, &tracker.url(), &options).wait_done(LIMIT);
        drop(strace);
        assert!(loaded.lost > 0 && loaded.sent > 5 * loaded.lost, "{error}: {loaded:?}");

        let after =
            Load::start(&netns, &tracker.url(), &["--rate", "500", "--seconds", "1"]).wait_done(LIMIT);
        assert_eq!(after.lost, 0, "{error}: {after:?}");
        let requests = requests(&mut http, &tracker);
        let of = |key| count(&requests, key);
        assert_eq!(of("received"), of("answered") + of("rejected") + of("ignored") + of("not_sent"));
        // Each is a request that the generator has lost, but for the connects of its 16 addresses before it counts.
        let most = loaded.lost + 16;
        assert!((1..=most).contains(&of("not_sent")), "{error}: {requests} {loaded:?}");
    }
}

/// Errors in receiving, as a temporary lack of memory causes them, lose nothing: the datagrams stay in the socket.
#[test]
#[ignore = "needs strace: run scripts/test"]
fn nothing_is_lost_when_receiving_fails() {
    for error in ["ENOMEM", "ENOBUFS", "ECONNREFUSED", "EINTR"] {
        let netns = Netns::new();
        let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", "workers = 1\n");
        let strace = inject(&tracker, &format!("recvmmsg:error={error}:when=1+3"));
        let options = ["--rate", "500", "--seconds", "3", "--mix", "1:8:1:1"];
        let loaded = Load::start(&netns, &tracker.url(), &options).wait_done(LIMIT);
        drop(strace);
        assert_eq!(loaded.lost, 0, "{error}: {loaded:?}");
    }
}

/// Without a free file descriptor the page can't be opened, and everything else works.
#[test]
#[ignore = "needs strace: run scripts/test"]
fn the_page_comes_back_when_there_are_file_descriptors_again() {
    let netns = Netns::new();
    let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", "");
    let page = tracker.page();
    let strace = inject(&tracker, "accept4:error=EMFILE");
    let mut connection = netns.command("/usr/bin/python3");
    connection.args(["-c", "import socket; socket.create_connection(('127.0.0.1', 6970)).recv(1)"]);
    let waiting = Program::start("a connection", &mut connection);
    strace.wait_for("a failure to accept", LIMIT, |line| line.contains("EMFILE").then_some(()));
    let loaded = Load::start(&netns, &tracker.url(), &["--rate", "500", "--seconds", "2"]).wait_done(LIMIT);
    assert_eq!(loaded.lost, 0, "{loaded:?}");
    drop((strace, waiting));
    let mut http = Http::start(&netns);
    poll_until("the page", LIMIT, || match http.request("GET", &format!("{page}/healthz"), None) {
        interop::HttpAnswer::Answered { status: 200, .. } => Ok(()),
        other => Err(format!("{other:?}")),
    });
}
