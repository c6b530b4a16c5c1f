//! Addresses of peers, and when to connect to each.
//!
//! The addresses come from trackers, which can send any address: many that don't answer, many of one host, our own. So
//! the book has a fixed size and a limit per host. When it is full, a new address replaces one that failed, or else the
//! oldest one that was never tried. No address can keep its place by not answering.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// The most addresses kept.
const ADDRESSES: usize = 1000;
/// The most addresses kept of one host; an IPv6 host is its /64. Several clients behind one address translator are
/// common, a thousand are not.
const PER_HOST: usize = 16;
/// The most banned hosts kept.
const BANNED: usize = 4096;
/// Consecutive failures after which an address is given up.
const FAILURES: u32 = 5;
/// Wait after the first failure; each further failure doubles it.
const WAIT: Duration = Duration::from_secs(5);

/// The known addresses.
#[derive(Debug, Default)]
pub(crate) struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    banned: BTreeSet<IpAddr>,
    /// Addresses added since the start. The next address gets this number plus one as its age.
    added: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    in_use: bool,
    /// A connection would be of no use, see [`Book::give_up`].
    useless: bool,
    /// A connection worked.
    worked: bool,
    failures: u32,
    not_before: Duration,
    /// Greater for addresses that were added later.
    age: u64,
}

impl Entry {
    fn is_given_up(&self) -> bool {
        self.useless || self.failures >= FAILURES
    }

    /// Entries with a greater rank are replaced first.
    fn rank(&self) -> (bool, u32, bool, Reverse<u64>) {
        (self.is_given_up(), self.failures, !self.worked, Reverse(self.age))
    }
}

impl Book {
    /// Adds a peer's address from a tracker or the user. An address that was given up gets one more try, with its
    /// previous wait.
    pub(crate) fn add(&mut self, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let unusable = address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast();
        if unusable || self.is_banned(address.ip()) {
            return;
        }
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = entry.failures.min(FAILURES - 1);
        } else if self.make_room(address) {
            self.added += 1;
            self.entries.insert(address, Entry { age: self.added, ..Entry::default() });
        }
    }

    /// Makes room for one more address, by removing a worse one if necessary. False if there is none.
    fn make_room(&mut self, address: SocketAddr) -> bool {
        let (first, last) = same_host(address.ip());
        if self.entries.range(first..=last).count() >= PER_HOST {
            let failed = self.entries.range(first..=last).filter(|(_, entry)| entry.failures > 0);
            return worst(failed).is_some_and(|worst| self.entries.remove(&worst).is_some());
        }
        self.entries.len() < ADDRESSES
            || worst(self.entries.iter()).is_some_and(|worst| self.entries.remove(&worst).is_some())
    }

    /// An address to connect to now: the one with the fewest failures, and of these the one added last. It is in use
    /// until [`ended`](Self::ended), [`failed`](Self::failed) or [`give_up`](Self::give_up).
    pub(crate) fn take(&mut self, now: Duration) -> Option<SocketAddr> {
        let ready = |entry: &Entry| !entry.in_use && !entry.is_given_up() && entry.not_before <= now;
        let next = self
            .entries
            .iter_mut()
            .filter(|(_, entry)| ready(entry))
            .min_by_key(|(_, entry)| (entry.failures, Reverse(entry.age)));
        next.map(|(address, entry)| {
            entry.in_use = true;
            *address
        })
    }

    /// The connection worked and has ended. The address may be used again after a wait.
    pub(crate) fn ended(&mut self, now: Duration, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            *entry = Entry { in_use: false, worked: true, failures: 0, not_before: now + WAIT, ..*entry };
        }
    }

    /// The connection failed.
    pub(crate) fn failed(&mut self, now: Duration, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            let not_before = now + WAIT * 2_u32.pow(entry.failures.min(FAILURES));
            *entry = Entry { in_use: false, failures: entry.failures + 1, not_before, ..*entry };
        }
    }

    /// The address is our own, or of no use. It stays in the book while there is room, as trackers will send it again.
    pub(crate) fn give_up(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            *entry = Entry { in_use: false, useless: true, ..*entry };
        }
    }

    /// The host sent wrong blocks.
    pub(crate) fn ban(&mut self, host: IpAddr) {
        let host = host.to_canonical();
        if self.banned.len() < BANNED {
            self.banned.insert(host);
        }
        self.entries.retain(|address, _| address.ip() != host);
    }

    /// Whether the host is banned.
    #[must_use]
    pub(crate) fn is_banned(&self, host: IpAddr) -> bool {
        self.banned.contains(&host.to_canonical())
    }

    /// Addresses known, in use or not.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The first and the last address of a host, in the order of the map.
fn same_host(ip: IpAddr) -> (SocketAddr, SocketAddr) {
    match ip {
        IpAddr::V4(_) => (SocketAddr::new(ip, 0), SocketAddr::new(ip, u16::MAX)),
        IpAddr::V6(ip) => {
            let prefix = ip.to_bits() & !u128::from(u64::MAX);
            let last = Ipv6Addr::from_bits(prefix | u128::from(u64::MAX));
            (SocketAddr::from((Ipv6Addr::from_bits(prefix), 0)), SocketAddr::from((last, u16::MAX)))
        }
    }
}

/// Of the addresses that are not in use, the one to replace first.
fn worst<'a>(entries: impl Iterator<Item = (&'a SocketAddr, &'a Entry)>) -> Option<SocketAddr> {
    let idle = entries.filter(|(_, entry)| !entry.in_use);
    idle.max_by_key(|(_, entry)| entry.rank()).map(|(address, _)| *address)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn the_wait_doubles_with_each_failure_until_the_address_is_given_up() {
        let (mut book, mut now) = (Book::default(), Duration::ZERO);
        book.add(address(1));
        for failure in 0..FAILURES {
            assert_eq!(book.take(now), Some(address(1)));
            assert_eq!(book.take(now), None, "it is in use");
            book.failed(now, address(1));
            now += WAIT * 2_u32.pow(failure);
            assert_eq!(book.take(now - Duration::from_millis(1)), None);
        }
        assert_eq!(book.take(now), None);
        book.add(address(1));
        assert_eq!(book.take(now), Some(address(1)));
        book.ended(now, address(1));
        assert_eq!(book.take(now + WAIT), Some(address(1)));
    }

    #[test]
    fn banned_hosts_are_not_connected_to() {
        let mut book = Book::default();
        book.add(address(1));
        book.ban(address(0).ip());
        book.add(address(2));
        book.add("[::ffff:192.0.2.1]:3".parse().unwrap());
        assert_eq!(book.take(Duration::ZERO), None);
        assert_eq!(book.len(), 0);
    }

    /// One address of each host.
    fn host(number: usize) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + u32::try_from(number).unwrap()), 6881))
    }

    #[test]
    fn the_number_of_addresses_is_bounded() {
        let mut book = Book::default();
        (0..10_000).for_each(|number| book.add(host(number)));
        assert_eq!(book.len(), ADDRESSES);
    }

    #[test]
    fn the_number_of_addresses_of_a_host_is_bounded() {
        let mut book = Book::default();
        (1..u16::MAX).for_each(|port| book.add(address(port)));
        assert_eq!(book.len(), PER_HOST);
        let v6 = |number: u16| SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, number], 6881));
        (1..1000).for_each(|number| book.add(v6(number)));
        assert_eq!(book.len(), 2 * PER_HOST, "an IPv6 host is its /64");
        book.add(host(1));
        assert_eq!(book.len(), 2 * PER_HOST + 1);
    }

    #[test]
    fn a_failed_address_is_replaced_by_another_of_the_same_host() {
        let mut book = Book::default();
        (1..100).for_each(|port| book.add(address(port)));
        let taken = book.take(Duration::ZERO).unwrap();
        book.failed(Duration::ZERO, taken);
        book.add(address(100));
        assert_eq!(book.take(Duration::ZERO), Some(address(100)));
        assert_eq!(book.len(), PER_HOST);
    }

    #[test]
    fn addresses_that_were_given_up_are_replaced() {
        let (mut book, mut now) = (Book::default(), Duration::ZERO);
        (0..ADDRESSES).for_each(|number| book.add(host(number)));
        for _ in 0..FAILURES {
            while let Some(address) = book.take(now) {
                book.failed(now, address);
            }
            now += WAIT * 2_u32.pow(FAILURES);
        }
        assert_eq!(book.take(now), None);
        book.add(address(1));
        assert_eq!(book.take(now), Some(address(1)));
        assert_eq!(book.len(), ADDRESSES);
    }

    #[test]
    fn useless_addresses_are_replaced() {
        let mut book = Book::default();
        (0..ADDRESSES).for_each(|number| book.add(host(number)));
        while let Some(address) = book.take(Duration::ZERO) {
            book.give_up(address);
        }
        book.add(address(1));
        assert_eq!(book.take(Duration::ZERO), Some(address(1)));
    }

    #[test]
    fn addresses_in_use_are_not_replaced() {
        let mut book = Book::default();
        (0..ADDRESSES).for_each(|number| book.add(host(number)));
        while book.take(Duration::ZERO).is_some() {}
        book.add(address(1));
        assert_eq!(book.take(Duration::ZERO), None);
    }

    #[test]
    fn the_newest_address_is_tried_first() {
        let mut book = Book::default();
        (0..3).for_each(|number| book.add(host(number)));
        let order: Vec<_> = std::iter::from_fn(|| book.take(Duration::ZERO)).collect();
        assert_eq!(order, [host(2), host(1), host(0)]);
    }

    #[test]
    fn new_addresses_replace_the_oldest_untried_ones_not_those_that_worked() {
        let mut book = Book::default();
        book.add(host(0));
        let worked = book.take(Duration::ZERO).unwrap();
        book.ended(Duration::ZERO, worked);
        (1..=ADDRESSES).for_each(|number| book.add(host(number)));
        let known: BTreeSet<_> = std::iter::from_fn(|| book.take(WAIT)).collect();
        assert!(known.contains(&worked) && !known.contains(&host(1)) && known.contains(&host(2)));
    }

    #[test]
    fn our_own_address_is_not_tried_again() {
        let mut book = Book::default();
        book.add(address(1));
        let taken = book.take(Duration::ZERO).unwrap();
        book.give_up(taken);
        book.add(address(1));
        assert_eq!(book.take(Duration::from_secs(1000)), None);
    }
}
