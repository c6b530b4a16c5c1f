//! `load`, as its users see it. The checks of replies are tested in tracker-load.

use std::net::UdpSocket;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use udp_tracker::{Family, ServerSettings, Service, Settings, Totals, Tracker};

/// A tracker on loopback, with one worker.
fn tracker() -> Tracker {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut server = ServerSettings::default();
    server.listen = Some(vec!["127.0.0.1:0".parse().unwrap()]);
    server.workers = 1;
    Tracker::start(service, &server).unwrap()
}

fn totals(tracker: &Tracker) -> Totals {
    tracker.service().stores().totals(Family::V4)
}

fn url(tracker: &Tracker) -> String {
    format!("udp://{}", tracker.addresses()[0])
}

fn load(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-bin"));
    command.args(["load", url]).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The URL of a tracker that answers every request in the same way: `reply` after action and transaction_id.
fn answering(action: u8, reply: &'static [u8]) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut request = [0; 2048];
        while let Ok((_, from)) = socket.recv_from(&mut request) {
            let reply = [&[0, 0, 0, action], &request[12..16], reply].concat();
            socket.send_to(&reply, from).unwrap();
        }
    });
    url
}

#[test]
fn fills_and_verifies_and_prints_json() {
    let tracker = tracker();
    let options =
        ["--fill", "--verify", "--torrents", "300", "--peers", "1000", "--timeout", "20000", "--json"];
    let report = json(&load(&url(&tracker), &options));
    assert_eq!(report["load"]["torrents"], 300);
    assert_eq!(report["load"]["window"], 128);
    assert_eq!(report["load"]["rate"], Value::Null);
    assert_eq!(report["load"]["seed"], 1);
    let (fill, verify) = (&report["fill"], &report["verify"]);
    assert_eq!(fill["by_kind"]["announce"]["answers"], 1000);
    assert_eq!(verify["by_kind"]["scrape"]["answers"], 300);
    for number in ["seconds", "sent", "answers", "answers_per_second", "lost", "resent", "late", "peers"] {
        assert!(fill[number].is_number(), "{number}: {fill}");
    }
    for number in ["min", "mean", "p50", "p90", "p99", "p99.9", "p99.99", "max"] {
        assert!(fill["latency_us"][number].is_number(), "{number}: {fill}");
    }
    for number in ["longest", "longest_without_own", "longest_own"] {
        assert!(fill["gap_us"][number].is_number(), "{number}: {fill}");
    }
    assert_eq!(totals(&tracker).peers, 1000);
}

#[test]
fn prints_a_report_as_text() {
    let tracker = tracker();
    let output = load(&url(&tracker), &["--seconds", "1", "--timeout", "20000", "--mix", "1:1:1:1"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let lines: Vec<&str> = text(&output.stdout).lines().collect();
    assert!(lines[0].starts_with("mix: ") && lines[0].contains(" answers/s: "), "{lines:?}");
    for (line, begin) in
        lines[1..].iter().zip(["connect", "announce", "scrape", "stop", "lost", "latency", "gap"])
    {
        assert!(line.trim_start().starts_with(begin), "{lines:?}");
    }
}

#[test]
fn warms_up_before_it_measures() {
    let tracker = tracker();
    let options = ["--seconds", "1", "--warm-up", "1", "--timeout", "20000", "--rate", "500", "--json"];
    let report = json(&load(&url(&tracker), &options));
    for phase in ["warm_up", "mix"] {
        assert!(report[phase]["answers"].as_u64() > Some(0), "{report}");
    }
    assert_eq!((&report["load"]["rate"], &report["load"]["window"]), (&500.into(), &Value::Null));
}

#[test]
fn prints_the_torrents_that_it_asks_for() {
    let output = load("udp://127.0.0.1:1", &["--torrents", "3", "--print-torrents"]);
    let tracker = tracker();
    let filled = load(&url(&tracker), &["--torrents", "3", "--fill", "--timeout", "20000"]);
    assert!(filled.status.success());
    let printed: Vec<&str> = text(&output.stdout).lines().collect();
    assert_eq!(printed.len(), 3);
    let mut scrape = Command::new(env!("CARGO_BIN_EXE_client-bin"));
    let scraped = scrape.args(["scrape", &url(&tracker)]).args(&printed).arg("--json").output().unwrap();
    let peers = text(&scraped.stdout);
    for hash in printed {
        assert!(peers.contains(hash), "{peers}");
    }
    assert_eq!(totals(&tracker).torrents, 3);
}

#[test]
fn a_wrong_answer_is_printed_and_exits_with_1() {
    // A connect reply with one byte too many, and an error.
    let output = load(&answering(0, &[9; 9]), &["--fill", "--json"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    let error = text(&output.stderr);
    assert!(
        error.starts_with("client-bin: a wrong answer to a connect of torrent 0: it is 1 bytes too long"),
        "{error}"
    );
    assert!(error.trim_end().ends_with("090909090909090909"), "{error}");
    let output = load(&answering(3, b"not\x1b here"), &["--fill"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("the tracker refuses: not\\u{1b} here"));
}

#[test]
fn contradicting_settings_exit_with_1() {
    for (arguments, expected) in [
        (&["--torrents", "1", "--peers", "100000000"][..], "the largest swarm has 100000000 peers"),
        (&["--sources", "::1"], "the source addresses begin with ::1"),
        (&["--sockets", "1000"], "16 source addresses with 1000 sockets on each"),
        (&["--zipf", "0"], "a Zipf exponent of 0"),
    ] {
        let output = load("udp://127.0.0.1:1", arguments);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
        assert!(text(&output.stderr).contains(expected), "{}", text(&output.stderr));
    }
}

#[test]
fn wrong_usage_exits_with_2() {
    for arguments in [
        &["--mix", "1:2:3:4:5"][..],
        &["--mix", "0"],
        &["--window", "0"],
        &["--window", "1", "--rate", "1"],
        &["--fill", "--mix", "1:1"],
        &["--verify"],
        &["--sources", "127.0.0.1-::1"],
        &["--seeders", "101"],
        &["--scrape-torrents", "75"],
    ] {
        assert_eq!(load("udp://127.0.0.1:1", arguments).status.code(), Some(2), "{arguments:?}");
    }
}
