//! Measures rates, and limits them.

use std::time::Duration;

/// Measures bytes a second over the last few seconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Speed {
    /// Bytes of the current second, and of those before it.
    seconds: [u64; Self::SECONDS],
    /// The number of the current second.
    current: u64,
    total: u64,
}

impl Speed {
    /// Seconds in the average: few enough to show a change, enough to smooth bursts.
    const SECONDS: usize = 5;

    /// Counts bytes.
    pub(crate) fn add(&mut self, now: Duration, bytes: u64) {
        self.advance(now);
        self.seconds[0] += bytes;
        self.total += bytes;
    }

    /// Bytes per second, averaged over the last seconds.
    pub(crate) fn per_second(&mut self, now: Duration) -> u64 {
        self.advance(now);
        // The current second counts up to now. Seconds before the start don't count.
        let whole = u64::try_from(Self::SECONDS - 1).unwrap_or(u64::MAX).min(self.current);
        let millis = whole * 1000 + u64::from(now.subsec_millis());
        self.seconds.iter().sum::<u64>() * 1000 / millis.max(500)
    }

    /// Bytes since the start.
    #[must_use]
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    fn advance(&mut self, now: Duration) {
        let passed = now.as_secs().saturating_sub(self.current);
        let shift = usize::try_from(passed).unwrap_or(usize::MAX).min(Self::SECONDS);
        self.seconds.rotate_right(shift);
        self.seconds[..shift].fill(0);
        self.current += passed;
    }
}

/// A rate limit: a token bucket.
#[derive(Clone, Debug)]
pub(crate) struct RateLimiter {
    /// Bytes per second; `None` for no limit.
    rate: Option<u64>,
    /// Bytes allowed now.
    tokens: u64,
    /// When the tokens were last updated.
    counted: Duration,
}

impl RateLimiter {
    /// The fewest bytes worth a read or a write.
    pub(crate) const LEAST: u64 = 16 * 1024;

    /// A limit in bytes per second; `None` for no limit. A limit of 0 counts as 1, because 0 would stop all transfers.
    #[must_use]
    pub(crate) fn new(rate: Option<u64>) -> Self {
        Self { rate: rate.map(|rate| rate.max(1)), tokens: 0, counted: Duration::ZERO }
    }

    /// Changes the limit; see [`new`](Self::new).
    pub(crate) fn set(&mut self, now: Duration, rate: Option<u64>) {
        *self = Self { tokens: self.tokens.min(Self::LEAST), counted: now, ..Self::new(rate) };
    }

    /// Bytes allowed now; 0 if there are fewer than [`LEAST`](Self::LEAST).
    pub(crate) fn allowance(&mut self, now: Duration) -> u64 {
        let Some(rate) = self.rate else { return u64::MAX };
        let passed = now.saturating_sub(self.counted);
        let earned = u128::from(rate) * passed.as_nanos() / 1_000_000_000;
        if earned > 0 {
            let earned = u64::try_from(earned).unwrap_or(u64::MAX);
            // The bucket holds the bytes of half a second, or of one block if that is more.
            self.tokens = self.tokens.saturating_add(earned).min((rate / 2).max(Self::LEAST));
            self.counted = now;
        }
        if self.tokens < Self::LEAST { 0 } else { self.tokens }
    }

    /// Counts bytes that were transferred.
    pub(crate) fn spend(&mut self, bytes: u64) {
        if self.rate.is_some() {
            self.tokens = self.tokens.saturating_sub(bytes);
        }
    }

    /// Time until bytes are allowed again.
    #[must_use]
    pub(crate) fn wait(&self) -> Duration {
        match self.rate {
            None => Duration::ZERO,
            Some(rate) => {
                let missing = Self::LEAST.saturating_sub(self.tokens);
                Duration::from_millis(missing.saturating_mul(1000) / rate + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_flow_is_measured() {
        let mut speed = Speed::default();
        for tenth in 0..200 {
            speed.add(Duration::from_millis(tenth * 100), 1000);
        }
        let measured = speed.per_second(Duration::from_millis(19_999));
        assert!((9_500..=10_500).contains(&measured), "{measured}");
        assert_eq!(speed.per_second(Duration::from_secs(30)), 0);
        assert_eq!(speed.total(), 200_000);
    }

    #[test]
    fn does_not_exceed_the_limit() {
        let mut limiter = RateLimiter::new(Some(100_000));
        let mut gone = 0;
        for millis in 0..10_000 {
            let allowance = limiter.allowance(Duration::from_millis(millis)).min(20_000);
            limiter.spend(allowance);
            gone += allowance;
        }
        assert!((950_000..=1_050_000).contains(&gone), "{gone}");
    }

    #[test]
    fn bytes_are_allowed_after_the_wait() {
        let mut limiter = RateLimiter::new(Some(1000));
        assert_eq!(limiter.allowance(Duration::from_secs(1)), 0);
        let then = Duration::from_secs(1) + limiter.wait();
        assert!(limiter.allowance(then) >= RateLimiter::LEAST);
    }

    #[test]
    fn does_not_exceed_a_changed_limit() {
        let mut limiter = RateLimiter::new(None);
        limiter.set(Duration::from_secs(5), Some(100_000));
        assert_eq!(limiter.allowance(Duration::from_secs(5)), 0);
        assert_eq!(limiter.allowance(Duration::from_secs(6)), 50_000);
        limiter.set(Duration::from_secs(7), None);
        assert_eq!(limiter.allowance(Duration::from_secs(7)), u64::MAX);
    }

    #[test]
    fn allows_all_bytes_without_a_limit() {
        let mut limiter = RateLimiter::new(None);
        limiter.spend(u64::MAX);
        assert_eq!(limiter.allowance(Duration::ZERO), u64::MAX);
    }
}
