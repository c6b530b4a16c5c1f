//! Requests to any number of trackers, over one socket.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;
use core::fmt;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::announce::Announce;
use super::exchange::{Answer, Exchange, Question, Reply, fresh_transaction_id};
use super::failure::Error;
use super::family::canonical;
use super::interval::clamp_interval;
use super::link::Link;
use super::policy::Policy;
use super::{RequestId, Transmit};
use crate::{Counts, InfoHash, ResponseHead, ScrapeEntry, ScrapeRequest, TransactionId};

/// Info_hashes in one scrape: as many as fit into an IPv6 packet of 1500 bytes, the maximum of Ethernet. BEP 15 allows
/// "about 74", which don't fit, not even over IPv4.
const HASHES_A_SCRAPE: usize = (1500 - 40 - 8 - ScrapeRequest::HEAD_LEN) / 20;

/// A client of many trackers; see the [module's documentation](super).
///
/// # Complexity
/// Every call takes time logarithmic in the number of requests; the reply to a connect also takes time linear in the
/// number of requests to that tracker. Memory grows with the number of pending requests, and of trackers that replied
/// to a connect within the last minute. Datagrams that are not a reply to a request need no memory.
pub struct ManyTrackers<R> {
    policy: Policy,
    random: R,
    next_id: u64,
    requests: BTreeMap<RequestId, Request>,
    links: BTreeMap<SocketAddr, Link>,
    /// The pending requests of each tracker.
    members: BTreeSet<(SocketAddr, RequestId)>,
    transactions: BTreeMap<(SocketAddr, TransactionId), RequestId>,
    /// Requests that may have something to send.
    ready: BTreeSet<RequestId>,
    timers: BTreeSet<(Duration, RequestId)>,
    /// When connection ids expire, so that trackers without requests are forgotten.
    expiries: BTreeSet<(Duration, SocketAddr)>,
    events: VecDeque<OwnedEvent>,
    strays: u64,
}

#[derive(Debug)]
struct Request {
    tracker: SocketAddr,
    exchange: Exchange,
    /// The request's entry in `timers`.
    due: Duration,
    body: Body,
}

/// The content of a request. A scrape may need several datagrams, one after the other.
#[derive(Debug)]
enum Body {
    Announce { announce: Announce<'static>, path_and_query: Box<str> },
    Scrape { info_hashes: Box<[InfoHash]>, entries: Vec<ScrapeEntry> },
}

/// An event of a [`ManyTrackers`].
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedEvent {
    /// A tracker reported the client's address and port as it sees them. Only BitComet's trackers do so.
    AddressSeen {
        /// The tracker.
        tracker: SocketAddr,
        /// The client's address and port.
        seen: SocketAddrV4,
    },
    /// An announce has ended.
    Announced {
        /// The request.
        request: RequestId,
        /// The tracker.
        tracker: SocketAddr,
        /// The tracker's reply, or why the request failed.
        result: Result<Announced, Error>,
    },
    /// A scrape has ended.
    Scraped {
        /// The request.
        request: RequestId,
        /// The tracker.
        tracker: SocketAddr,
        /// The counts, in the order of the info_hashes in the request, or why the request failed.
        result: Result<Vec<ScrapeEntry>, Error>,
    },
}

/// A tracker's reply to an announce.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the peer should announce again, as the tracker sent it; see [`Announced::next_announce`].
    pub interval: u32,
    /// The size of the swarm; `None` if the reply has the 2004 dialect, which has no counts.
    pub counts: Option<Counts>,
    /// Peers to connect to.
    pub peers: Vec<SocketAddr>,
}

impl Announced {
    /// The time until the next announce: the interval, [clamped](clamp_interval) to one minute to two hours.
    #[must_use]
    pub fn next_announce(&self) -> Duration {
        clamp_interval(self.interval)
    }
}

impl<R: FnMut() -> u32> ManyTrackers<R> {
    /// A client without requests. `random` must return 32 unpredictable bits.
    pub const fn new(policy: Policy, random: R) -> Self {
        Self {
            policy,
            random,
            next_id: 0,
            requests: BTreeMap::new(),
            links: BTreeMap::new(),
            members: BTreeSet::new(),
            transactions: BTreeMap::new(),
            ready: BTreeSet::new(),
            timers: BTreeSet::new(),
            expiries: BTreeSet::new(),
            events: VecDeque::new(),
            strays: 0,
        }
    }

    /// Begins an announce. It ends with [`OwnedEvent::Announced`] after `timeout` at the latest.
    pub fn announce(
        &mut self,
        now: Duration,
        tracker: SocketAddr,
        announce: &Announce<'_>,
        timeout: Duration,
    ) -> RequestId {
        let path_and_query = announce.path_and_query.into();
        let announce = announce.with_path_and_query("");
        self.begin(now, tracker, Body::Announce { announce, path_and_query }, timeout)
    }

    /// Begins a scrape of any number of torrents, if needed with several datagrams, one after the other. It ends with
    /// one [`OwnedEvent::Scraped`] for all torrents, after `timeout` at the latest.
    pub fn scrape(
        &mut self,
        now: Duration,
        tracker: SocketAddr,
        info_hashes: &[InfoHash],
        timeout: Duration,
    ) -> RequestId {
        let body = Body::Scrape { info_hashes: info_hashes.into(), entries: Vec::new() };
        let id = self.begin(now, tracker, body, timeout);
        if info_hashes.is_empty()
            && let Some(tracker) = self.remove(id).map(|request| request.tracker)
        {
            // Without info_hashes there is nothing to send, so the request has ended.
            self.events.push_back(OwnedEvent::Scraped { request: id, tracker, result: Ok(Vec::new()) });
        }
        id
    }

    /// Ends a request without an event; returns whether it was pending.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        self.remove(request).is_some()
    }

    /// Number of requests that have not ended.
    pub fn pending(&self) -> usize {
        self.requests.len()
    }

    /// Number of received datagrams that were not a reply to a pending request: from another address, with an unknown
    /// transaction_id, late, duplicated or forged.
    pub const fn strays(&self) -> u64 {
        self.strays
    }

    /// Writes the next datagram to send, if there is one.
    ///
    /// The result may change after any other method that takes `&mut self`, except `poll_event`.
    ///
    /// A request that doesn't fit into `out` fails: the next [`handle_timeout`](Self::handle_timeout), which is due at
    /// once, reports [`Error::TooLong`]. 1452 bytes are enough for every scrape; an announce needs 98 bytes, the path,
    /// and 2 for each 255 bytes of the path.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Duration, out: &mut [u8]) -> Option<Transmit> {
        while let Some(id) = self.ready.pop_first() {
            let Self { requests, links, transactions, random, .. } = self;
            let Some(Request { tracker, exchange, body, .. }) = requests.get_mut(&id) else { continue };
            let to = *tracker;
            let link = links.entry(to).or_default();
            let connect = link.transaction_id();
            let is_taken = |id| transactions.contains_key(&(to, id)) || connect == Some(id);
            let fresh = || fresh_transaction_id(random(), is_taken);
            let before = exchange.transaction_id;
            let len = exchange.transmit(now, link, body.question(), fresh, out);
            let after = exchange.transaction_id;
            if after != before {
                transactions.remove(&(to, before));
                transactions.insert((to, after), id);
            }
            // Not made ready again: a request that sends nothing waits for the connect of another request, or has
            // ended.
            self.retime(id);
            if let Some(len) = len {
                return Some(Transmit { to, len, request: id });
            }
        }
        None
    }

    /// Reports that the system refused to send a datagram for a permanent reason, such as an unreachable network. Its
    /// request fails: the next [`handle_timeout`](Self::handle_timeout), which is due at once, reports
    /// [`Error::NotSent`].
    ///
    /// For a temporary reason, do nothing: the datagram counts as lost, and is sent again.
    pub fn handle_send_error(&mut self, transmit: &Transmit) {
        let Some(request) = self.requests.get_mut(&transmit.request) else { return };
        let tracker = request.tracker;
        let was_connect = request.exchange.handle_send_error(self.links.entry(tracker).or_default());
        self.retime(transmit.request);
        if was_connect {
            self.connect_ended(tracker);
        }
    }

    /// Handles a datagram received from `source`. It must be complete: a reply with 200 IPv6 peers has 3620 bytes.
    pub fn handle_input(&mut self, now: Duration, source: SocketAddr, datagram: &[u8]) {
        let source = canonical(source);
        let Ok(head) = ResponseHead::decode(datagram) else { return self.stray() };
        let connect = self.links.get(&source).and_then(Link::transaction_id);
        if connect == Some(head.transaction_id) {
            return self.handle_connect(now, source, datagram);
        }
        let Some(&id) = self.transactions.get(&(source, head.transaction_id)) else { return self.stray() };
        let Some(Request { exchange, body, .. }) = self.requests.get_mut(&id) else { return self.stray() };
        let link = self.links.entry(source).or_default();
        match exchange.handle_reply(link, source, body.question(), datagram) {
            Reply::Stray => self.stray(),
            Reply::TryAgain => self.reschedule(id),
            Reply::Failed(failure) => self.fail(id, failure.into()),
            Reply::Answered(answer) => self.answered(id, answer),
        }
    }

    /// When to call [`ManyTrackers::handle_timeout`]; may be in the past. `None` if there is nothing to wait for.
    ///
    /// The result may change after any other method that takes `&mut self`, except `poll_event`. After
    /// `handle_timeout(now)` it is later than `now`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let expiry = self.expiries.first().map(|(due, _)| *due);
        timer.into_iter().chain(expiry).min()
    }

    /// Handles timers that have expired by `now`: requests without a reply become ready to be sent again, or fail.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(&(due, id)) = self.timers.first()
            && due <= now
        {
            let Some(request) = self.requests.get_mut(&id) else {
                self.timers.pop_first();
                continue;
            };
            let link = self.links.entry(request.tracker).or_default();
            match request.exchange.handle_timeout(now, link) {
                Ok(()) => self.reschedule(id),
                Err(failure) => self.fail(id, failure.into()),
            }
        }
        while let Some(&(due, tracker)) = self.expiries.first()
            && due <= now
        {
            self.expiries.pop_first();
            self.forget_if_idle(now, tracker);
        }
    }

    /// The next event, oldest first.
    ///
    /// The result may change after `handle_input`, `handle_timeout`, and a `scrape` of no torrents.
    pub fn poll_event(&mut self) -> Option<OwnedEvent> {
        self.events.pop_front()
    }

    fn begin(&mut self, now: Duration, tracker: SocketAddr, body: Body, timeout: Duration) -> RequestId {
        let tracker = canonical(tracker);
        let id = RequestId(self.next_id);
        self.next_id += 1;
        let connect = self.links.entry(tracker).or_default().transaction_id();
        let Self { random, transactions, .. } = self;
        let is_taken = |id| transactions.contains_key(&(tracker, id)) || connect == Some(id);
        let transaction_id = fresh_transaction_id(random(), is_taken);
        let exchange = Exchange::new(now, timeout, self.policy, transaction_id);
        let due = exchange.due();
        self.transactions.insert((tracker, transaction_id), id);
        self.members.insert((tracker, id));
        self.timers.insert((due, id));
        self.ready.insert(id);
        self.requests.insert(id, Request { tracker, exchange, due, body });
        id
    }

    fn handle_connect(&mut self, now: Duration, tracker: SocketAddr, datagram: &[u8]) {
        let link = self.links.entry(tracker).or_default();
        match link.handle_connect(now, datagram) {
            Ok(seen) => {
                self.expiries.extend(link.expires().map(|at| (at, tracker)));
                self.events.extend(seen.map(|seen| OwnedEvent::AddressSeen { tracker, seen }));
                self.connect_ended(tracker);
            }
            Err(failure) => {
                let error = Error::from(failure);
                for id in self.members_of(tracker) {
                    if self.requests.get(&id).is_some_and(|request| request.exchange.waits_for_connection()) {
                        self.fail(id, error.clone());
                    }
                }
            }
        }
    }

    fn connect_ended(&mut self, tracker: SocketAddr) {
        for id in self.members_of(tracker) {
            if let Some(request) = self.requests.get_mut(&id) {
                request.exchange.connect_ended();
                self.reschedule(id);
            }
        }
    }

    fn answered(&mut self, id: RequestId, answer: Answer<'_>) {
        match answer {
            Answer::Announced { head, peers } => {
                if let Some(Request { tracker, .. }) = self.remove(id) {
                    let announced = Announced {
                        interval: head.interval,
                        counts: head.counts,
                        peers: peers.iter().collect(),
                    };
                    let event = OwnedEvent::Announced { request: id, tracker, result: Ok(announced) };
                    self.events.push_back(event);
                }
            }
            Answer::Scraped(response) => {
                let Some(Request { tracker, exchange, body, .. }) = self.requests.get_mut(&id) else {
                    return;
                };
                let Body::Scrape { info_hashes, entries } = body else { return };
                entries.extend(response.entries().map(|(_, entry)| entry));
                if entries.len() < info_hashes.len() {
                    exchange.next_part();
                    return self.reschedule(id);
                }
                let (tracker, entries) = (*tracker, core::mem::take(entries));
                self.remove(id);
                self.events.push_back(OwnedEvent::Scraped { request: id, tracker, result: Ok(entries) });
            }
        }
    }

    fn fail(&mut self, id: RequestId, error: Error) {
        let Some(Request { tracker, body, .. }) = self.remove(id) else { return };
        self.events.push_back(match body {
            Body::Announce { .. } => OwnedEvent::Announced { request: id, tracker, result: Err(error) },
            Body::Scrape { .. } => OwnedEvent::Scraped { request: id, tracker, result: Err(error) },
        });
    }

    /// Updates `ready` and `timers` for a request that has changed.
    fn reschedule(&mut self, id: RequestId) {
        self.retime(id);
        if self.requests.get(&id).is_some_and(|request| request.exchange.is_ready()) {
            self.ready.insert(id);
        }
    }

    fn retime(&mut self, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let due = request.exchange.due();
        if due != request.due {
            self.timers.remove(&(request.due, id));
            self.timers.insert((due, id));
            request.due = due;
        }
    }

    fn remove(&mut self, id: RequestId) -> Option<Request> {
        let request = self.requests.remove(&id)?;
        let tracker = request.tracker;
        self.timers.remove(&(request.due, id));
        self.ready.remove(&id);
        self.members.remove(&(tracker, id));
        self.transactions.remove(&(tracker, request.exchange.transaction_id));
        if !self.has_members(tracker)
            && let Some(link) = self.links.get_mut(&tracker)
        {
            link.abandon_connect();
            if link.expires().is_none() {
                self.links.remove(&tracker);
            }
        }
        Some(request)
    }

    fn members_of(&self, tracker: SocketAddr) -> Vec<RequestId> {
        let members = self.members.range((tracker, RequestId(0))..=(tracker, RequestId(u64::MAX)));
        members.map(|(_, id)| *id).collect()
    }

    fn has_members(&self, tracker: SocketAddr) -> bool {
        self.members.range((tracker, RequestId(0))..).next().is_some_and(|(member, _)| *member == tracker)
    }

    fn forget_if_idle(&mut self, now: Duration, tracker: SocketAddr) {
        let has_members = self.has_members(tracker);
        let Some(link) = self.links.get_mut(&tracker) else { return };
        if link.drop_expired(now) && !has_members {
            self.links.remove(&tracker);
        }
    }

    fn stray(&mut self) {
        self.strays += 1;
    }
}

/// Without the source of randomness, usually a closure, which does not implement `Debug`.
impl<R> fmt::Debug for ManyTrackers<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManyTrackers")
            .field("requests", &self.requests)
            .field("links", &self.links)
            .field("members", &self.members)
            .field("transactions", &self.transactions)
            .field("ready", &self.ready)
            .field("timers", &self.timers)
            .field("expiries", &self.expiries)
            .field("events", &self.events)
            .finish_non_exhaustive()
    }
}

impl Body {
    /// The content of the datagram that is sent next, or that waits for its reply.
    fn question(&self) -> Question<'_> {
        match self {
            Self::Announce { announce, path_and_query } => {
                Question::Announce(announce.with_path_and_query(path_and_query))
            }
            Self::Scrape { info_hashes, entries } => {
                let rest = &info_hashes[entries.len()..];
                Question::Scrape(&rest[..rest.len().min(HASHES_A_SCRAPE)])
            }
        }
    }
}
