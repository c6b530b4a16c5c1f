//! The time of connection ids and of peers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time since 1970 by a clock that is set once and is monotonic from then on. Peers expire by it, so a change of
/// the system's clock expires none too early or too late.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    at_start: Duration,
    start: Instant,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { at_start: unix_time(), start: Instant::now() }
    }

    pub(super) fn at(&self, instant: Instant) -> Duration {
        self.at_start + instant.duration_since(self.start)
    }

    pub(super) fn since_start(&self, instant: Instant) -> Duration {
        instant.duration_since(self.start)
    }

    pub(super) fn seconds_at(&self, instant: Instant) -> u64 {
        self.at(instant).as_secs()
    }
}

/// The time since 1970 by the system's clock, which may be set back or forward.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
