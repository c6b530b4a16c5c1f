//! The time, for connection ids and for peers.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since 1970, by a clock that is set once and then only runs: peers expire by it, so a system clock that is set later
/// expires none too early or too late.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at_start: Duration,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        Self { at_start: unix_time(), start: Instant::now() }
    }

    pub(crate) fn at(&self, instant: Instant) -> Duration {
        self.at_start + instant.duration_since(self.start)
    }

    pub(crate) fn seconds_at(&self, instant: Instant) -> u64 {
        self.at(instant).as_secs()
    }
}

/// Time since 1970 by the system's clock, which somebody may put back or forward.
pub(crate) fn unix_time() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
