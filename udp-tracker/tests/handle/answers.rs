//! The reply to each kind of request, without a network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::requests::{NOW, TORRENT, Tracker, encoded, error, leecher, reported, scrape, seeder};
use udp_tracker::{AccessRules, ConnectionKeys, Count, Counted, Family, Policy, Refusal, Service, Settings};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectionId, Dialect, Event, InfoHash, Options, ScrapeEntry, compact,
};

fn a() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

fn b() -> SocketAddr {
    "192.0.2.2:5000".parse().unwrap()
}

fn a6() -> SocketAddr {
    "[2001:db8::1]:5000".parse().unwrap()
}

fn default() -> Tracker {
    Tracker::new(Settings::default())
}

fn settings(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

/// A tracker with this connection key.
fn keyed(key: u8) -> Tracker {
    let service = Service::new(Settings::default()).unwrap().with_connection_keys(&[key; 16].into());
    Tracker::of(&Arc::new(service))
}

#[test]
fn connect_with_the_protocol_id() {
    let mut tracker = default();
    let request = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    let reply = tracker.ask(a(), &request);
    assert_eq!(reply.len(), 16);
    assert_eq!(reply[..8], [0, 0, 0, 0, 1, 2, 3, 4]);
    assert_eq!((tracker.counted(Count::Connects), tracker.counted(Count::ConnectRequests2004)), (1, 0));
}

#[test]
fn connect_with_another_first_field() {
    let request = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4];
    let mut tracker = default();
    assert_eq!(tracker.ask(a(), &request).len(), 16);
    assert_eq!((tracker.counted(Count::Connects), tracker.counted(Count::ConnectRequests2004)), (1, 1));
    // No other datagram with the action of a connect gets a reply.
    assert_eq!(tracker.ask(a(), &[&request[..], &[0]].concat()), []);

    let mut strict = Tracker::new(settings(|settings| settings.dialect_2004 = false));
    assert_eq!(strict.ask(a(), &request), []);
    assert_eq!(strict.counted(Count::NoRequest), 1);
}

#[test]
fn no_reply_to_datagrams_that_are_no_request() {
    let mut tracker = default();
    for len in 0..16 {
        assert_eq!(tracker.ask(a(), &[0; 16][..len]), []);
    }
    assert_eq!(tracker.counted(Count::BadLength), 16);
    for action in [3u32, 4, 0x0100_0000, u32::MAX] {
        let id = tracker.connect(a());
        let mut datagram = encoded(&AnnounceRequest { connection_id: id, ..leecher(1) });
        datagram[8..12].copy_from_slice(&action.to_be_bytes());
        assert_eq!(tracker.ask(a(), &datagram), []);
    }
    assert_eq!(tracker.counted(Count::NoRequest), 4);
    let request = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    assert_eq!(tracker.ask("192.0.2.1:0".parse().unwrap(), &request), []);
    assert_eq!(tracker.counted(Count::SourcePortZero), 1);
}

#[test]
fn a_bad_connection_id_gets_an_error_never_longer_than_the_request() {
    let mut tracker = default();
    let id = tracker.connect(a());
    let announce = encoded(&AnnounceRequest { connection_id: id, ..leecher(6881) });
    // An id of another address, and one that was never issued.
    for bad in
        [encoded(&AnnounceRequest { connection_id: ConnectionId(0), ..leecher(6881) }), announce.clone()]
    {
        let reply = tracker.ask(b(), &bad);
        assert_eq!(reply[4..8], [1, 2, 3, 4], "the transaction_id");
        assert_eq!(error(&reply), "unknown connection_id");
    }
    assert_eq!(tracker.counted(Count::BadConnectionId), 2);
    // Malformed requests of any length too, down to the shortest.
    for len in 16..announce.len() {
        let reply = tracker.ask(b(), &announce[..len]);
        assert!((9..=len).contains(&reply.len()), "{len}: {}", reply.len());
        let expected = if len < 29 { "bad id" } else { "unknown connection_id" };
        assert_eq!(error(&reply), expected);
    }
    let scrape = scrape(id, &[TORRENT, TORRENT]);
    for len in 16..=scrape.len() {
        let reply = tracker.ask(b(), &scrape[..len]);
        assert!((9..=len).contains(&reply.len()), "{len}: {}", reply.len());
    }
    // No peer was stored.
    assert_eq!(tracker.scrape(a(), &[TORRENT]), [ScrapeEntry::default()]);
}

#[test]
fn a_connection_id_is_valid_for_its_lifetime_and_address() {
    let mut tracker = default();
    let id = tracker.connect(a());
    let request = AnnounceRequest { connection_id: id, ..leecher(6881) };
    let mut good = |source: &str, after: u64| {
        tracker.now = NOW + after;
        tracker.ask(source.parse().unwrap(), &encoded(&request))[3] == 1
    };
    assert!(good("192.0.2.1:5000", 0));
    assert!(good("192.0.2.1:5000", 120));
    assert!(good("192.0.2.1:6000", 60), "another port is the same address");
    assert!(good("[::ffff:192.0.2.1]:5000", 60), "a mapped address is the IPv4 address");
    assert!(!good("192.0.2.2:5000", 60));
    assert!(!good("192.0.2.1:5000", 122));
    assert!(!good("[2001:db8::1]:5000", 60));

    let mut shorter = Tracker::new(settings(|settings| settings.connection_id_lifetime = 20));
    let request = AnnounceRequest { connection_id: shorter.connect(a()), ..leecher(6881) };
    shorter.now += 21;
    assert_eq!(shorter.ask(a(), &encoded(&request))[3], 3);
}

#[test]
fn machines_with_the_same_key_accept_each_others_ids() {
    let (mut one, mut other) = (keyed(7), keyed(7));
    let request = AnnounceRequest { connection_id: one.connect(a()), ..leecher(6881) };
    assert_eq!(other.ask(a(), &encoded(&request))[3], 1);
    assert_eq!(keyed(8).ask(a(), &encoded(&request))[3], 3);
    assert_eq!(default().ask(a(), &encoded(&request))[3], 3);
}

#[test]
fn a_running_tracker_takes_new_connection_keys_and_accepts_the_previous_one() {
    let service = Arc::new(Service::new(Settings::default()).unwrap().with_connection_keys(&[1; 16].into()));
    let mut tracker = Tracker::of(&service);
    let first = tracker.connect(a());
    service.set_connection_keys(&ConnectionKeys::from([2; 16]).accepting([1; 16]));
    let second = tracker.connect(a());
    let mut action = |id| tracker.ask(a(), &encoded(&AnnounceRequest { connection_id: id, ..leecher(1) }))[3];
    assert_eq!((action(first), action(second)), (1, 1));
    service.set_connection_keys(&[2; 16].into());
    assert_eq!((action(first), action(second)), (3, 1));
}

#[test]
fn an_ipv6_client_may_use_the_connection_id_of_another_address_of_its_network() {
    let accepted = |settings: Settings, other: &str| {
        let mut tracker = Tracker::new(settings);
        let request = AnnounceRequest { connection_id: tracker.connect(a6()), ..leecher(1) };
        tracker.ask(other.parse().unwrap(), &encoded(&request))[3] == 1
    };
    assert!(accepted(Settings::default(), "[2001:db8::abcd:2]:6000"));
    assert!(!accepted(Settings::default(), "[2001:db8:0:1::1]:5000"), "another /64");
    let address = settings(|settings| settings.connection_id_ipv6_prefix = 128);
    assert!(accepted(address.clone(), "[2001:db8::1]:6000"), "another port");
    assert!(!accepted(address, "[2001:db8::2]:5000"));
}

#[test]
fn connection_ids_follow_a_clock_that_is_set_right() {
    const LIFETIME: u64 = 120;
    for ahead in [-600i64, 600] {
        // A machine with the right time, and one whose clock was wrong when it started.
        let (mut right, mut wrong) = (keyed(7), keyed(7));
        wrong.now = right.now.saturating_add_signed(ahead);
        let served = |tracker: &mut Tracker, id| {
            let request = AnnounceRequest { connection_id: id, ..leecher(1) };
            tracker.ask(a(), &encoded(&request))[..4] == [0, 0, 0, 1]
        };
        let old = wrong.connect(a());
        assert!(!served(&mut right, old), "{ahead}: the clocks differ too much");

        let corrected = Duration::from_secs(right.now);
        wrong.handler.set_clock(Duration::from_secs(wrong.now), corrected);
        let (from_right, from_wrong) = (right.connect(a()), wrong.connect(a()));
        assert!(served(&mut wrong, from_right) && served(&mut right, from_wrong), "{ahead}: they agree now");
        assert!(served(&mut wrong, old), "{ahead}: the clients still have it");
        wrong.now += LIFETIME;
        assert!(served(&mut wrong, old), "{ahead}: until the end of its lifetime");
        wrong.now += 2;
        assert!(!served(&mut wrong, old), "{ahead}: and not longer");
    }
}

#[test]
fn answers_the_dialect_of_2004() {
    let mut tracker = default();
    tracker.announce(b(), seeder(6882));
    let request = AnnounceRequest { dialect: Dialect::Draft2004, ..leecher(6881) };
    assert_eq!(encoded(&request).len(), 94);
    let reply = tracker.announce(a(), request);
    assert_eq!(reply.len(), 12 + 6);
    let response = AnnounceResponse::<{ compact::V4 }>::decode(&reply).unwrap();
    assert_eq!(response.head.counts, None);
    assert_eq!(response.peers, [[192, 0, 2, 2, 0x1a, 0xe2]]);
    assert_eq!((tracker.counted(Count::Announces), tracker.counted(Count::AnnounceRequests2004)), (2, 1));
    let reply = tracker.announce(a6(), request);
    assert_eq!(reply.len(), 12);
}

#[test]
fn a_malformed_request_with_a_valid_id_gets_the_reason() {
    let mut tracker = default();
    let connection_id = tracker.connect(a());
    let good = encoded(&AnnounceRequest { connection_id, ..leecher(6881) });
    let mut refused = |datagram: &[u8]| {
        let reply = tracker.ask(a(), datagram);
        assert_eq!(reply[4..8], datagram[12..16], "the transaction_id");
        error(&reply)
    };
    for len in 95..=97 {
        assert_eq!(refused(&good[..len]), format!("announce of {len} bytes: 98 or more expected"));
    }
    assert_eq!(refused(&good[..50]), "50 bytes where 88 are needed");
    let mut port_zero = good.clone();
    port_zero[96..98].fill(0);
    assert_eq!(refused(&port_zero), "port 0: the port the peer listens on expected");
    let mut event_four = good.clone();
    event_four[83] = 4;
    assert_eq!(refused(&event_four), "unknown event 4: 0 to 3 expected");
    let scrape = scrape(connection_id, &[TORRENT]);
    assert_eq!(refused(&scrape[..16]), "scrape without an info_hash");
    assert_eq!(refused(&scrape[..35]), "19 bytes after the last whole info_hash");
    assert_eq!(tracker.counted(Count::Malformed), 8);
    assert_eq!(tracker.scrape(a(), &[TORRENT]), [ScrapeEntry::default()]);
}

#[test]
fn broken_options_are_ignored() {
    let mut tracker = default();
    for options in [&b"\x02\x09/announce"[..], b"\x02\xff/", b"\x02", b"\xff", b"\x00\x00", &[1; 500]] {
        let reply =
            tracker.announce(a(), AnnounceRequest { options: Options::new(options), ..leecher(6881) });
        let (_, leechers, seeders, peers) = reported::<6>(&reply);
        assert_eq!((leechers, seeders, peers), (1, 0, 0));
    }
}

#[test]
fn seeders_and_leechers_are_counted_with_the_announcer() {
    let mut tracker = default();
    let counts = |reply: Vec<u8>| {
        let (_, leechers, seeders, peers) = reported::<6>(&reply);
        (leechers, seeders, peers)
    };
    assert_eq!(counts(tracker.announce(a(), leecher(1))), (1, 0, 0));
    assert_eq!(counts(tracker.announce(a(), seeder(2))), (1, 1, 1));
    assert_eq!(counts(tracker.announce(a(), leecher(3))), (2, 1, 2));
    // No seeders for a seeder.
    assert_eq!(counts(tracker.announce(a(), seeder(4))), (2, 2, 2));
    // The leecher has finished.
    assert_eq!(counts(tracker.announce(a(), seeder(1))), (1, 3, 1));
    let stop = |port| AnnounceRequest { event: Event::Stopped, ..leecher(port) };
    assert_eq!(counts(tracker.announce(a(), stop(3))), (0, 3, 0));
    assert_eq!(counts(tracker.announce(a(), stop(4))), (0, 2, 0));
}

#[test]
fn completed_counts_once_per_peer_and_only_from_a_seeder() {
    let mut tracker = default();
    let completed = AnnounceRequest { event: Event::Completed, ..seeder(1) };
    tracker.announce(a(), AnnounceRequest { event: Event::Completed, ..leecher(1) });
    assert_eq!(tracker.scrape(a(), &[TORRENT])[0].completed, 0);
    tracker.announce(a(), completed);
    tracker.announce(a(), completed);
    tracker.announce(a(), AnnounceRequest { port: 2, ..completed });
    let expected = ScrapeEntry { seeders: 2, completed: 2, leechers: 0 };
    assert_eq!(tracker.scrape(a(), &[TORRENT]), [expected]);
    assert_eq!(tracker.counted(Count::Completed), 2);
}

#[test]
fn stopped_leaves_nothing_and_creates_nothing() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut tracker = Tracker::of(&service);
    let stop = AnnounceRequest { event: Event::Stopped, ..leecher(1) };
    let (_, leechers, seeders, peers) = reported::<6>(&tracker.announce(a(), stop));
    assert_eq!((leechers, seeders, peers), (0, 0, 0));
    assert_eq!(service.stores().totals(Family::V4).torrents, 0);
    tracker.announce(a(), leecher(1));
    tracker.announce(b(), leecher(2));
    let (_, leechers, _, peers) = reported::<6>(&tracker.announce(a(), stop));
    assert_eq!((leechers, peers), (1, 0), "counts, and no peers");
    assert_eq!(service.stores().totals(Family::V4).peers, 1);
}

/// A tracker with a swarm of this many leechers in each family.
fn swarm(mut settings: Settings, size: u16) -> Tracker {
    // All are of one network.
    settings.max_peers_per_network_and_torrent = 0;
    let mut tracker = Tracker::new(settings);
    for port in 1..=size {
        tracker.announce(b(), leecher(port));
        tracker.announce("[2001:db8::2]:5000".parse().unwrap(), leecher(port));
    }
    tracker
}

#[test]
fn num_want_limits_the_number_of_peers() {
    let mut tracker = swarm(Settings::default(), 300);
    for (num_want, expected) in
        [(-1, 50), (i32::MIN, 50), (0, 0), (1, 1), (199, 199), (201, 200), (i32::MAX, 200)]
    {
        let request = AnnounceRequest { num_want, ..leecher(6881) };
        assert_eq!(reported::<6>(&tracker.announce(a(), request)).3, expected, "{num_want}");
        let reply = tracker.announce(a6(), request);
        // 67 IPv6 peers are what fits into 1232 bytes.
        assert_eq!(reported::<18>(&reply).3, expected.min(67), "{num_want}");
        assert!(reply.len() <= 1232);
    }
    let mut stingy = swarm(
        settings(|settings| {
            settings.default_peers = 3;
            settings.max_peers = 100;
            settings.max_reply_bytes = 200;
        }),
        50,
    );
    let mut given =
        |num_want| reported::<6>(&stingy.announce(a(), AnnounceRequest { num_want, ..leecher(1) })).3;
    assert_eq!((given(-1), given(10), given(50)), (3, 10, 30));
}

#[test]
fn each_other_peer_is_returned_once() {
    let mut tracker = swarm(Settings::default(), 100);
    let reply = tracker.announce(b(), AnnounceRequest { num_want: 200, ..leecher(50) });
    let response = AnnounceResponse::<6>::decode(&reply).unwrap();
    let ports: BTreeSet<u16> = response.peers.iter().map(|peer| compact::to_v4(*peer).port()).collect();
    assert_eq!(response.peers.len(), 99);
    assert!(ports.into_iter().eq((1..=100).filter(|port| *port != 50)));
}

#[test]
fn only_trusted_sources_may_set_the_ip_field() {
    let claims = AnnounceRequest { ip: Ipv4Addr::new(198, 51, 100, 7), ..leecher(6881) };
    let stored = |trusted: &str, claims| {
        let trusted = trusted.split_whitespace().map(|net| net.parse().unwrap()).collect();
        let mut tracker = Tracker::new(settings(|settings| settings.trusted_ip_sources = trusted));
        tracker.announce(a(), claims);
        let reply = tracker.announce(b(), leecher(1));
        let response = AnnounceResponse::<6>::decode(&reply).unwrap();
        *compact::to_v4(response.peers[0]).ip()
    };
    let (own, claimed) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 7));
    assert_eq!(stored("", claims), own);
    assert_eq!(stored("10.0.0.0/8 192.0.2.0/24", claims), claimed);
    assert_eq!(stored("192.0.2.1/32", claims), claimed);
    assert_eq!(stored("192.0.2.2/31", claims), own);
    assert_eq!(stored("192.0.2.0/24", AnnounceRequest { ip: Ipv4Addr::UNSPECIFIED, ..claims }), own);
}

#[test]
fn scrapes_are_answered_in_order_duplicates_included() {
    let mut tracker = default();
    tracker.announce(a(), seeder(1));
    let (unknown, known) = (InfoHash([1; 20]), ScrapeEntry { seeders: 1, completed: 0, leechers: 0 });
    let entries = tracker.scrape(a(), &[unknown, TORRENT, TORRENT, unknown]);
    assert_eq!(entries, [ScrapeEntry::default(), known, known, ScrapeEntry::default()]);
    // The other family's swarm is another.
    assert_eq!(tracker.scrape(a6(), &[TORRENT]), [ScrapeEntry::default()]);
    assert_eq!(tracker.scrape(a(), &[TORRENT; 74]).len(), 74);
    let connection_id = tracker.connect(a());
    assert_eq!(tracker.ask(a(), &scrape(connection_id, &[TORRENT; 75])).len(), 8 + 74 * 12);
}

#[test]
fn the_interval_spreads_clients_out() {
    let mut tracker = default();
    let intervals: BTreeSet<u32> =
        (0..1000).map(|_| reported::<6>(&tracker.announce(a(), leecher(1))).0).collect();
    assert!(intervals.iter().all(|interval| (1800..=1980).contains(interval)));
    assert!(intervals.len() > 100);
}

#[test]
fn only_served_torrents_are_answered() {
    for (rules, served) in [(AccessRules::listed([TORRENT]), true), (AccessRules::unlisted([TORRENT]), false)]
    {
        let service = Service::new(Settings::default()).unwrap().with_access(rules);
        let mut tracker = Tracker::of(&Arc::new(service));
        let other = AnnounceRequest { info_hash: InfoHash([1; 20]), ..leecher(1) };
        for (request, served) in [(leecher(1), served), (other, !served)] {
            let reply = tracker.announce(a(), request);
            if served {
                assert_eq!(reported::<6>(&reply).1, 1);
            } else {
                assert_eq!(error(&reply), "this tracker does not serve this torrent");
            }
        }
        assert_eq!(tracker.counted(Count::NotServed), 1);
    }
}

#[test]
fn follows_replaced_access_rules() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut tracker = Tracker::of(&service);
    assert_eq!(tracker.announce(a(), leecher(1))[3], 1);
    service.set_access(AccessRules::listed([]));
    assert_eq!(tracker.announce(a(), leecher(1))[3], 3);
    service.set_access(AccessRules::listed([TORRENT]));
    assert_eq!(tracker.announce(a(), leecher(1))[3], 1);
}

#[test]
fn scrape_returns_zeros_for_torrents_that_are_not_served() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut tracker = Tracker::of(&service);
    let other = InfoHash([1; 20]);
    tracker.announce(a(), seeder(1));
    tracker.announce(a(), AnnounceRequest { info_hash: other, ..seeder(1) });
    let one_seeder = ScrapeEntry { seeders: 1, ..ScrapeEntry::default() };
    assert_eq!(tracker.scrape(a(), &[TORRENT, other]), [one_seeder; 2]);
    service.set_access(AccessRules::unlisted([TORRENT]));
    assert_eq!(tracker.scrape(a(), &[TORRENT, other]), [ScrapeEntry::default(), one_seeder]);
    assert_eq!(tracker.scrape(a(), &[TORRENT]), [ScrapeEntry::default()]);
}

/// Refuses seeders, and records the peers of admitted announces.
#[derive(Clone, Default)]
struct NoSeeders(Arc<Mutex<Vec<SocketAddr>>>);

impl Policy for NoSeeders {
    fn admit(&self, request: &AnnounceRequest<'_>, source: SocketAddr) -> Result<(), Refusal> {
        assert_eq!(source, a());
        if request.left == 0 { Err(Refusal::new("no seeders here")) } else { Ok(()) }
    }

    fn announced(&self, _: &AnnounceRequest<'_>, peer: SocketAddr, outcome: &udp_tracker::AnnounceOutcome) {
        assert_eq!(outcome.counts.leechers, 1);
        self.0.lock().unwrap().push(peer);
    }
}

#[test]
fn a_policy_admits_and_refuses() {
    let policy = NoSeeders::default();
    let service = Service::new(Settings::default()).unwrap().with_policy(policy.clone());
    let mut tracker = Tracker::of(&Arc::new(service));
    assert_eq!(error(&tracker.announce(a(), seeder(1))), "no seeders here");
    assert_eq!(reported::<6>(&tracker.announce(a(), leecher(2))).1, 1);
    assert_eq!(*policy.0.lock().unwrap(), ["192.0.2.1:2".parse().unwrap()]);
    assert_eq!((tracker.counted(Count::Refused), tracker.counted(Count::Announces)), (1, 1));
}

/// The sum of the counts with this metric.
fn sum(tracker: &Tracker, metric: &str) -> u64 {
    let counts = Count::ALL.iter().filter(|count| count.metric().name == metric);
    counts.map(|count| tracker.counted(*count)).sum()
}

#[test]
fn every_datagram_is_answered_rejected_or_ignored() {
    let mut tracker = default();
    let id = tracker.connect(a());
    let announce = encoded(&AnnounceRequest { connection_id: id, ..leecher(1) });
    let datagrams =
        [announce.clone(), scrape(id, &[TORRENT]), announce[..97].to_vec(), vec![1; 40], vec![0, 0, 0]];
    let mut replies = 1;
    for source in [a(), b(), "192.0.2.1:0".parse().unwrap()] {
        for datagram in &datagrams {
            replies += u64::from(!tracker.ask(source, datagram).is_empty());
        }
    }
    // No reply fits.
    assert_eq!(tracker.handler.handle(tracker.now, a(), &announce, &mut [0; 7]), 0);
    let (answered, rejected, ignored) = (
        sum(&tracker, "tracker_answered_total"),
        sum(&tracker, "tracker_rejected_total"),
        sum(&tracker, "tracker_ignored_total"),
    );
    assert_eq!(sum(&tracker, "tracker_datagrams_received_total"), answered + rejected + ignored);
    assert_eq!(replies, answered + rejected);
    assert_eq!(tracker.counted(Count::NoRoomForReply), 1);
}

#[test]
fn a_full_store_answers_and_stores_no_more() {
    let mut tracker = Tracker::new(settings(|settings| settings.max_stored_peers = 2));
    for port in 1..=3 {
        tracker.announce(a(), leecher(port));
    }
    let (_, leechers, _, peers) = reported::<6>(&tracker.announce(a(), leecher(4)));
    assert_eq!((leechers, peers), (2, 2));
    assert_eq!(tracker.counted(Count::StoreFull), 2);
}

#[test]
fn one_network_may_hold_a_part_of_a_swarm_and_of_the_torrents() {
    let mut tracker = Tracker::new(settings(|settings| settings.max_torrents_per_network = 40));
    for port in 1..=50 {
        tracker.announce(a(), leecher(port));
    }
    // Who is not stored gets peers all the same. Others are stored.
    let (_, leechers, _, peers) = reported::<6>(&tracker.announce(a(), leecher(51)));
    assert_eq!((leechers, peers), (32, 32));
    assert_eq!(tracker.counted(Count::TooManyPeersOfNetwork), 19);
    let (_, leechers, ..) =
        reported::<6>(&tracker.announce("198.51.100.9:5000".parse().unwrap(), leecher(1)));
    assert_eq!(leechers, 33);

    for number in 1..=20 {
        let torrent = InfoHash([number; 20]);
        tracker.announce(a(), AnnounceRequest { info_hash: torrent, ..leecher(1) });
    }
    assert_eq!(tracker.counted(Count::TooManyTorrentsOfNetwork), 20 - (40 - 32));
    assert_eq!(tracker.counted(Count::StoreFull), 0);
}

#[test]
fn peers_are_forgotten_after_their_lifetime() {
    let mut tracker = default();
    tracker.announce(a(), seeder(1));
    tracker.now += 2700;
    assert_eq!(tracker.scrape(a(), &[TORRENT])[0].seeders, 1);
    tracker.now += 4;
    assert_eq!(tracker.scrape(a(), &[TORRENT])[0].seeders, 0);
}

#[test]
fn a_short_reply_buffer_gets_a_short_reply() {
    let mut tracker = swarm(Settings::default(), 60);
    let connection_id = tracker.connect(a());
    let request = encoded(&AnnounceRequest { connection_id, ..leecher(1) });
    for room in [0, 7, 19, 20, 25, 26, 50] {
        let mut reply = vec![0; room];
        let len = tracker.handler.handle(NOW, a(), &request, &mut reply);
        let expected = if room < 20 { 0 } else { 20 + (room - 20) / 6 * 6 };
        assert_eq!(len, expected, "{room}");
    }
}

#[test]
fn equal_seeds_give_equal_replies_and_other_seeds_other_ones() {
    let replies = |seed| {
        let service = Arc::new(Service::from_seed(Settings::default(), seed).unwrap());
        let mut tracker = Tracker::of(&service);
        (1..100).map(|port| tracker.announce(a(), leecher(port))).collect::<Vec<_>>()
    };
    assert_eq!(replies(1), replies(1));
    assert_ne!(replies(1), replies(2));
}
