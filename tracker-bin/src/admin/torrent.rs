//! `/api/torrents/INFO_HASH`: the swarms of one torrent.

use serde::Serialize;
use udp_tracker::{Family, InfoHash, Monitor};

/// The most peers in an answer, of each family.
const SAMPLE: usize = 100;

#[derive(Debug, Serialize)]
pub(super) struct Torrent {
    info_hash: String,
    ipv4: Swarm,
    ipv6: Swarm,
}

#[derive(Debug, Serialize)]
struct Swarm {
    seeders: u32,
    leechers: u32,
    completed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    peers: Option<Vec<Peer>>,
}

#[derive(Debug, Serialize)]
struct Peer {
    address: String,
    seeder: bool,
    seconds_since_announce: u32,
}

/// A torrent's swarms; with some of their peers, if wanted.
pub(super) fn torrent(monitor: &Monitor, info_hash: &InfoHash, with_peers: bool) -> Torrent {
    let stores = monitor.service().stores();
    let swarm = |family| {
        let counts = stores.scrape(monitor.store_seconds(), family, info_hash);
        let peers = with_peers.then(|| {
            let peers = stores.some_peers(monitor.store_seconds(), family, info_hash, SAMPLE);
            let peers = peers.iter().map(|peer| Peer {
                address: peer.address.to_string(),
                seeder: peer.seeder,
                seconds_since_announce: peer.idle,
            });
            peers.collect()
        });
        Swarm { seeders: counts.seeders, leechers: counts.leechers, completed: counts.completed, peers }
    };
    Torrent { info_hash: info_hash.to_string(), ipv4: swarm(Family::V4), ipv6: swarm(Family::V6) }
}
