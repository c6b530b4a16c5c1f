//! What snapshots cost: `cargo run --release -p swarm-store --example snapshots [TORRENTS [FILE]]`.
//!
//! For each address family, fills a store with torrents of one peer, writes a snapshot of it to a file, checks the file,
//! and restores it into another store. Prints its size, the processor time of one core, and the longest step, which is
//! longer than any lock is held. Meanwhile another thread announces, a thousand at a time with rests between, and its times
//! are compared with those while nothing else is done. Needs 2 cores.

use std::error::Error;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use swarm_store::{
    Announce, InfoHash, Limits, Moment, Part, PeerStatus, Restored, SnapshotCursor, SnapshotReader,
    SnapshotWriter, SwarmStore, ThreadContext,
};

const LIFETIME: u32 = 2700;
const NOW: u32 = 1_800_000_000;
/// Read at once.
const READ: usize = 1 << 18;
/// How long announces are timed while nothing else is done.
const ALONE: Duration = Duration::from_secs(5);

fn main() -> Result<(), Box<dyn Error>> {
    let torrents = std::env::args().nth(1).map_or(Ok(10_000_000), |number| number.parse())?;
    let file = std::env::args().nth(2).map_or_else(|| std::env::temp_dir().join("snapshot"), PathBuf::from);
    println!("IPv4, {torrents} torrents of one peer");
    measure::<6>(torrents, &file)?;
    println!("IPv6, {torrents} torrents of one peer");
    measure::<18>(torrents, &file)?;
    std::fs::remove_file(file)?;
    Ok(())
}

fn measure<const N: usize>(torrents: u32, path: &PathBuf) -> Result<(), Box<dyn Error>> {
    let limits = Limits::new(usize::MAX, usize::MAX);
    let store = SwarmStore::<N>::new([7; 16], LIFETIME, limits);
    let mut context = ThreadContext::new(1);
    for number in 0..torrents {
        store.announce(NOW - number % 1800, &announce(number), &mut [], &mut context);
    }
    let ((), alone) = beside(&store, torrents, || thread::sleep(ALONE));
    println!("  announces alone        {alone}");

    let (written, announces) = beside(&store, torrents, || write(&store, path));
    let (bytes, steps) = written?;
    println!("  written                {steps}; {:.1} bytes a torrent", bytes as f64 / f64::from(torrents));
    println!("  announces meanwhile    {announces}");
    drop(store);

    let mut prepared = 0;
    let (checked, steps) = read(path, |part| {
        if let Part::Swarms(swarms) = part {
            prepared += swarms.torrents::<N>();
        }
    })?;
    assert_eq!(checked, bytes);
    println!("  checked                {steps}");
    // The key of the new store is another one.
    let store = SwarmStore::<N>::new([8; 16], LIFETIME, limits);
    let mut restored = Restored::default();
    let (loaded, announces) = beside(&store, torrents, || {
        read(path, |part| {
            if let Part::Begin(_) = part {
                store.prepare(usize::try_from(prepared).unwrap_or(usize::MAX));
            }
            if let Part::Swarms(swarms) = part {
                restored += store.restore_swarms(NOW + 60, 60, &swarms, &mut context);
            }
        })
    });
    println!("  loaded                 {}", loaded?.1);
    println!("  announces meanwhile    {announces}");
    assert_eq!(restored.peers + restored.newer, u64::from(torrents));
    assert_eq!(store.totals().peers, torrents as usize);
    Ok(())
}

fn announce<const N: usize>(number: u32) -> Announce<N> {
    let mut rng = SmallRng::seed_from_u64(number.into());
    let mut info_hash = InfoHash([0; 20]);
    let mut peer = [0; N];
    rng.fill_bytes(&mut info_hash.0);
    rng.fill_bytes(&mut peer);
    let status = if number.is_multiple_of(3) { PeerStatus::Seeder } else { PeerStatus::Leecher };
    Announce { info_hash, peer, status }
}

/// The steps of some work.
struct Steps {
    /// This thread's processor time.
    core: Duration,
    whole: Duration,
    /// In processor time too.
    longest: Duration,
    over_a_millisecond: u32,
}

impl Steps {
    fn time(mut work: impl FnMut(&mut Self) -> Result<(), Box<dyn Error>>) -> Result<Self, Box<dyn Error>> {
        let mut steps = Self {
            core: Duration::ZERO,
            whole: Duration::ZERO,
            longest: Duration::ZERO,
            over_a_millisecond: 0,
        };
        let (begin, core) = (Instant::now(), core_time());
        work(&mut steps)?;
        (steps.whole, steps.core) = (begin.elapsed(), core_time() - core);
        Ok(steps)
    }

    fn step<T>(&mut self, step: impl FnOnce() -> T) -> T {
        let begin = core_time();
        let result = step();
        let took = core_time() - begin;
        self.longest = self.longest.max(took);
        self.over_a_millisecond += u32::from(took > Duration::from_millis(1));
        result
    }
}

impl std::fmt::Display for Steps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { core, whole, longest, over_a_millisecond } = self;
        let (core, whole) = (core.as_secs_f64(), whole.as_secs_f64());
        write!(f, "{core:.2} s of a core, {whole:.2} s in all; longest step {longest:.0?}, ")?;
        write!(f, "{over_a_millisecond} of more than 1 ms")
    }
}

fn write<const N: usize>(store: &SwarmStore<N>, path: &PathBuf) -> Result<(u64, Steps), Box<dyn Error>> {
    let mut bytes = 0;
    let steps = Steps::time(|steps| {
        let mut file = File::create(path)?;
        let mut writer = SnapshotWriter::new(NOW);
        let mut put = |chunk: &[u8]| {
            bytes += chunk.len() as u64;
            file.write_all(chunk)
        };
        put(writer.begin(&Moment::default()))?;
        let mut cursor = SnapshotCursor::new();
        while let Some(chunk) = steps.step(|| writer.swarms(store, &mut cursor)) {
            put(chunk)?;
        }
        put(writer.end())?;
        file.sync_all()?;
        Ok(())
    })?;
    Ok((bytes, steps))
}

/// Reads a snapshot to its end. Returns its bytes.
fn read(path: &PathBuf, mut visit: impl FnMut(Part<'_>)) -> Result<(u64, Steps), Box<dyn Error>> {
    let mut reader = SnapshotReader::new();
    let steps = Steps::time(|steps| {
        let (mut file, mut buffer) = (File::open(path)?, vec![0; READ]);
        loop {
            let len = file.read(&mut buffer)?;
            if len == 0 {
                return Ok(());
            }
            let mut bytes = &buffer[..len];
            while let Some(part) = reader.next(&mut bytes)? {
                steps.step(|| visit(part));
            }
        }
    })?;
    reader.finish()?;
    Ok((reader.len(), steps))
}

/// The times of announces, in nanoseconds.
struct Times(Vec<u64>);

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let at = |share: usize| {
            let place = self.0.len().saturating_sub(1) * share / 10_000;
            self.0.get(place).copied().unwrap_or_default() as f64 / 1000.0
        };
        write!(f, "{} of them: p50 {:.2} us, p99 {:.2} us, ", self.0.len(), at(5000), at(9900))?;
        write!(f, "p99.9 {:.2} us, p99.99 {:.1} us, longest {:.0} us", at(9990), at(9999), at(10_000))
    }
}

/// The result of `work`, and the times of announces of stored torrents meanwhile.
fn beside<const N: usize, T>(store: &SwarmStore<N>, torrents: u32, work: impl FnOnce() -> T) -> (T, Times) {
    let ended = AtomicBool::new(false);
    thread::scope(|scope| {
        let announcing = scope.spawn(|| {
            let mut rng = SmallRng::seed_from_u64(9);
            let mut context = ThreadContext::new(3);
            let mut times = Vec::new();
            while !ended.load(Relaxed) {
                for _ in 0..1000 {
                    let announce = announce::<N>(rng.random_range(0..torrents));
                    let begin = Instant::now();
                    store.announce(NOW + 60, &announce, &mut [], &mut context);
                    times.push(u64::try_from(begin.elapsed().as_nanos()).unwrap_or(u64::MAX));
                }
                thread::sleep(Duration::from_millis(1));
            }
            times.sort_unstable();
            Times(times)
        });
        let result = work();
        ended.store(true, Relaxed);
        (result, announcing.join().expect("announces don't panic"))
    })
}

/// This thread's processor time.
fn core_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
}
