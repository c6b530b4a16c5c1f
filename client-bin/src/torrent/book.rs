//! Addresses of peers, and when to connect to which.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// Addresses that are kept; a tracker that names more is not to fill the memory.
const ADDRESSES: usize = 1000;
/// Banned hosts that are kept.
const BANNED: usize = 4096;
/// Connections that fail one after another before an address is given up.
const FAILURES: u32 = 5;
/// Wait after the first failure; each further one doubles it.
const WAIT: Duration = Duration::from_secs(5);

/// Who is known.
#[derive(Debug, Default)]
pub struct Book {
    entries: BTreeMap<SocketAddr, Entry>,
    banned: BTreeSet<IpAddr>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    in_use: bool,
    failures: u32,
    not_before: Duration,
}

impl Book {
    /// Somebody said that there is a peer. An address that was given up gets a new chance, with the old wait.
    pub fn add(&mut self, address: SocketAddr) {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let useless = address.port() == 0 || address.ip().is_unspecified() || address.ip().is_multicast();
        if useless || self.is_banned(address.ip()) {
            return;
        }
        let room = self.entries.len() < ADDRESSES;
        if let Some(entry) = self.entries.get_mut(&address) {
            entry.failures = entry.failures.min(FAILURES - 1);
        } else if room {
            self.entries.insert(address, Entry::default());
        }
    }

    /// An address to connect to now; it is in use until it is said how that ended.
    pub fn take(&mut self, now: Duration) -> Option<SocketAddr> {
        let ready = |entry: &Entry| !entry.in_use && entry.failures < FAILURES && entry.not_before <= now;
        let fewest =
            self.entries.iter_mut().filter(|(_, entry)| ready(entry)).min_by_key(|(_, e)| e.failures);
        fewest.map(|(address, entry)| {
            entry.in_use = true;
            *address
        })
    }

    /// The connection worked, and is over; it may be made again after a while.
    pub fn ended(&mut self, now: Duration, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            *entry = Entry { in_use: false, failures: 0, not_before: now + WAIT };
        }
    }

    /// There was no connection.
    pub fn failed(&mut self, now: Duration, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            let not_before = now + WAIT * 2_u32.pow(entry.failures.min(FAILURES));
            *entry = Entry { in_use: false, failures: entry.failures + 1, not_before };
        }
    }

    /// The address is our own, or of no use.
    pub fn give_up(&mut self, address: SocketAddr) {
        if let Some(entry) = self.entries.get_mut(&address) {
            // Stays in the book, or the tracker would bring it again.
            *entry = Entry { in_use: true, ..*entry };
        }
    }

    /// The host sent octets that are not the torrent's.
    pub fn ban(&mut self, host: IpAddr) {
        let host = host.to_canonical();
        if self.banned.len() < BANNED {
            self.banned.insert(host);
        }
        self.entries.retain(|address, _| address.ip() != host);
    }

    /// Whether nothing is to do with the host.
    #[must_use]
    pub fn is_banned(&self, host: IpAddr) -> bool {
        self.banned.contains(&host.to_canonical())
    }

    /// Addresses known, in use or not.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nobody is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(port: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], port))
    }

    #[test]
    fn failures_wait_longer_and_longer_and_end() {
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
    fn the_banned_stay_away() {
        let mut book = Book::default();
        book.add(address(1));
        book.ban(address(0).ip());
        book.add(address(2));
        book.add("[::ffff:192.0.2.1]:3".parse().unwrap());
        assert_eq!(book.take(Duration::ZERO), None);
        assert!(book.is_empty());
    }

    #[test]
    fn a_tracker_cannot_fill_the_memory() {
        let mut book = Book::default();
        (1..u16::MAX).for_each(|port| book.add(address(port)));
        assert_eq!(book.len(), ADDRESSES);
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
