//! `announce` and `scrape`, as their users see them, against scripted trackers.

use std::net::UdpSocket;
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

const HASH: &str = "e5d5fdac66b48270c93842b333061ea4dd7233e9";

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_client-bin")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The URL of a tracker that answers connects, and passes other requests to a function.
fn tracker(mut answer: impl FnMut(&[u8]) -> Vec<u8> + Send + 'static) -> String {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let url = format!("udp://{}/announce", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut datagram) {
            let request = &datagram[..len];
            let reply = if len == 16 { reply(0, request, &[9; 8]) } else { answer(request) };
            socket.send_to(&reply, from).unwrap();
        }
    });
    url
}

fn reply(action: u8, request: &[u8], more: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, action], &request[12..16], more].concat()
}

#[test]
fn announce_prints_documented_json() {
    let url = tracker(|request| {
        assert_eq!(request[64..72], 3u64.to_be_bytes(), "left");
        assert_eq!(request[80..84], 2u32.to_be_bytes(), "event");
        assert_eq!(request[92..96], 7i32.to_be_bytes(), "num_want");
        assert_eq!(request[96..98], 6882u16.to_be_bytes(), "port");
        assert!(request.ends_with(b"\x02\x09/announce"));
        reply(1, request, &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 192, 0, 2, 1, 0x1a, 0xe1])
    });
    let options = ["--port", "6882", "--left", "3", "--event", "started", "--num-want", "7", "--json"];
    let output = run(&[&["announce", &url, HASH], &options[..]].concat());
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let expected = r#"{"interval":1800,"leechers":1,"peers":["192.0.2.1:6881"],"seeders":2}"#;
    assert_eq!(text(&output.stdout).trim_end(), expected);
}

#[test]
fn scrape_prints_documented_json() {
    let counts = [0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 1];
    let url = tracker(move |request| reply(2, request, &counts));
    let output = run(&["scrape", &url, HASH, "--json"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let expected = format!(r#"[{{"completed":5,"info_hash":"{HASH}","leechers":1,"seeders":2}}]"#);
    assert_eq!(text(&output.stdout).trim_end(), expected);
    let table = run(&["scrape", &url, HASH]);
    let row = text(&table.stdout).lines().last().unwrap();
    assert!(row.split_whitespace().eq([HASH, "2", "5", "1"]), "{row}");
}

#[test]
fn each_kind_of_failure_has_its_own_message() {
    let failed = |url: &str| {
        let output = run(&["announce", url, HASH, "--timeout", "1"]);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
        let error = text(&output.stderr).to_owned();
        assert_eq!(error.lines().count(), 1, "{error}");
        error
    };
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    assert!(failed(&address.to_string()).contains(&format!("no reply from {address} within 1.")));
    let error = failed(&tracker(|request| reply(3, request, b"not\x1b[2J here")));
    assert!(error.contains("the tracker refused: not\\u{1b}[2J here"), "{error}");
    assert!(failed(&tracker(|request| reply(1, request, &[0; 13]))).contains("invalid reply: "));
    assert!(failed("udp://no-such-host.invalid:1").contains("no such host: no-such-host.invalid"));
}

#[test]
fn several_trackers_are_asked_at_once() {
    let good = tracker(|request| reply(1, request, &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2]));
    let bad = tracker(|request| reply(3, request, b"no"));
    let output = run(&["announce", &good, &bad, HASH, "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer = r#"{"interval":1800,"leechers":1,"peers":[],"seeders":2}"#;
    let expected = format!(
        r#"[{{"answer":{answer},"tracker":"{good}"}},{{"error":"the tracker refused: no","tracker":"{bad}"}}]"#
    );
    assert_eq!(text(&output.stdout).trim_end(), expected);
}

#[test]
fn wrong_usage_exits_with_2() {
    let cut = &HASH[1..];
    for arguments in [
        &[][..],
        &["announce", "udp://127.0.0.1:1"],
        &["announce", "udp://127.0.0.1:1", cut],
        &["announce", "http://127.0.0.1:1", HASH],
        &["scrape", "udp://127.0.0.1:0", HASH],
        &["announce", "udp://127.0.0.1:1", HASH, "--port", "0"],
        &["announce", "udp://127.0.0.1:1", HASH, "--event", "paused"],
        &["scrape", "udp://127.0.0.1:1"],
        &["scrape", "udp://127.0.0.1:1", cut],
        &["scrape", HASH, HASH],
        &["scrape", "udp://127.0.0.1:1", HASH, "--timeout", "0"],
    ] {
        assert_eq!(run(arguments).status.code(), Some(2), "{arguments:?}");
    }
}
