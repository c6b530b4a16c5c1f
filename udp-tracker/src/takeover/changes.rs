//! Announces that changed the stores, on their way from the workers to the successor.
//!
//! | bytes | a change |
//! |---|---|
//! | 1 | 6: an IPv4 peer, 18: an IPv6 peer |
//! | 1 | 0: leecher, 1: seeder, 2: completed, 3: stopped |
//! | 20 | info_hash |
//! | 6 or 18 | the peer, in compact form |

use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use swarm_store::PeerStatus;
use udp_tracker_proto::{InfoHash, compact};

/// The most changes that wait: a second of what two fast workers make, 14 MiB. Only while a successor takes over.
const QUEUE_LEN: usize = 1 << 18;

/// An announce that changed a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Change {
    pub(crate) info_hash: InfoHash,
    pub(crate) peer: SocketAddr,
    pub(crate) status: PeerStatus,
}

/// Where the handlers put changes. Never waits.
#[derive(Debug)]
pub(crate) struct Changes {
    queue: SyncSender<Change>,
    lost: AtomicU64,
}

impl Changes {
    pub(super) fn queue() -> (Self, Receiver<Change>) {
        let (queue, queued) = sync_channel(QUEUE_LEN);
        (Self { queue, lost: AtomicU64::new(0) }, queued)
    }

    pub(crate) fn push(&self, change: Change) {
        if self.queue.try_send(change).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

impl Change {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        let status = match self.status {
            PeerStatus::Leecher => 0,
            PeerStatus::Seeder => 1,
            PeerStatus::Completed => 2,
            PeerStatus::Stopped => 3,
        };
        let port = self.peer.port();
        match self.peer.ip().to_canonical() {
            IpAddr::V4(ip) => {
                out.extend_from_slice(&[6, status]);
                out.extend_from_slice(&self.info_hash.0);
                out.extend_from_slice(&compact::from_v4(SocketAddrV4::new(ip, port)));
            }
            IpAddr::V6(ip) => {
                out.extend_from_slice(&[18, status]);
                out.extend_from_slice(&self.info_hash.0);
                out.extend_from_slice(&compact::from_v6(SocketAddrV6::new(ip, port, 0, 0)));
            }
        }
    }

    /// The first of several, and the bytes after it.
    pub(super) fn decode(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let ([kind, status], rest) = bytes.split_first_chunk()?;
        let (torrent, rest) = rest.split_first_chunk()?;
        let (peer, rest) = match kind {
            6 => rest.split_first_chunk().map(|(peer, rest)| (compact::to_v4(*peer).into(), rest))?,
            18 => rest.split_first_chunk().map(|(peer, rest)| (compact::to_v6(*peer).into(), rest))?,
            _ => return None,
        };
        let status = match status {
            0 => PeerStatus::Leecher,
            1 => PeerStatus::Seeder,
            2 => PeerStatus::Completed,
            3 => PeerStatus::Stopped,
            _ => return None,
        };
        Some((Self { info_hash: InfoHash(*torrent), peer, status }, rest))
    }
}
