//! The settings of a session.

use std::net::SocketAddr;

use peer_wire_proto::PeerId;
use peer_wire_proto::connection::Torrent;

use crate::options::Seeding;
use crate::pieces::PieceSet;

/// The settings of an [`Engine`](super::Engine).
#[derive(Clone, Debug)]
pub struct Config {
    /// The torrent.
    pub torrent: Torrent,
    /// The pieces to download; all by default.
    pub wanted: PieceSet,
    /// Whether all pieces must be present already; a missing piece is an error then. False by default.
    pub seed_only: bool,
    /// The tracker URLs in tiers (BEP 12). None by default.
    pub trackers: Vec<Vec<String>>,
    /// Addresses of peers in addition to those from trackers. None by default.
    pub peers: Vec<SocketAddr>,
    /// The peer_id of this session.
    pub peer_id: PeerId,
    /// The number by which trackers recognise the same peer at several addresses.
    pub key: u32,
    /// The TCP port to announce.
    pub port: u16,
    /// Whether trackers and peers can be reached over IPv4. True by default.
    pub ipv4: bool,
    /// Whether trackers and peers can be reached over IPv6. True by default.
    pub ipv6: bool,
    /// The most connections; 100 by default.
    pub max_peers: usize,
    /// With fewer connections than this, it asks trackers for more peers ahead of time; 1 by default.
    pub min_peers: usize,
    /// The most bytes to download per second; no limit by default.
    pub download_rate: Option<u64>,
    /// The most bytes to upload per second; no limit by default.
    pub upload_rate: Option<u64>,
    /// What to do when all wanted pieces are present; by default, seed without end.
    pub seeding: Seeding,
    /// The seed of all randomness: the choice of the first pieces, the order of trackers, transaction_ids. It must be
    /// unpredictable, or others could forge replies of trackers.
    pub seed: u64,
}

impl Config {
    /// Downloads a torrent and seeds it without end.
    #[must_use]
    pub fn new(torrent: Torrent, peer_id: PeerId, port: u16, seed: u64) -> Self {
        Self {
            torrent,
            wanted: PieceSet::all(&torrent.layout),
            seed_only: false,
            trackers: Vec::new(),
            peers: Vec::new(),
            peer_id,
            key: 0,
            port,
            ipv4: true,
            ipv6: true,
            max_peers: 100,
            min_peers: 1,
            download_rate: None,
            upload_rate: None,
            seeding: Seeding::Until { time: None, ratio: None },
            seed,
        }
    }
}
