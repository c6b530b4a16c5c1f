//! The store against a naive model: random announces, stops, completions, scrapes, sweeps and the passing of time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use swarm_store::{
    Announce, Change, Counts, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor, ThreadContext,
};

/// Seconds; below a thousand, so that the store's resolution is one second.
const LIFETIME: u32 = 600;

#[derive(Clone, Debug)]
enum Step {
    Announce { torrent: u8, peer: u8, status: PeerStatus, wanted: usize },
    Scrape { torrent: u8 },
    Wait { seconds: u32 },
    Sweep { budget: usize },
}

fn any_step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![
        4 => Just(PeerStatus::Leecher),
        3 => Just(PeerStatus::Seeder),
        2 => Just(PeerStatus::Completed),
        2 => Just(PeerStatus::Stopped),
    ];
    let wanted = prop_oneof![Just(0usize), 1..8usize, Just(200)];
    prop_oneof![
        // Few torrents with many peers, so that swarms change their form.
        20 => (0..3u8, 0..150u8, status, wanted)
            .prop_map(|(torrent, peer, status, wanted)| Step::Announce { torrent, peer, status, wanted }),
        2 => (0..4u8).prop_map(|torrent| Step::Scrape { torrent }),
        1 => (0..400u32).prop_map(|seconds| Step::Wait { seconds }),
        1 => prop_oneof![1..50usize, Just(usize::MAX)].prop_map(|budget| Step::Sweep { budget }),
    ]
}

/// One torrent, which has most of 256 peers for a while, and few after a long wait.
fn large_swarm_step() -> impl Strategy<Value = Step> {
    let status = prop_oneof![
        5 => Just(PeerStatus::Leecher),
        4 => Just(PeerStatus::Seeder),
        1 => Just(PeerStatus::Completed),
        1 => Just(PeerStatus::Stopped),
    ];
    let wanted = prop_oneof![Just(0usize), 1..80usize, Just(300)];
    prop_oneof![
        500 => (any::<u8>(), status, wanted)
            .prop_map(|(peer, status, wanted)| Step::Announce { torrent: 0, peer, status, wanted }),
        5 => Just(Step::Scrape { torrent: 0 }),
        1 => (0..1000u32).prop_map(|seconds| Step::Wait { seconds }),
        5 => prop_oneof![3 => 1..300usize, 1 => Just(usize::MAX)].prop_map(|budget| Step::Sweep { budget }),
    ]
}

#[derive(Clone, Copy)]
struct Peer {
    seeder: bool,
    completed: bool,
    seen: u32,
}

#[derive(Default)]
struct Torrent {
    completed: u32,
    peers: BTreeMap<u8, Peer>,
    empty_since: u32,
}

/// Keeps peers until a whole sweep; those that are not expired are `alive`.
#[derive(Default)]
struct Model {
    torrents: BTreeMap<u8, Torrent>,
}

fn alive(now: u32, peer: &Peer) -> bool {
    now - peer.seen <= LIFETIME
}

impl Model {
    /// The smallest and the largest counts that the store may return.
    fn bounds(&self, now: u32, torrent: u8) -> (Counts, Counts) {
        let mut least = Counts::default();
        let mut most = Counts::default();
        if let Some(torrent) = self.torrents.get(&torrent) {
            for peer in torrent.peers.values() {
                for counts in [Some(&mut most), alive(now, peer).then_some(&mut least)].into_iter().flatten()
                {
                    *if peer.seeder { &mut counts.seeders } else { &mut counts.leechers } += 1;
                }
            }
            most.completed = torrent.completed;
            let may_be_forgotten =
                torrent.peers.values().all(|peer| !alive(now, peer)) && now - torrent.empty_since > LIFETIME;
            least.completed = if may_be_forgotten { 0 } else { torrent.completed };
        }
        (least, most)
    }

    fn check(&self, now: u32, torrent: u8, counts: Counts) -> Result<(), TestCaseError> {
        let (least, most) = self.bounds(now, torrent);
        prop_assert!(
            (least.seeders..=most.seeders).contains(&counts.seeders),
            "{least:?} {counts:?} {most:?}"
        );
        prop_assert!(
            (least.leechers..=most.leechers).contains(&counts.leechers),
            "{least:?} {counts:?} {most:?}"
        );
        prop_assert!(counts.completed == least.completed || counts.completed == most.completed);
        Ok(())
    }
}

fn address(peer: u8) -> [u8; 6] {
    [10, 0, 0, peer, 0x1a, 0xe1]
}

fn info_hash(torrent: u8) -> InfoHash {
    InfoHash([torrent; 20])
}

fn announce(
    store: &SwarmStore<6>,
    model: &mut Model,
    context: &mut ThreadContext,
    now: u32,
    (torrent, peer, status, wanted): (u8, u8, PeerStatus, usize),
) -> Result<(), TestCaseError> {
    let mut out = vec![[0; 6]; wanted];
    let announce = Announce { info_hash: info_hash(torrent), peer: address(peer), status };
    let outcome = store.announce(now, &announce, &mut out, context);

    let known = model.torrents.get(&torrent).and_then(|torrent| torrent.peers.get(&peer)).copied();
    let known = known.filter(|peer| alive(now, peer));
    if status == PeerStatus::Stopped {
        // An expired peer that is still stored may be reported as removed or as not there.
        let was = model.torrents.get_mut(&torrent).and_then(|torrent| torrent.peers.remove(&peer));
        match (known, was) {
            (Some(_), _) => prop_assert_eq!(outcome.change, Change::Removed),
            (None, Some(_)) => prop_assert!(matches!(outcome.change, Change::Removed | Change::Nothing)),
            (None, None) => prop_assert_eq!(outcome.change, Change::Nothing),
        }
        if was.is_some()
            && let Some(torrent) = model.torrents.get_mut(&torrent)
        {
            torrent.empty_since = now;
        }
        prop_assert_eq!((outcome.completed, outcome.peers), (false, 0));
        return model.check(now, torrent, outcome.counts);
    }
    let expected = known.map_or(Change::Added, |peer| Change::Refreshed { after: now - peer.seen });
    prop_assert_eq!(outcome.change, expected);
    let had_completed = known.is_some_and(|peer| peer.completed);
    let completes = status == PeerStatus::Completed && !had_completed;
    prop_assert_eq!(outcome.completed, completes);
    let entry = model.torrents.entry(torrent).or_default();
    if outcome.counts.completed < entry.completed {
        // The torrent was idle for long and was removed; `check` has checked when.
        prop_assert_eq!(outcome.counts.completed, u32::from(completes));
        entry.completed = 0;
    }
    entry.completed += u32::from(completes);
    entry.empty_since = now;
    let seeder = status != PeerStatus::Leecher;
    entry.peers.insert(peer, Peer { seeder, completed: had_completed || completes, seen: now });
    model.check(now, torrent, outcome.counts)?;

    let eligible = |only_alive: bool| -> BTreeSet<[u8; 6]> {
        let peers = model.torrents[&torrent].peers.iter();
        let peers = peers.filter(|(other, _)| **other != peer).filter(|(_, other)| !(seeder && other.seeder));
        peers
            .filter(|(_, other)| !only_alive || alive(now, other))
            .map(|(other, _)| address(*other))
            .collect()
    };
    prop_assert!(outcome.peers >= wanted.min(eligible(true).len()));
    prop_assert!(outcome.peers <= wanted.min(eligible(false).len()));
    let given: BTreeSet<[u8; 6]> = out[..outcome.peers].iter().copied().collect();
    prop_assert_eq!(given.len(), outcome.peers, "a duplicate");
    prop_assert!(
        given.is_subset(&eligible(false)),
        "the announcer, a seeder for a seeder, or an unknown address"
    );
    Ok(())
}

/// Applies the steps to the store and to the model.
fn agree(steps: Vec<Step>, seed: u64) -> Result<(), TestCaseError> {
    let store = SwarmStore::<6>::new([3; 16], LIFETIME, Limits::default());
    let empty = store.totals();
    let mut model = Model::default();
    let mut context = ThreadContext::new(seed);
    let mut cursor = SweepCursor::new(0, 1);
    let mut now = 1_000_000;
    for step in steps {
        match step {
            Step::Announce { torrent, peer, status, wanted } => {
                announce(&store, &mut model, &mut context, now, (torrent, peer, status, wanted))?;
            }
            Step::Scrape { torrent } => model.check(now, torrent, store.scrape(now, &info_hash(torrent)))?,
            Step::Wait { seconds } => now += seconds,
            Step::Sweep { budget } if budget < usize::MAX => {
                store.sweep(now, &mut cursor, budget);
            }
            Step::Sweep { budget } => {
                // To the end of this round, and another whole one: then nothing expired is left.
                while !store.sweep(now, &mut cursor, budget).finished_round {}
                while !store.sweep(now, &mut cursor, budget).finished_round {}
                for torrent in model.torrents.values_mut() {
                    torrent.peers.retain(|_, peer| alive(now, peer));
                }
                let peers = || model.torrents.values().flat_map(|torrent| torrent.peers.values());
                let totals = store.totals();
                prop_assert_eq!(totals.peers, peers().count());
                prop_assert_eq!(totals.seeders, peers().filter(|peer| peer.seeder).count());
            }
        }
    }
    // Long after the last announce, a sweep must leave nothing.
    now += 2 * LIFETIME + 2;
    for _ in 0..3 {
        while !store.sweep(now, &mut cursor, usize::MAX).finished_round {}
        now += LIFETIME + 1;
    }
    prop_assert_eq!(store.totals(), empty);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn agrees_with_the_model(steps in vec(any_step(), 1..1000), seed: u64) {
        agree(steps, seed)?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20))]

    #[test]
    fn agrees_with_the_model_in_a_large_swarm(steps in vec(large_swarm_step(), 500..1500), seed: u64) {
        agree(steps, seed)?;
    }
}
