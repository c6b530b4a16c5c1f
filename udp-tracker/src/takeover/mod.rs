//! Handing the swarms over to another process while requests are answered.
//!
//! [`HandOver`] is the side of the tracker that serves, [`TakeOver`] that of its successor. Neither has a socket, a clock
//! or a thread. What the first one makes is a snapshot (see [`SnapshotWriter`](swarm_store::SnapshotWriter)), mixed with
//! the announces that have changed the stores since it was begun. So when the snapshot is complete, few changes are
//! missing, and the time in which nobody answers is only that for the last of them.
//!
//! # Why nothing is lost
//! Everything is in the order in which it was read from the stores. A peer that is in the snapshot and announces later is
//! in the changes after it. A peer that announces before its shard is read may be in the changes first; the snapshot then
//! doesn't change what the successor has. Applying a change that the snapshot already contains does nothing, but for one
//! case: a peer that completes and stops while its shard is about to be read may be counted as completed twice.
//!
//! # What an attacker controls
//! Remote hosts control what is announced meanwhile. Announces wait in a queue of bounded length; when it is full, they
//! are answered and stored, and counted as lost for the successor, which gets them with the peers' next announces. The
//! successor reads from a process that may have been taken over by an attacker: bytes of any content cause no panic, and
//! no more memory than one piece.

mod changes;
mod give;
mod take;

pub use give::{HandOver, Piece};
pub use take::{TakeOver, TakeOverError};

pub(crate) use changes::{Change, Changes};
