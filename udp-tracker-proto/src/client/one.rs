//! Requests to one tracker, without allocating.

use core::fmt;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::announce::Announce;
use super::link::Link;
use super::pending::{Pending, Refusal, Send};
use super::policy::Policy;
use super::{Failure, RequestId, canonical, decode_announced, decode_scraped, failure, fresh_transaction_id};
use crate::compact::Peers;
use crate::{
    AnnounceHead, BufferTooSmall, ConnectRequest, ConnectResponse, ConnectionId, ErrorResponse, InfoHash,
    MAX_SCRAPE_HASHES, ResponseHead, ScrapeRequest, ScrapeResponse, TransactionId,
};

/// A client of one tracker address, with up to `N` requests at a time; see the [module's page](super).
///
/// `'r` is how long the requests' info_hashes and paths live. Outcomes borrow from the datagram that they came with, so
/// the functions that find them return them.
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
    pending: Pending,
    body: Body<'r>,
}

#[derive(Debug)]
enum Body<'r> {
    Announce(Announce<'r>),
    Scrape(&'r [InfoHash]),
}

/// Something has come of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event<'d> {
    /// The tracker has told from where it sees us; only BitComet's trackers do.
    AddressSeen(SocketAddrV4),
    /// An announce was answered.
    Announced {
        /// Which.
        request: RequestId,
        /// Interval and counts.
        head: AnnounceHead,
        /// Peers to connect to.
        peers: Peers<'d>,
    },
    /// A scrape was answered.
    Scraped {
        /// Which.
        request: RequestId,
        /// The counts, in the order asked for.
        response: ScrapeResponse<'d>,
    },
    /// A request has come to nothing.
    Failed {
        /// Which.
        request: RequestId,
        /// Why.
        failure: Failure<'d>,
    },
}

/// Why a request can't be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// As many requests as the client has room for are under way.
    #[error("{0} requests are under way, and there is no room for more")]
    Full(usize),
    /// No info_hash, or more than fit into one scrape.
    #[error("{0} info_hashes to scrape: 1 to 74 expected")]
    InfoHashes(usize),
}

impl<'r, R: FnMut() -> u32, const N: usize> OneTracker<'r, R, N> {
    /// A client that knows nothing yet.
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

    /// Where to send to.
    pub const fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// Datagrams that were no reply to anything: from elsewhere, of no transaction, too late, doubled or forged.
    pub const fn strays(&self) -> u64 {
        self.strays
    }

    /// Begins an announce; it ends before `timeout` has passed.
    ///
    /// # Errors
    /// `Full`.
    pub fn announce(
        &mut self,
        now: Duration,
        announce: &Announce<'r>,
        timeout: Duration,
    ) -> Result<RequestId, StartError> {
        self.begin(now, Body::Announce(*announce), timeout)
    }

    /// Begins a scrape of 1 to 74 torrents; it ends before `timeout` has passed.
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
        self.begin(now, Body::Scrape(info_hashes), timeout)
    }

    /// Ends a request without an event; says whether it was under way.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        let at = self.slots.iter().position(|slot| slot.as_ref().is_some_and(|slot| slot.id == request));
        at.is_some_and(|at| self.end(at).is_some())
    }

    /// Writes the next datagram that is to be sent to [`OneTracker::tracker`], and returns its octets; `None`: nothing is
    /// to be sent.
    ///
    /// The answer may change after any other function that takes `&mut self`.
    ///
    /// # Errors
    /// When `out` is too short for the request: 1496 octets do, or 98, the path and 2 for each 255 of it. The request
    /// counts as sent.
    pub fn poll_transmit(&mut self, now: Duration, out: &mut [u8]) -> Result<Option<usize>, BufferTooSmall> {
        for at in 0..N {
            let taken = Taken::by(&self.slots, &self.link);
            let Some(slot) = &mut self.slots[at] else { continue };
            let fresh = || fresh_transaction_id((self.random)(), |id| taken.contains(id));
            match slot.pending.transmit(now, &mut self.link, fresh) {
                Some(Send::Connect(id)) => return ConnectRequest::new(id).encode(out).map(Some),
                Some(Send::Request(id)) => return slot.encode(id, out).map(Some),
                None => {}
            }
        }
        Ok(None)
    }

    /// Takes a datagram that came from `source`, whole: a reply with 200 IPv6 peers has 3620 octets.
    pub fn handle_input<'d>(
        &mut self,
        now: Duration,
        source: SocketAddr,
        datagram: &'d [u8],
    ) -> Option<Event<'d>> {
        let Ok(head) = ResponseHead::decode(datagram) else { return self.stray() };
        if canonical(source) != self.tracker {
            return self.stray();
        }
        if self.link.transaction_id() == Some(head.transaction_id) {
            return self.handle_connect(now, datagram);
        }
        let waits = |slot: &Slot<'_>| {
            slot.pending.transaction_id == head.transaction_id && slot.pending.waits_for_answer()
        };
        let Some(at) = self.slots.iter().position(|slot| slot.as_ref().is_some_and(waits)) else {
            return self.stray();
        };
        let slot = self.slots[at].as_mut()?;
        if let Ok(error) = ErrorResponse::decode(datagram) {
            return match slot.pending.refused(&mut self.link) {
                Refusal::Final => self.fail(at, Failure::Refused(error)),
                Refusal::TryAgain => None,
                Refusal::Late => self.stray(),
            };
        }
        let request = slot.id;
        let event = match slot.body {
            Body::Announce(announce) => decode_announced(self.tracker, announce.dialect, datagram)
                .map(|(head, peers)| Event::Announced { request, head, peers }),
            Body::Scrape(hashes) => {
                decode_scraped(hashes, datagram).map(|response| Event::Scraped { request, response })
            }
        };
        let transaction_id = head.transaction_id;
        self.end(at);
        Some(event.unwrap_or_else(|error| Event::Failed { request, failure: failure(error, transaction_id) }))
    }

    /// When to call [`OneTracker::handle_timeout`]; `None` without requests.
    ///
    /// The answer may change after any other function that takes `&mut self`. After `handle_timeout(now)` has returned
    /// `None` it is later than `now`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.slots.iter().flatten().map(|slot| slot.pending.due()).min()
    }

    /// Looks for requests that have waited long enough: they are sent again, or given up. To be called until it returns
    /// `None`.
    pub fn handle_timeout(&mut self, now: Duration) -> Option<Event<'static>> {
        for at in 0..N {
            let Some(slot) = &mut self.slots[at] else { continue };
            if slot.pending.handle_timeout(now, &mut self.link).is_err() {
                return self.fail(at, Failure::TimedOut);
            }
        }
        None
    }

    fn begin(&mut self, now: Duration, body: Body<'r>, timeout: Duration) -> Result<RequestId, StartError> {
        let taken = Taken::by(&self.slots, &self.link);
        let transaction_id = fresh_transaction_id((self.random)(), |id| taken.contains(id));
        let slot = self.slots.iter_mut().find(|slot| slot.is_none()).ok_or(StartError::Full(N))?;
        let id = RequestId(self.next_id);
        self.next_id += 1;
        *slot = Some(Slot { id, pending: Pending::new(now, timeout, self.policy, transaction_id), body });
        Ok(id)
    }

    fn handle_connect<'d>(&mut self, now: Duration, datagram: &'d [u8]) -> Option<Event<'d>> {
        let failure = match (ErrorResponse::decode(datagram), ConnectResponse::decode(datagram)) {
            (Err(_), Ok(response)) => {
                self.link.connected(now, response.connection_id);
                self.slots.iter_mut().flatten().for_each(|slot| slot.pending.connected());
                return response.seen.map(Event::AddressSeen);
            }
            (Ok(error), _) => Failure::Refused(error),
            (_, Err(error)) => Failure::Malformed(error),
        };
        // This one has its answer; the others that wait will each ask for their own.
        self.link.rest();
        let waits = |slot: &Slot<'_>| slot.pending.waits_for_connection();
        let at = self.slots.iter().position(|slot| slot.as_ref().is_some_and(waits))?;
        let event = self.fail(at, failure);
        self.slots.iter_mut().flatten().for_each(|slot| slot.pending.connected());
        event
    }

    fn fail<'d>(&mut self, at: usize, failure: Failure<'d>) -> Option<Event<'d>> {
        let request = self.end(at)?;
        Some(Event::Failed { request, failure })
    }

    fn end(&mut self, at: usize) -> Option<RequestId> {
        let slot = self.slots[at].take()?;
        if self.slots.iter().all(Option::is_none) {
            self.link.rest();
        }
        Some(slot.id)
    }

    fn stray<'d>(&mut self) -> Option<Event<'d>> {
        self.strays += 1;
        None
    }
}

/// Without the source of randomness, which is mostly a closure and has no such form.
impl<R, const N: usize> fmt::Debug for OneTracker<'_, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneTracker")
            .field("tracker", &self.tracker)
            .field("link", &self.link)
            .field("slots", &self.slots)
            .finish_non_exhaustive()
    }
}

impl Slot<'_> {
    fn encode(&self, connection_id: ConnectionId, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let transaction_id = self.pending.transaction_id;
        match self.body {
            Body::Announce(announce) => announce.encode(connection_id, transaction_id, out),
            Body::Scrape(hashes) => {
                let hashes = hashes.iter().map(|hash| hash.0);
                ScrapeRequest::encode_hashes(connection_id, transaction_id, hashes, out)
            }
        }
    }
}

/// The transaction_ids of the requests that live, and of the connect.
struct Taken<const N: usize>([Option<TransactionId>; N], Option<TransactionId>);

impl<const N: usize> Taken<N> {
    fn by(slots: &[Option<Slot<'_>>; N], link: &Link) -> Self {
        let of_slot = |slot: &Option<Slot<'_>>| slot.as_ref().map(|slot| slot.pending.transaction_id);
        Self(slots.each_ref().map(of_slot), link.transaction_id())
    }

    fn contains(&self, id: TransactionId) -> bool {
        self.0.contains(&Some(id)) || self.1 == Some(id)
    }
}
