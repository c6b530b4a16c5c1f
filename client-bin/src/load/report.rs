//! What a run has measured.

use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::pending::{Asked, Kind};

/// Longest latency that the histogram holds, in nanoseconds: more is counted as this.
const LONGEST: u64 = 100_000_000_000;

/// What is counted while a run goes on.
pub(super) struct Tally {
    pub(super) sent: [u64; 4],
    pub(super) answered: [u64; 4],
    /// Given up, and not asked again.
    pub(super) lost: u64,
    /// Given up, and asked again.
    pub(super) resent: u64,
    /// Answered after they were given up.
    pub(super) late: u64,
    /// Peers in all answers.
    pub(super) peers: u64,
    /// Nanoseconds from when a request was to be sent until its answer was read.
    latency: Histogram<u64>,
    pub(super) gaps: Gaps,
}

/// How long nothing came, and how much of it may be the generator's own fault.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gaps {
    last_answer: Option<u64>,
    last_look: Option<u64>,
    own_since_answer: u64,
    /// The longest time without an answer, in nanoseconds.
    pub(super) longest: u64,
    /// The same, less the times in which the generator itself did not look.
    pub(super) longest_seen: u64,
    /// The longest time in which the generator did not look.
    pub(super) longest_own: u64,
}

impl Gaps {
    /// Between two looks further apart than this, in nanoseconds, the generator was held up: by the system, or by its
    /// own work.
    const HELD_UP: u64 = 100_000;

    /// At a moment, in nanoseconds, the generator has looked for answers.
    pub(super) fn looked(&mut self, now: u64, answers: usize) {
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
            self.longest_seen = self.longest_seen.max(gap.saturating_sub(self.own_since_answer));
            self.own_since_answer = 0;
        }
    }
}

impl Tally {
    pub(super) fn new() -> Self {
        Self {
            sent: [0; 4],
            answered: [0; 4],
            lost: 0,
            resent: 0,
            late: 0,
            peers: 0,
            // Three digits of a value that fits: this can't fail.
            latency: Histogram::new_with_bounds(1, LONGEST, 3).expect("possible bounds"),
            gaps: Gaps::default(),
        }
    }

    pub(super) fn answers(&self) -> u64 {
        self.answered.iter().sum()
    }

    pub(super) fn answer(&mut self, asked: &Asked, now: u64) {
        self.answered[asked.kind as usize] += 1;
        self.latency.saturating_record(now.saturating_sub(asked.at));
    }

    pub(super) fn latency_us(&self, quantile: f64) -> f64 {
        micros(self.latency.value_at_quantile(quantile))
    }
}

/// What came of a phase.
pub(super) struct Report {
    pub(super) tally: Tally,
    /// How long requests were made.
    pub(super) elapsed: Duration,
    /// Answers in that time.
    pub(super) in_time: u64,
}

impl Report {
    fn per_second(&self) -> f64 {
        self.in_time as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    pub(super) fn to_json(&self) -> Value {
        let tally = &self.tally;
        let of_kind = |kind: Kind| (tally.sent[kind as usize], tally.answered[kind as usize]);
        let by_kind: serde_json::Map<_, _> = Kind::ALL
            .into_iter()
            .map(|kind| {
                (kind.name().to_owned(), json!({"sent": of_kind(kind).0, "answers": of_kind(kind).1}))
            })
            .collect();
        json!({
            "seconds": self.elapsed.as_secs_f64(),
            "sent": tally.sent.iter().sum::<u64>(),
            "answers": tally.answers(),
            "answers_per_second": self.per_second(),
            "by_kind": by_kind,
            "lost": tally.lost,
            "resent": tally.resent,
            "late": tally.late,
            "peers": tally.peers,
            "latency_us": {
                "min": micros(tally.latency.min()),
                "mean": tally.latency.mean() / 1e3,
                "p50": tally.latency_us(0.5),
                "p90": tally.latency_us(0.9),
                "p99": tally.latency_us(0.99),
                "p99.9": tally.latency_us(0.999),
                "p99.99": tally.latency_us(0.9999),
                "max": micros(tally.latency.max()),
            },
            "gap_us": {
                "longest": micros(tally.gaps.longest),
                "longest_without_own": micros(tally.gaps.longest_seen),
                "longest_own": micros(tally.gaps.longest_own),
            },
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tally = &self.tally;
        writeln!(
            f,
            "{:.0} answers/s: {} in {:.2} s",
            self.per_second(),
            self.in_time,
            self.elapsed.as_secs_f64()
        )?;
        for kind in Kind::ALL {
            let (sent, answered) = (tally.sent[kind as usize], tally.answered[kind as usize]);
            if sent > 0 {
                writeln!(f, "{:>9}  {sent} sent, {answered} answered", kind.name())?;
            }
        }
        writeln!(
            f,
            "     lost  {}, resent {}, late {}; peers given {}",
            tally.lost, tally.resent, tally.late, tally.peers
        )?;
        write!(f, "  latency ")?;
        for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("max", 1.0)] {
            write!(f, " {name} {:.0} us", tally.latency_us(quantile))?;
        }
        let gaps = tally.gaps;
        write!(
            f,
            "\n      gap  longest without an answer {:.0} us, less the generator's own pauses {:.0} us",
            micros(gaps.longest),
            micros(gaps.longest_seen)
        )
    }
}

fn micros(nanoseconds: u64) -> f64 {
    nanoseconds as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_pauses_are_told_from_gaps() {
        let mut gaps = Gaps::default();
        for (now, answers) in [(0, 1), (50_000, 0), (90_000, 3), (900_000, 1), (950_000, 0), (1_040_000, 1)] {
            gaps.looked(now, answers);
        }
        assert_eq!((gaps.longest, gaps.longest_seen, gaps.longest_own), (810_000, 140_000, 810_000));
    }
}
