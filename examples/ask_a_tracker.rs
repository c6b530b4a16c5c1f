//! Asks a tracker for peers, and for the size of the swarm, with the blocking client.
//!
//! `cargo run -p examples --example ask_a_tracker -- udp://127.0.0.1:6969 e5d5fdac66b48270c93842b333061ea4dd7233e9`

use std::error::Error;
use std::time::Duration;

use udp_tracker_proto::blocking::{self, Tracker};
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::{Event, InfoHash};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(url), Some(torrent)) = (arguments.next(), arguments.next()) else {
        return Err("usage: ask_a_tracker URL INFO_HASH".into());
    };
    let torrent: InfoHash = torrent.parse()?;

    // Eight bytes identify the client and its version, twelve are random.
    let mut peer_id = *b"-XX0001-............";
    peer_id[8..].copy_from_slice(&rand::random::<[u8; 12]>());

    let mut tracker = Tracker::connect(&url)?.with_timeout(Duration::from_secs(10));
    let announce =
        Announce { event: Event::Started, key: rand::random(), ..Announce::new(torrent, peer_id, 6881, 1) };
    match tracker.announce(&announce) {
        Ok(announced) => {
            println!("announce again in {:?}", announced.next_announce());
            announced.peers.iter().for_each(|peer| println!("peer {peer}"));
        }
        Err(blocking::Error::Refused { text }) => println!("the tracker refused: {text}"),
        Err(other) => return Err(other.into()),
    }

    let counts = tracker.scrape(&[torrent])?[0];
    println!("{} seeders, {} leechers, {} completed", counts.seeders, counts.leechers, counts.completed);

    // From now on, the tracker doesn't send this peer's address to others.
    tracker.announce(&Announce { event: Event::Stopped, num_want: 0, ..announce })?;
    Ok(())
}
