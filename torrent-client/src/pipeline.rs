//! How many requests to keep outstanding at a peer.
//!
//! With too few requests, the peer waits between blocks. With too many, a slow peer holds blocks that others could
//! send. So the number first grows with every block, like TCP's window, until the peer gets no faster. From then on it
//! is the number of blocks that the peer sends in a few seconds.

use std::time::Duration;

use peer_wire_proto::BLOCK_LENGTH;

/// The fewest requests at a peer: enough to cover a round trip at the start.
pub(crate) const MIN_DEPTH: usize = 8;
/// The most requests at a peer. Peers that announce no limit accept this many (libtorrent assumes the same).
pub(crate) const MAX_DEPTH: usize = 250;
/// As many blocks are requested ahead as the peer sends in this time.
const AHEAD: Duration = Duration::from_secs(3);
/// How often the rate is measured.
const WINDOW: Duration = Duration::from_millis(500);

/// The depth of one peer's pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Pipeline {
    depth: usize,
    grows: bool,
    since: Duration,
    bytes: u64,
    /// Bytes a second in the last window.
    rate: u64,
}

impl Pipeline {
    /// The depth for a peer of unknown speed.
    #[must_use]
    pub(crate) fn new(now: Duration) -> Self {
        Self { depth: MIN_DEPTH, grows: true, since: now, bytes: 0, rate: 0 }
    }

    /// The number of requests to keep outstanding.
    #[must_use]
    pub(crate) fn depth(&self) -> usize {
        self.depth
    }

    /// Counts a received block.
    pub(crate) fn received(&mut self, now: Duration, bytes: u32) {
        self.bytes += u64::from(bytes);
        if self.grows {
            self.depth = (self.depth + 1).min(MAX_DEPTH);
        }
        let passed = now.saturating_sub(self.since);
        if passed < WINDOW {
            return;
        }
        let millis = u64::try_from(passed.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.bytes.saturating_mul(1000) / millis;
        // The depth grows on only if the rate rose by more than a tenth.
        self.grows &= rate > self.rate + self.rate / 10;
        if !self.grows {
            let blocks = rate.saturating_mul(AHEAD.as_secs()) / u64::from(BLOCK_LENGTH);
            self.depth = usize::try_from(blocks).unwrap_or(MAX_DEPTH).clamp(MIN_DEPTH, MAX_DEPTH);
        }
        *self = Self { since: now, bytes: 0, rate, ..*self };
    }

    /// Discards the measurements: the peer has just unchoked us, or has sent nothing for a long time.
    pub(crate) fn restart(&mut self, now: Duration) {
        *self = Self::new(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(pipeline: &mut Pipeline, from_millis: u64, until_millis: u64, every: usize) {
        for millis in (from_millis..until_millis).step_by(every) {
            pipeline.received(Duration::from_millis(millis), BLOCK_LENGTH);
        }
    }

    #[test]
    fn depth_grows_quickly_for_a_fast_peer() {
        let mut pipeline = Pipeline::new(Duration::ZERO);
        feed(&mut pipeline, 0, 300, 1);
        assert_eq!(pipeline.depth(), MAX_DEPTH);
    }

    #[test]
    fn depth_stays_small_for_a_slow_peer() {
        let mut pipeline = Pipeline::new(Duration::ZERO);
        feed(&mut pipeline, 0, 20_000, 250);
        // Four blocks a second, three seconds ahead.
        assert_eq!(pipeline.depth(), 12);
    }

    #[test]
    fn depth_shrinks_when_the_peer_gets_slower() {
        let mut pipeline = Pipeline::new(Duration::ZERO);
        feed(&mut pipeline, 0, 5_000, 1);
        assert_eq!(pipeline.depth(), MAX_DEPTH);
        feed(&mut pipeline, 5_000, 15_000, 1000);
        assert_eq!(pipeline.depth(), MIN_DEPTH);
    }
}
