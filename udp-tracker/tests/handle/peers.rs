//! Which peers are stored, and who gets them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use crate::requests::{NOW, TORRENT, Tracker, leecher, reported, seeder};
use udp_tracker::swarm_store;
use udp_tracker::{Count, Family, Livesync, LivesyncCount, LivesyncSettings, Service, Settings};
use udp_tracker_proto::{AnnounceRequest, AnnounceResponse, Event, compact};

fn address(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// The addresses that an announce gets.
fn peers(reply: &[u8]) -> BTreeSet<SocketAddr> {
    let response = AnnounceResponse::<6>::decode(reply).unwrap();
    response.peers.iter().map(|peer| compact::to_v4(*peer).into()).collect()
}

fn peers_v6(reply: &[u8]) -> BTreeSet<SocketAddr> {
    let response = AnnounceResponse::<18>::decode(reply).unwrap();
    response.peers.iter().map(|peer| compact::to_v6(*peer).into()).collect()
}

#[test]
fn clients_get_no_addresses_of_other_private_networks() {
    let mut tracker = Tracker::new(Settings::default());
    let all = ["8.8.4.4:1", "10.0.0.1:1", "192.168.0.1:1", "100.64.0.1:1", "127.0.0.1:1", "169.254.0.1:1"];
    let replies = |tracker: &mut Tracker| all.map(|from| peers(&tracker.announce(address(from), leecher(1))));
    replies(&mut tracker);
    let seen = replies(&mut tracker);
    let expected: [&[&str]; 6] = [
        &[],
        &["8.8.4.4:1", "192.168.0.1:1"],
        &["8.8.4.4:1", "10.0.0.1:1"],
        &["8.8.4.4:1"],
        // A client on this machine reaches all that the machine reaches.
        &["8.8.4.4:1", "10.0.0.1:1", "192.168.0.1:1", "100.64.0.1:1", "169.254.0.1:1"],
        &["8.8.4.4:1"],
    ];
    for ((seen, expected), from) in seen.iter().zip(expected).zip(all) {
        assert_eq!(*seen, expected.iter().map(|text| address(text)).collect(), "{from}");
    }
    // All are counted.
    assert_eq!(reported::<6>(&tracker.announce(address(all[0]), leecher(1))).1, 6);
}

#[test]
fn the_same_holds_for_ipv6() {
    let mut tracker = Tracker::new(Settings::default());
    let all = ["[2a00::1]:1", "[fd00::1]:1", "[fd99::1]:1", "[fe80::1]:1", "[::1]:1"];
    let replies =
        |tracker: &mut Tracker| all.map(|from| peers_v6(&tracker.announce(address(from), leecher(1))));
    replies(&mut tracker);
    let seen = replies(&mut tracker);
    assert_eq!(seen[0], [].into());
    assert_eq!(seen[1], [address(all[0]), address(all[2])].into());
    assert_eq!(seen[3], [address(all[0])].into());
    assert_eq!(seen[4], all[..4].iter().map(|text| address(text)).collect());
}

#[test]
fn a_tracker_of_a_private_network_works() {
    for networks in
        [["10.0.0.1:1", "172.16.0.1:1"], ["127.0.0.1:1", "127.0.0.2:1"], ["100.64.0.1:1", "100.99.0.1:1"]]
    {
        let mut tracker = Tracker::new(Settings::default());
        let [one, other] = networks.map(address);
        tracker.announce(one, seeder(1));
        assert_eq!(peers(&tracker.announce(other, leecher(1))), [one].into());
    }
}

/// A sample of many peers is filtered in place.
#[test]
fn large_swarms_are_filtered_too() {
    let mut settings = Settings::default();
    settings.max_peers_per_network_and_torrent = 0;
    let mut tracker = Tracker::new(settings);
    for host in 1..=200u8 {
        tracker.announce(([8, 8, 8, host], 1).into(), leecher(1));
        tracker.announce(([10, 0, 0, host], 1).into(), leecher(1));
    }
    let mut got = BTreeSet::new();
    for _ in 0..200 {
        let reply = tracker.announce(address("9.9.9.9:1"), AnnounceRequest { num_want: 100, ..leecher(1) });
        got.extend(peers(&reply));
    }
    assert!(got.len() > 150 && got.iter().all(|peer| peer.to_string().starts_with("8.8.8.")), "{got:?}");
}

fn low_ports_refused() -> Tracker {
    let mut settings = Settings::default();
    settings.min_peer_port = 1024;
    Tracker::new(settings)
}

#[test]
fn low_ports_are_answered_but_not_stored() {
    let mut tracker = low_ports_refused();
    let (one, other) = (address("8.8.8.8:5000"), address("8.8.4.4:5000"));
    tracker.announce(one, seeder(1024));
    let reply = tracker.announce(other, leecher(1023));
    assert_eq!(peers(&reply), [address("8.8.8.8:1024")].into());
    assert_eq!(reported::<6>(&reply).2, 1);
    // A seeder gets no seeders, and whoever stops gets nobody.
    assert_eq!(peers(&tracker.announce(other, seeder(80))), [].into());
    assert_eq!(
        peers(&tracker.announce(other, AnnounceRequest { event: Event::Stopped, ..leecher(80) })),
        [].into()
    );
    assert_eq!(tracker.counted(Count::LowPeerPort), 2);
    assert_eq!(tracker.counted(Count::Announces), 4);
    // Nobody was added.
    let (_, leechers, seeders, _) = reported::<6>(&tracker.announce(one, seeder(1024)));
    assert_eq!((leechers, seeders), (0, 1));
}

#[test]
fn a_peer_with_a_low_port_that_is_stored_may_leave() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut tracker = Tracker::of(&service);
    tracker.announce(address("8.8.8.8:5000"), leecher(80));
    let mut settings = Settings::default();
    settings.min_peer_port = 1024;
    service.set_settings(&settings).unwrap();
    assert_eq!(service.stores().totals(Family::V4).peers, 1);
    tracker.announce(address("8.8.8.8:5000"), AnnounceRequest { event: Event::Stopped, ..leecher(80) });
    assert_eq!(service.stores().totals(Family::V4).peers, 0);
}

/// Only a trusted gateway can claim them.
#[test]
fn addresses_that_no_host_has_are_answered_but_not_stored() {
    let mut settings = Settings::default();
    settings.trusted_ip_sources = vec!["10.0.0.0/8".parse().unwrap()];
    let service = Arc::new(Service::new(settings).unwrap());
    let mut tracker = Tracker::of(&service);
    tracker.announce(address("8.8.8.8:5000"), seeder(1));
    for (at, ip) in [[224, 0, 0, 1], [255, 255, 255, 255], [0, 1, 2, 3]].into_iter().enumerate() {
        let claim = AnnounceRequest { ip: ip.into(), ..leecher(1) };
        assert_eq!(peers(&tracker.announce(address("10.0.0.1:1"), claim)), [address("8.8.8.8:1")].into());
        assert_eq!(tracker.counted(Count::BadPeerAddress), at as u64 + 1);
    }
    assert_eq!(service.stores().totals(Family::V4).peers, 1);
    // A gateway asks for its client: a global client gets no private peers, whatever address the gateway has.
    let claim = |ip: [u8; 4]| AnnounceRequest { ip: Ipv4Addr::from(ip), ..leecher(1) };
    tracker.announce(address("10.0.0.1:1"), claim([192, 168, 0, 1]));
    let reply = tracker.announce(address("10.0.0.1:1"), claim([9, 9, 9, 9]));
    assert_eq!(peers(&reply), [address("8.8.8.8:1")].into());
    let reply = tracker.announce(address("10.0.0.1:1"), claim([10, 0, 0, 9]));
    assert_eq!(peers(&reply).len(), 3);
}

/// Other trackers may store what they like.
#[test]
fn records_of_livesync_follow_the_same_rules() {
    let mut settings = Settings::default();
    settings.min_peer_port = 1024;
    let service = Arc::new(Service::new(settings).unwrap());
    let node = LivesyncSettings::new("192.0.2.1".parse().unwrap(), vec!["192.0.2.2".parse().unwrap()]);
    let now = Duration::from_secs(NOW);
    let (mut livesync, _publisher) = Livesync::new(Arc::clone(&service), &node, now).unwrap();
    let mut packet = b"node\0\0\0\0".to_vec();
    for (ip, port) in [
        ([8, 8, 8, 8], 1024u16),
        ([8, 8, 8, 8], 1023),
        ([8, 8, 8, 8], 0),
        ([0, 8, 8, 8], 1024),
        ([239, 8, 8, 8], 1024),
        ([255, 255, 255, 255], 1024),
        ([10, 8, 8, 8], 1024),
    ] {
        packet.extend([&TORRENT.0[..], &ip, &port.to_be_bytes(), &[0, 0]].concat());
    }
    livesync.handle_input(now, address("192.0.2.2:9696"), &packet);
    let counted = livesync.counters().snapshot();
    assert_eq!((counted.total(LivesyncCount::Applied), counted.total(LivesyncCount::BadPeer)), (2, 5));
    let mut tracker = Tracker::of(&service);
    let reply = tracker.announce(address("9.9.9.9:1"), leecher(2000));
    assert_eq!(peers(&reply), [address("8.8.8.8:1024")].into());
    let reply = tracker.announce(address("192.168.0.1:1"), leecher(2000));
    assert_eq!(
        peers(&reply),
        [address("8.8.8.8:1024"), address("10.8.8.8:1024"), address("9.9.9.9:2000")].into()
    );
}

#[test]
fn port_zero_is_an_error() {
    let mut tracker = Tracker::new(Settings::default());
    assert_eq!(tracker.announce(address("8.8.8.8:1"), leecher(0))[3], 3);
    assert_eq!(tracker.counted(Count::Malformed), 1);
}

#[test]
fn restored_peers_are_filtered() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let peer = swarm_store::StoredPeer { peer: [10, 0, 0, 1, 0, 9], seeder: true, completed: false, idle: 0 };
    service.stores().expect_any_address();
    let now = u32::try_from(NOW).unwrap();
    service.stores().v4.restore(now, &TORRENT, &peer, &mut swarm_store::ThreadContext::new(1));
    let mut tracker = Tracker::of(&service);
    let reply = tracker.announce(address("8.8.8.8:1"), leecher(1));
    assert_eq!((reported::<6>(&reply).2, peers(&reply)), (1, [].into()));
}
