//! Requests to any number of trackers, over one socket.

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{SocketAddr, SocketAddrV4};
use core::time::Duration;

use super::announce::Announce;
use super::link::Link;
use super::pending::{Pending, Refusal, Send};
use super::policy::Policy;
use super::{Failure, RequestId, canonical, decode_announced, decode_scraped, failure, fresh_transaction_id};
use crate::{
    BufferTooSmall, ConnectRequest, ConnectResponse, ConnectionId, Counts, DecodeError, ErrorResponse,
    InfoHash, ResponseHead, ScrapeEntry, ScrapeRequest, TransactionId,
};

/// Info_hashes in one scrape: as many as fit into an IPv6 packet of Ethernet's 1500 octets, which is a little less than
/// the "about 74" of BEP 15, that don't fit into an IPv4 packet either.
const HASHES_A_SCRAPE: usize = (1500 - 40 - 8 - ScrapeRequest::HEAD_LEN) / 20;

/// A client of many trackers; see the [module's page](super).
pub struct ManyTrackers<R> {
    policy: Policy,
    random: R,
    next_id: u64,
    requests: BTreeMap<RequestId, Request>,
    links: BTreeMap<SocketAddr, Link>,
    /// The living requests of each tracker.
    members: BTreeSet<(SocketAddr, RequestId)>,
    transactions: BTreeMap<(SocketAddr, TransactionId), RequestId>,
    /// Requests that may have something to send.
    ready: BTreeSet<RequestId>,
    timers: BTreeSet<(Duration, RequestId)>,
    /// When connection ids expire, so that what is known of trackers that nobody asks any more is forgotten.
    expiries: BTreeSet<(Duration, SocketAddr)>,
    events: VecDeque<OwnedEvent>,
    strays: u64,
}

#[derive(Debug)]
struct Request {
    tracker: SocketAddr,
    pending: Pending,
    /// As it stands in `timers`.
    due: Duration,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Announce { announce: Announce<'static>, path_and_query: Box<str> },
    Scrape { info_hashes: Box<[InfoHash]>, entries: Vec<ScrapeEntry> },
}

/// A datagram that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// Where to.
    pub to: SocketAddr,
    /// Its octets, at the front of the buffer.
    pub len: usize,
}

/// Something has come of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OwnedEvent {
    /// A tracker has told from where it sees us; only BitComet's trackers do.
    AddressSeen {
        /// Which tracker.
        tracker: SocketAddr,
        /// Our address and port, as seen.
        seen: SocketAddrV4,
    },
    /// A request has ended; the last that is heard of it.
    Ended {
        /// Which.
        request: RequestId,
        /// Of whom.
        tracker: SocketAddr,
        /// What came of it.
        outcome: Outcome,
    },
}

/// What has come of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// An announce was answered.
    Announced(Announced),
    /// A scrape was answered: the counts in the order asked for.
    Scraped(Vec<ScrapeEntry>),
    /// The tracker said no: its words, fit for a terminal; maybe none.
    Refused(String),
    /// What came back was no reply to this request.
    Malformed(DecodeError),
    /// Nobody answered before the deadline, or before the policy gave up.
    TimedOut,
}

/// What a tracker tells a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the peer should announce again.
    pub interval: u32,
    /// The swarm's size; a tracker of the 2004 dialect doesn't tell.
    pub counts: Option<Counts>,
    /// Peers to connect to.
    pub peers: Vec<SocketAddr>,
}

impl<R: FnMut() -> u32> ManyTrackers<R> {
    /// A client that knows nobody yet.
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

    /// Begins an announce; it ends before `timeout` has passed.
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

    /// Begins a scrape of any number of torrents, one datagram after the other; it ends, as a whole, before `timeout` has
    /// passed.
    pub fn scrape(
        &mut self,
        now: Duration,
        tracker: SocketAddr,
        info_hashes: &[InfoHash],
        timeout: Duration,
    ) -> RequestId {
        let body = Body::Scrape { info_hashes: info_hashes.into(), entries: Vec::new() };
        let id = self.begin(now, tracker, body, timeout);
        if info_hashes.is_empty() {
            // Nothing to ask for, so nothing to wait for.
            self.end(id, Outcome::Scraped(Vec::new()));
        }
        id
    }

    /// Ends a request without an event; says whether it was under way.
    pub fn cancel(&mut self, request: RequestId) -> bool {
        self.remove(request).is_some()
    }

    /// Requests that are under way.
    pub fn pending(&self) -> usize {
        self.requests.len()
    }

    /// Datagrams that were no reply to anything: from elsewhere, of no transaction, too late, doubled or forged.
    pub const fn strays(&self) -> u64 {
        self.strays
    }

    /// Writes the next datagram that is to be sent; `None`: nothing is to be sent.
    ///
    /// The answer may change after any other function that takes `&mut self`, but for `poll_event`.
    ///
    /// # Errors
    /// When `out` is too short for the request: 1452 octets do, or 98, the path and 2 for each 255 of it. The request
    /// counts as sent.
    pub fn poll_transmit(
        &mut self,
        now: Duration,
        out: &mut [u8],
    ) -> Result<Option<Transmit>, BufferTooSmall> {
        while let Some(id) = self.ready.pop_first() {
            let Self { requests, links, transactions, random, .. } = self;
            let Some(request) = requests.get_mut(&id) else { continue };
            let to = request.tracker;
            let link = links.entry(to).or_default();
            let connect = link.transaction_id();
            let is_taken = |id| transactions.contains_key(&(to, id)) || connect == Some(id);
            let fresh = || fresh_transaction_id(random(), is_taken);
            let before = request.pending.transaction_id;
            let send = request.pending.transmit(now, link, fresh);
            let after = request.pending.transaction_id;
            if after != before {
                transactions.remove(&(to, before));
                transactions.insert((to, after), id);
            }
            let len = match send {
                Some(Send::Connect(id)) => ConnectRequest::new(id).encode(out).map(Some),
                Some(Send::Request(id)) => request.encode(id, out).map(Some),
                None => Ok(None),
            };
            // Not made ready again: one that sends nothing has another's connect to wait for, or is at its end.
            self.retime(id);
            if let Some(len) = len? {
                return Ok(Some(Transmit { to, len }));
            }
        }
        Ok(None)
    }

    /// Takes a datagram that came from `source`, whole: a reply with 200 IPv6 peers has 3620 octets.
    pub fn handle_input(&mut self, now: Duration, source: SocketAddr, datagram: &[u8]) {
        let source = canonical(source);
        let Ok(head) = ResponseHead::decode(datagram) else { return self.stray() };
        let connect = self.links.get(&source).and_then(Link::transaction_id);
        if connect == Some(head.transaction_id) {
            return self.handle_connect(now, source, datagram);
        }
        let Some(&id) = self.transactions.get(&(source, head.transaction_id)) else { return self.stray() };
        let Some(request) = self.requests.get_mut(&id) else { return self.stray() };
        if !request.pending.waits_for_answer() {
            return self.stray();
        }
        if let Ok(error) = ErrorResponse::decode(datagram) {
            let link = self.links.entry(source).or_default();
            match request.pending.refused(link) {
                Refusal::Final => self.end(id, Outcome::Refused(error.text().to_string())),
                Refusal::TryAgain => self.reschedule(id),
                Refusal::Late => self.stray(),
            }
            return;
        }
        match request.answered(datagram) {
            Ok(Some(outcome)) => self.end(id, outcome),
            Ok(None) => {
                request.pending.answered();
                self.reschedule(id);
            }
            Err(error) => self.end(id, failure(error, head.transaction_id).into()),
        }
    }

    /// When to call [`ManyTrackers::handle_timeout`]; `None` when there is nothing to wait for.
    ///
    /// The answer may change after any other function that takes `&mut self`, but for `poll_event`. After
    /// `handle_timeout(now)` it is later than `now`.
    pub fn poll_timeout(&self) -> Option<Duration> {
        let timer = self.timers.first().map(|(due, _)| *due);
        let expiry = self.expiries.first().map(|(due, _)| *due);
        timer.into_iter().chain(expiry).min()
    }

    /// Looks for requests that have waited long enough: they are sent again, or given up.
    pub fn handle_timeout(&mut self, now: Duration) {
        while let Some(&(due, id)) = self.timers.first()
            && due <= now
        {
            let Some(request) = self.requests.get_mut(&id) else {
                self.timers.pop_first();
                continue;
            };
            let link = self.links.entry(request.tracker).or_default();
            match request.pending.handle_timeout(now, link) {
                Ok(()) => self.reschedule(id),
                Err(_) => self.end(id, Outcome::TimedOut),
            }
        }
        while let Some(&(due, tracker)) = self.expiries.first()
            && due <= now
        {
            self.expiries.pop_first();
            self.forget_if_idle(now, tracker);
        }
    }

    /// What has come of the requests, oldest first.
    ///
    /// The answer may change after `handle_input`, `handle_timeout`, and a `scrape` of nothing.
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
        let pending = Pending::new(now, timeout, self.policy, transaction_id);
        let due = pending.due();
        self.transactions.insert((tracker, transaction_id), id);
        self.members.insert((tracker, id));
        self.timers.insert((due, id));
        self.ready.insert(id);
        self.requests.insert(id, Request { tracker, pending, due, body });
        id
    }

    fn handle_connect(&mut self, now: Duration, tracker: SocketAddr, datagram: &[u8]) {
        let members = self.members.range((tracker, RequestId(0))..=(tracker, RequestId(u64::MAX)));
        let members: Vec<RequestId> = members.map(|(_, id)| *id).collect();
        let link = self.links.entry(tracker).or_default();
        let failure = match (ErrorResponse::decode(datagram), ConnectResponse::decode(datagram)) {
            (Err(_), Ok(response)) => {
                link.connected(now, response.connection_id);
                self.expiries.extend(link.expires().map(|at| (at, tracker)));
                let seen = response.seen.map(|seen| OwnedEvent::AddressSeen { tracker, seen });
                self.events.extend(seen);
                for id in members {
                    if let Some(request) = self.requests.get_mut(&id) {
                        request.pending.connected();
                        self.reschedule(id);
                    }
                }
                return;
            }
            (Ok(error), _) => Failure::Refused(error),
            (_, Err(error)) => Failure::Malformed(error),
        };
        link.rest();
        for id in members {
            if self.requests.get(&id).is_some_and(|request| request.pending.waits_for_connection()) {
                self.end(id, failure.into());
            }
        }
    }

    /// Brings `ready` and `timers` in line with a request that has changed.
    fn reschedule(&mut self, id: RequestId) {
        self.retime(id);
        if self.requests.get(&id).is_some_and(|request| request.pending.is_ready()) {
            self.ready.insert(id);
        }
    }

    fn retime(&mut self, id: RequestId) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let due = request.pending.due();
        if due != request.due {
            self.timers.remove(&(request.due, id));
            self.timers.insert((due, id));
            request.due = due;
        }
    }

    fn end(&mut self, id: RequestId, outcome: Outcome) {
        if let Some(tracker) = self.remove(id) {
            self.events.push_back(OwnedEvent::Ended { request: id, tracker, outcome });
        }
    }

    fn remove(&mut self, id: RequestId) -> Option<SocketAddr> {
        let Request { tracker, pending, due, .. } = self.requests.remove(&id)?;
        self.timers.remove(&(due, id));
        self.ready.remove(&id);
        self.members.remove(&(tracker, id));
        self.transactions.remove(&(tracker, pending.transaction_id));
        if !self.has_members(tracker)
            && let Some(link) = self.links.get_mut(&tracker)
        {
            link.rest();
            if link.expires().is_none() {
                self.links.remove(&tracker);
            }
        }
        Some(tracker)
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

/// Without the source of randomness, which is mostly a closure and has no such form.
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

impl Request {
    fn encode(&self, connection_id: ConnectionId, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let transaction_id = self.pending.transaction_id;
        match &self.body {
            Body::Announce { announce, path_and_query } => {
                announce.with_path_and_query(path_and_query).encode(connection_id, transaction_id, out)
            }
            Body::Scrape { info_hashes, entries } => {
                let hashes = next_hashes(info_hashes, entries).iter().map(|hash| hash.0);
                ScrapeRequest::encode_hashes(connection_id, transaction_id, hashes, out)
            }
        }
    }

    /// What its reply makes of it; `None`: there is more to ask for.
    fn answered(&mut self, datagram: &[u8]) -> Result<Option<Outcome>, DecodeError> {
        match &mut self.body {
            Body::Announce { announce, .. } => {
                let (head, peers) = decode_announced(self.tracker, announce.dialect, datagram)?;
                Ok(Some(Outcome::Announced(Announced {
                    interval: head.interval,
                    counts: head.counts,
                    peers: peers.iter().collect(),
                })))
            }
            Body::Scrape { info_hashes, entries } => {
                let response = decode_scraped(next_hashes(info_hashes, entries), datagram)?;
                entries.extend(response.entries().map(|(_, entry)| entry));
                let whole = entries.len() == info_hashes.len();
                Ok(whole.then(|| Outcome::Scraped(core::mem::take(entries))))
            }
        }
    }
}

/// Those that the next datagram asks for, when `entries` of them have been answered.
fn next_hashes<'a>(info_hashes: &'a [InfoHash], entries: &[ScrapeEntry]) -> &'a [InfoHash] {
    let rest = &info_hashes[entries.len()..];
    &rest[..rest.len().min(HASHES_A_SCRAPE)]
}

impl From<Failure<'_>> for Outcome {
    fn from(failure: Failure<'_>) -> Self {
        match failure {
            Failure::Refused(error) => Self::Refused(error.text().to_string()),
            Failure::Malformed(error) => Self::Malformed(error),
            Failure::TimedOut => Self::TimedOut,
        }
    }
}
