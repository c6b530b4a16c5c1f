//! What a session and its keeper know of each other.

use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::status::Status;

const RUN: u8 = 0;
const STOP: u8 = 1;
const KILL: u8 = 2;

/// Orders for the session, and its latest status.
#[derive(Debug)]
pub(crate) struct Control {
    order: AtomicU8,
    waker: Arc<Waker>,
    shared: Mutex<Shared>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Shared {
    status: Status,
    ended: bool,
}

/// What the session is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Stop,
    Kill,
}

impl Control {
    pub(crate) fn new(waker: Arc<Waker>) -> Self {
        Self { order: AtomicU8::new(RUN), waker, shared: Mutex::default(), changed: Condvar::new() }
    }

    /// Asks the session to leave in order.
    pub(crate) fn stop(&self) {
        self.give(STOP);
    }

    /// Asks the session to leave at once.
    pub(crate) fn kill(&self) {
        self.give(KILL);
    }

    fn give(&self, order: u8) {
        self.order.fetch_max(order, Ordering::Relaxed);
        // It looks at its orders once a second in any case.
        let _ = self.waker.wake();
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Relaxed) {
            RUN => Order::Run,
            STOP => Order::Stop,
            _ => Order::Kill,
        }
    }

    pub(super) fn report(&self, status: Status) {
        self.lock().status = status;
        self.changed.notify_all();
    }

    /// The session's thread is about to end.
    pub(crate) fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// The latest status.
    pub(crate) fn status(&self) -> Status {
        self.lock().status
    }

    /// Waits until the status is one that `enough` accepts, the session has ended, or the time is up. Says what the
    /// status is then, and whether the session has ended.
    pub(crate) fn wait(
        &self,
        until: Option<Instant>,
        mut enough: impl FnMut(&Status) -> bool,
    ) -> (Status, bool) {
        let mut shared = self.lock();
        loop {
            if shared.ended || enough(&shared.status) {
                return (shared.status, shared.ended);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                return (shared.status, false);
            }
            // A day at a time, if there is no limit.
            let left = left.unwrap_or(Duration::from_secs(86_400));
            shared = self.changed.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
