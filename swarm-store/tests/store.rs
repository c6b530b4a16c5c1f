//! The documented behaviour, case by case.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use swarm_store::{
    Announce, AnnounceOutcome, Change, Counts, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor,
    ThreadContext,
};

const LIFETIME: u32 = 2700;
const TORRENT: InfoHash = InfoHash([1; 20]);

fn address(peer: u32) -> [u8; 6] {
    let [a, b, c, d] = peer.to_be_bytes();
    [a, b, c, d, 0x1a, 0xe1]
}

fn store() -> SwarmStore<6> {
    SwarmStore::new([7; 16], LIFETIME, Limits::default())
}

fn announce(store: &SwarmStore<6>, now: u32, peer: u32, status: PeerStatus) -> AnnounceOutcome {
    let announce = Announce { info_hash: TORRENT, peer: address(peer), status };
    store.announce(now, &announce, &mut [], &mut ThreadContext::new(u64::from(peer)))
}

/// Torrents and peers.
fn totals(store: &SwarmStore<6>) -> (usize, usize) {
    let totals = store.totals();
    (totals.torrents, totals.peers)
}

fn sweep(store: &SwarmStore<6>, now: u32) {
    let mut cursor = SweepCursor::new(0, 1);
    while !store.sweep(now, &mut cursor, 1000).finished_round {}
}

#[test]
fn a_completed_download_counts_once_per_peer_and_outlives_it() {
    let store = store();
    assert!(!announce(&store, 0, 1, PeerStatus::Leecher).completed);
    assert!(announce(&store, 1, 1, PeerStatus::Completed).completed);
    assert!(!announce(&store, 2, 1, PeerStatus::Completed).completed);
    assert!(!announce(&store, 3, 1, PeerStatus::Seeder).completed);
    assert!(announce(&store, 4, 2, PeerStatus::Completed).completed);
    assert_eq!(store.scrape(5, &TORRENT), Counts { seeders: 2, leechers: 0, completed: 2 });
    announce(&store, 6, 1, PeerStatus::Stopped);
    announce(&store, 6, 2, PeerStatus::Stopped);
    assert_eq!(store.scrape(7, &TORRENT), Counts { seeders: 0, leechers: 0, completed: 2 });
    sweep(&store, 6 + LIFETIME);
    assert_eq!(store.scrape(7, &TORRENT).completed, 2);
    sweep(&store, 7 + LIFETIME);
    assert_eq!(totals(&store), (0, 0));
}

#[test]
fn a_stop_of_an_unknown_peer_creates_nothing() {
    let store = store();
    let empty = store.totals();
    assert_eq!(announce(&store, 0, 1, PeerStatus::Stopped).change, Change::Nothing);
    assert_eq!(store.totals(), empty);
    announce(&store, 0, 1, PeerStatus::Seeder);
    assert_eq!(announce(&store, 0, 2, PeerStatus::Stopped).change, Change::Nothing);
    assert_eq!(totals(&store), (1, 1));
    assert_eq!(announce(&store, 0, 1, PeerStatus::Stopped).change, Change::Removed);
    assert_eq!(totals(&store), (0, 0));
}

#[test]
fn expires_after_the_lifetime_and_not_before() {
    for peers in [1, 1000] {
        let store = store();
        let empty = store.totals();
        for peer in 0..peers {
            assert_eq!(announce(&store, 100, peer, PeerStatus::Leecher).change, Change::Added);
        }
        // The resolution is a thousandth of the lifetime.
        sweep(&store, 100 + LIFETIME);
        assert_eq!(store.totals().peers, peers as usize);
        sweep(&store, 100 + LIFETIME + LIFETIME / 1000 + 1);
        assert_eq!(store.totals(), empty);
    }
}

#[test]
fn an_expired_peer_is_new_again() {
    let store = store();
    for peer in 0..100 {
        announce(&store, 0, peer, PeerStatus::Completed);
    }
    let back = announce(&store, 2 * LIFETIME, 7, PeerStatus::Completed);
    assert_eq!((back.change, back.completed), (Change::Added, true));
    let soon = announce(&store, 2 * LIFETIME + 700, 7, PeerStatus::Completed);
    assert!(matches!(soon.change, Change::Refreshed { after: 697..=703 }));
}

#[test]
fn time_may_run_backwards() {
    let store = store();
    announce(&store, 1000, 1, PeerStatus::Leecher);
    let before = announce(&store, 10, 1, PeerStatus::Seeder);
    assert_eq!(before.change, Change::Refreshed { after: 0 });
    sweep(&store, 0);
    assert_eq!(store.totals().peers, 1);
}

#[test]
fn a_full_store_answers_and_does_not_store() {
    let store = SwarmStore::<6>::new([7; 16], LIFETIME, Limits::new(1, 2));
    announce(&store, 0, 1, PeerStatus::Seeder);
    let other = Announce { info_hash: InfoHash([2; 20]), peer: address(1), status: PeerStatus::Seeder };
    let mut context = ThreadContext::new(1);
    assert_eq!(store.announce(0, &other, &mut [], &mut context).change, Change::StoreFull);

    announce(&store, 0, 2, PeerStatus::Seeder);
    let third = Announce { info_hash: TORRENT, peer: address(3), status: PeerStatus::Leecher };
    let mut out = [[0; 6]; 10];
    let outcome = store.announce(0, &third, &mut out, &mut context);
    assert_eq!((outcome.change, outcome.peers), (Change::StoreFull, 2));
    assert_eq!(totals(&store), (1, 2));
    // Stored peers can still change and stop.
    assert_eq!(announce(&store, 1, 2, PeerStatus::Leecher).change, Change::Refreshed { after: 1 });
    assert_eq!(announce(&store, 1, 2, PeerStatus::Stopped).change, Change::Removed);
    assert_eq!(store.announce(1, &third, &mut out, &mut context).change, Change::Added);
}

#[test]
fn ipv6_peers() {
    let store = SwarmStore::<18>::new([7; 16], LIFETIME, Limits::default());
    let mut context = ThreadContext::new(1);
    let mut out = [[0; 18]; 4];
    for peer in 1..=3 {
        let announce = Announce { info_hash: TORRENT, peer: [peer; 18], status: PeerStatus::Leecher };
        let outcome = store.announce(0, &announce, &mut out, &mut context);
        assert_eq!(outcome.peers, usize::from(peer) - 1);
    }
    out[..2].sort_unstable();
    assert_eq!(out[..2], [[1; 18], [2; 18]]);
}

/// The statistic of Pearson's test, for counts that should all be equal.
fn chi_square(counts: &BTreeMap<[u8; 6], u32>, cells: u32, draws: u32) -> f64 {
    let expected = f64::from(draws) / f64::from(cells);
    let missing = f64::from(cells) - counts.len() as f64;
    let seen: f64 = counts.values().map(|count| (f64::from(*count) - expected).powi(2) / expected).sum();
    seen + missing * expected
}

/// Draws samples for one peer of a swarm, and tests that all peers that may be returned are equally likely.
///
/// A sample of neighbours counts as one draw, so the test looks at each sample's first, middle and last place
/// separately.
fn fair(seeders: u32, leechers: u32, as_seeder: bool, wanted: usize) {
    let store = store();
    for peer in 0..seeders {
        announce(&store, 0, peer, PeerStatus::Seeder);
    }
    for peer in 0..leechers {
        announce(&store, 0, 1_000_000 + peer, PeerStatus::Leecher);
    }
    let (own, status) = if as_seeder { (0, PeerStatus::Seeder) } else { (1_000_000, PeerStatus::Leecher) };
    let announce = Announce { info_hash: TORRENT, peer: address(own), status };
    let eligible = if as_seeder { leechers } else { seeders + leechers - 1 };

    let draws = 400 * eligible;
    let mut context = ThreadContext::new(20_151_125);
    let mut out = vec![[0; 6]; wanted];
    let mut hits = BTreeMap::new();
    for draw in 0..draws {
        let outcome = store.announce(1, &announce, &mut out, &mut context);
        assert_eq!(outcome.peers, wanted.min(eligible as usize));
        assert!(!out[..outcome.peers].contains(&address(own)));
        // One peer of the sample, from a different place each time.
        *hits.entry(out[draw as usize % outcome.peers]).or_insert(0u32) += 1;
    }
    // The mean is the degrees of freedom, the variance twice that. Five deviations have a probability of one in a
    // million.
    let freedom = f64::from(eligible - 1);
    let statistic = chi_square(&hits, eligible, draws);
    assert!(statistic < freedom + 5.0 * (2.0 * freedom).sqrt(), "{statistic} for {freedom}");
}

#[test]
fn every_peer_is_equally_likely() {
    fair(0, 10, false, 3);
    fair(5, 5, false, 4);
    fair(3, 200, false, 50);
    fair(200, 3, false, 50);
    fair(70, 80, false, 149);
    fair(50, 90, true, 30);
}

#[test]
fn peers_that_become_seeders_or_leechers_stay_equally_likely() {
    // As above, after many peers came, left, completed and started again.
    let store = store();
    let mut context = ThreadContext::new(3);
    for round in 0..20_000u32 {
        let peer = round.wrapping_mul(2_654_435_761) >> 24;
        let status = [PeerStatus::Leecher, PeerStatus::Completed, PeerStatus::Stopped, PeerStatus::Leecher];
        let announce =
            Announce { info_hash: TORRENT, peer: address(peer), status: status[(round % 4) as usize] };
        store.announce(0, &announce, &mut [], &mut context);
    }
    let Counts { seeders, leechers, .. } = store.scrape(0, &TORRENT);
    let eligible = seeders + leechers;
    assert!(seeders > 20 && leechers > 20, "{seeders} {leechers}");
    let asker = Announce { info_hash: TORRENT, peer: address(u32::MAX), status: PeerStatus::Leecher };
    let mut hits = BTreeMap::new();
    let mut out = [[0; 6]; 10];
    let draws = 400 * eligible;
    for draw in 0..draws {
        store.announce(0, &asker, &mut out, &mut context);
        *hits.entry(out[draw as usize % 10]).or_insert(0u32) += 1;
    }
    let freedom = f64::from(eligible - 1);
    let statistic = chi_square(&hits, eligible, draws);
    assert!(statistic < freedom + 5.0 * (2.0 * freedom).sqrt(), "{statistic} for {freedom}");
}

#[test]
fn threads_announce_at_the_same_time() {
    let store = store();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut cursor = SweepCursor::new(0, 1);
            while !done.load(Relaxed) {
                store.sweep(1, &mut cursor, 100);
            }
        });
        let workers: Vec<_> = (0..4u8)
            .map(|worker| {
                let store = &store;
                scope.spawn(move || {
                    let mut context = ThreadContext::new(u64::from(worker));
                    let mut out = [[0; 6]; 50];
                    for peer in 0..5000u32 {
                        let torrent = InfoHash([(peer % 50) as u8; 20]);
                        let peer = address(u32::from(worker) * 10_000 + peer);
                        let announce = Announce { info_hash: torrent, peer, status: PeerStatus::Leecher };
                        store.announce(1, &announce, &mut out, &mut context);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().expect("no panic");
        }
        done.store(true, Relaxed);
    });
    assert_eq!(totals(&store), (50, 20_000));
    assert_eq!(store.scrape(1, &InfoHash([7; 20])).leechers, 400);
}

#[test]
fn a_sample_has_peers_and_changes_nothing() {
    let store = store();
    for peer in 1..=5 {
        announce(&store, 0, peer, if peer <= 2 { PeerStatus::Seeder } else { PeerStatus::Leecher });
    }
    let before = store.totals();
    let sample = |torrent, with_seeders, room: usize| {
        let mut peers = vec![[0; 6]; room];
        let context = &mut ThreadContext::new(1);
        let (counts, written) = store.sample(1, torrent, with_seeders, &mut peers, context);
        peers.truncate(written);
        (counts, peers.into_iter().collect::<std::collections::BTreeSet<_>>())
    };
    let counts = Counts { seeders: 2, leechers: 3, completed: 0 };
    assert_eq!(sample(&TORRENT, true, 50), (counts, (1..=5).map(address).collect()));
    assert_eq!(sample(&TORRENT, false, 50), (counts, (3..=5).map(address).collect()));
    assert_eq!(sample(&TORRENT, true, 2).1.len(), 2);
    assert_eq!(sample(&InfoHash([2; 20]), true, 50), (Counts::default(), [].into()));
    assert_eq!(store.totals(), before);
    // Small swarms are cleared of expired peers first.
    let (counts, written) =
        store.sample(LIFETIME + 9, &TORRENT, true, &mut [[0; 6]; 9], &mut ThreadContext::new(1));
    assert_eq!((counts, written), (Counts::default(), 0));
}
