//! What a flood does to the peers of others: `cargo run --release -p swarm-store --example flood [TORRENTS]`.
//!
//! A store of TORRENTS (10 million) at most. First, an attacker announces that many random info_hashes from its networks.
//! Then come honest torrents, a hundredth of that number, each with a seeder and two leechers from three networks; every
//! network has ten honest peers. They announce at every interval, for three intervals, in random order, and
//! between them the attacker announces everything again that it has, and half of the store's limit anew. Each peer
//! expires if it doesn't announce for a lifetime, and the store is swept as a tracker does.
//!
//! Prints how many of the honest peers were stored in the last interval, how many leechers got a peer, and how long an
//! announce took. The example uses only what the store had before it knew networks, so it also runs with older versions.
#![allow(clippy::cast_possible_truncation, reason = "the lowest bytes are meant")]

use std::env;
use std::error::Error;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use swarm_store::{Announce, InfoHash, Limits, PeerStatus, SwarmStore, SweepCursor, ThreadContext};

const LIFETIME: u32 = 2700;
const INTERVAL: u32 = 1800;
const INTERVALS: u32 = 3;
/// Honest peers of one network.
const OF_ONE_NETWORK: u64 = 10;

fn main() -> Result<(), Box<dyn Error>> {
    let torrents = env::args().nth(1).map_or(Ok(10_000_000), |number| number.parse())?;
    println!("attacker                    honest peers stored   leechers with a peer   ns an announce");
    for (attacker, networks) in [("nobody", 0), ("one IPv4 /24", 1), ("1000 IPv4 /24s", 1000)] {
        print(attacker, &flood::<6>(torrents, networks));
    }
    for (attacker, networks) in [("one IPv6 /64", 1), ("65,536 /64s of one IPv6 /48", 65_536)] {
        print(attacker, &flood::<18>(torrents, networks));
    }
    Ok(())
}

fn print(attacker: &str, outcome: &Outcome) {
    let Outcome { stored, served, nanoseconds } = outcome;
    println!("{attacker:27} {:17.2} % {:20.2} % {nanoseconds:16.0}", stored * 100.0, served * 100.0);
}

/// What became of honest peers.
pub(crate) struct Outcome {
    /// The share of them that is stored at the end of an interval.
    pub(crate) stored: f64,
    /// The share of the leechers whose torrent has another peer then.
    pub(crate) served: f64,
    /// For an announce.
    nanoseconds: f64,
}

/// A store of this many torrents at most, and an attacker with this many networks, maybe none.
pub(crate) fn flood<const N: usize>(torrents: u64, networks: u64) -> Outcome {
    let limits = Limits::new(torrents as usize, 5 * torrents as usize);
    let mut tracker = Tracker::<N> {
        store: SwarmStore::new([7; 16], LIFETIME, limits),
        context: ThreadContext::new(1),
        cursor: SweepCursor::new(0, 1),
        now: 1_800_000_000,
        announces: 0,
        busy: Duration::ZERO,
    };
    let flood = if networks > 0 { torrents } else { 0 };
    let mut attacks = (0..u64::MAX).map(|number| (1 << 40 | number, hostile::<N>(number, networks)));
    let first: Vec<_> = attacks.by_ref().take(flood as usize).collect();
    first.iter().for_each(|(torrent, peer)| tracker.announce(*torrent, *peer, PeerStatus::Leecher));

    let honest = torrents / 100;
    let mut rng = SmallRng::seed_from_u64(5);
    let (mut stored, mut served) = (0, 0);
    for _ in 0..INTERVALS {
        (stored, served) = (0, 0);
        let mut order: Vec<u64> = (0..3 * honest).collect();
        // Seeders and leechers in any order.
        for at in (1..order.len()).rev() {
            order.swap(at, rng.random_range(0..=at));
        }
        let steps = 100;
        let again = |len: usize, step: usize| len * step / steps..len * (step + 1) / steps;
        for step in 0..steps {
            first[again(first.len(), step)]
                .iter()
                .for_each(|(torrent, peer)| tracker.announce(*torrent, *peer, PeerStatus::Leecher));
            for (torrent, peer) in attacks.by_ref().take(flood as usize / 2 / steps) {
                tracker.announce(torrent, peer, PeerStatus::Leecher);
            }
            for number in &order[again(order.len(), step)] {
                let status = if number % 3 == 0 { PeerStatus::Seeder } else { PeerStatus::Leecher };
                tracker.announce(number / 3, honest_peer(*number, 3 * honest), status);
            }
            tracker.wait(INTERVAL / steps as u32);
        }
        // Who is in the store, and could be found: asked for by a peer that leaves again.
        for number in 0..3 * honest {
            let (torrent, peer) = (number / 3, honest_peer::<N>(number, 3 * honest));
            let found = tracker.others(torrent, peer);
            stored += u64::from(found.0);
            served += u64::from(number % 3 != 0 && found.1);
        }
    }
    Outcome {
        stored: stored as f64 / (3 * honest) as f64,
        served: served as f64 / (2 * honest) as f64,
        nanoseconds: tracker.busy.as_nanos() as f64 / tracker.announces as f64,
    }
}

struct Tracker<const N: usize> {
    store: SwarmStore<N>,
    context: ThreadContext,
    cursor: SweepCursor,
    now: u32,
    announces: u64,
    busy: Duration,
}

impl<const N: usize> Tracker<N> {
    fn announce(&mut self, torrent: u64, peer: [u8; N], status: PeerStatus) {
        let announce = Announce { info_hash: info_hash(torrent), peer, status };
        let began = Instant::now();
        self.store.announce(self.now, &announce, &mut [[0; N]; 50], &mut self.context);
        self.busy += began.elapsed();
        self.announces += 1;
    }

    /// Lets time pass, and sweeps once.
    fn wait(&mut self, seconds: u32) {
        self.now += seconds;
        while !self.store.sweep(self.now, &mut self.cursor, 1000).finished_round {}
    }

    /// Whether a peer is stored, and whether its torrent has others.
    fn others(&mut self, torrent: u64, peer: [u8; N]) -> (bool, bool) {
        let (mut is_stored, mut others) = (false, false);
        let mut cursor = swarm_store::PeerCursor::default();
        while self.store.for_each_peer(self.now, &info_hash(torrent), &mut cursor, 1000, |known| {
            is_stored |= known.peer == peer;
            others |= known.peer != peer;
        }) {}
        (is_stored, others)
    }
}

fn info_hash(number: u64) -> InfoHash {
    let mut info_hash = InfoHash([0; 20]);
    SmallRng::seed_from_u64(number).fill_bytes(&mut info_hash.0);
    info_hash
}

/// A peer of one of the attacker's networks.
fn hostile<const N: usize>(number: u64, networks: u64) -> [u8; N] {
    let [.., a, b] = (number % networks.max(1)).to_be_bytes();
    let [.., host, high, low] = (number / networks.max(1)).to_be_bytes();
    let mut peer = [0; N];
    if N == 6 {
        peer[..4].copy_from_slice(&[198, a, b, host]);
    } else {
        peer[..8].copy_from_slice(&[0x20, 1, 0xd, 0xb8, 0, 1, a, b]);
        peer[15] = host;
    }
    peer[N - 2..].copy_from_slice(&[high | 4, low]);
    peer
}

/// One of so many honest peers. Networks have ten of them, in different torrents.
fn honest_peer<const N: usize>(number: u64, many: u64) -> [u8; N] {
    let mut rng = SmallRng::seed_from_u64(number);
    let host = rng.random::<u8>();
    let mut peer = [0; N];
    // The peers of one torrent are neighbours.
    SmallRng::seed_from_u64(number % (many / OF_ONE_NETWORK)).fill_bytes(&mut peer);
    // Neither local addresses nor the attacker's.
    peer[0] = if N == 6 { 11 + peer[0] % 80 } else { 0x2a };
    peer[if N == 6 { 3 } else { 15 }] = host;
    peer[N - 2..].copy_from_slice(&[0x1a, host]);
    peer
}
