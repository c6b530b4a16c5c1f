//! The most that one operation costs, whatever is announced: tests from the view of an attacker that has the keys.
//!
//! The cost is what [`work`](crate::work) counts: peers, torrents, blocks and buckets that are looked at or moved.

use std::sync::LazyLock;

use proptest::collection::vec;
use proptest::prelude::*;

use crate::block::Block;
use crate::hash::{Hasher, Keys};
use crate::tests::{held, nothing, torrent};
use crate::work::counted;
use crate::{
    Announce, AnnounceOutcome, Change, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor, ThreadContext,
};

const SECRET: [u8; 16] = [1; 16];
const LIFETIME: u32 = 600;
const MOST: usize = Block::<6>::MOST;
const MOST_TORRENTS: usize = 128;

/// The bound for an announce. A torrent is searched, its bucket grows, and another bucket is divided. A peer is
/// searched in two blocks, removed from one, which is joined with another, and inserted into a third, while a fourth is
/// divided. Each of these moves a block some times. Two places are drawn.
const ANNOUNCE: usize = 4 * MOST_TORRENTS + 16 * MOST + 2 * 128;
/// The bound for each wanted peer: it is copied, from a block that has no other.
const WANTED: usize = 3;
/// The bound for each item of a sweep's budget: a peer that is removed while its block shrinks or is joined.
const SWEPT: usize = 12;
/// The bound for the block with which a sweep exceeds its budget, and for the blocks that are joined then.
const LAST_SWEPT: usize = 5 * MOST + (MOST / 24 + 2) * 10 * MOST;

fn peer(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [a, b, c, d, 0x1a, 0xe1]
}

/// Peers whose hashes end with this many zero bits.
fn aimed_peers(hasher: &Hasher, zeros: u32) -> impl Iterator<Item = [u8; 6]> {
    (0..).map(peer).filter(move |peer| hasher.hash(peer).trailing_zeros() >= zeros)
}

/// Torrents of the first shard whose hashes end with this many zero bits.
fn aimed_torrents(zeros: u32) -> impl Iterator<Item = InfoHash> {
    let hasher = Keys::new(SECRET).torrents;
    let aimed = move |hash: u64| hash.leading_zeros() >= 10 && hash.trailing_zeros() >= zeros;
    (0..).map(torrent).filter(move |torrent| aimed(hasher.hash(&torrent.0)))
}

struct Fixture {
    store: SwarmStore<6>,
    context: ThreadContext,
    now: u32,
}

impl Fixture {
    fn new() -> Self {
        let store = SwarmStore::new(SECRET, LIFETIME, Limits::default());
        Self { store, context: ThreadContext::new(1), now: 1000 }
    }

    /// Announces, and checks the cost.
    fn announce(
        &mut self,
        torrent: InfoHash,
        peer: [u8; 6],
        status: PeerStatus,
        wanted: usize,
    ) -> AnnounceOutcome {
        let Self { store, context, now } = self;
        let mut out = vec![[0; 6]; wanted];
        let announce = Announce { info_hash: torrent, peer, status };
        let (outcome, cost) = counted(|| store.announce(*now, &announce, &mut out, context));
        assert!(cost <= ANNOUNCE + WANTED * wanted, "{cost} for {announce:?}: {outcome:?}");
        outcome
    }

    /// Sweeps a round in steps, and checks the cost of each.
    fn sweep(&mut self, budget: usize) {
        let mut cursor = SweepCursor::new(0, 1);
        loop {
            let (swept, cost) = counted(|| self.store.sweep(self.now, &mut cursor, budget));
            assert!(cost <= SWEPT * budget + LAST_SWEPT, "{cost} for {budget}");
            if swept.finished_round {
                return;
            }
        }
    }
}

#[test]
fn peers_aimed_at_one_block_fill_that_block_and_no_more() {
    let mut fixture = Fixture::new();
    let hasher = Keys::new(SECRET).next_large_swarm();
    let aimed: Vec<_> = aimed_peers(&hasher, 9).take(2000).collect();
    let torrent = torrent(1);
    for (number, peer) in aimed.iter().enumerate() {
        let outcome = fixture.announce(torrent, *peer, PeerStatus::Leecher, 50);
        let expected = if number < MOST { Change::Added } else { Change::StoreFull };
        assert_eq!(outcome.change, expected, "{number}");
        assert_eq!(outcome.peers, 50.min(number));
    }
    assert_eq!(held(&fixture.store), (1, MOST));

    // A refused peer is not stored.
    assert_eq!(fixture.announce(torrent, aimed[1999], PeerStatus::Stopped, 0).change, Change::Nothing);
    // Seeders have separate blocks.
    let finished = fixture.announce(torrent, aimed[0], PeerStatus::Completed, 50);
    assert_eq!((finished.change, finished.completed), (Change::Refreshed { after: 0 }, true));

    // Other peers are stored, unless they belong to the same block. The swarm has fewer than eight blocks.
    let others = (0..2000).map(|number| peer(1 << 31 | number));
    let stored = others
        .filter(|peer| fixture.announce(torrent, *peer, PeerStatus::Leecher, 50).change == Change::Added);
    assert!(stored.count() > 2000 * 3 / 4);

    // When they leave, there is room again.
    for peer in &aimed[..MOST] {
        assert_eq!(fixture.announce(torrent, *peer, PeerStatus::Stopped, 0).change, Change::Removed);
    }
    assert_eq!(fixture.announce(torrent, aimed[1999], PeerStatus::Leecher, 50).change, Change::Added);
}

#[test]
fn a_peer_without_room_among_the_seeders_is_removed() {
    let mut fixture = Fixture::new();
    let hasher = Keys::new(SECRET).next_large_swarm();
    let aimed: Vec<_> = aimed_peers(&hasher, 9).take(MOST + 1).collect();
    for (number, peer) in aimed.iter().enumerate() {
        let status = if number < MOST { PeerStatus::Seeder } else { PeerStatus::Leecher };
        assert_eq!(fixture.announce(torrent(1), *peer, status, 0).change, Change::Added);
    }
    let refused = fixture.announce(torrent(1), aimed[MOST], PeerStatus::Completed, 0);
    assert_eq!((refused.change, refused.completed), (Change::StoreFull, false));
    assert_eq!((refused.counts.seeders, refused.counts.leechers), (320, 0));
    assert_eq!(fixture.store.totals().peers, MOST);
}

#[test]
fn torrents_aimed_at_one_bucket_fill_that_bucket_and_no_more() {
    let mut fixture = Fixture::new();
    // 128 torrents make eight buckets.
    let aimed: Vec<_> = aimed_torrents(3).take(200).collect();
    for (number, torrent) in aimed.iter().enumerate() {
        let outcome = fixture.announce(*torrent, peer(1), PeerStatus::Leecher, 50);
        let expected = if number < MOST_TORRENTS { Change::Added } else { Change::StoreFull };
        assert_eq!(outcome.change, expected, "{number}");
    }
    assert_eq!(held(&fixture.store), (MOST_TORRENTS, MOST_TORRENTS));
    for torrent in &aimed[..MOST_TORRENTS] {
        assert_eq!(fixture.announce(*torrent, peer(1), PeerStatus::Stopped, 0).change, Change::Removed);
    }
    assert_eq!(fixture.announce(aimed[199], peer(1), PeerStatus::Leecher, 50).change, Change::Added);
    assert_eq!(held(&fixture.store), (1, 1));
}

#[test]
fn blocks_that_would_become_too_full_drop_peers_when_they_are_joined() {
    let mut fixture = Fixture::new();
    let hasher = Keys::new(SECRET).next_large_swarm();
    let others: Vec<_> = (0..40_000).map(|number| peer(1 << 31 | number)).collect();
    let aimed: Vec<_> = aimed_peers(&hasher, 5).take(4000).collect();
    // Many blocks exist already when the chosen peers arrive, so they fill several; then the other peers leave.
    for peer in others.iter().chain(&aimed) {
        fixture.announce(torrent(1), *peer, PeerStatus::Leecher, 200);
    }
    let full = fixture.store.totals().peers;
    assert!(full > 42_000, "{full}");
    for peer in &others {
        fixture.announce(torrent(1), *peer, PeerStatus::Stopped, 200);
        fixture.announce(torrent(1), aimed[0], PeerStatus::Stopped, 200);
        fixture.announce(torrent(1), aimed[0], PeerStatus::Leecher, 200);
    }
    let counts = fixture.store.scrape(fixture.now, &torrent(1));
    assert_eq!(counts.leechers as usize, fixture.store.totals().peers);
    assert!(counts.leechers < 4000, "{counts:?}");
    fixture.now += 2 * LIFETIME;
    for _ in 0..3 {
        fixture.sweep(100);
    }
    assert_eq!(fixture.store.totals(), nothing());
}

/// A sequence of announces of one kind.
#[derive(Clone, Debug)]
struct Burst {
    torrent: usize,
    peers: usize,
    from: usize,
    len: usize,
    status: PeerStatus,
    wanted: usize,
}

#[derive(Clone, Debug)]
enum Step {
    Announce(Burst),
    /// One peer, to many torrents of one bucket.
    Torrents {
        from: usize,
        len: usize,
        status: PeerStatus,
    },
    Wait {
        seconds: u32,
    },
    Sweep {
        budget: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let status = || {
        prop_oneof![
            4 => Just(PeerStatus::Leecher),
            3 => Just(PeerStatus::Seeder),
            1 => Just(PeerStatus::Completed),
            3 => Just(PeerStatus::Stopped),
        ]
    };
    let wanted = prop_oneof![Just(0usize), Just(50), Just(200)];
    let burst = (0..2usize, 0..3usize, 0..1000usize, 1..1000usize, status(), wanted).prop_map(
        |(torrent, peers, from, len, status, wanted)| Burst { torrent, peers, from, len, status, wanted },
    );
    prop_oneof![
        20 => burst.prop_map(Step::Announce),
        4 => (0..200usize, 1..200usize, status())
            .prop_map(|(from, len, status)| Step::Torrents { from, len, status }),
        1 => (0..LIFETIME).prop_map(|seconds| Step::Wait { seconds }),
        2 => prop_oneof![1..50usize, Just(1000)].prop_map(|budget| Step::Sweep { budget }),
    ]
}

/// Peers that the attacker has chosen for the first and the second large swarm, and other peers.
static PEERS: LazyLock<[Vec<[u8; 6]>; 3]> = LazyLock::new(|| {
    let keys = Keys::new(SECRET);
    let aimed = || aimed_peers(&keys.next_large_swarm(), 6).take(1000).collect();
    [aimed(), aimed(), (0..1000).map(|number| peer(1 << 31 | number)).collect()]
});

static TORRENTS: LazyLock<Vec<InfoHash>> = LazyLock::new(|| aimed_torrents(3).take(200).collect());

proptest! {
    #![proptest_config(ProptestConfig::with_cases(30))]

    #[test]
    fn any_announces_cost_bounded_time(steps in vec(any_step(), 1..60)) {
        let mut fixture = Fixture::new();
        for step in steps {
            match step {
                Step::Announce(Burst { torrent, peers, from, len, status, wanted }) => {
                    for peer in PEERS[peers].iter().cycle().skip(from).take(len) {
                        fixture.announce(TORRENTS[torrent], *peer, status, wanted);
                    }
                }
                Step::Torrents { from, len, status } => {
                    for torrent in TORRENTS.iter().cycle().skip(from).take(len) {
                        fixture.announce(*torrent, peer(1), status, 50);
                    }
                }
                Step::Wait { seconds } => fixture.now += seconds,
                Step::Sweep { budget } => fixture.sweep(budget),
            }
            let counts = TORRENTS.iter().map(|torrent| fixture.store.scrape(fixture.now, torrent));
            let peers: usize = counts.map(|counts| (counts.seeders + counts.leechers) as usize).sum();
            prop_assert_eq!(fixture.store.totals().peers, peers);
        }
        for _ in 0..3 {
            fixture.now += 2 * LIFETIME;
            fixture.sweep(1000);
        }
        prop_assert_eq!(fixture.store.totals(), nothing());
    }
}
