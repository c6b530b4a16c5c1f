//! Real packets of an opentracker, received by a node on real sockets.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};

use udp_tracker::{LivesyncCount, LivesyncSettings};
use udp_tracker_proto::InfoHash;

use crate::node::PeerStatus;
use crate::sockets::{Client, HeldPort, PATIENCE, start, wait_for};

const PCAP: &[u8] = include_bytes!("../../../livesync-proto/tests/data/livesync-opentracker.pcap");

/// The two UDP payloads, of 1464 and 288 bytes; each is the end of its Ethernet frame.
fn payloads() -> [&'static [u8]; 2] {
    const FILE_HEAD: usize = 24;
    const HEADS: usize = 16 + 14 + 20 + 8;
    let (first, rest) = PCAP[FILE_HEAD + HEADS..].split_at(1464);
    [first, &rest[HEADS..]]
}

#[test]
fn a_node_applies_the_captured_packets() {
    let own: IpAddr = [127, 0, 0, 21].into();
    let held = HeldPort::at(&[own]);
    let port = held.number;
    let mut livesync = LivesyncSettings::new(own, vec![[127, 0, 0, 22].into()]);
    (livesync.group, livesync.port) = (Some([224, 0, 23, 5].into()), port);
    let tracker = start([127, 0, 0, 1].into(), livesync).unwrap();
    drop(held);
    assert_eq!(tracker.livesync_nodes()[0].ago, None);
    let [full, timed] = payloads();
    assert_eq!((full.len(), timed.len()), (1464, 288));
    // The first one to the group, as the opentracker sent it; the second one to the node alone.
    let node = socket2::Socket::from(UdpSocket::bind("127.0.0.22:0").unwrap());
    node.set_multicast_if_v4(&"127.0.0.22".parse().unwrap()).unwrap();
    let node = UdpSocket::from(node);
    let tracker = [tracker];
    node.send_to(full, ("224.0.23.5", port)).unwrap();
    wait_for(&tracker, LivesyncCount::Applied, 52);
    node.send_to(timed, ("127.0.0.21", port)).unwrap();
    wait_for(&tracker, LivesyncCount::Applied, 52 + 10);
    let [tracker] = tracker;
    assert_eq!(tracker.livesync_counters().total(LivesyncCount::PacketsReceived), 2);
    assert!(tracker.livesync_nodes()[0].ago.is_some_and(|ago| ago < PATIENCE));

    // 60 peers of 60 torrents, every other one a seeder; then the eighth completes and the ninth leaves.
    let client = Client::connect("127.0.0.1:0", tracker.addresses()[0]);
    for at in 0..60u8 {
        let torrent = InfoHash([at; 20]);
        let counts = client.scrape(torrent);
        let expected = match at {
            7 => (1, 0, 1),
            8 => (0, 0, 0),
            at if at % 2 == 0 => (1, 0, 0),
            _ => (0, 1, 0),
        };
        assert_eq!((counts.seeders, counts.leechers, counts.completed), expected, "{at}");
        let peer: SocketAddr = ([127, 0, 0, 9], 6881 + u16::from(at)).into();
        let expected = if at == 8 { BTreeSet::new() } else { BTreeSet::from([peer]) };
        assert_eq!(client.announce(torrent, 1, PeerStatus::Leecher), expected, "{at}");
    }
}
