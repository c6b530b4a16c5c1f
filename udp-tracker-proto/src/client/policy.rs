//! When to send a request again, and when to give up.

use core::time::Duration;

/// How often to send a datagram, and how long to wait for a reply each time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The wait after the first transmission.
    pub first: Duration,
    /// Each wait is the one before it times this factor: 1 for equal waits, 2 to double them.
    pub factor: u32,
    /// The most transmissions. After the wait that follows the last one, the request fails.
    pub transmissions: u32,
}

/// How requests are sent again: one schedule for the connect, one for the request itself.
///
/// With any policy, a request ends at its caller's deadline at the latest.
///
/// ```
/// use core::time::Duration;
/// use udp_tracker_proto::client::{Policy, Schedule};
///
/// let thrice = Schedule { first: Duration::from_secs(2), factor: 1, transmissions: 3 };
/// let impatient = Policy { connect: thrice, request: thrice };
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For the connect request.
    pub connect: Schedule,
    /// For the announce or the scrape.
    pub request: Schedule,
}

/// The kind of reply that a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Connect,
    Request,
}

impl Schedule {
    /// The wait after transmission `n`, counted from 0; `None` if there is no such transmission.
    fn wait(&self, n: u32) -> Option<Duration> {
        (n < self.transmissions).then(|| self.first.saturating_mul(self.factor.saturating_pow(n)))
    }
}

impl Policy {
    /// BEP 15, "time outs": 15 x 2^n seconds, n from 0 to 8; two hours in all.
    pub const BEP_15: Self =
        Self::both(Schedule { first: Duration::from_secs(15), factor: 2, transmissions: 9 });

    /// The libtorrent document of 2004: every 15 seconds, for 60.
    pub const DRAFT_2004: Self =
        Self::both(Schedule { first: Duration::from_secs(15), factor: 1, transmissions: 4 });

    /// The C++ class `CUDPTrackerClient`: connect six times, anything else twice, 10 seconds apart.
    pub const CPP_CLASS: Self = Self {
        connect: Schedule { first: Duration::from_secs(10), factor: 1, transmissions: 6 },
        request: Schedule { first: Duration::from_secs(10), factor: 1, transmissions: 2 },
    };

    /// The same schedule for the connect and for the request itself.
    #[must_use]
    pub const fn both(schedule: Schedule) -> Self {
        Self { connect: schedule, request: schedule }
    }

    /// The wait after the `n`-th consecutive transmission without a reply, counted from 0; `None` to give up.
    pub(super) fn wait(&self, stage: Stage, n: u32) -> Option<Duration> {
        match stage {
            Stage::Connect => self.connect.wait(n),
            Stage::Request => self.request.wait(n),
        }
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self::BEP_15
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(policy: Policy, stage: Stage) -> impl Iterator<Item = u64> {
        (0..).map_while(move |n| policy.wait(stage, n)).map(|wait| wait.as_secs())
    }

    #[test]
    fn waits_are_those_of_the_documents() {
        let bep_15 = [15, 30, 60, 120, 240, 480, 960, 1920, 3840];
        assert!(waits(Policy::BEP_15, Stage::Connect).eq(bep_15));
        assert!(waits(Policy::BEP_15, Stage::Request).eq(bep_15));
        assert!(waits(Policy::DRAFT_2004, Stage::Request).eq([15; 4]));
        assert!(waits(Policy::CPP_CLASS, Stage::Connect).eq([10; 6]));
        assert!(waits(Policy::CPP_CLASS, Stage::Request).eq([10; 2]));
    }

    #[test]
    fn waits_saturate() {
        let absurd = Schedule { first: Duration::MAX, factor: u32::MAX, transmissions: u32::MAX };
        assert_eq!(Policy::both(absurd).wait(Stage::Connect, u32::MAX - 1), Some(Duration::MAX));
    }
}
