//! How long the store's operations take: `cargo bench -p swarm-store`. See the crate's README for records.
//!
//! Every figure is for 64 operations on random torrents and peers, as in a tracker's batch of datagrams. The results of
//! the operations are asserted. `SWARM_STORE_LARGE=1` adds stores of 10 million torrents, which need some five
//! gigabytes of memory and some minutes.

use std::hint::black_box;
use std::iter::repeat_n;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BatchSize, BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use swarm_store::{
    Announce, Change, Counts, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor, ThreadContext,
};

/// Operations per measured iteration.
const BATCH: usize = 64;
/// Operations that are drawn in advance, enough to touch more memory than the processor's caches hold.
const DRAWN: usize = 1 << 20;
/// Peers wanted in a sample: as many as fit into a short datagram.
const WANTED: usize = 50;
const LIFETIME: u32 = 2700;

/// A store with this many torrents and peers in each, every third of them a seeder.
struct Filled {
    torrents: u32,
    peers: u32,
    store: SwarmStore<6>,
}

/// An info_hash that looks random.
fn torrent(number: u32) -> InfoHash {
    let mut bytes = [0; 20];
    SmallRng::seed_from_u64(number.into()).fill_bytes(&mut bytes);
    InfoHash(bytes)
}

fn peer(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.wrapping_mul(0x9e37_79b1).to_be_bytes();
    [a, b, c, d, 0x1a, 0xe1]
}

fn status(peer: u32) -> PeerStatus {
    if peer.is_multiple_of(3) { PeerStatus::Seeder } else { PeerStatus::Leecher }
}

impl Filled {
    fn new(torrents: u32, peers: u32) -> Self {
        let limits = Limits::new(usize::MAX, usize::MAX);
        let store = SwarmStore::new([7; 16], LIFETIME, limits);
        let mut context = ThreadContext::new(1);
        for number in 0..torrents {
            let torrent = torrent(number);
            for number in 0..peers {
                let announce = Announce { info_hash: torrent, peer: peer(number), status: status(number) };
                assert_eq!(store.announce(0, &announce, &mut [], &mut context).change, Change::Added);
            }
        }
        let all = torrents as usize * peers as usize;
        assert_eq!((store.totals().torrents, store.totals().peers), (torrents as usize, all));
        Self { torrents, peers, store }
    }

    fn counts(&self) -> Counts {
        let seeders = self.peers.div_ceil(3);
        Counts { seeders, leechers: self.peers - seeders, completed: 0 }
    }

    /// Announces of stored peers, in batches.
    fn draw(&self) -> Vec<Announce<6>> {
        let mut rng = SmallRng::seed_from_u64(2);
        let announce = |_| {
            let number = rng.random_range(0..self.peers);
            let torrent = torrent(rng.random_range(0..self.torrents));
            Announce { info_hash: torrent, peer: peer(number), status: status(number) }
        };
        (0..DRAWN).map(announce).collect()
    }

    /// How many peers are returned to a peer that wants `wanted`.
    fn handed_out(&self, status: PeerStatus, wanted: usize) -> usize {
        let Counts { seeders, leechers, .. } = self.counts();
        let eligible = if status == PeerStatus::Seeder { leechers } else { seeders + leechers - 1 };
        wanted.min(eligible as usize)
    }
}

/// Announces of stored peers.
fn refresh(
    group: &mut BenchmarkGroup<'_, WallTime>,
    filled: &Filled,
    name: &str,
    wanted: usize,
    prefetch: bool,
) {
    let drawn = filled.draw();
    let mut batches = drawn.chunks(BATCH).cycle();
    let mut context = ThreadContext::new(3);
    let mut out = vec![[0; 6]; wanted];
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            let batch = batches.next().expect("a cycle");
            if prefetch {
                filled.store.prefetch(batch.iter().map(|announce| &announce.info_hash), &mut context);
            }
            for announce in batch {
                let outcome = filled.store.announce(1, announce, &mut out, &mut context);
                assert!(matches!(outcome.change, Change::Refreshed { .. }));
                assert_eq!(outcome.counts, filled.counts());
                assert_eq!(outcome.peers, filled.handed_out(announce.status, wanted));
                black_box(&out);
            }
        });
    });
}

/// Stops of peers. The peers are added again outside of the measured time.
fn stop(group: &mut BenchmarkGroup<'_, WallTime>, filled: &Filled) {
    let drawn = filled.draw();
    let mut batches = drawn.chunks(BATCH).cycle();
    let store = &filled.store;
    let come_back = |batch: &[Announce<6>]| {
        let mut context = ThreadContext::new(3);
        for announce in batch {
            store.announce(1, announce, &mut [], &mut context);
        }
    };
    let mut last: &[Announce<6>] = &[];
    group.bench_function("stop", |bencher| {
        let next = || {
            come_back(std::mem::replace(&mut last, batches.next().expect("a cycle")));
            last
        };
        let mut context = ThreadContext::new(4);
        let leave = |batch: &[Announce<6>]| {
            let stopped = batch.iter().filter(|announce| {
                let stopped = Announce { status: PeerStatus::Stopped, ..**announce };
                store.announce(1, &stopped, &mut [], &mut context).change == Change::Removed
            });
            // Fewer than all if a peer was drawn twice.
            assert!(stopped.count() > 0);
        };
        bencher.iter_batched(next, leave, BatchSize::PerIteration);
    });
    come_back(last);
    assert_eq!(store.totals().peers, filled.torrents as usize * filled.peers as usize);
}

fn scrape(group: &mut BenchmarkGroup<'_, WallTime>, filled: &Filled) {
    let drawn = filled.draw();
    let mut batches = drawn.chunks(BATCH).cycle();
    group.bench_function("scrape", |bencher| {
        bencher.iter(|| {
            for announce in batches.next().expect("a cycle") {
                assert_eq!(filled.store.scrape(1, &announce.info_hash), filled.counts());
            }
        });
    });
}

/// Steps that find nothing to remove, of 64 torrents and peers each.
fn sweep(group: &mut BenchmarkGroup<'_, WallTime>, filled: &Filled) {
    let mut cursor = SweepCursor::new(0, 1);
    group.bench_function("sweep", |bencher| {
        bencher.iter(|| {
            let swept = filled.store.sweep(1, &mut cursor, BATCH);
            assert_eq!((swept.peers, swept.torrents), (0, 0));
        });
    });
}

fn operations(criterion: &mut Criterion) {
    const MILLION: u32 = 1_000_000;
    let usual = [(1000, 1), (MILLION, 1), (1000, 50), (MILLION, 50), (1, MILLION)];
    let large = std::env::var_os("SWARM_STORE_LARGE").map_or(0, |_| 1);
    let large = repeat_n([(10 * MILLION, 1), (10 * MILLION, 50)], large).flatten();
    for (torrents, peers) in usual.into_iter().chain(large) {
        let filled = Filled::new(torrents, peers);
        let mut group = criterion.benchmark_group(format!("{torrents} swarms of {peers}"));
        group.throughput(Throughput::Elements(BATCH as u64));
        group.sample_size(20).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(2));
        refresh(&mut group, &filled, "announce", 0, false);
        refresh(&mut group, &filled, "announce prefetched", 0, true);
        refresh(&mut group, &filled, "sample", WANTED, false);
        refresh(&mut group, &filled, "sample prefetched", WANTED, true);
        stop(&mut group, &filled);
        scrape(&mut group, &filled);
        sweep(&mut group, &filled);
        group.finish();
    }
}

criterion_group!(benches, operations);
criterion_main!(benches);
