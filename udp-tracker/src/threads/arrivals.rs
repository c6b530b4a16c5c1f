//! When to ask the kernel for the times at which datagrams arrive, which the latency of replies is measured by.
//!
//! The time of a datagram costs some 50 nanoseconds, 2 % of an answer. So when many datagrams arrive, their times are
//! only asked for during a sixteenth of each second.

use std::time::{Duration, Instant};

use super::pace::MANY;

/// How long the times are asked for before it is decided whether to go on.
const ON: Duration = Duration::from_millis(64);
/// How long they are not asked for.
const OFF: Duration = Duration::from_millis(1024 - 64);
/// For so long after switching on, there may be datagrams that arrived before, and that have no time. A full receive
/// buffer of the default size is read in some 10 milliseconds.
const OLD: Duration = Duration::from_millis(20);

pub(super) struct Arrivals {
    /// When what is reported can be trusted, if times are asked for.
    reported_from: Option<Instant>,
    counted_since: Instant,
    /// Datagrams since then.
    found: usize,
}

impl Arrivals {
    /// Switched on before the first datagram arrived.
    pub(super) fn new(now: Instant) -> Self {
        Self { reported_from: Some(now), counted_since: now, found: 0 }
    }

    /// Reports that a read found this many datagrams. Returns what to switch to, if anything.
    pub(super) fn looked(&mut self, now: Instant, found: usize) -> Option<bool> {
        self.found += found;
        let elapsed = now.duration_since(self.counted_since);
        let was_on = self.reported_from.is_some();
        if elapsed < if was_on { ON } else { OFF } {
            return None;
        }
        let many = self.found as f64 > MANY * elapsed.as_secs_f64();
        (self.counted_since, self.found) = (now, 0);
        if was_on && !many {
            return None;
        }
        self.reported_from = (!was_on).then_some(now + OLD);
        Some(!was_on)
    }

    /// Whether the reported times are those at which the datagrams arrived.
    pub(super) fn are_reported(&self, now: Instant) -> bool {
        self.reported_from.is_some_and(|from| now >= from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The share of ten seconds in which times are reported at this rate, looked at every millisecond.
    fn share(rate: usize) -> f64 {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        let mut reported = 0;
        for ms in 1..=10_000 {
            let now = start + Duration::from_millis(ms);
            arrivals.looked(now, rate / 1000);
            reported += usize::from(arrivals.are_reported(now));
        }
        reported as f64 / 10_000.0
    }

    #[test]
    fn all_times_are_reported_while_few_datagrams_arrive() {
        assert!(share(9_000) > 0.99);
    }

    #[test]
    fn few_times_are_reported_while_many_arrive() {
        let share = share(500_000);
        assert!((0.03..0.05).contains(&share), "{share}");
    }

    #[test]
    fn all_times_are_reported_again_after_a_burst() {
        let start = Instant::now();
        let mut arrivals = Arrivals::new(start);
        assert_eq!(arrivals.looked(start + ON, 10_000), Some(false));
        assert!(!arrivals.are_reported(start + ON));
        let on_again = start + ON + OFF;
        assert_eq!(arrivals.looked(on_again, 0), Some(true));
        // The datagrams that are waiting have no time.
        assert!(!arrivals.are_reported(on_again));
        assert!(arrivals.are_reported(on_again + OLD));
        assert_eq!(arrivals.looked(on_again + ON, 1), None);
        assert!(arrivals.are_reported(on_again + ON));
    }
}
