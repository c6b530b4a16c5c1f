//! How a tracker answers: without a socket, a clock or a thread.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt;
use rand::rngs::SmallRng;
use swarm_store::{Announce, Change, PeerStatus, SwarmStore, ThreadContext};
use udp_tracker_proto as proto;
use udp_tracker_proto::{
    AnnounceHead, AnnounceRequest, ConnectRequest, ConnectResponse, ConnectionId, DecodeError, Dialect,
    ErrorResponse, Event, InfoHash, MAX_SCRAPE_HASHES, PROTOCOL_ID, Request, RequestError, ScrapeEntry,
    ScrapeRequest, ScrapeResponse, TransactionId, compact,
};

use crate::access::AccessView;
use crate::counters::{Count, Counters, Family};
use crate::id_clock::IdClock;
use crate::livesync::Teller;
use crate::service::{Service, store_time};

/// Answers requests, for one thread.
///
/// ```
/// use udp_tracker::{Config, Handler, Service};
///
/// let service = Service::new(Config::default())?;
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
    counters: Arc<Counters>,
    rng: SmallRng,
    context: ThreadContext,
    id_clock: IdClock,
    access: AccessView,
    teller: Option<Teller>,
}

/// Says so in 29 octets, which is less than the shortest announce or scrape that means anything.
const BAD_ID: &str = "unknown connection_id";
/// For a scrape without a whole info_hash, which has 16 octets or a few more.
const BAD_ID_SHORT: &str = "bad id";

/// Announces that are prefetched together, at most: a batch's.
const PREFETCHED: usize = 64;
/// With fewer, there is little to be had from fetching them at once.
const WORTH_PREFETCHING: usize = 4;

impl Handler {
    /// A handler with counters of its own.
    #[must_use]
    pub fn new(service: Arc<Service>) -> Self {
        let access = AccessView::new(&service);
        let teller = service.teller().cloned();
        let id_clock = IdClock::new(service.config().connection_id_lifetime);
        let mut rng: SmallRng = rand::make_rng();
        Self {
            service,
            counters: Arc::new(Counters::default()),
            context: ThreadContext::new(rng.random()),
            rng,
            id_clock,
            access,
            teller,
        }
    }

    /// What this handler has counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    /// Says that at the moment `now` of [`handle`](Self::handle)'s clock the system's clock stands at `unix` since 1970.
    ///
    /// Connection ids follow it, since machines that share a connection key must agree on the time. To be called once in
    /// some seconds, so that it is noticed when the system's clock is set; ids from before stay good for their lifetime.
    /// Without it, `now` is taken for the system's time.
    pub fn set_clock(&mut self, now: Duration, unix: Duration) {
        self.id_clock.set(now, unix);
    }

    /// Octets of the longest reply.
    pub(crate) fn max_reply_octets(&self) -> usize {
        self.service.config().max_reply_octets
    }

    /// Asks the processor to bring near what these datagrams, which came over sockets of one family, are going to touch.
    /// They are to be handled right after. Changes nothing but how long that takes, when the store is large.
    pub fn prefetch<'a>(&mut self, family: Family, datagrams: impl Iterator<Item = &'a [u8]>) {
        let mut torrents = [InfoHash([0; 20]); PREFETCHED];
        let mut len = 0;
        for (torrent, announced) in
            torrents.iter_mut().zip(datagrams.filter_map(AnnounceRequest::peek_info_hash))
        {
            *torrent = announced;
            len += 1;
        }
        if len < WORTH_PREFETCHING {
            return;
        }
        match family {
            Family::V4 => self.service.v4.prefetch(&torrents[..len], &mut self.context),
            Family::V6 => self.service.v6.prefetch(&torrents[..len], &mut self.context),
        }
    }

    /// Answers a datagram: writes the reply and returns its octets, 0 for silence.
    ///
    /// `now` is in seconds, of a clock that never runs backwards. When machines share a connection key, it is the time
    /// since 1970, or [`set_clock`](Self::set_clock) says what that is. `reply` needs [`max_reply_octets`](crate::Config::max_reply_octets); in a shorter one
    /// replies are shorter.
    pub fn handle(&mut self, now: u64, source: SocketAddr, datagram: &[u8], reply: &mut [u8]) -> usize {
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let len = reply.len().min(self.max_reply_octets());
        let reply = &mut reply[..len];
        let family = family(source);
        self.counters.add(family, Count::Received, 1);
        if source.port() == 0 {
            self.counters.add(family, Count::SourcePortZero, 1);
            return 0;
        }
        let (count, len) = match Request::decode(datagram) {
            Ok(Request::Connect(request)) => self.connect(now, source, &request, reply),
            Ok(Request::Announce(request)) => {
                let ids = (request.connection_id, request.transaction_id);
                let verified = self.verify(now, source, ids, datagram, reply);
                verified.unwrap_or_else(|| self.announce(now, source, &request, reply))
            }
            Ok(Request::Scrape(request)) => {
                let ids = (request.connection_id, request.transaction_id);
                let verified = self.verify(now, source, ids, datagram, reply);
                verified.unwrap_or_else(|| self.scrape(now, source, &request, reply))
            }
            Err(RequestError::Sendable { connection_id, transaction_id, reason }) => {
                let verified = self.verify(now, source, (connection_id, transaction_id), datagram, reply);
                verified.unwrap_or_else(|| (Count::Malformed, refuse(transaction_id, &reason, reply)))
            }
            Err(RequestError::Unsendable(DecodeError::Truncated { .. })) => (Count::BadLength, 0),
            Err(RequestError::Unsendable(_)) => (Count::NoRequest, 0),
        };
        self.counters.add(family, count, 1);
        len
    }

    fn connect(
        &self,
        now: u64,
        source: SocketAddr,
        request: &ConnectRequest,
        reply: &mut [u8],
    ) -> (Count, usize) {
        if request.protocol_id != PROTOCOL_ID {
            if !self.service.config().dialect_2004 {
                return (Count::NoRequest, 0);
            }
            self.counters.add(family(source), Count::Connects2004, 1);
        }
        let response = ConnectResponse {
            transaction_id: request.transaction_id,
            connection_id: self.service.connection_ids.issue(self.id_clock.time(now), source.ip()),
            seen: None,
        };
        (Count::Connects, response.encode(reply).unwrap_or(0))
    }

    /// What to answer to somebody whose connection_id is no good.
    fn verify(
        &self,
        now: u64,
        source: SocketAddr,
        (connection_id, transaction_id): (ConnectionId, TransactionId),
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Option<(Count, usize)> {
        let ids = &self.service.connection_ids;
        if self.id_clock.times(now).any(|now| ids.accepts(now, source.ip(), connection_id)) {
            return None;
        }
        // A scrape response's seeders stand where a request has its action, and its own action, 2, where a request has
        // its connection_id. Answered, two trackers could be made to send each other errors.
        if connection_id.0 >> 32 == 2 {
            return Some((Count::LooksLikeReply, 0));
        }
        // Whoever has not shown that it receives here gets nothing longer than it sent.
        let len = reply.len().min(datagram.len());
        let reply = &mut reply[..len];
        let text = if len < ErrorResponse::HEAD_LEN + BAD_ID.len() { BAD_ID_SHORT } else { BAD_ID };
        Some((Count::BadConnectionId, refuse(transaction_id, &text, reply)))
    }

    fn announce(
        &mut self,
        now: u64,
        source: SocketAddr,
        request: &AnnounceRequest<'_>,
        reply: &mut [u8],
    ) -> (Count, usize) {
        if !self.access.serves(&self.service, &request.info_hash) {
            let len = refuse(request.transaction_id, &"this tracker does not serve this torrent", reply);
            return (Count::NotServed, len);
        }
        if request.dialect == Dialect::Draft2004 {
            self.counters.add(family(source), Count::Announces2004, 1);
        }
        let service = Arc::clone(&self.service);
        let len = match source.ip() {
            IpAddr::V4(ip) => {
                let trusted =
                    || service.config().trusted_ip_sources.iter().any(|net| net.contains(&source.ip()));
                let ip = if !request.ip.is_unspecified() && trusted() { request.ip } else { ip };
                let peer = SocketAddrV4::new(ip, request.port);
                self.announce_to(&service.v4, now, peer.into(), compact::from_v4(peer), request, reply)
            }
            IpAddr::V6(ip) => {
                let peer = SocketAddrV6::new(ip, request.port, 0, 0);
                self.announce_to(&service.v6, now, peer.into(), compact::from_v6(peer), request, reply)
            }
        };
        (Count::Announces, len)
    }

    fn announce_to<const N: usize>(
        &mut self,
        store: &SwarmStore<N>,
        now: u64,
        address: SocketAddr,
        peer: [u8; N],
        request: &AnnounceRequest<'_>,
        reply: &mut [u8],
    ) -> usize {
        let config = self.service.config();
        let head_len = AnnounceHead::len(request.dialect);
        let Some((head, room)) = reply.split_at_mut_checked(head_len) else { return 0 };
        let wanted = usize::try_from(request.num_want).unwrap_or(config.default_peers).min(config.max_peers);
        let (room, _) = room.as_chunks_mut();
        let wanted = wanted.min(room.len());
        let status = match (request.event, request.left) {
            (Event::Stopped, _) => PeerStatus::Stopped,
            (Event::Completed, 0) => PeerStatus::Completed,
            (_, 0) => PeerStatus::Seeder,
            _ => PeerStatus::Leecher,
        };
        let announce = Announce { info_hash: request.info_hash, peer, status };
        let outcome = store.announce(store_time(now), &announce, &mut room[..wanted], &mut self.context);
        let family = family(address);
        self.counters.add(family, Count::Completed, u64::from(outcome.completed));
        self.counters.add(family, Count::NotStored, u64::from(outcome.change == Change::StoreFull));
        if let Some(teller) = &self.teller
            && let Some(count) = teller.tell(store_time(now), address, &announce, &outcome)
        {
            self.counters.add(family, count, 1);
        }
        let jitter = self.rng.random_range(0..=config.longest_interval() - config.announce_interval);
        let counts = proto::Counts { leechers: outcome.counts.leechers, seeders: outcome.counts.seeders };
        let response = AnnounceHead {
            transaction_id: request.transaction_id,
            interval: config.announce_interval + jitter,
            counts: (request.dialect == Dialect::Bep15).then_some(counts),
        };
        response.encode(head).map_or(0, |head| head + outcome.peers * N)
    }

    fn scrape(
        &mut self,
        now: u64,
        source: SocketAddr,
        request: &ScrapeRequest<'_>,
        reply: &mut [u8],
    ) -> (Count, usize) {
        let fits = reply.len().saturating_sub(ScrapeResponse::HEAD_LEN) / ScrapeEntry::LEN;
        let hashes = request.hashes().take(fits.min(MAX_SCRAPE_HASHES));
        let (service, access) = (&self.service, &mut self.access);
        let entries = hashes.map(|hash| {
            // As if nobody shared it, so that the others keep their places.
            if !access.serves(service, &hash) {
                return ScrapeEntry { seeders: 0, completed: 0, leechers: 0 };
            }
            let counts = match source {
                SocketAddr::V4(_) => service.v4.scrape(store_time(now), &hash),
                SocketAddr::V6(_) => service.v6.scrape(store_time(now), &hash),
            };
            ScrapeEntry { seeders: counts.seeders, completed: counts.completed, leechers: counts.leechers }
        });
        let len = ScrapeResponse::encode(request.transaction_id, entries, reply).unwrap_or(0);
        (Count::Scrapes, len)
    }
}

fn family(source: SocketAddr) -> Family {
    if source.is_ipv4() { Family::V4 } else { Family::V6 }
}

/// An error reply; its octets.
fn refuse(transaction_id: TransactionId, reason: &impl Display, reply: &mut [u8]) -> usize {
    ErrorResponse::encode_display(transaction_id, reason, reply).unwrap_or(0)
}
