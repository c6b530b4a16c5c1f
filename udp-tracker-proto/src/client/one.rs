//! Requests to one tracker, without allocating.

use core::fmt;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::announce::Announce;
use super::exchange::{Answer, Exchange, Question, Reply, fresh_transaction_id};
use super::failure::Failure;
use super::family::canonical;
use super::link::Link;
use super::policy::Policy;
use super::{RequestId, Transmit};
use crate::compact::Peers;
use crate::{AnnounceHead, InfoHash, MAX_SCRAPE_HASHES, ResponseHead, ScrapeResponse, TransactionId};

/// A client of one tracker address, with up to `N` requests at a time; see the [module's documentation](super).
///
/// `'r` is the lifetime of the requests' info_hashes and paths. Events borrow from the received datagram, so
/// `handle_input` and `handle_timeout` return them directly.
pub struct OneTracker<'r, R, const N: usize = 4> {
    tracker: SocketAddr,
    policy: Policy,
    random: R,
    link: Link,
    slots: [Option<Slot<'r>>; N],
    next_id: u64,
    strays: u64,
}

#[derive(Debug)]
struct Slot<'r> {
    id: RequestId,
    exchange: Exchange,
    question: Question<'r>,
}

/// An event of a [`OneTracker`]. Borrows from the received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BorrowedEvent<'d> {
    /// The tracker reported the client's address and port as it sees them. Only BitComet's trackers do so.
    AddressSeen(SocketAddrV4),
    /// An announce was answered.
    Announced {
        /// The request.
        request: RequestId,
        /// Interval and counts.
        head: AnnounceHead,
        /// Peers to connect to.
        peers: Peers<'d>,
    },
    /// A scrape was answered.
    Scraped {
        /// The request.
        request: RequestId,
        /// The counts, in the order of the info_hashes in the request.
        response: ScrapeResponse<'d>,
    },
    /// A request has failed.
    Failed {
        /// The request.
        request: RequestId,
        /// Why it failed.
        failure: Failure<'d>,
    },
}

/// Why a request can't begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The client has no room for another request. The value is the number of pending requests.
    #[error("{0} requests are pending, and there is no room for more")]
    Full(usize),
    /// Too few or too many info_hashes for one scrape. The value is their number.
    #[error("{0} info_hashes to scrape: 1 to 74 expected")]
    InfoHashes(usize),
}

impl<'r, R: FnMut() -> u32, const N: usize> OneTracker<'r, R, N> {
    /// A client without requests. `random` must return 32 unpredictable bits.
    pub fn new(tracker: SocketAddr, policy: Policy, random: R) -> Self {
        Self {
            tracker: canonical(tracker),
            policy,
            random,
            link: Link::default(),
            slots: [const { None }; N],
            next_id: 0,
            strays: 0,
        }
    }

    /// The tracker's address.
    pub const fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// Number of received datagrams that were not a reply to a pending request: from another address, with an unknown
    /// transaction_id, late, duplicated or forged.
    pub const fn strays(&self) -> u64 {
        self.strays
    }

    /// Begins an announce. It ends after `timeout` at the latest.
    ///
    /// # Errors
    /// `Full`.
    pub fn announce(
        &mut self,
        now: Duration,
        announce: &Announce<'r>,
        timeout: Duration,
    ) -> Result<RequestId, StartError> {
        self.begin(now, Question::Announce(*announce), timeout)
    }

    /// Begins a scrape of 1 to 74 torrents. It ends after `timeout` at the latest.
    ///
    /// # Errors
    /// `Full`, or `InfoHashes`.
    pub fn scrape(
        &mut self,
        now: Duration,
        info_hashes: &'r [InfoHash],
        timeout: Duration,
    ) -> Result<RequestId, StartError> {
        if !(1..=MAX_SCRAPE_HASHES).contains(&info_hashes.len()) {
            return Err(StartError::InfoHashes(info_hashes.len()));
        }
        self.begin(now, Question::Scrape(info_hashes), timeout)
    }

    /// Ends a request without an event; returns whether it was pending.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        self.position(request).is_some_and(|at| self.end(at).is_some())
    }

    /// Writes the next datagram to send, if there is one.
    ///
    /// The result may change after any other method that takes `&mut self`.
    ///
    /// A request that doesn't fit into `out` fails: the next [`handle_timeout`](Self::handle_timeout), which is due at
    /// once, returns [`Failure::TooLong`]. 1496 bytes are enough for every scrape; an announce needs 98 bytes, the
    /// path, and 2 for each 255 bytes of the path.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Duration, out: &mut [u8]) -> Option<Transmit> {
        (0..N).find_map(|at| {
            let taken = Taken::by(&self.slots, &self.link);
            let slot = self.slots[at].as_mut()?;
            let fresh = || fresh_transaction_id((self.random)(), |id| taken.contains(id));
            let len = slot.exchange.transmit(now, &mut self.link, slot.question, fresh, out)?;
            Some(Transmit { to: self.tracker, len, request: slot.id })
        })
    }

    /// Reports that the system refused to send a datagram for a permanent reason, such as an unreachable network. Its
    /// request fails: the next [`handle_timeout`](Self::handle_timeout), which is due at once, returns
    /// [`Failure::NotSent`].
    ///
    /// For a temporary reason, do nothing: the datagram counts as lost, and is sent again.
    pub fn handle_send_error(&mut self, transmit: &Transmit) {
        if let Some(at) = self.position(transmit.request)
            && let Some(slot) = &mut self.slots[at]
            && slot.exchange.handle_send_error(&mut self.link)
        {
            self.connect_ended();
        }
    }

    /// Handles a datagram received from `source`. It must be complete: a reply with 200 IPv6 peers has 3620 bytes.
    pub fn handle_input<'d>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        datagram: &'d [u8],
    ) -> Option<BorrowedEvent<'d>> {
        let Ok(head) = ResponseHead::decode(datagram) else { return self.stray() };
        if canonical(source) != self.tracker {
            return self.stray();
        }
        if self.link.transaction_id() == Some(head.transaction_id) {
            return self.handle_connect(now, datagram);
        }
        let asked = |slot: &Slot<'_>| slot.exchange.transaction_id == head.transaction_id;
        let Some(at) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(asked)) else {
            return self.stray();
        };
        let Slot { id: request, exchange, question } = self.slots[at].as_mut()?;
        let request = *request;
        let event = match exchange.handle_reply(&mut self.link, self.tracker, *question, datagram) {
            Reply::Stray => return self.stray(),
            Reply::TryAgain => return None,
            Reply::Answered(Answer::Announced { head, peers }) => {
                BorrowedEvent::Announced { request, head, peers }
            }
            Reply::Answered(Answer::Scraped(response)) => BorrowedEvent::Scraped { request, response },
            Reply::Failed(failure) => BorrowedEvent::Failed { request, failure },
        };
        self.end(at);
        Some(event)
    }

    /// When to call [`OneTracker::handle_timeout`]; may be in the past. `None` without requests.
    ///
    /// The result may change after any other method that takes `&mut self`. After `handle_timeout(now)` has returned
    /// `None` it is later than `now`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.slots.iter().flatten().map(|slot| slot.exchange.due()).min()
    }

    /// Handles timers that have expired by `now`: requests without a reply become ready to be sent again, or fail. Call
    /// it until it returns `None`.
    pub fn handle_timeout(&mut self, now: Duration) -> Option<BorrowedEvent<'static>> {
        (0..N).find_map(|at| {
            let slot = self.slots[at].as_mut()?;
            let failure = slot.exchange.handle_timeout(now, &mut self.link).err()?;
            self.fail(at, failure)
        })
    }

    fn begin(
        &mut self,
        now: Duration,
        question: Question<'r>,
        timeout: Duration,
    ) -> Result<RequestId, StartError> {
        let taken = Taken::by(&self.slots, &self.link);
        let transaction_id = fresh_transaction_id((self.random)(), |id| taken.contains(id));
        let slot = self.slots.iter_mut().find(|slot| slot.is_none()).ok_or(StartError::Full(N))?;
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let exchange = Exchange::new(now, timeout, self.policy, transaction_id);
        *slot = Some(Slot { id, exchange, question });
        Ok(id)
    }

    fn handle_connect<'d>(&mut self, now: Duration, datagram: &'d [u8]) -> Option<BorrowedEvent<'d>> {
        let event = match self.link.handle_connect(now, datagram) {
            Ok(seen) => seen.map(BorrowedEvent::AddressSeen),
            // Only one of the waiting requests fails; the others connect again.
            Err(failure) => {
                let waits = |slot: &Slot<'_>| slot.exchange.waits_for_connection();
                let at = self.slots.iter().position(|slot| slot.as_ref().is_some_and(waits))?;
                self.fail(at, failure)
            }
        };
        self.connect_ended();
        event
    }

    fn connect_ended(&mut self) {
        self.slots.iter_mut().flatten().for_each(|slot| slot.exchange.connect_ended());
    }

    fn position(&self, request: RequestId) -> Option<usize> {
        self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.id == request))
    }

    fn fail<'d>(&mut self, at: usize, failure: Failure<'d>) -> Option<BorrowedEvent<'d>> {
        let request = self.end(at)?;
        Some(BorrowedEvent::Failed { request, failure })
    }

    fn end(&mut self, at: usize) -> Option<RequestId> {
        let slot = self.slots[at].take()?;
        if self.slots.iter().all(Option::is_none) {
            self.link.abandon_connect();
        }
        Some(slot.id)
    }

    fn stray<'d>(&mut self) -> Option<BorrowedEvent<'d>> {
        self.strays += 1;
        None
    }
}

/// Without the source of randomness, usually a closure, which does not implement `Debug`.
impl<R, const N: usize> fmt::Debug for OneTracker<'_, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTracker")
            .field("tracker", &self.tracker)
            .field("link", &self.link)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

/// The transaction_ids of the pending requests, and of the unanswered connect.
struct Taken<const N: usize>([Option<TransactionId>; N], Option<TransactionId>);

impl<const N: usize> Taken<N> {
    fn by(slots: &[Option<Slot<'_>>; N], link: &Link) -> Self {
        let of_slot = |slot: &Option<Slot<'_>>| slot.as_ref().map(|slot| slot.exchange.transaction_id);
        Self(slots.each_ref().map(of_slot), link.transaction_id())
    }

    fn contains(&self, id: TransactionId) -> bool {
        self.0.contains(&Some(id)) || self.1 == Some(id)
    }
}
