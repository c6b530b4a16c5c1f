//! When to read datagrams: at once when few arrive, after a pause when many arrive.
//!
//! To wait for each datagram, to wake up for it and to read it with its own system call takes more time than to answer
//! it. When many arrive, they gather and share that time. Some thirty that share it save nearly all of it; a longer
//! pause would only make clients wait longer. Datagrams also gather while earlier ones are answered: at a high load,
//! nearly all of them. So the pause is the rest of the time in which some thirty arrive, up to the configured limit. On
//! average, an answer is later by half of the pause.
//!
//! Clients nearby that send the next request as soon as they have an answer would send fewer requests, and nothing
//! would be saved. So gathering is tried, and stopped when fewer datagrams arrive.

use std::time::{Duration, Instant};

/// Datagrams a second above which they may gather.
pub(super) const MANY: f64 = 10_000.0;
/// Datagrams that arrive from one read to the next.
const SHARED: f64 = 32.0;
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
    /// What was counted since the last decision.
    counted: Counted,
}

struct Counted {
    since: Instant,
    datagrams: usize,
    /// The time in which nothing was done.
    idle: Duration,
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
        Self { longest, more: false, gathering: None, given_up: None, counted: Counted::start(now) }
    }

    pub(super) fn next(&self) -> Next {
        match &self.gathering {
            _ if self.more => Next::Look,
            Some(gathering) => Next::Gather(gathering.pause),
            None => Next::Wait,
        }
    }

    /// Reports that a thread did nothing for `idle`, that a read then found this many datagrams, and whether it may have
    /// left more.
    pub(super) fn looked(&mut self, now: Instant, idle: Duration, found: usize, more: bool) {
        self.more = more;
        self.counted.datagrams += found;
        self.counted.idle += idle;
        let elapsed = now.duration_since(self.counted.since);
        if elapsed >= LONG_PERIOD || elapsed >= SHORT_PERIOD && self.counted.datagrams >= ENOUGH {
            let counted = std::mem::replace(&mut self.counted, Counted::start(now));
            let rate = counted.datagrams as f64 / elapsed.as_secs_f64();
            self.decide(now, rate, counted.idle.as_secs_f64() / elapsed.as_secs_f64());
        }
    }

    /// Decides by the datagrams a second, and by the share of the time in which nothing was done.
    fn decide(&mut self, now: Instant, rate: f64, idle: f64) {
        let past = |since: Instant, time: Duration| now.duration_since(since) >= time;
        let pause = self.longest.min(Duration::from_secs_f64(SHARED / rate.max(MANY) * idle.min(1.0)));
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

impl Counted {
    fn start(now: Instant) -> Self {
        Self { since: now, datagrams: 0, idle: Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_micros(200);

    /// Simulates a steady rate, with answers that take `answer` each. Returns the longest wait for a read, and reads
    /// per datagram.
    fn at_a_rate(per_second: u32, answer: Duration, longest: Duration) -> (Duration, f64) {
        let gap = Duration::from_secs(1) / per_second;
        let start = Instant::now();
        let mut pace = Pace::new(start, longest);
        let (mut now, mut due) = (start, start);
        let (mut looks, mut answered, mut waited) = (0, 0, Duration::ZERO);
        while now < start + Duration::from_secs(4) {
            let woken = match pace.next() {
                Next::Look => now,
                Next::Gather(pause) => now + pause,
                Next::Wait => now.max(due),
            };
            let mut found = 0;
            while due <= woken {
                waited = waited.max(woken - due);
                due += gap;
                found += 1;
            }
            let idle = woken - now;
            now = woken + answer * found;
            pace.looked(now, idle, found as usize, false);
            looks += 1;
            answered += found;
        }
        (waited, f64::from(looks) / f64::from(answered))
    }

    #[test]
    fn few_are_answered_at_once() {
        assert_eq!(at_a_rate(10, Duration::ZERO, LONGEST), (Duration::ZERO, 1.0));
        assert_eq!(at_a_rate(9_000, Duration::ZERO, LONGEST), (Duration::ZERO, 1.0));
    }

    #[test]
    fn many_share_a_read_and_none_waits_longer_than_the_pause() {
        for (rate, looks, pause) in [(20_000, 0.27, 200), (100_000, 0.06, 201), (1_000_000, 0.04, 33)] {
            let (waited, looks_each) = at_a_rate(rate, Duration::ZERO, LONGEST);
            assert!(waited <= Duration::from_micros(pause), "{rate}: {waited:?}");
            assert!(looks_each < looks, "{rate}: {looks_each}");
        }
    }

    #[test]
    fn the_time_of_answers_counts_as_a_part_of_the_pause() {
        let longest = Duration::from_millis(10);
        for busy in [0, 2, 5, 9] {
            // 10 microseconds from one datagram to the next.
            let (_, looks_each) = at_a_rate(100_000, Duration::from_micros(busy), longest);
            assert!((1.0 / 34.0..1.0 / 27.0).contains(&looks_each), "{busy}: {looks_each}");
        }
    }

    #[test]
    fn none_gather_when_gathering_is_switched_off() {
        assert_eq!(at_a_rate(100_000, Duration::ZERO, Duration::ZERO), (Duration::ZERO, 1.0));
    }

    #[test]
    fn clients_that_send_again_after_an_answer_are_not_delayed() {
        for window in [1, 4, 16, 48] {
            let start = Instant::now();
            let mut pace = Pace::new(start, LONGEST);
            let (mut now, mut paused) = (start, Duration::ZERO);
            while now < start + Duration::from_secs(10) {
                let mut idle = Duration::from_micros(25);
                if let Next::Gather(pause) = pace.next() {
                    idle += pause;
                    paused += pause;
                }
                now += idle + Duration::from_micros(3) * window;
                pace.looked(now, idle, window as usize, false);
            }
            assert!(paused > Duration::ZERO && paused < Duration::from_millis(1000), "{window}: {paused:?}");
        }
    }

    #[test]
    fn reads_again_at_once_while_there_is_more() {
        let start = Instant::now();
        let mut pace = Pace::new(start, LONGEST);
        for ms in 1..100 {
            pace.looked(start + Duration::from_millis(ms), Duration::ZERO, 512, true);
            assert_eq!(pace.next(), Next::Look);
        }
    }
}
