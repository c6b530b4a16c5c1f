//! Whether a worker's sockets of a family have room.

use std::time::{Duration, Instant};

use crate::shed::Load;

/// The shortest window. A receive buffer of the default size holds what arrives in some 30 milliseconds of a flood, so
/// that much of a window may be answered and the rest dropped, and still nothing overflows.
const WINDOW: Duration = Duration::from_millis(10);

/// A longer window counts as so many at most. After as many, no limit is left.
const MOST: usize = 200;

pub(super) struct Windows {
    /// Whether the sockets have a filter. What that drops is counted by the kernel as if the sockets had overflowed.
    pub(super) filter: bool,
    since: Instant,
    /// Whether a read of this turn has left something.
    queued: bool,
    drained: bool,
    dropped: bool,
}

impl Windows {
    pub(super) fn new(now: Instant) -> Self {
        Self { filter: false, since: now, queued: false, drained: false, dropped: false }
    }

    /// Reports a read of a socket: whether there may be more, and whether the kernel has dropped datagrams.
    pub(super) fn looked(&mut self, more: bool, dropped: bool) {
        self.queued |= more;
        self.dropped |= dropped && !self.filter;
    }

    /// Ends a turn over all sockets. When a window has ended, returns how the sockets were, and as how many windows that
    /// counts.
    pub(super) fn ended(&mut self, now: Instant) -> Option<(Load, usize)> {
        self.drained |= !std::mem::take(&mut self.queued);
        let elapsed = now.duration_since(self.since);
        if elapsed < WINDOW {
            return None;
        }
        let ended = std::mem::replace(self, Self { filter: self.filter, ..Self::new(now) });
        // A worker that had to wait for a processor may have found an overflow at its return, but has not seen several.
        Some(match ended {
            Self { dropped: true, .. } => (Load::Overflowed, 1),
            Self { drained: true, .. } => {
                let windows = elapsed.as_millis() / WINDOW.as_millis();
                (Load::Drained, usize::try_from(windows).map_or(MOST, |windows| windows.clamp(1, MOST)))
            }
            _ => (Load::Queued, 1),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_has_the_worst_that_was_reported_in_it() {
        let start = Instant::now();
        let mut windows = Windows::new(start);
        let mut looked = |ms, more, dropped| {
            windows.looked(more, dropped);
            windows.ended(start + Duration::from_millis(ms))
        };
        assert_eq!(looked(5, false, false), None);
        assert_eq!(looked(10, true, false), Some((Load::Drained, 1)));
        assert_eq!(looked(11, true, false), None);
        assert_eq!(looked(20, true, false), Some((Load::Queued, 1)));
        assert_eq!(looked(21, false, true), None);
        assert_eq!(looked(22, false, false), None);
        assert_eq!(looked(500, false, false), Some((Load::Overflowed, 1)));
        assert_eq!(looked(759, false, false), Some((Load::Drained, 25)));
        assert_eq!(looked(100_759, false, false), Some((Load::Drained, MOST)));
        windows.filter = true;
        let mut looked = |ms, more, dropped| {
            windows.looked(more, dropped);
            windows.ended(start + Duration::from_millis(ms))
        };
        assert_eq!(looked(100_770, true, true), Some((Load::Queued, 1)));
        assert_eq!(looked(100_780, false, true), Some((Load::Drained, 1)));
    }
}
