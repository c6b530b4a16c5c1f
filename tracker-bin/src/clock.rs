//! The time, for connection ids and for peers.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Seconds since 1970, by a clock that is set once and then only runs: a system clock that is put back or forward later
/// expires nobody.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    at_start: u64,
    start: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let at_start = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Self { at_start, start: Instant::now() }
    }

    pub(crate) fn seconds_at(&self, instant: Instant) -> u64 {
        self.at_start + instant.duration_since(self.start).as_secs()
    }
}
