//! How many bytes a peer may send that are of no use.
//!
//! A peer chooses what it sends. Blocks, requests and news of pieces are bounded by the torrent, by our requests and by
//! our uploads. Everything else (choke and unchoke in turn, interest that comes and goes, pieces announced again,
//! requests that are cancelled at once, keep-alives) has no such bound, and each such message costs more processor time
//! for its few bytes than a block does. So those bytes are counted, and a peer that sends too many of them is closed.

use std::time::Duration;

/// Bytes of no use that may come at once, besides a few bitfields: more than any client was seen to send in a minute.
const BURST: u64 = 64 << 10;
/// Bytes of no use a second that may come for ever.
const PER_SECOND: u64 = 4 << 10;

/// A token bucket for the bytes of one peer.
#[derive(Clone, Debug)]
pub(crate) struct Allowance {
    burst: u64,
    left: u64,
    /// When `left` was counted.
    counted: Duration,
}

impl Allowance {
    /// For a torrent whose bitfield has so many bytes.
    #[must_use]
    pub(crate) fn new(now: Duration, bitfield: u32) -> Self {
        let burst = BURST + 4 * u64::from(bitfield);
        Self { burst, left: burst, counted: now }
    }

    /// Bytes of no use came. False if those are too many.
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
    fn a_burst_and_then_a_rate() {
        let mut allowance = Allowance::new(Duration::ZERO, 1000);
        assert!(allowance.spend(Duration::ZERO, BURST + 4000));
        assert!(!allowance.spend(Duration::ZERO, 1));
        assert!(allowance.spend(Duration::from_secs(1), PER_SECOND));
        assert!(!allowance.spend(Duration::from_secs(1), 1));
    }

    #[test]
    fn often_asked_earns_as_much() {
        let mut allowance = Allowance::new(Duration::ZERO, 0);
        assert!(allowance.spend(Duration::ZERO, BURST));
        let spent = (0..10_000_u64).filter(|i| allowance.spend(Duration::from_millis(*i), 10)).count();
        let spent = 10 * u64::try_from(spent).unwrap();
        assert!((9 * PER_SECOND..=10 * PER_SECOND).contains(&spent), "{spent}");
    }
}
