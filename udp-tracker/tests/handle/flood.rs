//! One network against others: what a tracker with default limits hands out, and what it keeps room for.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use udp_tracker::{Count, Family, Service, Settings};
use udp_tracker_proto::{AnnounceRequest, AnnounceResponse, InfoHash};

use crate::requests::{Tracker, encoded, leecher, reported, seeder};

const ATTACKER: Ipv4Addr = Ipv4Addr::new(23, 45, 67, 89);

/// Each of another network.
fn honest(number: u16) -> SocketAddr {
    let [a, b] = number.to_be_bytes();
    (Ipv4Addr::new(20, a, b, 1), 6881).into()
}

#[test]
fn one_address_cannot_fill_a_swarm() {
    let mut tracker = Tracker::new(Settings::default());
    for number in 0..50 {
        tracker.announce(honest(number), seeder(6881));
    }
    let source = (ATTACKER, 5000).into();
    let connection_id = tracker.connect(source);
    for port in 1..=u16::MAX {
        tracker.ask(source, &encoded(&AnnounceRequest { connection_id, ..seeder(port) }));
    }
    assert_eq!(tracker.counted(Count::TooManyPeersOfNetwork), 65_535 - 32);

    let (mut own, mut all) = (0, 0);
    for number in 1000..1160 {
        let reply = tracker.announce(honest(number), leecher(6881));
        let peers = AnnounceResponse::<6>::decode(&reply).unwrap().peers.to_vec();
        let seeders = peers.iter().filter(|peer| !(peer[0] == 20 && peer[1] >= 3));
        all += peers.len();
        own += seeders.filter(|peer| peer[..4] == ATTACKER.octets()).count();
    }
    // 32 of 82 seeders; without the limit, 7994 of 8000.
    assert_eq!(all, 160 * 50);
    assert!(own < all / 2, "{own} of {all}");
}

#[test]
fn a_flood_of_one_family_leaves_room_for_the_other() {
    let mut settings = Settings::default();
    settings.max_store_bytes = 16 << 20;
    let ceiling = settings.max_store_bytes;
    let service = Arc::new(Service::new(settings).unwrap());
    let mut tracker = Tracker::of(&service);
    let source = (ATTACKER, 5000).into();
    let connection_id = tracker.connect(source);
    for number in 0..400_000u32 {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&number.to_be_bytes());
        tracker.ask(source, &encoded(&AnnounceRequest { connection_id, info_hash, ..leecher(1) }));
    }
    assert!(tracker.counted(Count::StoreFull) > 0);
    let memory = &service.stores().memory;
    assert!(memory.used() <= ceiling, "{} of {ceiling}", memory.used());

    // Others are stored in the place of the flood, or beside it.
    for number in 0..100 {
        let info_hash = InfoHash([u8::try_from(number).unwrap(); 20]);
        let v6 = (Ipv6Addr::new(0x2a00, 0x1450, number, 0, 0, 0, 0, 1), 6881).into();
        for (source, family) in [(honest(number), Family::V4), (v6, Family::V6)] {
            let reply = tracker.announce(source, AnnounceRequest { info_hash, ..seeder(6881) });
            let seeders = match family {
                Family::V4 => reported::<6>(&reply).2,
                Family::V6 => reported::<18>(&reply).2,
            };
            assert_eq!(seeders, 1, "{source}");
        }
    }
    assert!(tracker.counted(Count::Evicted) >= 100);
    assert!(memory.used() <= ceiling + ceiling / 32, "{} of {ceiling}", memory.used());
}
