//! The time for issuing and checking connection ids.
//!
//! Machines that share a connection key must agree on this time, so it follows the system's clock when that is set. Ids
//! issued before such a step stay valid for the rest of their lifetime: clients keep them, and many do not request a
//! new one at once after an error.

use std::time::Duration;

/// The smallest change of the system's clock that is followed, in milliseconds. A smaller one may be the pause between
/// reading two clocks, and machines need not agree more closely.
const STEP: i64 = 1000;

/// Converts the handlers' time, which is monotonic, to the system's time, which may be set.
#[derive(Debug)]
pub(crate) struct IdClock {
    /// How long an id is accepted, in seconds.
    lifetime: u64,
    /// The system's time minus the handlers' time, in seconds.
    offset: i64,
    before: Option<Before>,
}

/// The conversion before the last step.
#[derive(Debug)]
struct Before {
    offset: i64,
    /// When all ids issued by it have expired, in the handlers' time.
    until: u64,
}

impl IdClock {
    pub(crate) fn new(lifetime: u32) -> Self {
        Self { lifetime: lifetime.into(), offset: 0, before: None }
    }

    /// Sets the system's time: at the handlers' time `now` it is `unix`.
    pub(crate) fn set(&mut self, now: Duration, unix: Duration) {
        let offset = milliseconds(unix) - milliseconds(now);
        if (offset - self.offset * 1000).abs() >= STEP {
            let until = now.as_secs().saturating_add(self.lifetime);
            self.before = Some(Before { offset: self.offset, until });
            self.offset = (offset + 500).div_euclid(1000);
        }
    }

    /// The time for issuing an id.
    pub(crate) fn time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.offset)
    }

    /// The times for checking an id, which must be valid at one of them. There are several while ids from before a step
    /// are in use.
    pub(crate) fn times(&self, now: u64) -> impl Iterator<Item = u64> {
        let before = self.before.as_ref().filter(|before| now <= before.until);
        let before = before.map(|before| now.saturating_add_signed(before.offset));
        [self.time(now)].into_iter().chain(before)
    }
}

/// Limited to 73 million years, so that sums of a few fit into the type.
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
    fn follows_a_step_either_way_and_keeps_the_previous_time_for_a_lifetime() {
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
    fn small_differences_are_ignored_until_they_add_up() {
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
