//! When a snapshot was written, and how long ago that is.

/// A moment, by two clocks of a machine.
///
/// The clock that counts since 1970 may be set back between two moments; then less time seems to have passed than really
/// has. The clock that counts since the machine was started can't be set. So a machine should provide both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds since 1970.
    pub unix: u64,
    /// A random id that the machine got when it was started; zeros if there is none.
    pub boot: [u8; 16],
    /// Seconds since then, those in which it was suspended included.
    pub since_boot: u64,
}

impl Moment {
    /// Seconds since an earlier moment: the more of what the two clocks say, when the machine was not started anew in
    /// between, otherwise what the clock since 1970 says. `None` if that one is now before the other moment, and nothing
    /// else is known. Durations of more than 136 years are shortened to that.
    #[must_use]
    pub fn seconds_since(&self, earlier: &Self) -> Option<u32> {
        let is_same_boot = self.boot == earlier.boot && self.boot != [0; 16];
        let since_boot = self.since_boot.checked_sub(earlier.since_boot).filter(|_| is_same_boot);
        let unix = self.unix.checked_sub(earlier.unix);
        let seconds = unix.max(since_boot)?;
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(unix: u64, boot: u8, since_boot: u64) -> Moment {
        Moment { unix, boot: [boot; 16], since_boot }
    }

    #[test]
    fn a_clock_that_was_set_back_makes_no_time_shorter() {
        let written = moment(1000, 1, 50);
        // The clock was set back by ten minutes, and half an hour passed.
        assert_eq!(moment(2200, 1, 1850).seconds_since(&written), Some(1800));
        // Even before the moment of the snapshot.
        assert_eq!(moment(700, 1, 350).seconds_since(&written), Some(300));
        // Set forward: the longer time, so that peers expire rather too early.
        assert_eq!(moment(4600, 1, 60).seconds_since(&written), Some(3600));
    }

    #[test]
    fn after_another_boot_only_the_calendar_counts() {
        let written = moment(1000, 1, 50);
        assert_eq!(moment(1300, 2, 5).seconds_since(&written), Some(300));
        assert_eq!(moment(1300, 2, 100_000).seconds_since(&written), Some(300));
        assert_eq!(moment(999, 2, 60).seconds_since(&written), None);
        // Unknown boots are not the same.
        assert_eq!(moment(999, 0, 60).seconds_since(&moment(1000, 0, 50)), None);
        // A clock since the boot that goes backwards is none.
        assert_eq!(moment(1300, 1, 20).seconds_since(&written), Some(300));
        assert_eq!(moment(999, 1, 20).seconds_since(&written), None);
        assert_eq!(moment(u64::MAX, 2, 0).seconds_since(&written), Some(u32::MAX));
    }
}
