//! The time that connection ids are issued and checked by.
//!
//! Machines that share a connection key must agree on it, so it follows the system's clock when that is set right. Ids that
//! were issued before such a step stay good for the rest of their lifetime: clients keep them, and many do not ask for
//! another one at once when they are refused.

use std::time::Duration;

/// Milliseconds by which the system's clock must have been set to be followed. Less may be the pause between reading two
/// clocks, and machines need not agree that well.
const STEP: i64 = 1000;

/// Turns the handlers' time, which only runs, into the system's time, which may be set.
#[derive(Debug)]
pub(crate) struct IdClock {
    /// Seconds that an id is accepted.
    lifetime: u64,
    /// Seconds from the handlers' time to the system's.
    offset: i64,
    before: Option<Before>,
}

/// The time as it ran before the last step.
#[derive(Debug)]
struct Before {
    offset: i64,
    /// When no id is left that was issued by it, in the handlers' time.
    until: u64,
}

impl IdClock {
    pub(crate) fn new(lifetime: u32) -> Self {
        Self { lifetime: lifetime.into(), offset: 0, before: None }
    }

    /// At the handlers' time `now`, the system's clock says `unix`.
    pub(crate) fn set(&mut self, now: Duration, unix: Duration) {
        let offset = milliseconds(unix) - milliseconds(now);
        if (offset - self.offset * 1000).abs() >= STEP {
            let until = now.as_secs().saturating_add(self.lifetime);
            self.before = Some(Before { offset: self.offset, until });
            self.offset = (offset + 500).div_euclid(1000);
        }
    }

    /// The time to issue an id by.
    pub(crate) fn time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.offset)
    }

    /// The times by one of which an id must be good: more than one as long as ids from before a step may be around.
    pub(crate) fn times(&self, now: u64) -> impl Iterator<Item = u64> {
        let before = self.before.as_ref().filter(|before| now <= before.until);
        let before = before.map(|before| now.saturating_add_signed(before.offset));
        [self.time(now)].into_iter().chain(before)
    }
}

/// Cut at 73 million years, so that sums of a few stay in the type.
fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX).min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn times(clock: &IdClock, now: u64) -> Vec<u64> {
        clock.times(now).collect()
    }

    #[test]
    fn follows_a_step_either_way_and_keeps_the_time_before_for_a_lifetime() {
        for step in [-3600, -600, -2, 2, 600, 3600] {
            let mut clock = IdClock::new(120);
            let now = Duration::from_secs(NOW);
            clock.set(now, now);
            assert_eq!(times(&clock, NOW), [NOW]);
            clock.set(now, Duration::from_secs(NOW.saturating_add_signed(step)));
            let stepped = |now: u64| now.saturating_add_signed(step);
            assert_eq!(clock.time(NOW), stepped(NOW));
            assert_eq!(times(&clock, NOW + 120), [stepped(NOW + 120), NOW + 120]);
            assert_eq!(times(&clock, NOW + 121), [stepped(NOW + 121)]);
        }
    }

    #[test]
    fn small_differences_are_left_alone_until_they_add_up() {
        let mut clock = IdClock::new(120);
        let now = Duration::from_secs(NOW);
        for ahead in [1, 400, 999] {
            clock.set(now, now + Duration::from_millis(ahead));
            assert_eq!(times(&clock, NOW), [NOW]);
        }
        clock.set(now, now + Duration::from_millis(1000));
        assert_eq!(times(&clock, NOW), [NOW + 1, NOW]);
        clock.set(now, now + Duration::from_millis(1100));
        assert_eq!(clock.time(NOW), NOW + 1);
    }

    #[test]
    fn impossible_times_do_no_harm() {
        let mut clock = IdClock::new(u32::MAX);
        for (now, unix) in [(Duration::ZERO, Duration::MAX), (Duration::MAX, Duration::ZERO)] {
            clock.set(now, unix);
            assert!(times(&clock, 0).len() + times(&clock, u64::MAX).len() >= 2);
        }
    }
}
