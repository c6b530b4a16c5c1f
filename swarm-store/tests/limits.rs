//! What a network may hold, and what gives way when the store is full.

use swarm_store::{
    Announce, Change, InfoHash, Limits, Memory, PeerStatus, SwarmStore, SweepCursor, ThreadContext,
};

const LIFETIME: u32 = 600;

struct Fixture {
    store: SwarmStore<6>,
    context: ThreadContext,
}

impl Fixture {
    fn new(limits: Limits) -> Self {
        Self::within(limits, &Memory::unlimited())
    }

    fn within(limits: Limits, memory: &Memory) -> Self {
        let store = SwarmStore::with_memory([3; 16], LIFETIME, limits, memory);
        Self { store, context: ThreadContext::new(4) }
    }

    fn announce(&mut self, torrent: u32, peer: [u8; 6]) -> Change {
        self.announce_as(torrent, peer, PeerStatus::Leecher).0
    }

    /// What changed, and how many others made room.
    fn announce_as(&mut self, torrent: u32, peer: [u8; 6], status: PeerStatus) -> (Change, u32) {
        let announce = Announce { info_hash: info_hash(torrent), peer, status };
        let outcome = self.store.announce(1000, &announce, &mut [[0; 6]; 50], &mut self.context);
        (outcome.change, outcome.evicted)
    }

    fn peers_of(&self, torrent: u32) -> u32 {
        let counts = self.store.scrape(1000, &info_hash(torrent));
        counts.seeders + counts.leechers
    }
}

fn info_hash(torrent: u32) -> InfoHash {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&torrent.to_be_bytes());
    InfoHash(bytes)
}

/// Each of another network.
fn honest(number: u32) -> [u8; 6] {
    let [_, a, b, c] = number.to_be_bytes();
    [11 + a, b, c, 1, 0x1a, 0xe1]
}

/// All of one network.
fn hostile(number: u32) -> [u8; 6] {
    let [_, a, b, c] = number.to_be_bytes();
    [198, 51, 100, a, b | 4, c]
}

#[test]
fn one_network_has_a_part_of_a_small_swarm() {
    let mut limits = Limits::default();
    limits.peers_per_network_and_torrent = 32;
    let mut fixture = Fixture::new(limits);
    for number in 0..50 {
        assert_eq!(fixture.announce(1, honest(number)), Change::Added);
    }
    let stored = (0..1000).filter(|number| fixture.announce(1, hostile(*number)) == Change::Added).count();
    assert_eq!((stored, fixture.peers_of(1)), (32, 82));
    assert_eq!(fixture.announce(1, hostile(999)), Change::TooManyPeersOfNetwork);
    assert_eq!(fixture.announce(1, hostile(0)), Change::Refreshed { after: 0 });
    // Who leaves makes room for another one.
    assert_eq!(fixture.announce_as(1, hostile(0), PeerStatus::Stopped).0, Change::Removed);
    assert_eq!(fixture.announce(1, hostile(999)), Change::Added);
}

#[test]
fn one_network_has_about_an_eighth_of_a_large_swarm() {
    let mut limits = Limits::default();
    limits.peers_per_network_and_torrent = 32;
    let mut fixture = Fixture::new(limits);
    for number in 0..8000 {
        assert_eq!(fixture.announce(1, honest(number)), Change::Added, "{number}");
    }
    let stored = (0..60_000).filter(|number| fixture.announce(1, hostile(*number)) == Change::Added).count();
    assert!((1000..=2000).contains(&stored), "{stored}");
    // That of another provider's users: a twentieth is stored without exception.
    let users = (0..400u32).map(|number| [203, 0, 113, number.to_be_bytes()[3], number.to_be_bytes()[2], 9]);
    let refused = users.filter(|peer| fixture.announce(1, *peer) != Change::Added).count();
    assert!(refused <= 4, "{refused}");
}

#[test]
fn a_network_has_its_number_of_torrents() {
    let mut limits = Limits::default();
    limits.torrents_per_network = 100;
    let mut fixture = Fixture::new(limits);
    for torrent in 0..200 {
        let expected = if torrent < 100 { Change::Added } else { Change::TooManyTorrentsOfNetwork };
        assert_eq!(fixture.announce(torrent, hostile(torrent)), expected);
    }
    assert_eq!(fixture.store.totals().torrents, 100);
    // It may still join others, who may add torrents.
    assert_eq!(fixture.announce(500, honest(1)), Change::Added);
    assert_eq!(fixture.announce(500, hostile(1)), Change::Added);
}

#[test]
fn local_addresses_have_no_limits() {
    let mut limits = Limits::new(300, 1000);
    (limits.torrents_per_network, limits.peers_per_network_and_torrent) = (1, 1);
    let mut fixture = Fixture::new(limits);
    for number in 0..300u32 {
        let [.., a, b] = number.to_be_bytes();
        assert_eq!(fixture.announce(number, [127, 0, 0, 1, a | 4, b]), Change::Added);
        assert_eq!(fixture.announce(1, [10, 0, 0, 1, a | 4, b]), Change::Added);
    }
    // When the store is full of them, they are not pushed out.
    assert_eq!(fixture.announce(1000, [127, 0, 0, 1, 1, 1]), Change::StoreFull);
    assert_eq!(fixture.announce(1000, honest(1)), Change::StoreFull);
}

#[test]
fn local_addresses_find_room_in_a_flooded_store() {
    let mut fixture = Fixture::new(Limits::new(30_000, 30_000));
    (0..30_000).for_each(|number| assert_eq!(fixture.announce(number, hostile(number)), Change::Added));
    let stored = (0..100u8).filter(|at| {
        let torrent = 50_000 + u32::from(*at);
        fixture.announce(torrent, [192, 168, 1, *at, 0x1a, 0xe1]) == Change::Added
    });
    assert!(stored.count() >= 98);
}

#[test]
fn a_network_that_filled_the_store_gives_way() {
    // Torrents with one peer, and with several peers of the same network; until there are no more torrents, or peers.
    for (limits, peers) in [
        (Limits::new(30_000, 900_000), 1),
        (Limits::new(30_000, 90_000), 3),
        (Limits::new(50_000, 50_000), 2),
    ] {
        let mut fixture = Fixture::new(limits);
        let mut number = 0;
        while fixture.announce(number / peers, hostile(number)) != Change::StoreFull {
            number += 1;
        }
        let stored =
            (0..100).filter(|at| fixture.announce(1_000_000 + at, honest(*at)) == Change::Added).count();
        assert!(stored >= 98, "{stored} with {peers} peers of a torrent");
        assert!((0..100).filter(|at| fixture.peers_of(1_000_000 + at) == 1).count() >= 98);
        let totals = fixture.store.totals();
        assert!(totals.torrents <= limits.torrents && totals.peers <= limits.peers, "{totals:?}");
        // And it doesn't come back in their place.
        for number in 0..20_000 {
            fixture.announce(2_000_000 + number, hostile(number));
        }
        assert!((0..100).filter(|at| fixture.peers_of(1_000_000 + at) == 1).count() >= 98);
    }
}

#[test]
fn among_equals_nobody_gives_way() {
    let mut fixture = Fixture::new(Limits::new(1000, 5000));
    for number in 0..1000 {
        assert_eq!(fixture.announce(number, honest(number)), Change::Added);
    }
    for number in 1000..2000 {
        assert_eq!(fixture.announce_as(number, honest(number), PeerStatus::Seeder), (Change::StoreFull, 0));
    }
    // Torrents that are stored get further peers, as long as there may be more peers.
    assert_eq!(fixture.announce(1, honest(5000)), Change::Added);
}

#[test]
fn torrents_without_peers_give_way_first() {
    let mut fixture = Fixture::new(Limits::new(20_000, 50_000));
    for number in 0..20_000 {
        fixture.announce_as(number, honest(number), PeerStatus::Completed);
        if number % 2 == 0 {
            fixture.announce_as(number, honest(number), PeerStatus::Stopped);
        }
    }
    let newcomers = 50_000..50_400;
    let added =
        newcomers.filter(|number| fixture.announce(*number, honest(*number)) == Change::Added).count();
    // The hand looks at one bucket, which may have none.
    assert!(added > 390, "{added}");
    assert_eq!((1..20_000).step_by(2).filter(|number| fixture.peers_of(*number) == 1).count(), 10_000);
}

#[test]
fn a_full_memory_stays_within_its_ceiling() {
    const CEILING: usize = 16 << 20;
    let memory = Memory::up_to(CEILING);
    let mut fixture = Fixture::within(Limits::new(1_000_000, 1_000_000), &memory);
    let others = SwarmStore::<18>::with_memory([9; 16], LIFETIME, Limits::new(1_000_000, 1_000_000), &memory);
    for number in 0..400_000 {
        fixture.announce(number, hostile(number));
        fixture.announce(number % 1000, honest(number));
        let bytes = fixture.store.totals().bytes;
        assert!(bytes < CEILING - CEILING / 8 + CEILING / 32, "{bytes}");
    }
    // Seven eighths: the last one is for the other family.
    assert!(fixture.store.totals().bytes >= CEILING / 8 * 7, "{}", memory.used());
    let mut context = ThreadContext::new(1);
    for number in 0..2000u32 {
        let mut peer = [0x20; 18];
        peer[4..8].copy_from_slice(&number.to_be_bytes());
        let announce = Announce { info_hash: info_hash(number), peer, status: PeerStatus::Seeder };
        assert_eq!(others.announce(0, &announce, &mut [], &mut context).change, Change::Added);
    }
    let stored =
        (0..200).filter(|at| fixture.announce(5_000_000 + at, honest(9_000_000 + at)) == Change::Added);
    let stored = stored.count();
    assert!(stored >= 190, "{stored}");
    assert!(memory.used() < CEILING + CEILING / 32, "{}", memory.used());
}

#[test]
fn large_swarms_leave_the_last_eighth_to_others() {
    let mut fixture = Fixture::new(Limits::new(10_000, 20_000));
    for number in 0..30_000 {
        fixture.announce(number % 5, honest(number));
    }
    let peers = fixture.store.totals().peers;
    assert!((17_500..=17_505).contains(&peers), "{peers}");
    for number in 0..2000 {
        assert_eq!(fixture.announce(100 + number, honest(number)), Change::Added);
    }
}

#[test]
fn nothing_is_held_against_a_network_when_its_peers_are_gone() {
    let mut limits = Limits::new(5000, 5000);
    limits.torrents_per_network = 3000;
    let mut fixture = Fixture::new(limits);
    // Removed in each way: they stop, expire in a small swarm and in a large one, change sides, or their torrent is removed.
    for round in 0..4u32 {
        for number in 0..2000 {
            fixture.announce(number % 7 * number, hostile(number));
            fixture.announce_as(number % 7 * number, hostile(number), PeerStatus::Completed);
        }
        match round {
            0 => (0..2000).for_each(|number| {
                fixture.announce_as(number % 7 * number, hostile(number), PeerStatus::Stopped);
            }),
            1 => (0..7).flat_map(|a| (0..2000).map(move |b| a * b)).for_each(|torrent| {
                fixture.store.remove_torrent(&info_hash(torrent));
            }),
            _ => {
                let mut cursor = SweepCursor::new(0, 1);
                while !fixture.store.sweep(1000 + 2 * LIFETIME, &mut cursor, 500).finished_round {}
            }
        }
        assert_eq!(fixture.store.totals().peers, 0, "{round}");
    }
    let mut cursor = SweepCursor::new(0, 1);
    while !fixture.store.sweep(1000 + 5 * LIFETIME, &mut cursor, 500).finished_round {}
    for torrent in 0..3001 {
        let expected = if torrent < 3000 { Change::Added } else { Change::TooManyTorrentsOfNetwork };
        assert_eq!(fixture.announce(10_000 + torrent, hostile(torrent)), expected);
    }
}
