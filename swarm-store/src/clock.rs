//! Times in 15 bits.
//!
//! The store counts time in ticks. A tick is a second, or longer so that a peer lifetime has at most [`MOST_TICKS`]
//! ticks. Of a peer's last announce it keeps the tick modulo 2^15, which is at least eight lifetimes. The difference of
//! two stamps is therefore an age only if no peer gets older than that: each must be looked at within [`OLDEST`] ticks,
//! which are at least six lifetimes. Otherwise an old peer seems young again. A sweep with one round in each lifetime
//! stays far below that.

/// The most ticks of a lifetime. It leaves room for a sweep that is some lifetimes late, and for clocks that run
/// backwards.
const MOST_TICKS: u16 = 1 << 12;
/// Stamps are kept modulo this.
const WRAP: u16 = 1 << 15;
/// From here on, a difference is not an age but comes from a clock that ran backwards: a quarter of the range.
const OLDEST: u16 = WRAP / 4 * 3;

/// The length of ticks and of the peer lifetime.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// The length of a tick in seconds.
    tick: u32,
    /// The peer lifetime in ticks, at most [`MOST_TICKS`].
    lifetime: u16,
}

/// A moment, in ticks modulo 2^15.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp(u16);

/// What is stored of a peer in addition to its address: the stamp of its last announce, and in the highest bit whether
/// it was counted as a completed download.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State(pub(crate) [u8; 2]);

impl Clock {
    pub(crate) fn new(peer_lifetime: u32) -> Self {
        let tick = peer_lifetime.div_ceil(MOST_TICKS.into()).max(1);
        // Rounded up, so that no peer expires early.
        let lifetime = u16::try_from(peer_lifetime.div_ceil(tick)).unwrap_or(MOST_TICKS);
        Self { tick, lifetime }
    }

    /// The moment `now`, which is in seconds.
    pub(crate) fn stamp(&self, now: u32) -> Stamp {
        let ticks = (now / self.tick).to_le_bytes();
        Stamp(u16::from_le_bytes([ticks[0], ticks[1]]) % WRAP)
    }

    /// The moment `seconds` before `now`, rounded so that it is rather too early. Wrong if that is more than some
    /// lifetimes.
    pub(crate) fn stamp_before(&self, now: u32, seconds: u32) -> Stamp {
        let [a, b, ..] = seconds.div_ceil(self.tick).to_le_bytes();
        Stamp(self.stamp(now).0.wrapping_sub(u16::from_le_bytes([a, b])) % WRAP)
    }

    /// Ticks since a peer's last announce; 0 if that is in the future.
    fn age(now: Stamp, state: State) -> u16 {
        let age = now.0.wrapping_sub(state.seen().0) % WRAP;
        if age < OLDEST { age } else { 0 }
    }

    /// The length of a tick in seconds.
    pub(crate) fn tick(&self) -> u32 {
        self.tick
    }

    /// The peer lifetime in ticks.
    pub(crate) fn lifetime(&self) -> u16 {
        self.lifetime
    }

    /// Ticks since a peer's last announce; 0 if that is in the future.
    pub(crate) fn ticks_since(&self, now: Stamp, state: State) -> u16 {
        Self::age(now, state)
    }

    /// Seconds since a peer's last announce.
    pub(crate) fn seconds_since(&self, now: Stamp, state: State) -> u32 {
        u32::from(Self::age(now, state)) * self.tick
    }

    pub(crate) fn is_expired(&self, now: Stamp, state: State) -> bool {
        Self::age(now, state) > self.lifetime
    }
}

impl State {
    pub(crate) fn new(seen: Stamp, completed: bool) -> Self {
        Self((seen.0 | if completed { WRAP } else { 0 }).to_le_bytes())
    }

    /// The same, counted as a completed download.
    pub(crate) fn with_completed(self) -> Self {
        Self::new(self.seen(), true)
    }

    fn seen(self) -> Stamp {
        Stamp(u16::from_le_bytes(self.0) % WRAP)
    }

    pub(crate) fn completed(self) -> bool {
        u16::from_le_bytes(self.0) >= WRAP
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expires_after_the_lifetime_and_not_before() {
        for lifetime in [0, 1, 999, 2700, 4096, 4097, 8191, 86_400, 2_592_000, u32::MAX / 2] {
            let clock = Clock::new(lifetime);
            for seen in [0, 1, 12_345, 1_700_000_000] {
                let state = State::new(clock.stamp(seen), true);
                assert!(state.completed());
                assert!(!clock.is_expired(clock.stamp(seen + lifetime), state), "{lifetime}");
                assert!(clock.is_expired(clock.stamp(seen + lifetime + 2 * clock.tick), state), "{lifetime}");
            }
        }
    }

    #[test]
    fn ages_are_right_across_the_wrap() {
        let clock = Clock::new(5000);
        assert_eq!(clock.tick, 2);
        let wrap = u32::from(WRAP) * 2;
        let state = State::new(clock.stamp(wrap - 10), false);
        assert_eq!(clock.seconds_since(clock.stamp(wrap + 20), state), 30);
        assert!(!clock.is_expired(clock.stamp(wrap + 4990), state));
        assert!(clock.is_expired(clock.stamp(wrap + 4992), state));
        assert!(!state.completed());
    }

    #[test]
    fn expired_for_at_least_five_lifetimes() {
        for lifetime in [1, 999, 2700, 4096, 4097, 8191, 86_400, 2_592_000] {
            let clock = Clock::new(lifetime);
            let state = State::new(clock.stamp(5), false);
            for lifetimes in 2..=5 {
                assert!(
                    clock.is_expired(clock.stamp(5 + lifetimes * lifetime), state),
                    "{lifetimes} {lifetime}"
                );
            }
        }
    }

    #[test]
    fn a_clock_that_runs_backwards_expires_no_peer() {
        let clock = Clock::new(1800);
        let state = State::new(clock.stamp(1_000_000), false);
        for back in [1, 100, 1800, 2 * 1800] {
            let now = clock.stamp(1_000_000 - back);
            assert!(!clock.is_expired(now, state));
            assert_eq!(clock.seconds_since(now, state), 0);
        }
    }
}
