//! Whether a worker's sockets have room.

use std::time::{Duration, Instant};

use crate::shed::Load;

/// The shortest window. A receive buffer of the default size holds what arrives in some 30 milliseconds of a flood, so
/// that much of a window may be answered and the rest dropped, and still nothing overflows.
const WINDOW: Duration = Duration::from_millis(10);

pub(super) struct Windows {
    /// Whether the sockets have a filter. What that drops is counted by the kernel as if the sockets had overflowed.
    pub(super) filter: bool,
    since: Instant,
    drained: bool,
    dropped: bool,
}

impl Windows {
    pub(super) fn new(now: Instant) -> Self {
        Self { filter: false, since: now, drained: false, dropped: false }
    }

    /// Reports a turn over all sockets: whether there may be more to read, and whether the kernel has dropped datagrams.
    /// Returns how the sockets were, when a window has ended.
    pub(super) fn looked(&mut self, now: Instant, more: bool, dropped: bool) -> Option<Load> {
        self.drained |= !more;
        self.dropped |= dropped && !self.filter;
        if now.duration_since(self.since) < WINDOW {
            return None;
        }
        let ended = std::mem::replace(self, Self { filter: self.filter, ..Self::new(now) });
        Some(match ended {
            Self { dropped: true, .. } => Load::Overflowed,
            Self { drained: true, .. } => Load::Drained,
            _ => Load::Queued,
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
        let mut looked = |ms, more, dropped| windows.looked(start + Duration::from_millis(ms), more, dropped);
        assert_eq!(looked(5, false, false), None);
        assert_eq!(looked(10, true, false), Some(Load::Drained));
        assert_eq!(looked(11, true, false), None);
        assert_eq!(looked(20, true, false), Some(Load::Queued));
        assert_eq!(looked(21, false, true), None);
        assert_eq!(looked(22, false, false), None);
        assert_eq!(looked(500, false, false), Some(Load::Overflowed));
        assert_eq!(looked(510, false, false), Some(Load::Drained));
        windows.filter = true;
        let mut looked = |ms, more, dropped| windows.looked(start + Duration::from_millis(ms), more, dropped);
        assert_eq!(looked(520, true, true), Some(Load::Queued));
        assert_eq!(looked(530, false, true), Some(Load::Drained));
    }
}
