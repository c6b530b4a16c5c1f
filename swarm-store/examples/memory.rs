//! How much memory a store takes: `cargo run --release -p swarm-store --example memory`.
//!
//! Counts the process's resident pages, which include everything: slots, marks, room for growth, the allocator's own
//! data, the locks. Compares them with the bytes of [`SwarmStore::totals`], and fails when these differ by more than
//! 8 %, or 5 % with ten million peers. Each case runs in a process of its own. Linux only, because it reads `/proc`.

use std::error::Error;
use std::{env, fs, process};

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use swarm_store::{Announce, InfoHash, Limits, PeerStatus, SwarmStore, ThreadContext};

const MILLION: usize = 1_000_000;
const TEN_MILLION: usize = 10 * MILLION;
/// Torrents, and peers in each.
const CASES: [(usize, usize); 9] = [
    (MILLION / 1000, 1),
    (MILLION, 1),
    (5 * MILLION / 4, 1),
    (3 * MILLION / 2, 1),
    (7 * MILLION / 4, 1),
    (10 * MILLION, 1),
    (MILLION, 2),
    (MILLION / 5, 50),
    (1, MILLION),
];

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = env::args().skip(1).map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;
    match numbers[..] {
        [4, torrents, peers] => measure::<6>(torrents, peers),
        [6, torrents, peers] => measure::<18>(torrents, peers),
        _ => {
            println!("family  torrents  peers of each   bytes a torrent   bytes a peer   totals/resident");
            for (torrents, peers) in CASES {
                for family in [4, 6] {
                    let numbers = [family, torrents, peers].map(|number| number.to_string());
                    let status = process::Command::new(env::current_exe()?).args(numbers).status()?;
                    if !status.success() {
                        return Err(format!("{torrents} torrents of {peers} peers: {status}").into());
                    }
                }
            }
            Ok(())
        }
    }
}

/// Announces every peer of every torrent once, one peer of each torrent in turn, and prints the memory used.
fn measure<const N: usize>(torrents: usize, peers: usize) -> Result<(), Box<dyn Error>> {
    let mut rng = SmallRng::seed_from_u64(1);
    let limits = Limits::new(usize::MAX, usize::MAX);
    let mut context = ThreadContext::new(3);
    let mut peer = [0; N];
    let before = resident()?;
    let store = SwarmStore::<N>::new([7; 16], 2700, limits);
    for round in 0..peers {
        // The same info_hashes in each round.
        let mut hashes = SmallRng::seed_from_u64(2);
        for _ in 0..torrents {
            let mut torrent = InfoHash([0; 20]);
            hashes.fill_bytes(&mut torrent.0);
            rng.fill_bytes(&mut peer);
            let status = if round % 3 == 0 { PeerStatus::Seeder } else { PeerStatus::Leecher };
            store.announce(0, &Announce { info_hash: torrent, peer, status }, &mut [], &mut context);
        }
    }
    assert_eq!((store.totals().torrents, store.totals().peers), (torrents, torrents * peers));
    let bytes = (resident()? - before) as f64;
    let predicted = store.totals().bytes as f64 / bytes;
    let family = if N == 6 { "IPv4" } else { "IPv6" };
    let (by_torrent, by_peer) = (bytes / torrents as f64, bytes / (torrents * peers) as f64);
    println!("{family} {torrents:11} {peers:14} {by_torrent:18.1} {by_peer:15.2} {predicted:17.3}");
    // In a store of a megabyte, the pages of the allocator and of the program itself weigh more.
    let tolerance = match torrents * peers {
        ..MILLION => return Ok(()),
        MILLION..TEN_MILLION => 0.08,
        _ => 0.05,
    };
    if (predicted - 1.0).abs() < tolerance {
        Ok(())
    } else {
        Err("the totals are not near the resident memory".into())
    }
}

/// Resident memory of the process, in bytes.
fn resident() -> Result<usize, Box<dyn Error>> {
    let statm = fs::read_to_string("/proc/self/statm")?;
    let pages: usize = statm.split(' ').nth(1).ok_or("no second field in statm")?.parse()?;
    Ok(pages * 4096)
}
