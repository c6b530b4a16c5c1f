//! The status of a session, and how it ends.

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
    /// All wanted pieces are present and were seeded as long as the options require.
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
    /// Seeding requires all pieces, and some are missing.
    #[error(
        "only {have} of {total} pieces are present: download the rest before seeding, or choose the folder that has them"
    )]
    Incomplete {
        /// Pieces that are present.
        have: u32,
        /// Pieces of the torrent.
        total: u32,
    },
    /// The system can't wait for socket events.
    #[error("cannot wait for sockets: {0}")]
    Poll(#[source] std::io::Error),
}

/// A connected peer.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// The peer's address.
    pub address: SocketAddr,
    /// Its peer_id; `None` until its handshake has arrived.
    pub peer_id: Option<PeerId>,
    /// Whether it connected to us.
    pub incoming: bool,
    /// The number of pieces that it has.
    pub have: u32,
    /// Whether it chokes us, so that it doesn't answer our requests.
    pub chokes_us: bool,
    /// Whether it is interested in our pieces.
    pub is_interested: bool,
    /// Whether we choke it, so that we don't answer its requests.
    pub is_choked: bool,
    /// Whether we are interested in its pieces.
    pub is_interesting: bool,
    /// Bytes of blocks received from it.
    pub downloaded: u64,
    /// Bytes of blocks sent to it.
    pub uploaded: u64,
    /// Bytes of blocks received from it per second.
    pub download_rate: u64,
    /// Bytes of blocks sent to it per second.
    pub upload_rate: u64,
    /// How long it has been connected.
    pub connected_for: Duration,
}

/// The state of a tracker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackerState {
    /// No announce was sent yet.
    #[default]
    Unused,
    /// An announce is in progress.
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
    /// The tracker's URL.
    pub url: String,
    /// The tracker's state.
    pub state: TrackerState,
    /// Seeders in its latest reply; `None` if there is none.
    pub seeders: Option<u32>,
    /// Leechers in its latest reply; `None` if there is none.
    pub leechers: Option<u32>,
    /// Why the last announce failed.
    pub error: Option<String>,
}

impl Engine {
    /// The status of the session.
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

    /// The peers with an established connection, outgoing or accepted.
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

    /// The torrent's UDP trackers, in the order of the tiers.
    #[must_use]
    pub fn trackers(&self) -> Vec<TrackerStatus> {
        self.trackers.status()
    }

    /// The content of announces to trackers.
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
