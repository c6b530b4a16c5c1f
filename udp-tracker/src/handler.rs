//! The request handler of a tracker: without a socket, a clock or a thread.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use swarm_store::{AnnounceOutcome, Change, PeerStatus, ThreadContext};
use udp_tracker_proto as proto;
use udp_tracker_proto::{
    AnnounceHead, AnnounceRequest, ConnectRequest, ConnectResponse, ConnectionId, DecodeError, Dialect,
    ErrorResponse, Event, InfoHash, MAX_SCRAPE_HASHES, PROTOCOL_ID, Request, RequestError, ScrapeEntry,
    ScrapeRequest, ScrapeResponse, TransactionId,
};

use crate::access::{AccessView, Denied};
use crate::connection_ids::ConnectionIds;
use crate::count::Count;
use crate::counters::{Counters, Snapshot};
use crate::family::Family;
use crate::id_clock::IdClock;
use crate::livesync::Publisher;
use crate::service::{ConnectionIdsView, Service, SettingsView};
use crate::settings::Settings;
use crate::stores::{compact_len, store_time};

/// Answers requests, for one thread.
///
/// ```
/// use std::sync::Arc;
/// use udp_tracker::{Handler, Service, Settings};
///
/// let service = Arc::new(Service::new(Settings::default())?);
/// let mut handler = Handler::new(service);
/// let mut reply = [0; 1232];
/// let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
/// let len = handler.handle(1_800_000_000, "192.0.2.1:6881".parse()?, &connect, &mut reply);
/// assert_eq!(len, 16);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Handler {
    service: Arc<Service>,
    counters: Arc<Counters<Count>>,
    /// What was counted and is not yet in `counters`.
    counted: Snapshot<Count>,
    rng: SmallRng,
    context: ThreadContext,
    id_clock: IdClock,
    settings: Arc<Settings>,
    newest_settings: SettingsView,
    connection_ids: Arc<ConnectionIds>,
    newest_connection_ids: ConnectionIdsView,
    access: AccessView,
    publisher: Option<Publisher>,
}

/// A datagram's sender, in canonical form.
#[derive(Clone, Copy)]
struct Source {
    address: SocketAddr,
    family: Family,
}

/// What is counted for a request, and the length of the reply in bytes.
type Answer = (Count, usize);

/// A datagram that was handled.
#[derive(Clone, Copy)]
pub(crate) struct Handled {
    /// Bytes of the reply; 0 for none.
    pub(crate) reply_len: usize,
    /// What it was counted as, besides as received.
    pub(crate) count: Count,
    pub(crate) family: Family,
}

/// 29 bytes with the head of the error response. That is shorter than any well-formed announce or scrape.
const BAD_ID: &str = "unknown connection_id";
/// For a scrape without a whole info_hash, which has only 16 bytes or a few more.
const BAD_ID_SHORT: &str = "bad id";

/// The most announces that are prefetched together: those of a batch.
const PREFETCHED: usize = 64;
/// With fewer datagrams, prefetching gains little.
const WORTH_PREFETCHING: usize = 4;

impl Handler {
    /// A handler with its own counters. The service adds up the counters of all handlers.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        let mut rng = SmallRng::seed_from_u64(u64::from_ne_bytes(service.random_bytes()));
        Self {
            counters: service.register_counters(),
            counted: Snapshot::default(),
            context: ThreadContext::new(rng.random()),
            rng,
            id_clock: IdClock::new(service.settings().connection_id_lifetime),
            settings: service.settings(),
            newest_settings: service.settings_view(),
            connection_ids: service.connection_ids(),
            newest_connection_ids: service.connection_ids_view(),
            access: service.access_view(),
            publisher: None,
            service,
        }
    }

    /// The same handler, which also passes announces to livesync.
    #[must_use]
    pub fn with_publisher(self, publisher: Publisher) -> Self {
        Self { publisher: Some(publisher), ..self }
    }

    /// What this handler has counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters<Count>> {
        &self.counters
    }

    /// Sets the system's time: `now`, by the clock of [`handle`](Self::handle), and `unix` since 1970 are the same
    /// moment.
    ///
    /// Connection ids follow the system's time, because machines that share a connection key must agree on the time.
    /// Call this every few seconds, to notice when the system's clock is set. Ids from before stay valid for their
    /// lifetime. Without a call, `now` counts as the system's time.
    pub fn set_clock(&mut self, now: Duration, unix: Duration) {
        self.id_clock.set(now, unix);
    }

    /// Bytes of the longest reply.
    #[must_use]
    pub fn max_reply_bytes(&self) -> usize {
        self.settings.max_reply_bytes
    }

    /// Asks the processor to load the memory that these datagrams will need. They must have come over sockets of one
    /// family and be handled right after. It only affects how long that takes, when the store is large.
    pub fn prefetch<'a>(&mut self, family: Family, datagrams: impl Iterator<Item = &'a [u8]>) {
        let mut torrents = [InfoHash([0; 20]); PREFETCHED];
        let mut len = 0;
        for (torrent, announced) in
            torrents.iter_mut().zip(datagrams.filter_map(AnnounceRequest::peek_info_hash))
        {
            *torrent = announced;
            len += 1;
        }
        if len >= WORTH_PREFETCHING {
            self.service.stores().prefetch(family, &torrents[..len], &mut self.context);
        }
    }

    /// Handles a datagram: writes the reply and returns its length in bytes, 0 for no reply.
    ///
    /// `now` is in seconds, of a clock that never runs backwards. When machines share a connection key, it must be the
    /// time since 1970, or [`set_clock`](Self::set_clock) must be called. `reply` needs
    /// [`max_reply_bytes`](crate::Settings::max_reply_bytes); in a shorter buffer replies are shorter.
    pub fn handle(&mut self, now: u64, source: SocketAddr, datagram: &[u8], reply: &mut [u8]) -> usize {
        self.begin_batch();
        let handled = self.handle_in_batch(now, source, datagram, reply);
        self.publish_counts();
        handled.reply_len
    }

    /// Takes the service's newest settings and connection keys.
    pub(crate) fn begin_batch(&mut self) {
        let newest = self.newest_settings.load();
        if !Arc::ptr_eq(newest, &self.settings) {
            self.settings = Arc::clone(newest);
        }
        let newest = self.newest_connection_ids.load();
        if !Arc::ptr_eq(newest, &self.connection_ids) {
            self.connection_ids = Arc::clone(newest);
        }
    }

    /// Like [`handle`](Self::handle), but with the settings and connection keys of the last call of [`begin_batch`](Self::begin_batch), and
    /// nothing that it counts is seen until [`publish_counts`](Self::publish_counts).
    pub(crate) fn handle_in_batch(
        &mut self,
        now: u64,
        source: SocketAddr,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Handled {
        let address = SocketAddr::new(source.ip().to_canonical(), source.port());
        let source = Source { address, family: Family::of(address.ip()) };
        let len = reply.len().min(self.max_reply_bytes());
        let reply = &mut reply[..len];
        self.count(source, Count::Received);
        let (count, len) = if address.port() == 0 {
            (Count::SourcePortZero, 0)
        } else if self.access.load().ignores(address.ip(), self.id_clock.time(now)) {
            (Count::DeniedNetwork, 0)
        } else {
            self.answer(now, source, datagram, reply)
        };
        let count = if len == 0 && count.makes_reply() { Count::NoRoomForReply } else { count };
        self.count(source, count);
        Handled { reply_len: len, count, family: source.family }
    }

    /// Counts that a reply was not sent, instead of what it answered.
    pub(crate) fn count_not_sent(&mut self, handled: Handled) {
        self.counted.take_back(handled.family, handled.count, 1);
        self.counted.add(handled.family, Count::NotSent, 1);
    }

    pub(crate) fn count_more(&mut self, family: Family, count: Count, n: usize) {
        self.counted.add(family, count, n as u64);
    }

    /// Makes all that was counted since the last call seen, at once.
    pub(crate) fn publish_counts(&mut self) {
        self.counters.add_all(&mut self.counted);
    }

    fn answer(&mut self, now: u64, source: Source, datagram: &[u8], reply: &mut [u8]) -> Answer {
        match Request::decode(datagram) {
            Ok(Request::Connect(request)) => self.connect(now, source, &request, reply),
            Ok(Request::Announce(request)) => {
                self.count(
                    source,
                    match request.dialect {
                        Dialect::Draft2004 => Count::AnnounceRequests2004,
                        Dialect::Bep15 => Count::AnnounceRequests,
                    },
                );
                let ids = (request.connection_id, request.transaction_id);
                let rejected = self.reject_bad_id(now, source, ids, datagram, reply);
                rejected.unwrap_or_else(|| self.announce(now, source, &request, reply))
            }
            Ok(Request::Scrape(request)) => {
                self.count(source, Count::ScrapeRequests);
                let ids = (request.connection_id, request.transaction_id);
                let rejected = self.reject_bad_id(now, source, ids, datagram, reply);
                rejected.unwrap_or_else(|| self.scrape(now, source, &request, reply))
            }
            Err(RequestError::Sendable { connection_id, transaction_id, reason }) => {
                let rejected =
                    self.reject_bad_id(now, source, (connection_id, transaction_id), datagram, reply);
                rejected.unwrap_or_else(|| (Count::Malformed, encode_error(transaction_id, &reason, reply)))
            }
            Err(RequestError::Unsendable(DecodeError::Truncated { .. })) => (Count::BadLength, 0),
            Err(RequestError::Unsendable(_)) => (Count::NoRequest, 0),
        }
    }

    fn connect(&mut self, now: u64, source: Source, request: &ConnectRequest, reply: &mut [u8]) -> Answer {
        if request.protocol_id == PROTOCOL_ID {
            self.count(source, Count::ConnectRequests);
        } else if self.settings.dialect_2004 {
            self.count(source, Count::ConnectRequests2004);
        } else {
            return (Count::NoRequest, 0);
        }
        let response = ConnectResponse {
            transaction_id: request.transaction_id,
            connection_id: self.connection_ids.issue(self.id_clock.time(now), source.address.ip()),
            seen: None,
        };
        (Count::Connects, response.encode(reply).unwrap_or(0))
    }

    /// The reply to a bad connection_id; `None` if the id is valid.
    fn reject_bad_id(
        &self,
        now: u64,
        source: Source,
        (connection_id, transaction_id): (ConnectionId, TransactionId),
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Option<Answer> {
        let (ids, ip) = (&self.connection_ids, source.address.ip());
        if self.id_clock.times(now).any(|now| ids.accepts(now, ip, connection_id)) {
            return None;
        }
        // In a scrape response, the action (2) is where a request has its connection_id, and the seeders are where a
        // request has its action. If such a datagram were answered, two trackers could be made to send each other
        // errors.
        if connection_id.0 >> 32 == 2 {
            return Some((Count::LooksLikeReply, 0));
        }
        // An address that has not shown that it receives gets no reply longer than its request.
        let len = reply.len().min(datagram.len());
        let reply = &mut reply[..len];
        let text = if len < ErrorResponse::HEAD_LEN + BAD_ID.len() { BAD_ID_SHORT } else { BAD_ID };
        Some((Count::BadConnectionId, encode_error(transaction_id, &text, reply)))
    }

    fn announce(
        &mut self,
        now: u64,
        source: Source,
        request: &AnnounceRequest<'_>,
        reply: &mut [u8],
    ) -> Answer {
        if let Err(denied) = self.access.load().check(request, self.id_clock.time(now)) {
            return (denied.count(), encode_error(request.transaction_id, &denied, reply));
        }
        let admitted = self.service.policy().map_or(Ok(()), |policy| policy.admit(request, source.address));
        if let Err(refusal) = admitted {
            return (Count::Refused, encode_error(request.transaction_id, &refusal, reply));
        }
        let head_len = AnnounceHead::len(request.dialect);
        let Some((head, room)) = reply.split_at_mut_checked(head_len) else { return (Count::Announces, 0) };
        let settings = &self.settings;
        let wanted = usize::try_from(request.num_want).unwrap_or(settings.default_peers);
        let wanted = wanted.min(settings.max_peers);
        let jitter = self.rng.random_range(0..=settings.longest_interval() - settings.announce_interval);
        let interval = settings.announce_interval + jitter;
        let peer = SocketAddr::new(self.peer_address(source, request), request.port);
        let status = status(request);
        let stores = self.service.stores();
        let outcome =
            stores.announce(now, request.info_hash, peer, status, (room, wanted), &mut self.context);
        self.announced(now, request, peer, status, &outcome);

        let counts = proto::Counts { leechers: outcome.counts.leechers, seeders: outcome.counts.seeders };
        let response = AnnounceHead {
            transaction_id: request.transaction_id,
            interval,
            counts: (request.dialect == Dialect::Bep15).then_some(counts),
        };
        let peers_len = outcome.peers * compact_len(source.family);
        (Count::Announces, response.encode(head).map_or(0, |head| head + peers_len))
    }

    /// The source's address, or the one in the `ip` field if the source is trusted to set it.
    fn peer_address(&self, source: Source, request: &AnnounceRequest<'_>) -> IpAddr {
        let ip = source.address.ip();
        let is_trusted = || self.settings.trusted_ip_sources.iter().any(|network| network.contains(&ip));
        if source.family == Family::V4 && !request.ip.is_unspecified() && is_trusted() {
            return request.ip.into();
        }
        ip
    }

    /// Counts the outcome of an announce, and passes it to the policy and to livesync.
    fn announced(
        &mut self,
        now: u64,
        request: &AnnounceRequest<'_>,
        peer: SocketAddr,
        status: PeerStatus,
        outcome: &AnnounceOutcome,
    ) {
        let family = Family::of(peer.ip());
        self.counted.add(family, Count::Completed, u64::from(outcome.completed));
        let not_stored = match outcome.change {
            Change::StoreFull => Some(Count::StoreFull),
            Change::TooManyTorrentsOfNetwork => Some(Count::TooManyTorrentsOfNetwork),
            Change::TooManyPeersOfNetwork => Some(Count::TooManyPeersOfNetwork),
            _ => None,
        };
        if let Some(count) = not_stored {
            self.counted.add(family, count, 1);
        }
        self.counted.add(family, Count::Evicted, outcome.evicted.into());
        if let Some(publisher) = &self.publisher
            && let Some(count) = publisher.publish(store_time(now), peer, request.info_hash, status, outcome)
        {
            self.counted.add(family, count, 1);
        }
        if let Some(policy) = self.service.policy() {
            policy.announced(request, peer, outcome);
        }
    }

    fn scrape(&mut self, now: u64, source: Source, request: &ScrapeRequest<'_>, reply: &mut [u8]) -> Answer {
        let fits = reply.len().saturating_sub(ScrapeResponse::HEAD_LEN) / ScrapeEntry::LEN;
        let hashes = request.hashes().take(fits.min(MAX_SCRAPE_HASHES));
        let (stores, unix, access) = (self.service.stores(), self.id_clock.time(now), self.access.load());
        if access.keys.is_some() {
            let denied = Denied::ScrapeWithoutPasskey;
            return (denied.count(), encode_error(request.transaction_id, &denied, reply));
        }
        let entries = hashes.map(|hash| {
            // Zeros, so that the other entries keep their places.
            if !access.serves(&hash, unix) {
                return ScrapeEntry::default();
            }
            let counts = stores.scrape(now, source.family, &hash);
            ScrapeEntry { seeders: counts.seeders, completed: counts.completed, leechers: counts.leechers }
        });
        let len = ScrapeResponse::encode(request.transaction_id, entries, reply).unwrap_or(0);
        (Count::Scrapes, len)
    }

    fn count(&mut self, source: Source, count: Count) {
        self.counted.add(source.family, count, 1);
    }
}

fn status(request: &AnnounceRequest<'_>) -> PeerStatus {
    match (request.event, request.left) {
        (Event::Stopped, _) => PeerStatus::Stopped,
        (Event::Completed, 0) => PeerStatus::Completed,
        (_, 0) => PeerStatus::Seeder,
        _ => PeerStatus::Leecher,
    }
}

/// Writes an error reply and returns its length.
fn encode_error(transaction_id: TransactionId, reason: &impl Display, reply: &mut [u8]) -> usize {
    ErrorResponse::encode_display(transaction_id, reason, reply).unwrap_or(0)
}
