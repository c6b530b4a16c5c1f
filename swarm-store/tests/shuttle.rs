//! Threads that share a store, in thousands of schedules: `scripts/shuttle`. A failure prints its schedule.
#![cfg(shuttle)]

use std::sync::Arc;

use shuttle::rand::{Rng as _, thread_rng};
use shuttle::thread;
use swarm_store::{
    Announce, AnnounceOutcome, Change, Counts, InfoHash, Limits, PeerCursor, PeerStatus, StoredPeer,
    SwarmStore, SweepCursor, ThreadContext, TorrentCursor,
};

const LIFETIME: u32 = 600;

type Store = Arc<SwarmStore<6>>;

fn store(limits: Limits) -> Store {
    Arc::new(SwarmStore::new([5; 16], LIFETIME, limits))
}

fn info_hash(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

fn announce(store: &Store, now: u32, torrent: u8, peer: u8, status: PeerStatus) -> AnnounceOutcome {
    let announce = Announce { info_hash: info_hash(torrent), peer: [peer; 6], status };
    store.announce(now, &announce, &mut [[0; 6]; 4], &mut ThreadContext::new(peer.into()))
}

/// Runs `work` in several threads at once, and waits for them.
fn together<const THREADS: usize>(work: [Box<dyn FnOnce() + Send>; THREADS]) {
    for thread in work.map(thread::spawn) {
        thread.join().expect("no panic");
    }
}

/// The torrents, peers and seeders that are stored, counted one by one.
fn counted(store: &Store) -> (usize, usize, usize) {
    let (mut torrents, mut peers, mut seeders) = (0, 0, 0);
    while store.for_each_torrent(&mut TorrentCursor::new(), usize::MAX, |_, counts: Counts| {
        torrents += 1;
        peers += (counts.seeders + counts.leechers) as usize;
        seeders += counts.seeders as usize;
    }) {}
    (torrents, peers, seeders)
}

fn totals(store: &Store) -> (usize, usize, usize) {
    let totals = store.totals();
    (totals.torrents, totals.peers, totals.seeders)
}

#[test]
fn totals_equal_the_sum_of_all_torrents() {
    shuttle::check_random(
        || {
            let store = store(Limits::default());
            let empty = store.totals();
            let any_steps = |store: Store| {
                Box::new(move || {
                    let mut cursor = SweepCursor::new(0, 1);
                    for _ in 0..8 {
                        let (torrent, peer) = (thread_rng().gen_range(0..3), thread_rng().gen_range(0..4));
                        let now = thread_rng().gen_range(0..3) * LIFETIME;
                        match thread_rng().gen_range(0..8) {
                            0 => drop(store.remove_torrent(&info_hash(torrent))),
                            1 => drop(store.sweep(now, &mut cursor, 2000)),
                            2 => {
                                let stored =
                                    StoredPeer { peer: [peer; 6], seeder: true, completed: false, idle: 0 };
                                let mut context = ThreadContext::new(1);
                                store.restore(now, &info_hash(torrent), &stored, &mut context);
                            }
                            3 => drop(announce(&store, now, torrent, peer, PeerStatus::Stopped)),
                            4 => drop(announce(&store, now, torrent, peer, PeerStatus::Completed)),
                            _ => drop(announce(&store, now, torrent, peer, PeerStatus::Leecher)),
                        }
                    }
                }) as Box<dyn FnOnce() + Send>
            };
            together([0; 3].map(|_| any_steps(Arc::clone(&store))));
            assert_eq!(totals(&store), counted(&store));
            // Wrong bytes stay wrong, so they show when all have expired.
            let mut cursor = SweepCursor::new(0, 1);
            for lifetimes in [4, 6] {
                while !store.sweep(lifetimes * LIFETIME, &mut cursor, usize::MAX).finished_round {}
            }
            assert_eq!(store.totals(), empty);
        },
        2000,
    );
}

#[test]
fn a_limit_is_exceeded_by_the_other_threads_announces_at_most() {
    shuttle::check_random(
        || {
            let store = store(Limits::new(3, 4));
            let adding = |first: u8| {
                let store = Arc::clone(&store);
                Box::new(move || {
                    for number in first..first + 4 {
                        let change = announce(&store, 0, number, number, PeerStatus::Seeder).change;
                        assert!(matches!(change, Change::Added | Change::StoreFull));
                    }
                }) as Box<dyn FnOnce() + Send>
            };
            together([adding(0), adding(10), adding(20)]);
            let (torrents, peers, seeders) = totals(&store);
            assert_eq!((torrents, peers, seeders), counted(&store));
            assert!((3..=3 + 2).contains(&torrents), "{torrents}");
            assert_eq!((peers, seeders), (torrents, torrents));
        },
        2000,
    );
}

#[test]
fn a_completed_download_is_counted_once_and_a_stop_removes_once() {
    shuttle::check_random(
        || {
            let store = store(Limits::default());
            announce(&store, 0, 1, 1, PeerStatus::Leecher);
            announce(&store, 0, 1, 2, PeerStatus::Leecher);
            let (send, received) = shuttle::sync::mpsc::channel();
            let both = |send: shuttle::sync::mpsc::Sender<(bool, bool)>| {
                let store = Arc::clone(&store);
                Box::new(move || {
                    let completed = announce(&store, 1, 1, 1, PeerStatus::Completed).completed;
                    let removed = announce(&store, 1, 1, 2, PeerStatus::Stopped).change == Change::Removed;
                    send.send((completed, removed)).expect("is received");
                }) as Box<dyn FnOnce() + Send>
            };
            together([both(send.clone()), both(send)]);
            let outcomes = [received.recv().expect("was sent"), received.recv().expect("was sent")];
            assert_eq!(outcomes.iter().filter(|outcome| outcome.0).count(), 1);
            assert_eq!(outcomes.iter().filter(|outcome| outcome.1).count(), 1);
            assert_eq!(store.scrape(1, &info_hash(1)), Counts { seeders: 1, leechers: 0, completed: 1 });
        },
        2000,
    );
}

#[test]
fn a_peer_that_announces_while_the_sweep_passes_stays() {
    shuttle::check_random(
        || {
            let store = store(Limits::default());
            for peer in 0..20 {
                announce(&store, 0, 1, peer, PeerStatus::Leecher);
            }
            let now = 2 * LIFETIME;
            let (sweeping, announcing) = (Arc::clone(&store), Arc::clone(&store));
            together([
                Box::new(move || {
                    let mut cursor = SweepCursor::new(0, 1);
                    while !sweeping.sweep(now, &mut cursor, 500).finished_round {}
                }),
                Box::new(move || {
                    for peer in 0..3 {
                        assert_eq!(
                            announce(&announcing, now, 1, peer, PeerStatus::Leecher).change,
                            Change::Added
                        );
                    }
                }),
            ]);
            assert_eq!((totals(&store), counted(&store)), ((1, 3, 0), (1, 3, 0)));
        },
        1000,
    );
}

#[test]
fn a_walk_visits_unchanged_torrents_once_while_others_come_and_go() {
    shuttle::check_random(
        || {
            let store = store(Limits::default());
            for torrent in 0..5 {
                announce(&store, 0, torrent, 1, PeerStatus::Seeder);
            }
            let (walking, changing, fetching) = (Arc::clone(&store), Arc::clone(&store), Arc::clone(&store));
            together([
                Box::new(move || {
                    let mut visited = Vec::new();
                    let mut cursor = TorrentCursor::new();
                    while walking.for_each_torrent(&mut cursor, 300, |info_hash, _| visited.push(*info_hash))
                    {
                    }
                    for torrent in 0..5 {
                        let times = visited.iter().filter(|visited| **visited == info_hash(torrent)).count();
                        assert_eq!(times, 1);
                        let mut peers = 0;
                        let mut cursor = PeerCursor::default();
                        walking.for_each_peer(0, &info_hash(torrent), &mut cursor, 9, |_| peers += 1);
                        assert_eq!(peers, 1);
                    }
                }),
                Box::new(move || {
                    for torrent in 100..110 {
                        announce(&changing, 0, torrent, 1, PeerStatus::Seeder);
                        announce(&changing, 0, torrent, 1, PeerStatus::Stopped);
                    }
                }),
                Box::new(move || {
                    let all: Vec<InfoHash> = (0..110).map(info_hash).collect();
                    fetching.prefetch(&all, &mut ThreadContext::new(1));
                }),
            ]);
            assert_eq!(totals(&store), (5, 5, 5));
        },
        1000,
    );
}
