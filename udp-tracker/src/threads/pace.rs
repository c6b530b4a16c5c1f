//! When to look for datagrams: at once when few come, after a pause when many come.
//!
//! To wait for each datagram alone, to wake up for it, and to fetch it with a system call of its own costs more than to
//! answer it. So when many come, they may gather, and share that cost. What it saves is nearly all saved when a dozen
//! share it; a longer pause would only let clients wait longer. So the pause is the time in which a dozen come, and never
//! longer than is set. Half of it is what an answer is later on average.
//!
//! Clients nearby that ask again as soon as they have their answer would ask less often. Then nothing is saved; so it is
//! tried, and given up when fewer datagrams come.

use std::time::{Duration, Instant};

/// Datagrams a second from which on they may gather.
const MANY: f64 = 10_000.0;
/// Datagrams that come during a pause.
const SHARED: f64 = 12.0;
/// The share of datagrams that must still come when they may gather. Clients with few requests on the way at once send
/// fewer then: with 48, a quarter less.
const STILL: f64 = 0.85;
/// How long to count them at least before a decision, ..
const SHORT_PERIOD: Duration = Duration::from_millis(20);
/// .. until there are so many that chance makes a difference of some percent only, ..
const ENOUGH: usize = 1000;
/// .. and how long at most.
const LONG_PERIOD: Duration = Duration::from_millis(100);
/// How long datagrams gather before it is counted again how many come otherwise.
const COUNT_AGAIN: Duration = Duration::from_secs(5);
/// How long after it was given up it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What to do before the next look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing: there are more datagrams to answer.
    Look,
    /// Pause, so that datagrams gather.
    Gather(Duration),
    /// Wait until there is a datagram.
    Wait,
}

pub(super) struct Pace {
    /// The longest pause.
    longest: Duration,
    more: bool,
    gathering: Option<Gathering>,
    /// When gathering was last given up because fewer came.
    given_up: Option<Instant>,
    /// Since when datagrams are counted, and how many there were.
    counted: (Instant, usize),
}

struct Gathering {
    since: Instant,
    /// Datagrams a second that came before.
    before: f64,
    pause: Duration,
}

impl Pace {
    /// Datagrams gather for `longest` at most; never, if that is zero.
    pub(super) fn new(now: Instant, longest: Duration) -> Self {
        Self { longest, more: false, gathering: None, given_up: None, counted: (now, 0) }
    }

    pub(super) fn next(&self) -> Next {
        match &self.gathering {
            _ if self.more => Next::Look,
            Some(gathering) => Next::Gather(gathering.pause),
            None => Next::Wait,
        }
    }

    /// A look has found so many datagrams, and perhaps left more.
    pub(super) fn looked(&mut self, now: Instant, found: usize, more: bool) {
        self.more = more;
        let (since, count) = self.counted;
        let (elapsed, count) = (now.duration_since(since), count + found);
        self.counted.1 = count;
        if elapsed >= LONG_PERIOD || elapsed >= SHORT_PERIOD && count >= ENOUGH {
            self.counted = (now, 0);
            self.decide(now, count as f64 / elapsed.as_secs_f64());
        }
    }

    fn decide(&mut self, now: Instant, rate: f64) {
        let past = |since: Instant, time: Duration| now.duration_since(since) >= time;
        let pause = self.longest.min(Duration::from_secs_f64(SHARED / rate.max(MANY)));
        match &mut self.gathering {
            Some(gathering) if rate < gathering.before * STILL => {
                self.gathering = None;
                self.given_up = Some(now);
            }
            Some(gathering) if past(gathering.since, COUNT_AGAIN) => self.gathering = None,
            Some(gathering) => gathering.pause = pause,
            None if rate >= MANY
                && !self.longest.is_zero()
                && self.given_up.is_none_or(|since| past(since, TRY_AGAIN)) =>
            {
                self.gathering = Some(Gathering { since: now, before: rate, pause });
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(200);

    /// Datagrams at a steady rate, answered in no time: how long each had to wait at most, and looks per datagram.
    fn at_a_rate(per_second: u32, longest: Duration) -> (Duration, f64) {
        let gap = Duration::from_secs(1) / per_second;
        let start = Instant::now();
        let mut pace = Pace::new(start, longest);
        let (mut now, mut due) = (start, start);
        let (mut looks, mut answered, mut waited) = (0, 0, Duration::ZERO);
        while now < start + Duration::from_secs(4) {
            now = match pace.next() {
                Next::Look => now,
                Next::Gather(pause) => now + pause,
                Next::Wait => now.max(due),
            };
            let mut found = 0;
            while due <= now {
                waited = waited.max(now - due);
                due += gap;
                found += 1;
            }
            pace.looked(now, found, false);
            looks += 1;
            answered += found;
        }
        (waited, f64::from(looks) / answered as f64)
    }

    #[test]
    fn few_are_answered_at_once() {
        assert_eq!(at_a_rate(10, LONGEST), (Duration::ZERO, 1.0));
        assert_eq!(at_a_rate(9_000, LONGEST), (Duration::ZERO, 1.0));
    }

    #[test]
    fn many_share_a_look_and_none_waits_longer_than_the_pause() {
        for (rate, looks, pause) in [(20_000, 0.27, 200), (100_000, 0.1, 121), (1_000_000, 0.1, 13)] {
            let (waited, looks_each) = at_a_rate(rate, LONGEST);
            assert!(waited <= Duration::from_micros(pause), "{rate}: {waited:?}");
            assert!(looks_each < looks, "{rate}: {looks_each}");
        }
    }

    #[test]
    fn none_gather_when_it_is_switched_off() {
        assert_eq!(at_a_rate(100_000, Duration::ZERO), (Duration::ZERO, 1.0));
    }

    #[test]
    fn clients_that_ask_again_when_answered_are_not_held_up() {
        for window in [1, 4, 16, 48] {
            let start = Instant::now();
            let mut pace = Pace::new(start, LONGEST);
            let (mut now, mut paused) = (start, Duration::ZERO);
            while now < start + Duration::from_secs(10) {
                now += Duration::from_micros(25) + Duration::from_micros(3) * window;
                if let Next::Gather(pause) = pace.next() {
                    now += pause;
                    paused += pause;
                }
                pace.looked(now, window as usize, false);
            }
            assert!(paused > Duration::ZERO && paused < Duration::from_millis(1000), "{window}: {paused:?}");
        }
    }

    #[test]
    fn looks_again_at_once_while_there_is_more() {
        let start = Instant::now();
        let mut pace = Pace::new(start, LONGEST);
        for ms in 1..100 {
            pace.looked(start + Duration::from_millis(ms), 512, true);
            assert_eq!(pace.next(), Next::Look);
        }
    }
}
