//! The state that a session shares with the app that owns it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mio::Waker;

use crate::engine::{PeerStatus, TrackerStatus};
use crate::status::Status;

const RUN: u8 = 0;
const STOP: u8 = 1;
const KILL: u8 = 2;

/// Called when a status is reported.
pub(crate) type Changed = Box<dyn Fn(&Status) + Send + Sync>;

/// Orders for the session, and its latest status.
pub(crate) struct Control {
    order: AtomicU8,
    waker: Arc<Waker>,
    commands: Mutex<Vec<Command>>,
    shared: Mutex<Shared>,
    changed: Condvar,
    on_change: Option<Arc<Changed>>,
}

#[derive(Debug, Default)]
struct Shared {
    status: Status,
    peers: Vec<PeerStatus>,
    trackers: Vec<TrackerStatus>,
    ended: bool,
}

/// A change to a running session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    AddPeer(SocketAddr),
    SetRates { download: Option<u64>, upload: Option<u64> },
}

/// What the session should do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Run,
    Stop,
    Kill,
}

impl Control {
    pub(crate) fn new(waker: Arc<Waker>, on_change: Option<Arc<Changed>>) -> Self {
        Self {
            order: AtomicU8::new(RUN),
            waker,
            commands: Mutex::default(),
            shared: Mutex::default(),
            changed: Condvar::new(),
            on_change,
        }
    }

    /// Orders the session to end in order.
    pub(crate) fn stop(&self) {
        self.give(STOP);
    }

    /// Orders the session to end at once.
    pub(crate) fn kill(&self) {
        self.give(KILL);
    }

    fn give(&self, order: u8) {
        self.order.fetch_max(order, Ordering::Relaxed);
        // The session checks its orders at every turn, at least twice a second, in any case.
        let _ = self.waker.wake();
    }

    pub(super) fn order(&self) -> Order {
        match self.order.load(Ordering::Relaxed) {
            RUN => Order::Run,
            STOP => Order::Stop,
            _ => Order::Kill,
        }
    }

    /// Queues a command for the next turn of the session.
    pub(crate) fn command(&self, command: Command) {
        self.commands.lock().unwrap_or_else(PoisonError::into_inner).push(command);
        let _ = self.waker.wake();
    }

    pub(super) fn take_commands(&self) -> Vec<Command> {
        std::mem::take(&mut self.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn report(&self, status: Status, peers: Vec<PeerStatus>, trackers: Vec<TrackerStatus>) {
        {
            let mut shared = self.lock();
            shared.status = status;
            shared.peers = peers;
            shared.trackers = trackers;
        }
        self.changed.notify_all();
        if let Some(on_change) = &self.on_change {
            on_change(&status);
        }
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

    /// The connected peers, as of the latest status.
    pub(crate) fn peers(&self) -> Vec<PeerStatus> {
        self.lock().peers.clone()
    }

    /// The trackers, as of the latest status.
    pub(crate) fn trackers(&self) -> Vec<TrackerStatus> {
        self.lock().trackers.clone()
    }

    /// Waits until `enough` accepts the status, the session has ended, or the time is up. Returns the status, and
    /// whether the session has ended.
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
            // Without a limit, it waits a day at a time.
            let left = left.unwrap_or(Duration::from_secs(86_400));
            shared = self.changed.wait_timeout(shared, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Control").field("shared", &self.shared).finish_non_exhaustive()
    }
}
