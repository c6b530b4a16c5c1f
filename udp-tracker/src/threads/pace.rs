//! When to read datagrams: at once when few arrive, after a pause when many arrive.
//!
//! To wait for each datagram, to wake up for it and to read it with its own system call takes more time than to answer
//! it. When many arrive, they gather and share that time. A dozen that share it save nearly all of it; a longer pause
//! would only make clients wait longer. So the pause is the time in which a dozen arrive, up to the configured limit.
//! On average, an answer is later by half of the pause.
//!
//! Clients nearby that send the next request as soon as they have an answer would send fewer requests, and nothing
//! would be saved. So gathering is tried, and stopped when fewer datagrams arrive.

use std::time::{Duration, Instant};

/// Datagrams a second above which they may gather.
const MANY: f64 = 10_000.0;
/// Datagrams that arrive during a pause.
const SHARED: f64 = 12.0;
/// The share of the previous rate that must still arrive while datagrams gather. Clients with few requests in flight
/// send fewer then: with 48 in flight, a quarter fewer.
const STILL: f64 = 0.85;
/// The shortest time to count datagrams before a decision.
const SHORT_PERIOD: Duration = Duration::from_millis(20);
/// The count at which a decision may be made: chance then changes the rate by some percent only.
const ENOUGH: usize = 1000;
/// The longest time to count datagrams before a decision.
const LONG_PERIOD: Duration = Duration::from_millis(100);
/// How long datagrams gather before the rate without gathering is measured again.
const COUNT_AGAIN: Duration = Duration::from_secs(5);
/// How long after gathering was stopped it is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(2);

/// What to do before the next read.
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
    /// When gathering was last stopped because fewer arrived.
    given_up: Option<Instant>,
    /// The start of the current count, and the number of datagrams since.
    counted: (Instant, usize),
}

struct Gathering {
    since: Instant,
    /// Datagrams a second before gathering.
    before: f64,
    pause: Duration,
}

impl Pace {
    /// Lets datagrams gather for `longest` at most; never, if it is zero.
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

    /// Reports that a read found this many datagrams, and whether it may have left more.
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

    /// Simulates a steady rate, with answers that take no time. Returns the longest wait, and reads per datagram.
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
    fn many_share_a_read_and_none_waits_longer_than_the_pause() {
        for (rate, looks, pause) in [(20_000, 0.27, 200), (100_000, 0.1, 121), (1_000_000, 0.1, 13)] {
            let (waited, looks_each) = at_a_rate(rate, LONGEST);
            assert!(waited <= Duration::from_micros(pause), "{rate}: {waited:?}");
            assert!(looks_each < looks, "{rate}: {looks_each}");
        }
    }

    #[test]
    fn none_gather_when_gathering_is_switched_off() {
        assert_eq!(at_a_rate(100_000, Duration::ZERO), (Duration::ZERO, 1.0));
    }

    #[test]
    fn clients_that_send_again_after_an_answer_are_not_delayed() {
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
    fn reads_again_at_once_while_there_is_more() {
        let start = Instant::now();
        let mut pace = Pace::new(start, LONGEST);
        for ms in 1..100 {
            pace.looked(start + Duration::from_millis(ms), 512, true);
            assert_eq!(pace.next(), Next::Look);
        }
    }
}
