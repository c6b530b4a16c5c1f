//! How many instructions an announce takes, for a tool that counts those of the whole program:
//!
//! ```sh
//! cargo build --release -p swarm-store --example cost
//! for announces in 0 100000; do valgrind --tool=callgrind --callgrind-out-file=/dev/null target/release/examples/cost refresh $announces; done
//! ```
//!
//! The difference of the two counts, divided by the number of announces, is the cost of one. `refresh`: of a peer that is
//! stored; `add`: the first of a new torrent; `join`: a new peer of a swarm of ten; `stop`: the only peer of a torrent.

use std::env;
use std::error::Error;

use swarm_store::{Announce, InfoHash, Limits, PeerStatus, SwarmStore, ThreadContext};

const TORRENTS: u32 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [what, announces] = &arguments[..] else { return Err("refresh|add|join|stop and a number".into()) };
    let announces: u32 = announces.parse()?;
    let store = SwarmStore::<6>::new([7; 16], 2700, Limits::default());
    let mut context = ThreadContext::new(1);
    let mut announce = |torrent: u32, peer: u32, status: PeerStatus| {
        let mut info_hash = InfoHash([0; 20]);
        info_hash.0[..4].copy_from_slice(&torrent.wrapping_mul(0x9e37_79b1).to_be_bytes());
        let [a, b, c, d] = peer.wrapping_mul(0x9e37_79b1).to_be_bytes();
        // Never a local address.
        let announce = Announce { info_hash, peer: [11 + a % 60, b, c, d, 0x1a, 0xe1], status };
        store.announce(0, &announce, &mut [], &mut context)
    };
    let peers = if what == "join" { 10 } else { 1 };
    for torrent in 0..TORRENTS {
        for peer in 0..peers {
            announce(torrent, torrent * peers + peer, PeerStatus::Leecher);
        }
    }
    for number in 0..announces {
        let outcome = match what.as_str() {
            "refresh" => announce(number % TORRENTS, number % TORRENTS, PeerStatus::Leecher),
            "add" => announce(TORRENTS + number, number, PeerStatus::Leecher),
            "join" => announce(number % TORRENTS, TORRENTS * peers + number, PeerStatus::Leecher),
            "stop" => announce(number % TORRENTS, number % TORRENTS, PeerStatus::Stopped),
            _ => return Err("refresh, add, join or stop expected".into()),
        };
        std::hint::black_box(outcome);
    }
    Ok(())
}
