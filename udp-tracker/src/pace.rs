//! When to look for datagrams: at once, when some come, or a little later, when many come.
//!
//! To wait for each datagram alone, to wake up for it, and to ask for it with a system call of its own costs more than to
//! answer it. So when many come, they may gather for a moment. Who waits for an answer from the other end of the internet
//! does not notice. But clients nearby that ask again as soon as they have their answer would ask less often; then
//! nothing is won, so it is tried, and given up when fewer come.

use std::time::{Duration, Instant};

/// How long datagrams gather. The system makes it some 50 microseconds more.
pub(crate) const NAP: Duration = Duration::from_micros(200);
/// Datagrams a second that are many.
const MANY: f64 = 10_000.0;
/// The share of datagrams that must still come when they may gather.
const STILL: f64 = 0.66;
/// How long to count them before a decision.
const PERIOD: Duration = Duration::from_millis(20);
/// How long datagrams gather before it is looked again how many come otherwise.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long to leave it when it was given up, before it is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(500);

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
    more: bool,
    /// Since when datagrams gather, and how many a second came before.
    gathering: Option<(Instant, f64)>,
    /// When gathering was last given up because fewer came.
    given_up: Option<Instant>,
    /// Since when datagrams are counted, and how many there were.
    counted: (Instant, usize),
}

impl Pace {
    pub(crate) fn new(now: Instant) -> Self {
        Self { more: false, gathering: None, given_up: None, counted: (now, 0) }
    }

    pub(crate) fn next(&self) -> Next {
        match self.gathering {
            _ if self.more => Next::Look,
            Some(_) => Next::Nap,
            None => Next::Wait,
        }
    }

    /// A look has found so many datagrams, and perhaps left more.
    pub(crate) fn looked(&mut self, now: Instant, found: usize, more: bool) {
        self.more = more;
        let (since, count) = self.counted;
        let (elapsed, count) = (now.duration_since(since), count + found);
        self.counted.1 = count;
        if elapsed >= PERIOD {
            self.counted = (now, 0);
            self.decide(now, count as f64 / elapsed.as_secs_f64());
        }
    }

    fn decide(&mut self, now: Instant, rate: f64) {
        let past = |since: Instant, time: Duration| now.duration_since(since) >= time;
        match self.gathering {
            Some((_, before)) if rate < before * STILL => {
                self.gathering = None;
                self.given_up = Some(now);
            }
            Some((since, _)) if past(since, LOOK_AGAIN) => self.gathering = None,
            None if rate >= MANY && self.given_up.is_none_or(|since| past(since, TRY_AGAIN)) => {
                self.gathering = Some((now, rate));
            }
            _ => {}
        }
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
        while now < start + Duration::from_secs(4) {
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
        for (rate, looks) in [(20_000, 0.27), (100_000, 0.07), (1_000_000, 0.02)] {
            let (longest, looks_each) = at_a_rate(rate);
            assert!(longest <= NAP && looks_each < looks, "{rate}: {longest:?} {looks_each}");
        }
    }

    #[test]
    fn who_asks_again_when_answered_is_not_held_up() {
        for window in [1, 4, 16, 48] {
            let start = Instant::now();
            let mut pace = Pace::new(start);
            let (mut now, mut napped) = (start, Duration::ZERO);
            while now < start + Duration::from_secs(10) {
                now += Duration::from_micros(25) + Duration::from_micros(3) * window;
                if pace.next() == Next::Nap {
                    now += NAP;
                    napped += NAP;
                }
                pace.looked(now, window as usize, false);
            }
            assert!(napped > Duration::ZERO && napped < Duration::from_millis(500), "{window}: {napped:?}");
        }
    }

    #[test]
    fn what_is_left_is_looked_at_at_once() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for ms in 1..100 {
            pace.looked(start + Duration::from_millis(ms), 512, true);
            assert_eq!(pace.next(), Next::Look);
        }
    }
}
