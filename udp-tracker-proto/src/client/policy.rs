//! When to send a request again, and when to give up.

use core::time::Duration;

/// What is being waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A connection_id.
    Connect,
    /// The answer to an announce or a scrape.
    Request,
}

/// How long to wait for an answer after the `n`-th transmission without one, counted from 0; `None` gives up instead of
/// sending it.
///
/// ```
/// use core::time::Duration;
/// use udp_tracker_proto::client::Policy;
///
/// /// Three times, two seconds apart.
/// const IMPATIENT: Policy = Policy(|_stage, n| (n < 3).then_some(Duration::from_secs(2)));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Policy(pub fn(Stage, u32) -> Option<Duration>);

impl Policy {
    /// BEP 15, "time outs": 15 x 2^n seconds, n from 0 to 8; two hours in all.
    pub const BEP_15: Self = Self(|_, n| (n <= 8).then(|| Duration::from_secs(15 << n)));

    /// The libtorrent document of 2004: every 15 seconds, for 60.
    pub const DRAFT_2004: Self = Self(|_, n| (n < 4).then_some(Duration::from_secs(15)));

    /// The C++ class `CUDPTrackerClient`: connect six times, anything else twice, 10 seconds apart.
    pub const CPP_CLASS: Self = Self(|stage, n| {
        let times = match stage {
            Stage::Connect => 6,
            Stage::Request => 2,
        };
        (n < times).then_some(Duration::from_secs(10))
    });
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
        (0..).map_while(move |n| policy.0(stage, n)).map(|wait| wait.as_secs())
    }

    #[test]
    fn as_their_documents_say() {
        let bep_15 = [15, 30, 60, 120, 240, 480, 960, 1920, 3840];
        assert!(waits(Policy::BEP_15, Stage::Connect).eq(bep_15));
        assert!(waits(Policy::BEP_15, Stage::Request).eq(bep_15));
        assert!(waits(Policy::DRAFT_2004, Stage::Request).eq([15; 4]));
        assert!(waits(Policy::CPP_CLASS, Stage::Connect).eq([10; 6]));
        assert!(waits(Policy::CPP_CLASS, Stage::Request).eq([10; 2]));
    }
}
