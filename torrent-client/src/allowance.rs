//! How many useless bytes a peer may send.
//!
//! A peer chooses what it sends. The torrent, our requests and our uploads bound the bytes of blocks, requests and new
//! pieces. All other messages have no such bound: alternating choke and unchoke, repeated interest changes, pieces
//! announced again, requests cancelled at once, keep-alives. Each of them costs more processor time per byte than a
//! block. So these bytes are counted, and the connection to a peer that sends too many of them is closed.

use std::time::Duration;

/// Useless bytes allowed at once, besides a few bitfields: more than any observed client sends in a minute.
const BURST: u64 = 64 << 10;
/// Useless bytes per second allowed without end.
const PER_SECOND: u64 = 4 << 10;

/// A token bucket for the bytes of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    burst: u64,
    left: u64,
    /// When `left` was last updated.
    counted: Duration,
}

impl Allowance {
    /// For a torrent whose bitfield has `bitfield` bytes.
    #[must_use]
    pub(crate) fn new(now: Duration, bitfield: u32) -> Self {
        let burst = BURST + 4 * u64::from(bitfield);
        Self { burst, left: burst, counted: now }
    }

    /// Counts useless bytes that a peer has sent. False if they are too many.
    pub(crate) fn spend(&mut self, now: Duration, bytes: u64) -> bool {
        let passed = now.saturating_sub(self.counted).as_nanos();
        let earned = u64::try_from(passed * u128::from(PER_SECOND) / 1_000_000_000).unwrap_or(u64::MAX);
        if earned > 0 {
            self.left = self.left.saturating_add(earned).min(self.burst);
            self.counted = now;
        }
        let enough = bytes <= self.left;
        if enough {
            self.left -= bytes;
        }
        enough
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allows_a_burst_then_a_rate() {
        let mut allowance = Allowance::new(Duration::ZERO, 1000);
        assert!(allowance.spend(Duration::ZERO, BURST + 4000));
        assert!(!allowance.spend(Duration::ZERO, 1));
        assert!(allowance.spend(Duration::from_secs(1), PER_SECOND));
        assert!(!allowance.spend(Duration::from_secs(1), 1));
    }

    #[test]
    fn frequent_calls_earn_the_same_rate() {
        let mut allowance = Allowance::new(Duration::ZERO, 0);
        assert!(allowance.spend(Duration::ZERO, BURST));
        let spent = (0..10_000_u64).filter(|i| allowance.spend(Duration::from_millis(*i), 10)).count();
        let spent = 10 * u64::try_from(spent).unwrap();
        assert!((9 * PER_SECOND..=10 * PER_SECOND).contains(&spent), "{spent}");
    }
}
