//! Packets that must not be applied.

use std::net::SocketAddr;
use std::time::Duration;

use livesync_proto::{Authenticator, Flags, Key, MAX_PACKET_LEN, Record, Sender, TrackerId};
use proptest::prelude::*;
use udp_tracker::{AccessRules, Counted, Family, LivesyncCount, Rule};
use udp_tracker_proto::InfoHash;

use crate::node::{NOW, Node, PeerStatus, key};

const TORRENT: InfoHash = InfoHash([9; 20]);
const KEY: [u8; 32] = [0x5a; 32];
const SECOND: Duration = Duration::from_secs(1);

fn other_node() -> SocketAddr {
    "10.0.0.2:9696".parse().unwrap()
}

fn client() -> SocketAddr {
    "192.0.2.9:5000".parse().unwrap()
}

fn record(peer: &str) -> Record {
    Record { info_hash: TORRENT, peer: peer.parse().unwrap(), flags: Flags::SEEDING }
}

/// A packet of these records.
fn packet(id: [u8; 4], authenticator: Option<Authenticator>, records: &[Record]) -> Vec<u8> {
    let mut sender = Sender::new(NOW, TrackerId(id), authenticator, MAX_PACKET_LEN);
    for record in records {
        sender.push(record).unwrap();
    }
    sender.flush();
    sender.poll_transmit(NOW).unwrap().to_vec()
}

/// A packet that was authenticated at a moment after `NOW`, by its sender's clock.
fn authenticated(key: [u8; 32], after: u32) -> Vec<u8> {
    let authenticator = Authenticator::new(Key::new(key), NOW, NOW + SECOND * after);
    packet(*b"node", Some(authenticator), &[record("192.0.2.1:6881")])
}

fn with_key() -> Node {
    Node::new(1, |_, livesync| livesync.key = Some(key()))
}

fn stored(node: &Node) -> usize {
    node.service.stores().totals(Family::V4).peers + node.service.stores().totals(Family::V6).peers
}

#[test]
fn rejects_packets_from_unknown_nodes() {
    let mut node = Node::plain(1);
    let packet = packet(*b"node", None, &[record("192.0.2.1:6881")]);
    for stranger in ["10.0.0.5:9696", "192.0.2.1:9696", "[2001:db8::1]:9696", "[::ffff:10.0.0.9]:9696"] {
        node.livesync.handle_input(NOW, stranger.parse().unwrap(), &packet);
    }
    assert_eq!((stored(&node), node.counted(LivesyncCount::UnknownNode)), (0, 4));
    // Neither a second node at this node's address, nor this node's own packets, which are not counted.
    node.livesync.handle_input(NOW, node.address, &packet);
    let mut own = packet.clone();
    own[..4].copy_from_slice(&node.livesync.id().0);
    node.livesync.handle_input(NOW, node.address, &own);
    assert_eq!((stored(&node), node.counted(LivesyncCount::UnknownNode)), (0, 5));
    assert_eq!(node.counted(LivesyncCount::PacketsReceived), 5);
    // A configured node is accepted from any port, and with its address mapped to IPv6.
    node.livesync.handle_input(NOW, "[::ffff:10.0.0.2]:7".parse().unwrap(), &packet);
    assert_eq!((stored(&node), node.counted(LivesyncCount::Applied)), (1, 1));
}

#[test]
fn with_a_key_accepts_only_fresh_authenticated_packets_once() {
    let mut node = with_key();
    let refused = |node: &mut Node, packet: &[u8], count| {
        let before = node.counted(count);
        node.livesync.handle_input(NOW + 400 * SECOND, other_node(), packet);
        assert_eq!(node.counted(count), before + 1, "{count:?}");
    };
    refused(&mut node, &packet(*b"node", None, &[record("192.0.2.1:6881")]), LivesyncCount::Unauthenticated);
    refused(&mut node, &authenticated([1; 32], 400), LivesyncCount::BadMac);
    let good = authenticated(KEY, 400);
    for byte in 8..good.len() {
        let mut changed = good.clone();
        changed[byte] ^= 1;
        refused(&mut node, &changed, LivesyncCount::BadMac);
    }
    refused(&mut node, &authenticated(KEY, 99), LivesyncCount::BadTime);
    refused(&mut node, &authenticated(KEY, 701), LivesyncCount::BadTime);
    assert_eq!((stored(&node), node.counted(LivesyncCount::Applied)), (0, 0));
    assert!(node.livesync.id() != TrackerId(*b"node"));

    refused(&mut node, &good, LivesyncCount::Applied);
    for _ in 0..3 {
        refused(&mut node, &good, LivesyncCount::Replayed);
    }
    assert_eq!((stored(&node), node.counted(LivesyncCount::Applied)), (1, 1));
    // More senders than a cluster has.
    for id in 1..100 {
        let authenticator = Authenticator::new(Key::new(KEY), NOW, NOW + 400 * SECOND);
        let packet = packet([id, 0, 0, 0], Some(authenticator), &[record("192.0.2.2:6881")]);
        node.livesync.handle_input(NOW + 400 * SECOND, other_node(), &packet);
    }
    assert_eq!(node.counted(LivesyncCount::TooManySenders), 100 - 64);
}

#[test]
fn freshness_follows_the_systems_clock() {
    let mut node = with_key();
    // The system's clock was an hour ahead, and was corrected while the tracker ran.
    node.livesync.set_clock(NOW, NOW - 3600 * SECOND);
    node.livesync.handle_input(NOW + 10 * SECOND, other_node(), &authenticated(KEY, 10));
    assert_eq!((node.counted(LivesyncCount::BadTime), node.counted(LivesyncCount::Applied)), (1, 0));
    node.livesync.set_clock(NOW + 20 * SECOND, NOW + 20 * SECOND);
    node.livesync.handle_input(NOW + 20 * SECOND, other_node(), &authenticated(KEY, 20));
    assert_eq!(node.counted(LivesyncCount::Applied), 1);
}

#[test]
fn accepts_packets_of_a_node_whose_clock_was_set_back() {
    let mut sender = with_key();
    let mut receiver = with_key();
    let id = sender.livesync.id();
    let mut receive = |sender: &mut Node, now, port: u16| {
        let client = ([192, 0, 2, 1], port).into();
        sender.announce(now, client, InfoHash([7; 20]), PeerStatus::Seeder);
        for packet in sender.packets(now) {
            receiver.livesync.handle_input(now, other_node(), &packet);
        }
        (receiver.counted(LivesyncCount::BadTime), receiver.counted(LivesyncCount::Applied))
    };
    sender.livesync.set_clock(NOW, NOW + 600 * SECOND);
    assert_eq!(receive(&mut sender, NOW, 1), (1, 0));
    // A small correction changes nothing; a correction of ten minutes does.
    sender.livesync.set_clock(NOW + SECOND, NOW + 600 * SECOND);
    assert_eq!(receive(&mut sender, NOW + SECOND, 2), (2, 0));
    assert_eq!(sender.livesync.id(), id);
    sender.livesync.set_clock(NOW + 2 * SECOND, NOW + 2 * SECOND);
    assert!(sender.livesync.id() != id);
    assert_eq!(receive(&mut sender, NOW + 2 * SECOND, 3), (2, 1));
    // The id changes once only.
    let id = sender.livesync.id();
    sender.livesync.set_clock(NOW + 3 * SECOND, NOW + 3 * SECOND);
    assert_eq!(sender.livesync.id(), id);
}

#[test]
fn a_packet_cut_anywhere_gives_whole_records_or_nothing() {
    let records: Vec<_> = (1..=5).map(|port| record(&format!("192.0.2.1:{port}"))).collect();
    let whole = packet(*b"node", None, &records);
    for cut in 0..=whole.len() {
        let mut node = Node::plain(1);
        node.livesync.handle_input(NOW, other_node(), &whole[..cut]);
        assert_eq!(stored(&node), cut.saturating_sub(8) / 28);
        assert_eq!(node.counted(LivesyncCount::BadLength), u64::from(cut <= 8));
    }
    let authenticator = Authenticator::new(Key::new(KEY), NOW, NOW);
    let whole = packet(*b"node", Some(authenticator), &records);
    let mut node = with_key();
    for cut in 0..whole.len() {
        node.livesync.handle_input(NOW, other_node(), &whole[..cut]);
        assert_eq!(stored(&node), 0, "{cut}");
    }
    node.livesync.handle_input(NOW, other_node(), &whole);
    assert_eq!(stored(&node), 5);
}

#[test]
fn peers_with_impossible_addresses_are_not_stored() {
    let mut node = Node::plain(1);
    let bogus = [
        "192.0.2.1:0",
        "0.0.0.0:6881",
        "224.0.42.5:6881",
        "239.255.255.255:6881",
        "255.255.255.255:6881",
        "[2001:db8::1]:0",
        "[::]:6881",
        "[ff02::1]:6881",
        "[::ffff:224.0.0.1]:6881",
    ];
    for peer in bogus {
        node.livesync.handle_input(NOW, other_node(), &packet(*b"node", None, &[record(peer)]));
    }
    // opentracker's IPv6 builds write an IPv4 peer in this form.
    let mut mapped =
        b"node\0\0\0\x01aaaaabbbbbcccccddddd\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x07\x1a\xe1\x80\x00"
            .to_vec();
    node.livesync.handle_input(NOW, other_node(), &mapped);
    mapped[8 + 20 + 12..][..4].copy_from_slice(&[224, 0, 0, 1]);
    node.livesync.handle_input(NOW, other_node(), &mapped);
    assert_eq!(node.counted(LivesyncCount::BadPeer), bogus.len() as u64 + 1);
    assert_eq!(
        (node.service.stores().totals(Family::V4).peers, node.service.stores().totals(Family::V6).peers),
        (1, 0)
    );
}

#[test]
fn rejects_records_of_torrents_that_are_not_served() {
    let mut node = Node::plain(1);
    node.service.set_access(AccessRules::unlisted([TORRENT]));
    let other = Record { info_hash: InfoHash([1; 20]), ..record("192.0.2.1:6881") };
    let packet = packet(*b"node", None, &[record("192.0.2.1:6881"), other]);
    node.livesync.handle_input(NOW, other_node(), &packet);
    let counted = [LivesyncCount::NotServed, LivesyncCount::Applied].map(|count| node.counted(count));
    assert_eq!((stored(&node), counted), (1, [1, 1]));
    // From the moment when the rules are replaced.
    node.service.set_access(AccessRules::all());
    node.livesync.handle_input(NOW, other_node(), &packet);
    assert_eq!((stored(&node), node.counted(LivesyncCount::Applied)), (2, 3));
}

#[test]
fn rejects_records_of_peers_in_denied_networks() {
    let mut node = Node::plain(1);
    let mut rules = AccessRules::all();
    rules.networks.extend([Rule::new("198.51.100.0/24".parse().unwrap())]);
    node.service.set_access(rules);
    let packet = packet(*b"node", None, &[record("198.51.100.1:6881"), record("192.0.2.1:6881")]);
    node.livesync.handle_input(NOW, other_node(), &packet);
    let counted = [LivesyncCount::DeniedNetwork, LivesyncCount::Applied].map(|count| node.counted(count));
    assert_eq!((stored(&node), counted), (1, [1, 1]));
    let hits = node.service.access().networks.iter().map(Rule::hits).sum::<u64>();
    assert_eq!(hits, 0, "only datagrams from the network are hits");
}

#[test]
fn counts_records_that_a_full_store_refuses() {
    let mut node = Node::new(1, |settings, _| settings.max_stored_peers = 2);
    let records: Vec<_> = (1..=5).map(|port| record(&format!("192.0.2.1:{port}"))).collect();
    node.livesync.handle_input(NOW, other_node(), &packet(*b"node", None, &records));
    let counted = [LivesyncCount::StoreFull, LivesyncCount::Applied].map(|count| node.counted(count));
    assert_eq!((stored(&node), counted), (2, [3, 2]));
}

#[test]
fn takes_another_id_when_a_node_has_the_same_but_at_most_every_ten_minutes() {
    let mut node = Node::plain(1);
    node.announce(NOW, client(), TORRENT, PeerStatus::Leecher);
    let ids: Vec<_> = (0..20)
        .map(|minute| {
            let now = NOW + 60 * SECOND * minute;
            let id = node.livesync.id();
            node.livesync.handle_input(now, other_node(), &packet(id.0, None, &[record("192.0.2.1:6881")]));
            node.livesync.id()
        })
        .collect();
    assert_eq!((stored(&node), node.counted(LivesyncCount::OwnId)), (1, 20));
    let changes = ids.windows(2).filter(|ids| ids[0] != ids[1]).count();
    assert_eq!(changes, 1, "the first was at once, the next after ten minutes");
    // Waiting records are sent under the new id.
    assert_eq!(node.packets(NOW)[0][..4], ids[19].0);
    // Packets of the node that had the same id are accepted.
    node.livesync.handle_input(NOW, other_node(), &packet(ids[0].0, None, &[record("192.0.2.1:6881")]));
    assert_eq!(stored(&node), 2);
}

#[test]
fn completed_counts_once_per_peer_and_a_stop_removes() {
    let mut node = Node::plain(1);
    let receive = |node: &mut Node, flags| {
        let packet = packet(*b"node", None, &[Record { flags, ..record("192.0.2.1:6881") }]);
        node.livesync.handle_input(NOW, other_node(), &packet);
        let counts = node.scrape(NOW, client(), TORRENT);
        (counts.seeders, counts.leechers, counts.completed)
    };
    assert_eq!(receive(&mut node, Flags::NONE), (0, 1, 0));
    assert_eq!(receive(&mut node, Flags::COMPLETED), (0, 1, 0), "but not seeding");
    assert_eq!(receive(&mut node, Flags::SEEDING | Flags::COMPLETED), (1, 0, 1));
    assert_eq!(receive(&mut node, Flags::SEEDING | Flags::COMPLETED), (1, 0, 1));
    // The peer announces here as well.
    node.announce(NOW, "192.0.2.1:6881".parse().unwrap(), TORRENT, PeerStatus::Completed);
    assert_eq!(receive(&mut node, Flags::SEEDING), (1, 0, 1));
    assert_eq!(receive(&mut node, Flags::SEEDING | Flags::STOPPED), (0, 0, 1));
    assert_eq!(receive(&mut node, Flags::STOPPED), (0, 0, 1));
}

proptest! {
    #[test]
    fn any_datagram_is_counted_and_applies_only_whole_records(
        from_friend: bool,
        key: bool,
        mut datagram in proptest::collection::vec(any::<u8>(), 0..=2048),
        packet_type in 0..3u8,
    ) {
        let mut node = if key { with_key() } else { Node::plain(1) };
        if let Some(bytes) = datagram.get_mut(4..8) {
            bytes.copy_from_slice(&[0, 0, 0, packet_type]);
        }
        let source = if from_friend { other_node() } else { "10.0.0.5:9696".parse().unwrap() };
        node.livesync.handle_input(NOW, source, &datagram);
        let mut counted = LivesyncCount::ALL.iter().copied();
        prop_assert!(counted.any(|count| count != LivesyncCount::PacketsReceived && node.counted(count) > 0)
            || datagram.len() < 8 + 40);
        prop_assert!(stored(&node) <= datagram.len() / 28);
        prop_assert!(stored(&node) == 0 || from_friend && !key);
        prop_assert_eq!(node.packets(NOW).len(), 0, "an echo");
    }
}
