//! How a session stands, and how it ends.

use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::PeerId;
use udp_tracker_proto::client::Announce;

use super::Engine;
use crate::disk::StorageError;
use crate::status::{Phase, Status};

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything wanted is there, and has been seeded as long as the options say.
    Done,
    /// It was stopped.
    Stopped,
}

/// Why a session ended early.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A file can't be read or written.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// A torrent was to be seeded that is not all there.
    #[error(
        "only {have} of {total} pieces are there: download the rest before seeding, or choose the folder that has them"
    )]
    Incomplete {
        /// Pieces that are there.
        have: u32,
        /// Pieces of the torrent.
        total: u32,
    },
    /// The system doesn't let the session wait for sockets.
    #[error("cannot wait for sockets: {0}")]
    Poll(#[source] std::io::Error),
}

/// A connected peer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Its address.
    pub address: SocketAddr,
    /// Its peer_id; `None` until its handshake has come.
    pub peer_id: Option<PeerId>,
    /// Whether it connected to us.
    pub incoming: bool,
    /// Pieces that it has.
    pub have: u32,
    /// Whether it doesn't answer our requests.
    pub chokes_us: bool,
    /// Whether it wants pieces of ours.
    pub is_interested: bool,
    /// Whether we don't answer its requests.
    pub is_choked: bool,
    /// Whether we want pieces of its.
    pub is_interesting: bool,
    /// Bytes of blocks received from it.
    pub downloaded: u64,
    /// Bytes of blocks sent to it.
    pub uploaded: u64,
    /// Bytes of blocks a second that come from it.
    pub download_rate: u64,
    /// Bytes of blocks a second that go to it.
    pub upload_rate: u64,
    /// How long it has been connected.
    pub connected_for: Duration,
}

/// How it stands with a tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerState {
    /// It was not announced to yet.
    #[default]
    Unused,
    /// An announce is under way.
    Announcing,
    /// The last announce was answered.
    Working,
    /// The last announce failed.
    Failed,
}

/// A tracker of the torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TrackerStatus {
    /// Its URL.
    pub url: String,
    /// How it stands.
    pub state: TrackerState,
    /// Seeders that it counted last; `None` if it has not.
    pub seeders: Option<u32>,
    /// Leechers that it counted last; `None` if it has not.
    pub leechers: Option<u32>,
    /// Why the last announce failed.
    pub error: Option<String>,
}

impl Engine {
    /// How the session stands.
    pub fn status(&mut self, now: Duration) -> Status {
        let (mut seeders, mut leechers) = (0, 0);
        for peer in self.peers.values().filter(|peer| peer.is_ready()) {
            if peer.pieces.is_full() { seeders += 1 } else { leechers += 1 }
        }
        let exchange = &mut self.exchange;
        let (have, available) = exchange.picker.counts();
        Status {
            phase: self.phase,
            have,
            total: self.config.wanted.count(),
            available,
            checked: self.checked,
            left: exchange.picker.left(),
            wanted: self.wanted_bytes,
            downloaded: exchange.down.total(),
            uploaded: exchange.up.total(),
            download_rate: exchange.down.per_second(now),
            upload_rate: exchange.up.per_second(now),
            seeders,
            leechers,
            known: self.book.len(),
            announced: self.trackers.answered(),
            announce_failures: self.trackers.failures(),
            running: now,
        }
    }

    /// What the session is doing.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// The peers that a connection was made to or accepted from.
    pub fn peers(&mut self, now: Duration) -> Vec<PeerStatus> {
        let connected = self.peers.values_mut().filter(|peer| peer.connected);
        connected
            .map(|peer| PeerStatus {
                address: peer.address,
                peer_id: peer.connection.peer_handshake().map(|theirs| theirs.peer_id),
                incoming: !peer.outgoing,
                have: peer.pieces.count(),
                chokes_us: peer.connection.peer_choking(),
                is_interested: peer.connection.peer_interested(),
                is_choked: peer.connection.am_choking(),
                is_interesting: peer.connection.am_interested(),
                downloaded: peer.down.total(),
                uploaded: peer.up.total(),
                download_rate: peer.down.per_second(now),
                upload_rate: peer.up.per_second(now),
                connected_for: now.saturating_sub(peer.since),
            })
            .collect()
    }

    /// The torrent's UDP trackers, tier by tier.
    #[must_use]
    pub fn trackers(&self) -> Vec<TrackerStatus> {
        self.trackers.status()
    }

    /// What trackers are announced.
    pub(super) fn announcement(&self) -> Announce<'static> {
        let wanted = self.config.max_peers.saturating_sub(self.peers.len()).min(200);
        Announce {
            downloaded: self.exchange.down.total(),
            uploaded: self.exchange.up.total(),
            key: self.config.key,
            num_want: i32::try_from(wanted).unwrap_or(-1),
            ..Announce::new(
                self.config.torrent.info_hash,
                self.config.peer_id,
                self.config.port,
                self.exchange.picker.left(),
            )
        }
    }
}
