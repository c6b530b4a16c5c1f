//! `load`, as its users see it, against scripted trackers: right ones pass, and every way of being wrong is caught.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::process::{Command, Output};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Three peers of one torrent, all of one address, who want two others each.
const SMALL: [&str; 10] =
    ["--sources", "127.0.0.1", "--torrents", "1", "--peers", "3", "--num-want", "2", "--window", "1"];

fn load(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-bin"));
    command.args(["load", url]).args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn json(output: &Output) -> Value {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A tracker's memory: the peers of each torrent, in compact form.
type Swarms = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// The right reply, as a tracker for IPv4 or IPv6 would give it.
fn reply(swarms: &mut Swarms, request: &[u8], from: SocketAddr) -> Vec<u8> {
    let head = |action: u8| [&[0, 0, 0, action], &request[12..16]].concat();
    match request[11] {
        0 => [head(0), vec![9; 8]].concat(),
        1 => {
            assert_eq!(request[..8], [9; 8], "connection_id");
            let port = &request[96..98];
            let peer = match from {
                SocketAddr::V4(from) => [&from.ip().octets(), port].concat(),
                SocketAddr::V6(from) => [&from.ip().octets(), port].concat(),
            };
            let swarm = swarms.entry(request[16..36].to_vec()).or_default();
            swarm.retain(|known| *known != peer);
            let wanted = usize::from(request[95]);
            let others = swarm.iter().take(wanted).flatten().copied().collect();
            if request[83] != 3 {
                swarm.push(peer);
            }
            // The announcer counts, too.
            let leechers = u32::try_from(swarm.len()).unwrap().to_be_bytes().to_vec();
            [head(1), vec![0, 0, 7, 8], leechers, vec![0; 4], others].concat()
        }
        _ => {
            let mut datagram = head(2);
            for hash in request[16..].chunks(20) {
                let leechers = swarms.get(hash).map_or(0, |swarm| u32::try_from(swarm.len()).unwrap());
                datagram.extend([0; 8]);
                datagram.extend(leechers.to_be_bytes());
            }
            datagram
        }
    }
}

/// The URL of a tracker whose right replies go through a function, which sees the request, too; it is told whether it
/// may answer from elsewhere.
fn tracker_on(
    address: &str,
    mut change: impl FnMut(&[u8], Vec<u8>) -> (Vec<u8>, bool) + Send + 'static,
) -> String {
    let (socket, other) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let url = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut swarms = Swarms::new();
        let mut datagram = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut datagram) {
            let right = reply(&mut swarms, &datagram[..len], from);
            let (reply, elsewhere) = change(&datagram[..len], right);
            if !reply.is_empty() {
                let socket = if elsewhere { &other } else { &socket };
                socket.send_to(&reply, from).unwrap();
            }
        }
    });
    url
}

fn tracker(mut change: impl FnMut(&[u8], Vec<u8>) -> Vec<u8> + Send + 'static) -> String {
    tracker_on("127.0.0.1:0", move |request, reply| (change(request, reply), false))
}

fn right() -> String {
    tracker(|_, reply| reply)
}

/// Fills a tracker that gives changed replies to requests with this action; what the generator says to that.
fn complaint(action: u8, mut change: impl FnMut(&mut Vec<u8>) + Send + 'static) -> String {
    let url = tracker(move |request, mut reply| {
        if request[11] == action {
            change(&mut reply);
        }
        reply
    });
    let output = load(&url, &[&SMALL[..], &["--fill", "--verify", "--json"]].concat());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
    text(&output.stderr).to_owned()
}

#[test]
fn a_right_tracker_passes() {
    let mix = ["--seconds", "1", "--torrents", "20", "--peers", "100", "--mix", "1:4:1:1"];
    let filled = json(&load(&right(), &["--fill", "--verify", "--peers", "3000", "--json"]));
    assert_eq!(filled["fill"]["by_kind"]["announce"]["answers"], 3000);
    assert_eq!(filled["verify"]["by_kind"]["scrape"]["answers"], 1000);
    for more in [&["--window", "32"][..], &["--rate", "2000"], &["--zipf", "1", "--no-segments"]] {
        let report = json(&load(&right(), &[&mix, more, &["--scrape-torrents", "3", "--json"]].concat()));
        let mix = &report["mix"];
        assert_eq!((&mix["lost"], &mix["late"]), (&0.into(), &0.into()), "{report}");
        assert_eq!(mix["sent"], mix["answers"]);
        for kind in ["connect", "announce", "scrape", "stop"] {
            assert!(mix["by_kind"][kind]["answers"].as_u64() > Some(50), "{report}");
        }
        assert!(mix["peers"].as_u64() > Some(0) && mix["latency_us"]["p50"].as_f64() > Some(0.0));
    }
    let rate = json(&load(&right(), &["--rate", "1000", "--seconds", "1", "--json"]));
    assert!((950.0..=1050.0).contains(&rate["mix"]["answers_per_second"].as_f64().unwrap()), "{rate}");
}

#[test]
fn ipv6() {
    let url = tracker_on("[::1]:0", |_, reply| (reply, false));
    let options = ["--fill", "--verify", "--peers", "500", "--torrents", "10", "--sockets", "4", "--json"];
    // In each of ten swarms the first is given nobody, the second one, the last 49.
    assert_eq!(json(&load(&url, &options))["fill"]["peers"], 10 * (49 * 50 / 2));
}

#[test]
fn the_same_seed_asks_the_same() {
    let fill_of = |seed: &str| {
        let (note, noted) = std::sync::mpsc::channel();
        let url = tracker(move |request, reply| {
            if request[11] == 1 {
                note.send((request[16..80].to_vec(), request[96..98].to_vec())).unwrap();
            }
            reply
        });
        let output = load(&url, &["--fill", "--window", "1", "--peers", "50", "--seed", seed]);
        assert!(output.status.success());
        noted.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(fill_of("7"), fill_of("7"));
    assert_ne!(fill_of("7"), fill_of("8"));
}

#[test]
fn prints_the_torrents_that_it_asks_for() {
    let output = load("udp://127.0.0.1:1", &["--torrents", "3", "--print-torrents"]);
    let printed: Vec<String> = text(&output.stdout).lines().map(str::to_owned).collect();
    assert_eq!(printed.len(), 3);
    let url = tracker(move |request, reply| {
        let hash: String = request.iter().skip(16).take(20).map(|octet| format!("{octet:02x}")).collect();
        if request[11] == 0 || printed.contains(&hash) { reply } else { Vec::new() }
    });
    let filled = json(&load(&url, &["--torrents", "3", "--fill", "--json"]));
    assert_eq!((&filled["fill"]["answers"], &filled["fill"]["resent"]), (&3.into(), &0.into()));
}

#[test]
fn lost_ones_are_counted_or_asked_again() {
    let forgetful = || {
        let mut asked = 0;
        tracker(move |request, reply| {
            asked += i32::from(request[11] == 1);
            if asked % 10 == 5 { Vec::new() } else { reply }
        })
    };
    let filled = json(&load(&forgetful(), &["--fill", "--verify", "--timeout", "100", "--json"]));
    assert_eq!(filled["fill"]["by_kind"]["announce"]["answers"], 1000);
    assert!((80..200).contains(&filled["fill"]["resent"].as_u64().unwrap()), "{filled}");
    let mix = json(&load(&forgetful(), &["--seconds", "1", "--timeout", "100", "--rate", "500", "--json"]));
    let mix = &mix["mix"];
    assert_eq!(
        mix["sent"].as_u64().unwrap(),
        mix["answers"].as_u64().unwrap() + mix["lost"].as_u64().unwrap()
    );
    assert!((30..70).contains(&mix["lost"].as_u64().unwrap()), "{mix}");
}

#[test]
fn late_answers_are_no_wrong_ones() {
    let mut announces = 0;
    let url = tracker(move |request, reply| {
        announces += i32::from(request[11] == 1);
        if announces % 10 == 5 {
            thread::sleep(Duration::from_millis(70));
        }
        reply
    });
    let report = json(&load(&url, &["--seconds", "1", "--window", "1", "--timeout", "50", "--json"]));
    assert!(report["mix"]["late"].as_u64() > Some(3), "{report}");
}

#[test]
fn silence_is_a_failure() {
    let deaf = tracker(|request, reply| if request[11] == 0 { reply } else { Vec::new() });
    let output = load(&deaf, &["--seconds", "1", "--timeout", "100"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("does not answer"));
    let output = load(&deaf, &["--fill", "--timeout", "10"]);
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(1), ""));
}

#[test]
fn wrong_heads_are_caught() {
    for action in 0..=2 {
        let error = complaint(action, |reply| reply[7] ^= 1);
        assert!(error.contains("nothing with its transaction_id"), "{error}");
        let error = complaint(action, |reply| reply.truncate(7));
        assert!(error.contains("octets"), "{error}");
        let error = complaint(action, |reply| reply.resize(5000, 0));
        assert!(error.contains("too long to be read"), "{error}");
        let error = complaint(action, |reply| reply[3] = 9);
        assert!(error.contains("action"), "{error}");
        let error = complaint(action, move |reply| reply[3] = (action + 1) % 3);
        assert!(error.contains("it has action"), "{error}");
        let error = complaint(action, |reply| {
            reply.truncate(8);
            reply[3] = 3;
            reply.extend(b"not\x1b here");
        });
        assert!(error.contains("refuses: not\\u{1b} here; all its octets: 00000003"), "{error}");
    }
    assert!(complaint(0, |reply| reply.truncate(15)).contains("16"));
    assert!(complaint(0, |reply| reply.push(0)).contains("1 octets too many"));
}

#[test]
fn an_answer_from_elsewhere_is_caught() {
    let url = tracker_on("127.0.0.1:0", |request, reply| (reply, request[11] == 1));
    let output = load(&url, &["--fill"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("who was not asked"), "{}", text(&output.stderr));
}

#[test]
fn a_second_answer_is_caught() {
    let mut last = Vec::new();
    let url = tracker(move |request, reply| {
        if request[11] != 1 || last.is_empty() {
            last.clone_from(&reply);
            return reply;
        }
        last.clone()
    });
    let output = load(&url, &SMALL);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("nothing with its transaction_id"));
}

#[test]
fn wrong_announce_replies_are_caught() {
    let stranger = SocketAddrV4::new([192, 0, 2, 1].into(), 258);
    let add = |reply: &mut Vec<u8>, peer: SocketAddrV4| {
        reply.extend(peer.ip().octets());
        reply.extend(peer.port().to_be_bytes());
    };
    let error = complaint(1, |reply| reply[8..12].fill(0));
    assert!(error.contains("an interval of 0 seconds"), "{error}");
    // None of both dialects' lengths.
    let error = complaint(1, |reply| reply.push(1));
    assert!(error.contains("21"), "{error}");
    let error = complaint(1, |reply| reply.truncate(12));
    assert!(error.contains("20"), "{error}");
    let error = complaint(1, move |reply| {
        reply[15] = 3;
        add(reply, stranger);
    });
    assert!(error.contains("192.0.2.1:258, which has not announced this torrent"), "{error}");
    assert!(error.trim_end().ends_with("c00002010102"), "{error}");
    let error = complaint(1, |reply| reply[15] = 4);
    assert!(error.contains("4 leechers and 0 seeders in a swarm of 3 at most"), "{error}");
    let error = complaint(1, |reply| reply[12] = 1);
    assert!(error.contains("16777217 leechers"), "{error}");
    let error = complaint(1, |reply| reply[15] = reply[15].saturating_sub(2));
    assert!(error.contains("1 peers of 0 leechers and 0 seeders"), "{error}");
    let error = complaint(1, |reply| {
        if reply.len() == 26 {
            reply.extend_from_within(20..26);
        }
    });
    assert!(error.contains(" twice"), "{error}");
    let error = complaint(1, |reply| {
        if reply.len() == 32 {
            reply.extend_from_within(20..26);
        }
    });
    assert!(error.contains("3 peers, and 2 were wanted"), "{error}");
}

#[test]
fn a_tracker_that_keeps_peers_back_is_caught() {
    let mut both_given = false;
    let url = tracker(move |request, mut reply| {
        if request[11] == 1 && reply.len() == 32 && std::mem::replace(&mut both_given, true) {
            reply.truncate(26);
        }
        reply
    });
    let output = load(&url, &[&SMALL[..], &["--seeders", "0", "--seconds", "20"]].concat());
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("1 peers, and 2 others are in the swarm"), "{error}");
}

#[test]
fn an_announcer_that_is_given_itself_is_caught() {
    let generous = || {
        tracker(|request, mut reply| {
            if request[11] == 1 {
                reply.truncate(20);
                reply.extend([127, 0, 0, 1, request[96], request[97]]);
            }
            reply
        })
    };
    let output = load(&generous(), &[&SMALL[..], &["--fill"]].concat());
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("it gives the announcer itself, 127.0.0.1:"));
    assert!(load(&generous(), &[&SMALL[..], &["--fill", "--own"]].concat()).status.success());
}

#[test]
fn wrong_scrape_replies_are_caught() {
    let error = complaint(2, |reply| reply.truncate(19));
    assert!(error.contains("19"), "{error}");
    let error = complaint(2, |reply| reply.resize(40, 0));
    assert!(error.contains("40"), "{error}");
    for wrong in [2, 4] {
        let error = complaint(2, move |reply| reply[19] = wrong);
        let expected = format!("{wrong} leechers and 0 seeders in a swarm of 3 at most");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn wrong_usage_is_exit_2() {
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
    let crowded = load("udp://127.0.0.1:1", &["--torrents", "1", "--peers", "100000000"]);
    assert_eq!(crowded.status.code(), Some(1));
    assert!(text(&crowded.stderr).contains("the largest swarm has 100000000 peers"));
}
