//! Requests that the access rules refuse, and what the client and the operator see of it.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::requests::{NOW, TORRENT, Tracker, encoded, error, leecher, reported, scrape, seeder};
use proptest::collection::vec;
use proptest::prelude::*;
use udp_tracker::{Access, AccessRules, Count, Counted, Rule, RuleDetails, RuleMap, Service, Settings};
use udp_tracker_proto::{AnnounceRequest, Dialect, InfoHash, Options, PeerId};

const NO_KEY: &str = "a passkey is needed: /announce/KEY at the end of the tracker's URL";
const BAD_KEY: &str = "the passkey in the tracker's URL is unknown or has ended";

fn a() -> SocketAddr {
    "192.0.2.1:5000".parse().unwrap()
}

fn details(reason: &str, until: Option<u64>) -> RuleDetails {
    let mut details = RuleDetails::default();
    details.reason = (!reason.is_empty()).then(|| reason.into());
    details.until = until;
    details
}

fn with_key(key: &str, until: Option<u64>) -> AccessRules {
    let mut rules = AccessRules::all();
    let rule = Rule::with_details(key.parse().unwrap(), details("", until));
    rules.keys = Some(RuleMap::from_iter([rule]));
    rules
}

fn tracker(rules: AccessRules) -> (Tracker, Arc<Service>) {
    let service = Arc::new(Service::new(Settings::default()).unwrap().with_access(rules));
    (Tracker::of(&service), service)
}

/// Of all rules.
fn hits(service: &Service) -> Vec<(u64, Option<u64>)> {
    let rules = service.access();
    let torrents = rules.torrents.iter().map(|rule| (rule.hits(), rule.last_hit()));
    let networks = rules.networks.iter().map(|rule| (rule.hits(), rule.last_hit()));
    let clients = rules.clients.iter().map(|rule| (rule.hits(), rule.last_hit()));
    let keys = rules.keys.iter().flat_map(RuleMap::iter).map(|rule| (rule.hits(), rule.last_hit()));
    torrents.chain(networks).chain(clients).chain(keys).collect()
}

#[test]
fn a_denied_torrent_is_refused_with_its_reason() {
    for (reason, expected) in [
        ("removed at the author's request", "this torrent is not served: removed at the author's request"),
        ("", "this tracker does not serve this torrent"),
    ] {
        let mut rules = AccessRules::unlisted([InfoHash([1; 20])]);
        rules.torrents.insert(Rule::with_details(TORRENT, details(reason, Some(NOW + 10))));
        let (mut tracker, _) = tracker(rules);
        assert_eq!(error(&tracker.announce(a(), leecher(1))), expected);
        assert_eq!(tracker.counted(Count::NotServed), 1);
        tracker.now = NOW + 10;
        assert_eq!(reported::<6>(&tracker.announce(a(), leecher(1))).1, 1, "the rule has ended");
        assert_eq!(tracker.counted(Count::NotServed), 1);
    }
}

#[test]
fn a_listed_torrent_is_served_until_its_rule_ends() {
    let mut rules = AccessRules::listed([]);
    rules.torrents.insert(Rule::with_details(TORRENT, details("not for clients", Some(NOW + 10))));
    let (mut tracker, service) = tracker(rules);
    assert_eq!(reported::<6>(&tracker.announce(a(), leecher(1))).1, 1);
    assert_eq!(hits(&service), [(1, Some(NOW))]);
    tracker.now = NOW + 10;
    assert_eq!(error(&tracker.announce(a(), leecher(1))), "this tracker does not serve this torrent");
    assert_eq!(hits(&service), [(1, Some(NOW))]);
}

#[test]
fn a_long_reason_is_cut_to_the_longest_reply() {
    let mut rules = AccessRules::unlisted([]);
    rules.torrents.insert(Rule::with_details(TORRENT, details(&"x".repeat(5000), None)));
    let (mut tracker, _) = tracker(rules);
    assert_eq!(tracker.announce(a(), leecher(1)).len(), 1232);
}

#[test]
fn datagrams_from_denied_networks_are_ignored_whatever_they_contain() {
    let mut rules = AccessRules::all();
    rules.networks.extend([
        Rule::new("192.0.2.0/24".parse().unwrap()),
        Rule::with_details("192.0.2.0/28".parse().unwrap(), details("", Some(NOW + 10))),
    ]);
    let (mut tracker, service) = tracker(rules);
    let free: SocketAddr = "198.51.100.1:5000".parse().unwrap();
    let id = tracker.connect(free);
    let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    let announce = encoded(&AnnounceRequest { connection_id: id, ..leecher(1) });
    for datagram in [&connect[..], &announce, &announce[..97], &[0; 40], &[]] {
        assert_eq!(tracker.ask(a(), datagram), []);
    }
    assert_eq!(tracker.ask("[::ffff:192.0.2.1]:5000".parse().unwrap(), &connect), []);
    assert_eq!(hits(&service), [(0, None), (6, Some(NOW))], "the longer prefix counts");
    tracker.now = NOW + 10;
    assert_eq!(tracker.ask(a(), &connect), [], "the longer one has ended, the shorter one applies");
    assert_eq!(hits(&service), [(1, Some(NOW + 10)), (6, Some(NOW))]);
    assert_eq!(tracker.counted(Count::DeniedNetwork), 7);
    let others = [Count::BadLength, Count::NoRequest, Count::AnnounceRequests, Count::BadConnectionId];
    assert_eq!(others.map(|count| tracker.counted(count)), [0; 4], "nothing was parsed");
    assert_eq!(tracker.ask(free, &connect).len(), 16);
}

#[test]
fn denied_clients_are_refused_with_the_reason() {
    let mut rules = AccessRules::all();
    rules.clients.extend([
        Rule::with_details("-XX".parse().unwrap(), details("please update to 2.0", None)),
        Rule::new("-YY".parse().unwrap()),
    ]);
    let (mut tracker, service) = tracker(rules);
    let mut reply_to = |peer_id: &[u8; 20]| {
        error(&tracker.announce(a(), AnnounceRequest { peer_id: PeerId(*peer_id), ..leecher(1) }))
    };
    assert_eq!(reply_to(b"-XX0001-abcdefghijkl"), "this client is not served: please update to 2.0");
    assert_eq!(reply_to(b"-YY0001-abcdefghijkl"), "this tracker does not serve this client");
    assert_eq!(tracker.counted(Count::DeniedClient), 2);
    assert_eq!(hits(&service), [(1, Some(NOW)), (1, Some(NOW))]);
    let other = AnnounceRequest { peer_id: PeerId(*b"-ZZ0001-abcdefghijkl"), ..leecher(1) };
    assert_eq!(reported::<6>(&tracker.announce(a(), other)).1, 1);
}

#[test]
fn an_announce_needs_a_passkey_if_there_are_passkeys() {
    let (mut tracker, service) = tracker(with_key("s3cret", Some(NOW + 10)));
    let announce = |tracker: &mut Tracker, options: &[u8]| {
        tracker.announce(a(), AnnounceRequest { options: Options::new(options), ..leecher(1) })
    };
    for good in [&b"\x02\x10/announce/s3cret"[..], b"\x02\x18/announce?passkey=s3cret"] {
        assert_eq!(reported::<6>(&announce(&mut tracker, good)).1, 1);
    }
    assert_eq!(hits(&service), [(2, Some(NOW))]);
    for (options, expected) in [
        (&b""[..], NO_KEY),
        (b"\x02\x09/announce", NO_KEY),
        (b"\x02\x20/announce/s3cret", NO_KEY), // malformed: longer than the datagram
        (b"\x02\x0f/announce/wrong", BAD_KEY),
        (b"\x02\x11/announce/s3cret2", BAD_KEY),
    ] {
        assert_eq!(error(&announce(&mut tracker, options)), expected, "{options:?}");
    }
    let old = AnnounceRequest { dialect: Dialect::Draft2004, ..leecher(1) };
    assert_eq!(error(&tracker.announce(a(), old)), NO_KEY, "the dialect of 2004 has no options");
    tracker.now = NOW + 10;
    assert_eq!(error(&announce(&mut tracker, b"\x02\x10/announce/s3cret")), BAD_KEY, "it has ended");
    assert_eq!(tracker.counted(Count::BadPasskey), 7);
    assert_eq!(hits(&service), [(2, Some(NOW))]);
}

#[test]
fn scrapes_are_refused_if_there_are_passkeys() {
    let (mut tracker, service) = tracker(with_key("s3cret", None));
    let request = scrape(tracker.connect(a()), &[TORRENT]);
    let text = error(&tracker.ask(a(), &request));
    assert!(
        text.starts_with("a passkey is needed") && text.contains("announces return the counts"),
        "{text}"
    );
    assert_eq!(tracker.counted(Count::BadPasskey), 1);
    service.set_access(AccessRules::all());
    assert_eq!(tracker.ask(a(), &request)[3], 2);
}

#[test]
fn rules_apply_by_the_systems_time() {
    let mut rules = AccessRules::unlisted([]);
    rules.torrents.insert(Rule::with_details(TORRENT, details("", Some(NOW + 10))));
    let (mut tracker, service) = tracker(rules);
    // The handler's clock counts from its start.
    tracker.now = 50;
    tracker.handler.set_clock(std::time::Duration::from_secs(50), std::time::Duration::from_secs(NOW));
    assert_eq!(tracker.announce(a(), leecher(1))[3], 3);
    assert_eq!(hits(&service), [(1, Some(NOW))]);
    tracker.now = 60;
    assert_eq!(tracker.announce(a(), leecher(1))[3], 1);
}

/// Every kind of rule at once, where the first bytes of a request decide which one applies.
fn all_kinds(mode: Access, with_keys: bool) -> AccessRules {
    let mut rules = AccessRules::all();
    rules.mode = mode;
    rules
        .torrents
        .extend([Rule::new(InfoHash([0; 20])), Rule::with_details(InfoHash([1; 20]), details("no", None))]);
    rules
        .networks
        .extend([Rule::new("192.0.2.0/24".parse().unwrap()), Rule::new("2001:db8::/32".parse().unwrap())]);
    rules.clients.extend([Rule::new("%00".parse().unwrap()), Rule::new("%00%00".parse().unwrap())]);
    rules.keys = with_keys.then(|| RuleMap::from_iter([Rule::new("k".parse().unwrap())]));
    rules
}

fn sum(tracker: &Tracker, metric: &str) -> u64 {
    let counts = Count::ALL.iter().filter(|count| count.metric().name == metric);
    counts.map(|count| tracker.counted(*count)).sum()
}

proptest! {
    #[test]
    fn each_request_is_counted_once_and_hits_each_kind_of_rule_once_at_most(
        mode in prop::sample::select(&[Access::All, Access::Listed, Access::Unlisted][..]),
        with_keys: bool,
        requests in vec(
            (0..4u8, 0..3u8, vec(0..3u8, 20), prop_oneof![
                Just(b"\x02\x0b/announce/k".to_vec()),
                Just(b"\x02\x0b/announce/x".to_vec()),
                vec(any::<u8>(), 0..300),
            ]),
            1..20,
        ),
    ) {
        let (mut tracker, service) = tracker(all_kinds(mode, with_keys));
        let mut replies = 0;
        for (from, torrent, peer_id, options) in requests {
            let source = ["192.0.2.1:1", "198.51.100.1:1", "[2001:db8::1]:1", "[2001:db9::1]:1"][usize::from(from)];
            let source: SocketAddr = source.parse().unwrap();
            let connection_id = service.connection_ids().issue(NOW, source.ip());
            let peer_id = PeerId(peer_id.try_into().unwrap());
            let options = Options::new(&options);
            let info_hash = InfoHash([torrent; 20]);
            let request = AnnounceRequest { connection_id, info_hash, peer_id, options, ..seeder(1) };
            let before = hits(&service);
            let reply = tracker.ask(source, &encoded(&request));
            replies += u64::from(!reply.is_empty());

            let after = hits(&service);
            let hit: Vec<u64> = before.iter().zip(&after).map(|(before, after)| after.0 - before.0).collect();
            // Two torrents, two networks, two clients, and a key.
            let kinds = [&hit[..2], &hit[2..4], &hit[4..6], &hit[6..]].map(|kind| kind.iter().sum::<u64>());
            let denied_network = from == 0 || from == 2;
            prop_assert_eq!(kinds[1], u64::from(denied_network));
            prop_assert_eq!(reply.is_empty(), denied_network);
            let has_torrent_rule = !denied_network && mode != Access::All && torrent < 2;
            prop_assert_eq!(kinds[0], u64::from(has_torrent_rule));
            let served = match mode {
                Access::All => true,
                Access::Listed => torrent < 2,
                Access::Unlisted => torrent >= 2,
            };
            let denied_client = !denied_network && served && peer_id.0[0] == 0;
            prop_assert_eq!(kinds[2], u64::from(denied_client));
            let admitted = !reply.is_empty() && reply[3] == 1;
            prop_assert_eq!(kinds[3], u64::from(admitted && with_keys));
            prop_assert_eq!(admitted, !denied_network && served && !denied_client && (!with_keys || kinds[3] == 1));
        }
        let (answered, rejected, ignored) = (
            sum(&tracker, "tracker_answered_total"),
            sum(&tracker, "tracker_rejected_total"),
            sum(&tracker, "tracker_ignored_total"),
        );
        prop_assert_eq!(sum(&tracker, "tracker_datagrams_received_total"), answered + rejected + ignored);
        prop_assert_eq!(replies, answered + rejected);
    }
}

#[test]
fn threads_count_each_hit() {
    const EACH: u64 = 5_000;
    let (_, service) = tracker(AccessRules::unlisted([TORRENT]));
    std::thread::scope(|scope| {
        for thread in 0..4u8 {
            let service = &service;
            scope.spawn(move || {
                let mut tracker = Tracker::of(service);
                let source = SocketAddr::from(([198, 51, 100, thread], 9));
                let connection_id = tracker.connect(source);
                let request = encoded(&AnnounceRequest { connection_id, ..leecher(1) });
                for _ in 0..EACH {
                    assert_eq!(tracker.ask(source, &request)[3], 3);
                }
            });
        }
        // Other rules change meanwhile.
        for torrent in 0..100 {
            let mut rules = AccessRules::clone(&service.access());
            rules.torrents.insert(Rule::new(InfoHash([torrent; 20])));
            service.set_access(rules);
        }
    });
    let rules = service.access();
    assert_eq!(rules.torrents.get(&TORRENT.0).map(Rule::hits), Some(4 * EACH));
    assert_eq!(rules.torrents.len(), 101);
}
