//! What a worker reports about itself.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use super::clock::Clock;
use crate::latency::{Histogram, Latency};

/// A worker's figures. Only the worker writes them; any thread may read them.
///
/// They have cache lines of their own, so that workers don't slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct WorkerStats {
    /// Nanoseconds.
    busy: AtomicU64,
    batches: AtomicU64,
    datagrams: AtomicU64,
    /// Milliseconds, by the tracker's clock.
    turned: AtomicU64,
    latency: Histogram,
}

/// A worker's state and figures, since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkerStatus {
    /// The time in which it did not wait for datagrams, nor let them gather. The time for which the system ran another
    /// program instead is included.
    pub busy: Duration,
    /// Batches that were received with one system call each.
    pub batches: u64,
    /// Datagrams in them.
    pub datagrams: u64,
    /// The time since its last turn. An idle worker has four turns a second.
    pub turned_ago: Duration,
    /// The times from requests to replies.
    pub latency: Latency,
}

impl WorkerStats {
    /// The figures of a worker that is started now.
    pub(super) fn new(clock: &Clock) -> Self {
        Self { turned: millis(clock, Instant::now()).into(), ..Self::default() }
    }

    pub(super) fn count_batch(&self, datagrams: usize) {
        add(&self.batches, 1);
        add(&self.datagrams, datagrams as u64);
    }

    pub(super) fn count_turn(&self, clock: &Clock, now: Instant, busy: Duration) {
        add(&self.busy, u64::try_from(busy.as_nanos()).unwrap_or(0));
        self.turned.store(millis(clock, now), Relaxed);
    }

    pub(super) fn count_latency(&self, time: Duration) {
        self.latency.add(time);
    }

    pub(super) fn status(&self, clock: &Clock, now: Instant) -> WorkerStatus {
        WorkerStatus {
            busy: Duration::from_nanos(self.busy.load(Relaxed)),
            batches: self.batches.load(Relaxed),
            datagrams: self.datagrams.load(Relaxed),
            turned_ago: Duration::from_millis(millis(clock, now).saturating_sub(self.turned.load(Relaxed))),
            latency: self.latency.snapshot(),
        }
    }
}

fn millis(clock: &Clock, now: Instant) -> u64 {
    u64::try_from(clock.at(now).as_millis()).unwrap_or(u64::MAX)
}

fn add(cell: &AtomicU64, n: u64) {
    cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
}
