//! The request handler of a tracker: without a socket, a clock or a thread.

mod announce;
mod answer;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use swarm_store::ThreadContext;
use tracing::debug;
use udp_tracker_proto::{AnnounceRequest, InfoHash};

use crate::access::AccessView;
use crate::connection_ids::ConnectionIds;
use crate::count::Count;
use crate::counters::{Counters, Snapshot};
use crate::family::Family;
use crate::id_clock::IdClock;
use crate::in_force::InForce;
use crate::livesync::Publisher;
use crate::proxy::{self, Proxied};
use crate::service::Service;
use crate::settings::Settings;
use crate::shed::{Load, Pass, Shedder};
use crate::takeover::Changes;

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
    settings: InForce<Arc<Settings>>,
    connection_ids: InForce<Arc<ConnectionIds>>,
    /// Where announces are also passed while a successor takes over.
    changes: InForce<Option<Arc<Changes>>>,
    access: AccessView,
    /// One for the sockets of each family.
    shedders: [Shedder; 2],
    publisher: Option<Publisher>,
}

/// A datagram's sender, in canonical form.
#[derive(Clone, Copy)]
struct Source {
    address: SocketAddr,
    family: Family,
    /// The family of the socket, which is a proxy's.
    socket: Family,
}

impl Source {
    fn new(address: SocketAddr) -> Self {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let family = if address.is_ipv4() { Family::V4 } else { Family::V6 };
        Self { address, family, socket: family }
    }
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
            settings: service.settings_in_force(),
            connection_ids: service.connection_ids_in_force(),
            changes: service.changes_in_force(),
            access: service.access_view(),
            shedders: Family::ALL.map(|_| Shedder::new(service.random_bytes())),
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

    /// Reports how the sockets of a family were since the last call. Call it about every 10 milliseconds; without a call, everything
    /// is answered.
    ///
    /// When a socket overflows, the kernel drops what comes next, whoever has sent it. From such a report on, the
    /// handler itself drops datagrams of the networks that send most, until the reports are better.
    pub fn end_window(&mut self, sockets: Family, load: Load) {
        self.shedders[sockets as usize].end_window(load);
    }

    /// An address of each network of which the sockets should drop a part, and how much they should let through, if that
    /// has changed.
    pub(crate) fn changed_passes(&mut self, sockets: Family) -> Option<impl Iterator<Item = (IpAddr, Pass)>> {
        self.shedders[sockets as usize].changed_passes()
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

    /// Takes what the service has put in force last.
    pub(crate) fn begin_batch(&mut self) {
        self.settings.refresh();
        self.connection_ids.refresh();
        self.changes.refresh();
    }

    /// Like [`handle`](Self::handle), but with the settings and connection keys of the last call of
    /// [`begin_batch`](Self::begin_batch), and nothing that it counts is seen until
    /// [`publish_counts`](Self::publish_counts).
    pub(crate) fn handle_in_batch(
        &mut self,
        now: u64,
        source: SocketAddr,
        datagram: &[u8],
        reply: &mut [u8],
    ) -> Handled {
        let source = Source::new(source);
        let len = reply.len().min(self.max_reply_bytes());
        let reply = &mut reply[..len];
        if self.settings.is_proxy(source.address.ip()) {
            self.handle_proxied(now, source, datagram, reply)
        } else {
            self.handle_from(now, source, datagram, reply)
        }
    }

    /// Handles a datagram from a proxy: it may have a header with the client's address.
    fn handle_proxied(&mut self, now: u64, proxy: Source, datagram: &[u8], reply: &mut [u8]) -> Handled {
        match proxy::decode(datagram) {
            Ok(None) => self.handle_from(now, proxy, datagram, reply),
            Ok(Some(Proxied { client, reply_header, payload })) => {
                let source =
                    client.map_or(proxy, |client| Source { socket: proxy.family, ..Source::new(client) });
                let header_len = reply_header.len().min(reply.len());
                let (header, room) = reply.split_at_mut(header_len);
                let handled = self.handle_from(now, source, payload, room);
                if handled.reply_len == 0 {
                    return handled;
                }
                // There is room for a reply, so there is for the header.
                header.copy_from_slice(reply_header);
                Handled { reply_len: header_len + handled.reply_len, ..handled }
            }
            Err(error) => {
                debug!("a datagram of the proxy {} is ignored: {error}", proxy.address);
                self.count(proxy, Count::Received);
                self.count(proxy, Count::BadProxyHeader);
                Handled { reply_len: 0, count: Count::BadProxyHeader, family: proxy.family }
            }
        }
    }

    fn handle_from(&mut self, now: u64, source: Source, datagram: &[u8], reply: &mut [u8]) -> Handled {
        self.count(source, Count::Received);
        let ip = source.address.ip();
        let (count, len) = if source.address.port() == 0 {
            (Count::SourcePortZero, 0)
        } else if self.access.load().ignores(ip, self.id_clock.time(now)) {
            (Count::DeniedNetwork, 0)
        } else {
            self.answer(now, source, datagram, reply)
        };
        let count = if len == 0 && count.makes_reply() { Count::NoRoomForReply } else { count };
        if len == 0 {
            self.shedder(source).count_ignored();
        }
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

    fn shedder(&mut self, source: Source) -> &mut Shedder {
        &mut self.shedders[source.socket as usize]
    }

    fn count(&mut self, source: Source, count: Count) {
        self.counted.add(source.family, count, 1);
    }
}
