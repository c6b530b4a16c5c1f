//! When to look for datagrams: at once, when some come, or a little later, when many come.
//!
//! To wait for each datagram alone, to wake up for it, and to ask for it with a system call of its own costs more than to
//! answer it. So when many come, they may gather for a moment. Who waits for an answer from the other end of the internet
//! does not notice, and who asks alone is answered at once.

use std::time::{Duration, Instant};

/// How long datagrams gather. The system makes it some 50 microseconds more.
pub(crate) const NAP: Duration = Duration::from_micros(200);
/// Many come if so many looks in a row found some, each so soon after the one before, ..
const QUICK_LOOKS: u32 = 8;
const SOON: Duration = Duration::from_micros(100);
/// .. and as long as so many gather.
const WORTH_A_NAP: usize = 4;

/// What to do before the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: there is more to answer.
    Look,
    /// To sleep for a [`NAP`].
    Nap,
    /// To wait until there is a datagram.
    Wait,
}

/// Decides it.
pub(crate) struct Pace {
    next: Next,
    last_found: Instant,
    quick_looks: u32,
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { next: Next::Wait, last_found: now, quick_looks: 0 }
    }

    pub(crate) fn next(&self) -> Next {
        self.next
    }

    /// A look has found so many datagrams, and perhaps left more.
    pub(crate) fn looked(&mut self, now: Instant, found: usize, more: bool) {
        if found > 0 {
            let quick = now.duration_since(self.last_found) < SOON;
            self.quick_looks = if quick { self.quick_looks + 1 } else { 0 };
            self.last_found = now;
        }
        let many = match self.next {
            Next::Nap => found >= WORTH_A_NAP,
            Next::Look | Next::Wait => self.quick_looks >= QUICK_LOOKS,
        };
        self.next = match (more, many) {
            (true, _) => Next::Look,
            (false, true) => Next::Nap,
            (false, false) => Next::Wait,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Datagrams at a steady rate, answered in no time: how long each had to wait at most, and looks per datagram.
    fn at_a_rate(per_second: u32) -> (Duration, f64) {
        let gap = Duration::from_secs(1) / per_second;
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let (mut now, mut due) = (start, start);
        let (mut looks, mut answered, mut longest) = (0, 0, Duration::ZERO);
        while answered < 10_000 {
            now = match pace.next() {
                Next::Look => now,
                Next::Nap => now + NAP,
                Next::Wait => now.max(due),
            };
            let mut found = 0;
            while due <= now {
                longest = longest.max(now - due);
                due += gap;
                found += 1;
            }
            pace.looked(now, found, false);
            looks += 1;
            answered += found;
        }
        (longest, f64::from(looks) / answered as f64)
    }

    #[test]
    fn few_are_answered_at_once() {
        assert_eq!(at_a_rate(10), (Duration::ZERO, 1.0));
        assert_eq!(at_a_rate(9_000), (Duration::ZERO, 1.0));
    }

    #[test]
    fn many_share_a_look_and_none_waits_longer_than_a_nap() {
        for (rate, looks) in [(50_000, 0.15), (100_000, 0.06), (1_000_000, 0.01)] {
            let (longest, looks_each) = at_a_rate(rate);
            assert!(longest <= NAP && looks_each < looks, "{rate}: {longest:?} {looks_each}");
        }
    }

    #[test]
    fn a_client_that_asks_one_after_the_other_seldom_waits() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        let (mut now, mut naps) = (start, 0);
        for _ in 0..1000 {
            // It asks again when it has its answer.
            now += Duration::from_micros(30);
            if pace.next() == Next::Nap {
                now += NAP;
                naps += 1;
            }
            pace.looked(now, 1, false);
        }
        assert!((50..150).contains(&naps), "{naps}");
    }

    #[test]
    fn what_is_left_is_looked_at_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        pace.looked(start, 512, true);
        assert_eq!(pace.next(), Next::Look);
        pace.looked(start, 512, true);
        assert_eq!(pace.next(), Next::Look);
        pace.looked(start + Duration::from_millis(1), 3, false);
        assert_eq!(pace.next(), Next::Wait);
    }
}
