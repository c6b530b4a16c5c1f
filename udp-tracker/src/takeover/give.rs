//! The side of the tracker that serves.

use std::sync::Arc;
use std::sync::mpsc::Receiver;

use swarm_store::{Moment, SnapshotCursor, SnapshotWriter};

use super::changes::{Change, Changes};
use crate::service::Service;
use crate::stores::store_time;

/// The most changes in one piece.
const CHANGES_A_PIECE: usize = 1000;

/// Hands the swarms of a service over, piece by piece, while it serves. Dropped, it ends.
#[derive(Debug)]
pub struct HandOver {
    service: Arc<Service>,
    changes: Arc<Changes>,
    queued: Receiver<Change>,
    writer: SnapshotWriter,
    written: Moment,
    stage: Stage,
    bytes: Vec<u8>,
}

/// What comes next in the snapshot.
#[derive(Debug)]
enum Stage {
    Begin,
    V4(SnapshotCursor),
    V6(SnapshotCursor),
    Complete,
}

/// Bytes for the successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// The next part of the snapshot.
    Snapshot(&'a [u8]),
    /// Changes since.
    Changes(&'a [u8]),
}

impl HandOver {
    /// From now on, changes are collected. Handlers see that with their next batch: make no piece before that. `now` is
    /// the time of the stores, and `unix` the time since 1970, both in seconds.
    #[must_use]
    pub fn new(service: Arc<Service>, now: u64, unix: u64) -> Self {
        let (changes, queued) = Changes::queue();
        let changes = Arc::new(changes);
        service.collect_changes(Some(Arc::clone(&changes)));
        Self {
            service,
            changes,
            queued,
            writer: SnapshotWriter::new(store_time(now)),
            written: Moment { unix, ..Moment::default() },
            stage: Stage::Begin,
            bytes: Vec::new(),
        }
    }

    /// The next bytes. `None`: the successor has everything, until more is announced.
    pub fn next_piece(&mut self) -> Option<Piece<'_>> {
        self.bytes.clear();
        for change in self.queued.try_iter().take(CHANGES_A_PIECE) {
            change.encode(&mut self.bytes);
        }
        if !self.bytes.is_empty() {
            return Some(Piece::Changes(&self.bytes));
        }
        let stores = self.service.stores();
        // Goes from one stage to the next until there are bytes.
        loop {
            let (bytes, next) = match &mut self.stage {
                Stage::Begin => (Some(self.writer.begin(&self.written)), Stage::V4(SnapshotCursor::new())),
                Stage::V4(cursor) => match self.writer.swarms(&stores.v4, cursor) {
                    Some(bytes) => {
                        self.bytes.extend_from_slice(bytes);
                        return Some(Piece::Snapshot(&self.bytes));
                    }
                    None => (None, Stage::V6(SnapshotCursor::new())),
                },
                Stage::V6(cursor) => match self.writer.swarms(&stores.v6, cursor) {
                    Some(bytes) => {
                        self.bytes.extend_from_slice(bytes);
                        return Some(Piece::Snapshot(&self.bytes));
                    }
                    None => (Some(self.writer.end()), Stage::Complete),
                },
                Stage::Complete => return None,
            };
            self.bytes.extend_from_slice(bytes.unwrap_or_default());
            self.stage = next;
            if !self.bytes.is_empty() {
                return Some(Piece::Snapshot(&self.bytes));
            }
        }
    }

    /// Whether the snapshot is complete, so that only changes are left.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        matches!(self.stage, Stage::Complete)
    }

    /// Changes that the successor doesn't get, because they came faster than they were taken.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.changes.lost()
    }
}

impl Drop for HandOver {
    fn drop(&mut self) {
        self.service.collect_changes(None);
    }
}
