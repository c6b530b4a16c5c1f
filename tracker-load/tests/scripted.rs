//! Tests with scripted trackers: right answers pass, and every kind of wrong answer is found.

use std::collections::HashMap;
use std::net::{SocketAddr, SocketAddrV4, UdpSocket};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tracker_load::{Generator, Kind, LoadError, Pace, Phase, Progress, Report, Settings};

/// Longer than any answer takes, even on a busy machine.
const PATIENT: Duration = Duration::from_secs(30);

/// The peers of each torrent, in compact form.
type Swarms = HashMap<Vec<u8>, Vec<Vec<u8>>>;

/// The right reply of a tracker for IPv4 or IPv6.
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
            // The counts include the announcer.
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

/// Sends the replies to a request, some from another port than the tracker's.
struct Replies<'a> {
    to: SocketAddr,
    socket: &'a UdpSocket,
    other: &'a UdpSocket,
}

impl Replies<'_> {
    fn send(&self, reply: &[u8]) {
        self.socket.send_to(reply, self.to).unwrap();
    }

    fn send_from_elsewhere(&self, reply: &[u8]) {
        self.other.send_to(reply, self.to).unwrap();
    }
}

/// The address of a tracker that calls `answer` with each request and its right reply.
fn tracker_at(
    address: &str,
    mut answer: impl FnMut(&[u8], Vec<u8>, &Replies<'_>) + Send + 'static,
) -> SocketAddr {
    let (socket, other) = (UdpSocket::bind(address).unwrap(), UdpSocket::bind(address).unwrap());
    // The thread ends some time after the generator.
    socket.set_read_timeout(Some(PATIENT)).unwrap();
    let bound = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut swarms = Swarms::new();
        let mut datagram = [0; 2048];
        while let Ok((len, from)) = socket.recv_from(&mut datagram) {
            let right = reply(&mut swarms, &datagram[..len], from);
            answer(&datagram[..len], right, &Replies { to: from, socket: &socket, other: &other });
        }
    });
    bound
}

/// A tracker whose right replies are changed by a function; an empty reply is not sent.
fn tracker(mut change: impl FnMut(&[u8], Vec<u8>) -> Vec<u8> + Send + 'static) -> SocketAddr {
    tracker_at("127.0.0.1:0", move |request, reply, replies| {
        let reply = change(request, reply);
        if !reply.is_empty() {
            replies.send(&reply);
        }
    })
}

fn right() -> SocketAddr {
    tracker(|_, reply| reply)
}

fn patient(tracker: SocketAddr) -> Settings {
    let mut settings = Settings::new(tracker);
    settings.timeout = PATIENT;
    settings
}

/// Three peers of one torrent, all with the same address; each wants two others.
fn small(tracker: SocketAddr) -> Settings {
    let mut settings = patient(tracker);
    settings.sources = "127.0.0.1".parse().ok();
    settings.torrents = 1;
    settings.peers = 3;
    settings.seeders_percent = 0;
    settings.num_want = 2;
    settings.pace = Pace::Window(1);
    settings
}

fn on(_: &Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn run(settings: &Settings, phases: &[Phase]) -> Result<Vec<Report>, LoadError> {
    let mut generator = Generator::start(settings)?;
    phases.iter().map(|phase| generator.run(phase, &mut on)).collect()
}

fn fill(settings: &Settings) -> Result<Report, LoadError> {
    Ok(run(settings, &[Phase::Fill])?.remove(0))
}

fn mix(weights: &str, milliseconds: u64) -> Phase {
    Phase::Mix { mix: weights.parse().unwrap(), time: Duration::from_millis(milliseconds) }
}

fn sent(report: &Report) -> u64 {
    Kind::ALL.into_iter().map(|kind| report.sent(kind)).sum()
}

/// Fills and verifies a tracker whose replies with this action are changed; returns the resulting error.
fn error_at(action: u8, mut change: impl FnMut(&mut Vec<u8>) + Send + 'static) -> String {
    let tracker = tracker(move |request, mut reply| {
        if request[11] == action {
            change(&mut reply);
        }
        reply
    });
    run(&small(tracker), &[Phase::Fill, Phase::Verify]).unwrap_err().to_string()
}

#[test]
fn a_right_tracker_passes_a_fill_and_its_verification() {
    let mut settings = patient(right());
    settings.peers = 3000;
    let reports = run(&settings, &[Phase::Fill, Phase::Verify]).unwrap();
    assert_eq!(reports[0].answered(Kind::Announce), 3000);
    assert_eq!(reports[1].answered(Kind::Scrape), 1000);
    assert_eq!((reports[0].resent(), reports[0].lost(), reports[0].late()), (0, 0, 0));
}

#[test]
fn a_right_tracker_passes_every_mix() {
    let base = |tracker| {
        let mut settings = patient(tracker);
        settings.torrents = 20;
        settings.peers = 100;
        settings.scrape_torrents = 3;
        settings
    };
    let (mut window, mut rate, mut unequal) = (base(right()), base(right()), base(right()));
    window.pace = Pace::Window(32);
    rate.pace = Pace::Rate(2000);
    unequal.zipf = Some(1.0);
    unequal.segments = false;
    for settings in [window, rate, unequal] {
        let report = run(&settings, &[mix("1:4:1:1", 500)]).unwrap().remove(0);
        assert_eq!((report.lost(), report.late()), (0, 0), "{report}");
        assert_eq!(sent(&report), report.answers());
        for kind in Kind::ALL {
            assert!(report.answered(kind) > 0, "{report}");
        }
        assert!(report.peers() > 0 && report.latency(0.5) > Duration::ZERO, "{report}");
        assert!(report.latency_min() <= report.latency(0.5) && report.latency(0.5) <= report.latency_max());
    }
}

#[test]
fn sends_at_the_rate_and_not_faster() {
    let mut settings = patient(right());
    settings.pace = Pace::Rate(1000);
    let report = run(&settings, &[mix("0:1", 500)]).unwrap().remove(0);
    // The first request is sent at once. A busy machine may miss the last ones, but not all.
    assert!((1..=501).contains(&report.sent(Kind::Announce)), "{report}");
    assert_eq!(report.sent(Kind::Announce), report.answered(Kind::Announce));
}

#[test]
fn ipv6_trackers_are_filled_too() {
    let mut settings = patient(tracker_at("[::1]:0", |_, reply, replies| replies.send(&reply)));
    settings.torrents = 10;
    settings.peers = 500;
    settings.sockets = 4;
    let reports = run(&settings, &[Phase::Fill, Phase::Verify]).unwrap();
    // In each of ten swarms, the first announcer receives no peer, the second one peer, the last 49.
    assert_eq!(reports[0].peers(), 10 * (49 * 50 / 2));
}

#[test]
fn the_same_seed_makes_the_same_requests() {
    let fill_of = |seed: u64| {
        let (note, noted) = mpsc::channel();
        let tracker = tracker(move |request, reply| {
            if request[11] == 1 {
                note.send((request[16..80].to_vec(), request[96..98].to_vec())).unwrap();
            }
            reply
        });
        let mut settings = patient(tracker);
        settings.pace = Pace::Window(1);
        settings.peers = 50;
        settings.seed = seed;
        fill(&settings).unwrap();
        noted.try_iter().collect::<Vec<_>>()
    };
    assert_eq!(fill_of(7), fill_of(7));
    assert_ne!(fill_of(7), fill_of(8));
}

#[test]
fn info_hashes_are_those_of_the_requests() {
    let mut settings = patient(SocketAddr::from(([127, 0, 0, 1], 1)));
    settings.torrents = 3;
    let listed: Vec<_> = settings.info_hashes().unwrap().collect();
    assert_eq!(listed.len(), 3);
    settings.tracker = tracker(move |request, reply| {
        let is_listed = || listed.iter().any(|info_hash| info_hash.0[..] == request[16..36]);
        if request[11] == 0 || is_listed() { reply } else { Vec::new() }
    });
    settings.peers = 3;
    assert_eq!(fill(&settings).unwrap().answers(), 3);
}

/// A tracker that does not answer every tenth announce, and the number of these.
fn forgetful() -> (SocketAddr, Arc<AtomicU64>) {
    let forgotten = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&forgotten);
    let mut announces = 0;
    let tracker = tracker(move |request, reply| {
        announces += u32::from(request[11] == 1);
        if request[11] == 1 && announces % 10 == 5 {
            count.fetch_add(1, Relaxed);
            return Vec::new();
        }
        reply
    });
    (tracker, forgotten)
}

#[test]
fn a_fill_sends_lost_requests_again() {
    let (tracker, forgotten) = forgetful();
    let mut settings = Settings::new(tracker);
    settings.timeout = Duration::from_millis(500);
    let reports = run(&settings, &[Phase::Fill, Phase::Verify]).unwrap();
    assert_eq!(reports[0].answered(Kind::Announce), 1000);
    // If the machine stops for longer than the timeout, some answers are late.
    assert_eq!(reports[0].resent(), forgotten.load(Relaxed) + reports[0].late());
    assert_eq!(reports[0].lost(), 0);
}

#[test]
fn a_mix_counts_lost_requests() {
    let (tracker, forgotten) = forgetful();
    let mut settings = Settings::new(tracker);
    settings.timeout = Duration::from_millis(500);
    settings.pace = Pace::Rate(500);
    let report = run(&settings, &[mix("0:1", 500)]).unwrap().remove(0);
    assert_eq!(sent(&report), report.answers() + report.lost());
    assert_eq!(report.lost(), forgotten.load(Relaxed) + report.late());
    assert_eq!(report.resent(), 0);
}

#[test]
fn a_late_answer_is_counted_as_late_and_not_wrong() {
    let mut held: Option<Vec<u8>> = None;
    let mut announces = 0;
    // The answer to the second announce is sent only after the next request, so it is late.
    let tracker = tracker_at("127.0.0.1:0", move |request, reply, replies| {
        announces += u32::from(request[11] == 1);
        if announces == 2 && request[11] == 1 {
            held = Some(reply);
            return;
        }
        if let Some(late) = held.take() {
            replies.send(&late);
        }
        replies.send(&reply);
    });
    let mut settings = small(tracker);
    settings.timeout = Duration::from_millis(500);
    let report = fill(&settings).unwrap();
    assert!(report.late() >= 1 && report.late() == report.resent(), "{report}");
    assert_eq!(report.answered(Kind::Announce), 3);
}

#[test]
fn a_silent_tracker_fails_a_fill_and_loses_all_of_a_mix() {
    let silent = || tracker(|request, reply| if request[11] == 0 { reply } else { Vec::new() });
    let mut settings = Settings::new(silent());
    settings.timeout = Duration::from_millis(10);
    let error = fill(&settings).unwrap_err();
    assert!(matches!(error, LoadError::Silent(tracker) if tracker == settings.tracker), "{error}");
    let report = run(&settings, &[mix("0:1", 100)]).unwrap().remove(0);
    assert_eq!((report.answers(), report.lost()), (0, sent(&report)));
    assert!(report.lost() > 0);
}

#[test]
fn a_phase_ends_early_when_it_is_stopped() {
    let mut generator = Generator::start(&patient(right())).unwrap();
    let mut shown = 0;
    let report = generator.run(&mix("0:1", 3_600_000), &mut |progress| {
        shown += 1;
        if progress.answers() > 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let report = report.unwrap();
    assert!(shown >= 2 && report.answers() > 0 && report.elapsed() < Duration::from_secs(3600));
    assert_eq!(report.answers(), sent(&report));
}

#[test]
fn wrong_heads_are_found() {
    for action in 0..=2 {
        let error = error_at(action, |reply| reply[7] ^= 1);
        assert!(error.contains("no request with its transaction_id"), "{error}");
        let error = error_at(action, |reply| reply.truncate(7));
        assert!(error.contains("all its bytes: 000000"), "{error}");
        let error = error_at(action, |reply| reply.resize(5000, 0));
        assert!(error.contains("too long to be received whole"), "{error}");
        let error = error_at(action, |reply| reply[3] = 9);
        assert!(error.contains("action"), "{error}");
        let error = error_at(action, move |reply| reply[3] = (action + 1) % 3);
        assert!(error.contains("it has action"), "{error}");
        let error = error_at(action, |reply| {
            reply.truncate(8);
            reply[3] = 3;
            reply.extend(b"not\x1b here");
        });
        assert!(error.contains("refuses: not\\u{1b} here; all its bytes: 00000003"), "{error}");
    }
    assert!(error_at(0, |reply| reply.truncate(15)).contains("16"));
    assert!(error_at(0, |reply| reply.push(0)).contains("1 bytes too long"));
}

#[test]
fn an_answer_from_another_port_is_wrong() {
    let tracker = tracker_at("127.0.0.1:0", |request, reply, replies| {
        if request[11] == 1 { replies.send_from_elsewhere(&reply) } else { replies.send(&reply) }
    });
    let error = fill(&patient(tracker)).unwrap_err().to_string();
    assert!(error.contains("which is not the tracker's address"), "{error}");
}

#[test]
fn a_second_answer_is_wrong() {
    let mut last = Vec::new();
    let tracker = tracker(move |request, reply| {
        if request[11] != 1 || last.is_empty() {
            last.clone_from(&reply);
            return reply;
        }
        last.clone()
    });
    let error = fill(&small(tracker)).unwrap_err().to_string();
    assert!(error.contains("no request with its transaction_id"), "{error}");
}

#[test]
fn wrong_announce_replies_are_found() {
    let stranger = SocketAddrV4::new([192, 0, 2, 1].into(), 258);
    let add = |reply: &mut Vec<u8>, peer: SocketAddrV4| {
        reply.extend(peer.ip().octets());
        reply.extend(peer.port().to_be_bytes());
    };
    let error = error_at(1, |reply| reply[8..12].fill(0));
    assert!(error.contains("an interval of 0 seconds"), "{error}");
    // No valid length in either dialect.
    let error = error_at(1, |reply| reply.push(1));
    assert!(error.contains("21"), "{error}");
    let error = error_at(1, |reply| reply.truncate(12));
    assert!(error.contains("20"), "{error}");
    let error = error_at(1, move |reply| {
        reply[15] = 3;
        add(reply, stranger);
    });
    assert!(error.contains("192.0.2.1:258 has not announced this torrent"), "{error}");
    assert!(error.ends_with("c00002010102"), "{error}");
    let error = error_at(1, |reply| reply[15] = 4);
    assert!(error.contains("4 leechers and 0 seeders in a swarm of 3 at most"), "{error}");
    let error = error_at(1, |reply| reply[12] = 1);
    assert!(error.contains("16777217 leechers"), "{error}");
    let error = error_at(1, |reply| reply[15] = reply[15].saturating_sub(2));
    assert!(error.contains("1 peers of 0 leechers and 0 seeders"), "{error}");
    let error = error_at(1, |reply| {
        if reply.len() == 26 {
            reply.extend_from_within(20..26);
        }
    });
    assert!(error.contains(" twice"), "{error}");
    let error = error_at(1, |reply| {
        if reply.len() == 32 {
            reply.extend_from_within(20..26);
        }
    });
    assert!(error.contains("3 peers, and 2 were wanted"), "{error}");
}

#[test]
fn wrong_scrape_replies_are_found() {
    let error = error_at(2, |reply| reply.truncate(19));
    assert!(error.contains("19"), "{error}");
    let error = error_at(2, |reply| reply.resize(40, 0));
    assert!(error.contains("40"), "{error}");
    for wrong in [2, 4] {
        let error = error_at(2, move |reply| reply[19] = wrong);
        let expected = format!("{wrong} leechers and 0 seeders in a swarm of 3 at most");
        assert!(error.contains(&expected), "{error}");
    }
}

#[test]
fn too_few_peers_are_wrong() {
    let mut both_given = false;
    let tracker = tracker(move |request, mut reply| {
        if request[11] == 1 && reply.len() == 32 && std::mem::replace(&mut both_given, true) {
            reply.truncate(26);
        }
        reply
    });
    let error = run(&small(tracker), &[mix("0:1", 20_000)]).unwrap_err().to_string();
    assert!(error.contains("1 peers, although 2 others are in the swarm"), "{error}");
}

#[test]
fn an_announcer_among_its_peers_is_wrong_unless_that_is_allowed() {
    let generous = || {
        tracker(|request, mut reply| {
            if request[11] == 1 {
                reply.truncate(20);
                reply.extend([127, 0, 0, 1, request[96], request[97]]);
            }
            reply
        })
    };
    let error = fill(&small(generous())).unwrap_err().to_string();
    assert!(error.contains("the announcer itself, 127.0.0.1:"), "{error}");
    let mut settings = small(generous());
    settings.own = true;
    assert_eq!(fill(&settings).unwrap().answers(), 3);
}
