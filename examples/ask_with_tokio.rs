//! Announces to many trackers at once, over IPv4 and IPv6 and one socket, with the driver for tokio.
//!
//! `cargo run -p examples --example ask_with_tokio -- INFO_HASH udp://tracker.example.com:6969/announce...`

use std::collections::BTreeSet;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::task::JoinSet;
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::tokio::{Client, resolve};
use udp_tracker_proto::{Event, InfoHash, TrackerUrl};

const TIMEOUT: Duration = Duration::from_secs(20);

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let torrent: InfoHash = arguments.next().ok_or("usage: ask_with_tokio INFO_HASH URL...")?.parse()?;

    let client = Client::new()?;
    let announce = Announce {
        event: Event::Started,
        // The key shows a tracker that the announces over IPv4 and over IPv6 are from the same peer.
        key: rand::random(),
        ..Announce::new(torrent, *b"-XX0001-abcdefghijkl", 6881, 1)
    };
    let mut asked = JoinSet::new();
    for url in arguments {
        asked.spawn(ask(client.clone(), url, announce));
    }
    let mut peers = BTreeSet::new();
    while let Some(found) = asked.join_next().await {
        peers.extend(found?);
    }
    println!("{} different peers", peers.len());
    Ok(())
}

/// Announces to one tracker; prints the replies, and returns the peers.
async fn ask(client: Client, url: String, announce: Announce<'static>) -> Vec<SocketAddr> {
    let parsed = match TrackerUrl::parse(&url) {
        Ok(parsed) => parsed,
        Err(error) => {
            println!("{url}: {error}");
            return Vec::new();
        }
    };
    let addresses = match resolve(&parsed).await {
        Ok(addresses) => addresses,
        Err(error) => {
            println!("{url}: {error}");
            return Vec::new();
        }
    };
    let announce = announce.with_path_and_query(parsed.path_and_query);
    let mut peers = Vec::new();
    for result in client.announce_both(addresses, &announce, TIMEOUT).await {
        match result {
            Ok(announced) => {
                println!("{url}: {} peers, again in {:?}", announced.peers.len(), announced.next_announce());
                peers.extend(announced.peers);
            }
            Err(error) => println!("{url}: {error}"),
        }
    }
    peers
}
