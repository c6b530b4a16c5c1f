//! How many requests of a network are answered in a second.
//!
//! # What an attacker controls
//! Only requests with a valid connection_id are counted: the sender has received it at that address, so nobody can use
//! up another network's requests. A sender can have many networks, such as all /64 of a /32. So the table has a fixed
//! size, and forgets whoever owes least when it is full: an attacker with more networks than it has places escapes the
//! limit, which is one for each network anyway, but takes nothing from others. The hash has a secret key, so nobody can
//! choose networks that share places with a victim's.
//!
//! # One table for all workers
//! The kernel ties a client's socket to a worker, and spreads the sockets of a network over all workers. With a table for
//! each worker, a network could have either several times the rate, or a single client only a part of it. So there is
//! one. Its cells are read and written without locks and without read-modify-write operations: when two workers write
//! the same cell at the same time, a request may remain uncounted. A cell is not written any more in a second in which
//! its network has used up everything, so a flood does not make processors fight for a cache line.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use siphasher::sip::SipHasher13;

use crate::network::Network;

/// A network may save up the requests of so many seconds: a client that starts announces all its torrents at once.
const BURST_SECONDS: u64 = 10;
/// Errors that a network gets in a second, before it gets no reply at all.
const ERRORS: u64 = 10;
/// How many times the rate of a /64 a /48 has.
const SITE_FACTOR: u64 = 16;

/// Sets of cells; a power of two. The table holds 65,536 networks in 512 KiB.
const SETS: usize = 1 << 14;
const WAYS: usize = 4;

/// Requests of each network that were not yet made up for by time.
#[derive(Debug)]
pub(crate) struct RateLimits {
    hasher: SipHasher13,
    sets: Box<[[AtomicU64; WAYS]]>,
}

/// What a request gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Answer,
    Error,
    /// No reply.
    Silence,
}

/// The content of a cell: 16 bits of the network's hash, 20 bits of the second, 28 bits of the debt.
#[derive(Clone, Copy)]
struct Cell {
    tag: u64,
    second: u64,
    /// Requests, and after `burst` of them, errors.
    debt: u64,
}

const SECOND_BITS: u32 = 20;
const DEBT_BITS: u32 = 28;
const SECOND_MASK: u64 = (1 << SECOND_BITS) - 1;
const DEBT_MASK: u64 = (1 << DEBT_BITS) - 1;

/// The highest rate whose debt fits into a cell, and more than any machine answers.
pub(crate) const MOST_PER_SECOND: u32 = 1_000_000;
const _: () = assert!(MOST_PER_SECOND as u64 * BURST_SECONDS * SITE_FACTOR + ERRORS <= DEBT_MASK);

impl RateLimits {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let sets = (0..SETS).map(|_| Default::default()).collect();
        Self { hasher: SipHasher13::new_with_key(&key), sets }
    }

    /// Counts a request. `now` is in seconds, `per_second` at most [`MOST_PER_SECOND`].
    pub(crate) fn take(&self, now: u64, source: IpAddr, per_second: u32) -> Verdict {
        let rate = u64::from(per_second);
        match self.take_one(now, Network::of(source), rate) {
            Verdict::Answer if source.is_ipv6() => {
                self.take_one(now, Network::site_of(source), rate * SITE_FACTOR)
            }
            verdict => verdict,
        }
    }

    fn take_one(&self, now: u64, network: Network, rate: u64) -> Verdict {
        let burst = rate * BURST_SECONDS;
        let hash = network.hash(&self.hasher);
        // Never 0, which is an empty cell.
        let tag = hash >> 48 | 1;
        let set = &self.sets[usize::try_from(hash).unwrap_or_default() % SETS];
        let (place, mut cell) = find(set, tag, now, rate, burst);
        if cell.debt >= burst + ERRORS {
            return Verdict::Silence;
        }
        let verdict = if cell.debt < burst { Verdict::Answer } else { Verdict::Error };
        cell.debt += 1;
        place.store(cell.pack(), Relaxed);
        verdict
    }
}

/// The network's cell, or the one that it replaces: that of the network that owes least.
fn find(set: &[AtomicU64; WAYS], tag: u64, now: u64, rate: u64, burst: u64) -> (&AtomicU64, Cell) {
    let [first, others @ ..] = set;
    let mut least = (first, Cell::unpack(first.load(Relaxed)).at(now, rate, burst));
    for (at, place) in std::iter::once(first).chain(others).enumerate() {
        let cell = Cell::unpack(place.load(Relaxed)).at(now, rate, burst);
        if cell.tag == tag {
            return (place, cell);
        }
        if at > 0 && cell.debt < least.1.debt {
            least = (place, cell);
        }
    }
    (least.0, Cell { tag, second: now & SECOND_MASK, debt: 0 })
}

impl Cell {
    fn unpack(bits: u64) -> Self {
        Self {
            tag: bits >> (SECOND_BITS + DEBT_BITS),
            second: bits >> DEBT_BITS & SECOND_MASK,
            debt: bits & DEBT_MASK,
        }
    }

    fn pack(self) -> u64 {
        self.tag << (SECOND_BITS + DEBT_BITS) | self.second << DEBT_BITS | self.debt
    }

    /// The cell after the time since it was written, in which requests were made up for.
    fn at(self, now: u64, rate: u64, burst: u64) -> Self {
        // After 12 days without a request, the seconds may begin again; then the debt of that time is owed for a moment.
        let elapsed = now.wrapping_sub(self.second) & SECOND_MASK;
        if elapsed == 0 {
            return self;
        }
        // Errors are no debt: whoever goes on at full speed still gets answers at the rate.
        let debt = self.debt.min(burst).saturating_sub(elapsed.saturating_mul(rate));
        Self { second: now & SECOND_MASK, debt, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn limits() -> RateLimits {
        RateLimits::new([7; 16])
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// How many of `requests` in one second get each verdict.
    fn verdicts(limits: &RateLimits, now: u64, source: &str, requests: usize, rate: u32) -> [usize; 3] {
        let mut counted = [0; 3];
        for _ in 0..requests {
            counted[limits.take(now, ip(source), rate) as usize] += 1;
        }
        counted
    }

    #[test]
    fn a_burst_is_answered_then_come_errors_then_silence() {
        let limits = limits();
        assert_eq!(verdicts(&limits, NOW, "192.0.2.1", 100, 5), [50, 10, 40]);
        // Another host of the network has the same limit, another network its own.
        assert_eq!(verdicts(&limits, NOW, "192.0.2.2", 10, 5), [0, 0, 10]);
        assert_eq!(verdicts(&limits, NOW, "192.0.3.1", 10, 5), [10, 0, 0]);
    }

    #[test]
    fn whoever_never_stops_still_gets_the_rate() {
        let limits = limits();
        verdicts(&limits, NOW, "192.0.2.1", 10_000, 5);
        for second in 1..100 {
            assert_eq!(verdicts(&limits, NOW + second, "192.0.2.1", 1000, 5), [5, 10, 985]);
        }
        // After a pause, as many as were saved up, and not more.
        assert_eq!(verdicts(&limits, NOW + 103, "192.0.2.1", 100, 5), [20, 10, 70]);
        assert_eq!(verdicts(&limits, NOW + 10_000, "192.0.2.1", 100, 5), [50, 10, 40]);
    }

    #[test]
    fn whoever_keeps_to_the_rate_is_always_answered() {
        let limits = limits();
        for second in 0..10_000 {
            assert_eq!(verdicts(&limits, NOW + second, "192.0.2.1", 3, 3), [3, 0, 0], "{second}");
        }
    }

    #[test]
    fn many_networks_of_one_site_share_a_higher_limit() {
        let limits = limits();
        let mut answered = 0;
        for subnet in 0..1000 {
            let source = format!("2001:db8:0:{subnet:x}::1");
            answered += verdicts(&limits, NOW, &source, 20, 1)[0];
        }
        assert_eq!(answered, 160);
        assert_eq!(verdicts(&limits, NOW, "2001:db8:1::1", 20, 1)[0], 10);
    }

    #[test]
    fn those_who_owe_most_are_remembered_when_the_table_is_full() {
        let limits = limits();
        verdicts(&limits, NOW, "192.0.2.1", 100, 5);
        for network in 0..1_000_000u32 {
            let source = std::net::Ipv4Addr::from_bits(0x0a00_0000 + (network << 8));
            assert_eq!(limits.take(NOW, source.into(), 5), Verdict::Answer, "{source}");
        }
        assert_eq!(verdicts(&limits, NOW, "192.0.2.1", 10, 5), [0, 0, 10]);
    }

    #[test]
    fn the_clock_may_go_backwards_and_the_rate_may_change() {
        let limits = limits();
        verdicts(&limits, NOW, "192.0.2.1", 100, 1_000_000);
        assert_eq!(verdicts(&limits, NOW, "192.0.2.1", 1, 1), [0, 0, 1]);
        assert_eq!(verdicts(&limits, NOW + 1, "192.0.2.1", 100, 1), [1, 10, 89]);
        assert!(verdicts(&limits, NOW - 5, "192.0.2.1", 100, 1)[0] <= 10);
    }
}
