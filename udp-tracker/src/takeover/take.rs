//! The side of the successor.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use swarm_store::{Moment, Part, Restored, SnapshotError, SnapshotReader, ThreadContext};

use super::Piece;
use super::changes::Change;
use crate::peer_address::PeerAddress;
use crate::service::Service;

/// Puts what a [`HandOver`](super::HandOver) made into the stores of a service.
#[derive(Debug)]
pub struct TakeOver {
    service: Arc<Service>,
    reader: SnapshotReader,
    context: ThreadContext,
    /// Seconds from the beginning of the snapshot until now.
    written: Moment,
    restored: Restored,
    changes: u64,
}

/// Why swarms can't be taken over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TakeOverError {
    /// The snapshot.
    #[error("the snapshot: {0}")]
    Snapshot(#[from] SnapshotError),
    /// A change.
    #[error("a change that can't be read, after {0} others")]
    Change(u64),
}

impl TakeOver {
    /// For a service without swarms.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        let mut random = rand::rngs::SmallRng::from_seed(service.random_bytes());
        Self {
            service,
            reader: SnapshotReader::new(),
            context: ThreadContext::new(random.next_u64()),
            written: Moment::default(),
            restored: Restored::default(),
            changes: 0,
        }
    }

    /// Puts a piece into the stores. `now` is the time since 1970 in seconds, and that of the stores.
    ///
    /// # Errors
    /// It is none that a `HandOver` made. Then the swarms are not complete.
    pub fn take(&mut self, now: u64, piece: Piece<'_>) -> Result<(), TakeOverError> {
        match piece {
            Piece::Snapshot(bytes) => self.snapshot(now, bytes),
            Piece::Changes(bytes) => self.changes(now, bytes),
        }
    }

    fn snapshot(&mut self, now: u64, mut bytes: &[u8]) -> Result<(), TakeOverError> {
        let stores = self.service.stores();
        while let Some(part) = self.reader.next(&mut bytes)? {
            match part {
                Part::Begin(written) => self.written = written,
                Part::Swarms(swarms) => {
                    let elapsed = Moment { unix: now, ..Moment::default() }.seconds_since(&self.written);
                    let elapsed = elapsed.unwrap_or(0);
                    self.restored += stores.restore_swarms(now, elapsed, &swarms, &mut self.context);
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn changes(&mut self, now: u64, mut bytes: &[u8]) -> Result<(), TakeOverError> {
        while !bytes.is_empty() {
            let (change, rest) = Change::decode(bytes).ok_or(TakeOverError::Change(self.changes))?;
            let Change { info_hash, peer, status } = change;
            self.changes += 1;
            bytes = rest;
            // The predecessor has stored it, so its port is allowed.
            let Ok(peer) = PeerAddress::new(peer, 0) else { continue };
            self.service.stores().announce(now, info_hash, &peer, status, (&mut [], 0), &mut self.context);
        }
        Ok(())
    }

    /// What was taken over: what became of the snapshot's peers, and the number of changes.
    ///
    /// # Errors
    /// The snapshot is not complete.
    pub fn finish(&self) -> Result<(Restored, u64), TakeOverError> {
        self.reader.finish()?;
        Ok((self.restored, self.changes))
    }
}
