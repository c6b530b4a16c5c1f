//! The longest time that a call takes: `cargo run --release -p swarm-store --example pauses [TORRENTS
//! [PEERS]]`.
//!
//! Fills a store, lets everything expire at once, and sweeps it in small steps, as a tracker does, while new torrents
//! are announced. Times are this thread's processor time, without that of other programs.

use std::error::Error;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rustix::time::{ClockId, clock_gettime};
use swarm_store::{Announce, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor, ThreadContext};

const LIFETIME: u32 = 2700;
/// Torrents and peers that a step looks at, and new torrents between two steps.
const STEP: usize = 1000;
const NEW: usize = 100;

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = std::env::args().skip(1).map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;
    let torrents = numbers.first().copied().unwrap_or(10_000_000);
    let peers = numbers.get(1).copied().unwrap_or(1);
    if torrents == 0 || peers == 0 {
        return Err("at least one torrent, and one peer in each".into());
    }
    let limits = Limits::new(usize::MAX, usize::MAX);
    let store = SwarmStore::<6>::new([7; 16], LIFETIME, limits);
    let mut rng = SmallRng::seed_from_u64(1);
    let mut context = ThreadContext::new(2);
    let mut announce = |now: u32, torrent: InfoHash| {
        let mut peer = [0; 6];
        rng.fill_bytes(&mut peer);
        let announce = Announce { info_hash: torrent, peer, status: PeerStatus::Leecher };
        store.announce(now, &announce, &mut [], &mut context);
    };

    let mut grown = Vec::new();
    for _ in 0..peers {
        // The same info_hashes in each round.
        let mut hashes = SmallRng::seed_from_u64(2);
        for _ in 0..torrents.div_ceil(NEW) {
            let begin = now();
            for _ in 0..NEW {
                announce(0, some(&mut hashes));
            }
            grown.push(now() - begin);
        }
    }
    print(&format!("{NEW} announces while it grows"), grown);

    let (mut swept, mut announced) = (Vec::new(), Vec::new());
    let mut cursor = SweepCursor::new(0, 1);
    let mut hashes = SmallRng::seed_from_u64(3);
    loop {
        let begin = now();
        let step = store.sweep(LIFETIME + 1, &mut cursor, STEP);
        let middle = now();
        for _ in 0..NEW {
            announce(LIFETIME + 1, some(&mut hashes));
        }
        swept.push(middle - begin);
        announced.push(now() - middle);
        if step.finished_round {
            break;
        }
    }
    print(&format!("a sweep of {STEP} while all expires"), swept);
    print(&format!("{NEW} announces meanwhile"), announced);
    println!("left: {:?}", store.totals());
    Ok(())
}

fn some(rng: &mut SmallRng) -> InfoHash {
    let mut torrent = InfoHash([0; 20]);
    rng.fill_bytes(&mut torrent.0);
    torrent
}

fn print(what: &str, mut nanoseconds: Vec<u64>) {
    nanoseconds.sort_unstable();
    let at = |thousandth: usize| nanoseconds[(nanoseconds.len() - 1) * thousandth / 1000] as f64 / 1000.0;
    println!("{what:32} median {:8.1} us, 99.9 % {:8.1} us, longest {:8.1} us", at(500), at(999), at(1000));
}

/// This thread's processor time, in nanoseconds.
fn now() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    (time.tv_sec * 1_000_000_000 + time.tv_nsec).unsigned_abs()
}
