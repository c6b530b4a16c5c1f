//! The measurements of a phase.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::pending::{Kind, Waiting};

/// The longest latency in the histogram, in nanoseconds: longer ones count as this.
const LONGEST: u64 = 100_000_000_000;

/// The counters of a running phase.
pub(crate) struct Tally {
    /// By kind, as [`Kind::ALL`].
    pub(crate) sent: [u64; 4],
    pub(crate) answered: [u64; 4],
    /// Requests not answered in time, and not sent again.
    pub(crate) lost: u64,
    /// Requests not answered in time, and sent again.
    pub(crate) resent: u64,
    /// Answers that arrived after their requests counted as lost.
    pub(crate) late: u64,
    /// Peers in all answers.
    pub(crate) peers: u64,
    /// Nanoseconds from when a request was due until its answer was read.
    latency: Histogram<u64>,
    pub(crate) gaps: GapTally,
}

/// The longest times without an answer, and how much of them the generator itself may have caused.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Gaps {
    /// The longest time without an answer.
    pub longest: Duration,
    /// The same, without the times in which the generator did not look for answers.
    pub longest_without_own: Duration,
    /// The longest time in which the generator did not look for answers.
    pub longest_own: Duration,
}

/// The state for computing [`Gaps`], in nanoseconds.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct GapTally {
    last_answer: Option<u64>,
    last_look: Option<u64>,
    own_since_answer: u64,
    longest: u64,
    longest_without_own: u64,
    longest_own: u64,
}

impl GapTally {
    /// If two looks for answers are further apart than this, in nanoseconds, the generator was delayed, by the system
    /// or by its own work.
    const HELD_UP: u64 = 100_000;

    /// Counts a look for answers at a time, in nanoseconds.
    pub(crate) fn looked(&mut self, now: u64, answers: usize) {
        let own = now - self.last_look.unwrap_or(now);
        self.last_look = Some(now);
        self.longest_own = self.longest_own.max(own);
        if own > Self::HELD_UP {
            self.own_since_answer += own;
        }
        if answers > 0 {
            let gap = now - self.last_answer.unwrap_or(now);
            self.last_answer = Some(now);
            self.longest = self.longest.max(gap);
            self.longest_without_own =
                self.longest_without_own.max(gap.saturating_sub(self.own_since_answer));
            self.own_since_answer = 0;
        }
    }

    fn gaps(&self) -> Gaps {
        Gaps {
            longest: Duration::from_nanos(self.longest),
            longest_without_own: Duration::from_nanos(self.longest_without_own),
            longest_own: Duration::from_nanos(self.longest_own),
        }
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            sent: [0; 4],
            answered: [0; 4],
            lost: 0,
            resent: 0,
            late: 0,
            peers: 0,
            // Three digits of a value that fits: this can't fail.
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("possible bounds"),
            gaps: GapTally::default(),
        }
    }

    pub(crate) fn answers(&self) -> u64 {
        self.answered.iter().sum()
    }

    pub(crate) fn answer(&mut self, request: &Waiting, now: u64) {
        self.answered[request.kind as usize] += 1;
        self.latency.saturating_record(now.saturating_sub(request.at));
    }

    pub(crate) fn latency(&self, quantile: f64) -> Duration {
        Duration::from_nanos(self.latency.value_at_quantile(quantile))
    }
}

/// The measurements of a phase. [`Display`](fmt::Display) shows them in a few lines.
pub struct Report {
    pub(crate) tally: Tally,
    /// How long requests were sent.
    pub(crate) elapsed: Duration,
    /// Answers in that time.
    pub(crate) in_time: u64,
}

impl Report {
    /// How long requests were sent.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// Requests of a kind that were sent.
    #[must_use]
    pub fn sent(&self, kind: Kind) -> u64 {
        self.tally.sent[kind as usize]
    }

    /// Answers to requests of a kind.
    #[must_use]
    pub fn answered(&self, kind: Kind) -> u64 {
        self.tally.answered[kind as usize]
    }

    /// Answers to all requests.
    #[must_use]
    pub fn answers(&self) -> u64 {
        self.tally.answers()
    }

    /// Answers per second while requests were sent.
    #[must_use]
    pub fn answers_per_second(&self) -> f64 {
        self.in_time as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// Requests that were not answered in time, and not sent again.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.tally.lost
    }

    /// Requests that were not answered in time, and sent again; only in a fill.
    #[must_use]
    pub fn resent(&self) -> u64 {
        self.tally.resent
    }

    /// Answers that arrived after their requests counted as lost.
    #[must_use]
    pub fn late(&self) -> u64 {
        self.tally.late
    }

    /// Peers in all answers.
    #[must_use]
    pub fn peers(&self) -> u64 {
        self.tally.peers
    }

    /// The latency that a share of the answers, from 0 to 1, does not exceed. It is measured from when a request was
    /// due until its answer was read, and exact to three digits.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Duration {
        self.tally.latency(quantile)
    }

    /// The smallest latency.
    #[must_use]
    pub fn latency_min(&self) -> Duration {
        Duration::from_nanos(self.tally.latency.min())
    }

    /// The mean of all latencies.
    #[must_use]
    pub fn latency_mean(&self) -> Duration {
        Duration::from_secs_f64(self.tally.latency.mean() / 1e9)
    }

    /// The largest latency.
    #[must_use]
    pub fn latency_max(&self) -> Duration {
        Duration::from_nanos(self.tally.latency.max())
    }

    /// The longest times without an answer.
    #[must_use]
    pub fn gaps(&self) -> Gaps {
        self.tally.gaps.gaps()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (rate, seconds) = (self.answers_per_second(), self.elapsed.as_secs_f64());
        writeln!(f, "{rate:.0} answers/s: {} in {seconds:.2} s", self.in_time)?;
        for kind in Kind::ALL.into_iter().filter(|kind| self.sent(*kind) > 0) {
            let (sent, answered) = (self.sent(kind), self.answered(kind));
            writeln!(f, "{:>9}  {sent} sent, {answered} answered", kind.name())?;
        }
        let (lost, resent, late, peers) = (self.lost(), self.resent(), self.late(), self.peers());
        writeln!(f, "     lost  {lost}, resent {resent}, late {late}; peers given {peers}")?;
        write!(f, "  latency ")?;
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            write!(f, " {name} {:.0} us", micros(self.latency(quantile)))?;
        }
        let Gaps { longest, longest_without_own, .. } = self.gaps();
        write!(
            f,
            "\n      gap  longest without an answer {:.0} us, less the generator's own pauses {:.0} us",
            micros(longest),
            micros(longest_without_own)
        )
    }
}

impl fmt::Debug for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Tally { sent, answered, lost, resent, late, peers, .. } = &self.tally;
        f.debug_struct("Report")
            .field("elapsed", &self.elapsed)
            .field("sent", sent)
            .field("answered", answered)
            .field("lost", lost)
            .field("resent", resent)
            .field("late", late)
            .field("peers", peers)
            .finish_non_exhaustive()
    }
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_exclude_pauses_of_the_generator() {
        let mut gaps = GapTally::default();
        for (now, answers) in [(0, 1), (50_000, 0), (90_000, 3), (900_000, 1), (950_000, 0), (1_040_000, 1)] {
            gaps.looked(now, answers);
        }
        assert_eq!((gaps.longest, gaps.longest_without_own, gaps.longest_own), (810_000, 140_000, 810_000));
    }
}
