//! One node of a cluster: without a socket, a clock or a thread.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use livesync_proto::{
    Authenticator, CLOCK_TOLERANCE, Flags, Key, MAX_PACKET_LEN, NotFresh, Packet, Record, Refused,
    ReplayGuard, Sender, TrackerId, receive,
};
use swarm_store::{PeerStatus, ThreadContext};
use tracing::{error, info, warn};

use super::publish::{Publisher, queue};
use super::{LivesyncSettings, Nodes};
use crate::access::AccessView;
use crate::count::LivesyncCount as Count;
use crate::counters::{Counters, Snapshot};
use crate::family::Family;
use crate::in_force::InForce;
use crate::peer_address::PeerAddress;
use crate::service::Service;
use crate::settings::{InvalidValue, Settings};

/// The most senders of authenticated packets that are remembered, so that no packet is accepted twice. A node that
/// restarts counts as a new sender.
pub(super) const SENDERS: usize = 64;

/// The largest packet that IPv6 carries over Ethernet without fragments: 1500 bytes without the IPv6 and UDP headers.
const MAX_PACKET_LEN_V6: usize = 1452;

/// The shortest time between two changes of the id. An old packet of this node, sent again by another host, looks like
/// a second node with the same id. Without this limit, such packets could make this node change its id all the time.
const ID_PAUSE: Duration = Duration::from_secs(600);

/// The time between two logs of dropped packets. All are counted.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// A tracker's part of a cluster: makes packets from the announces that its handlers answered, and applies the packets
/// of other nodes.
///
/// `now` is the time since 1970, by the clock of the handlers' seconds. The caller
/// 1. gives each datagram to [`handle_input`](Self::handle_input);
/// 2. calls [`handle_timeout`](Self::handle_timeout) at the time that [`poll_timeout`](Self::poll_timeout) returns;
/// 3. at least every tenth of a second, and after step 2, sends the packets of [`poll_transmit`](Self::poll_transmit)
///    until there are none.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use udp_tracker::{Family, Handler, Livesync, LivesyncCount, LivesyncSettings, Service, Settings};
///
/// let service = Arc::new(Service::new(Settings::default())?);
/// let settings = LivesyncSettings::new("192.0.2.1".parse()?, vec!["192.0.2.2".parse()?]);
/// let now = Duration::from_secs(1_800_000_000);
/// let (mut livesync, publisher) = Livesync::new(Arc::clone(&service), &settings, now)?;
/// let handler = Handler::new(Arc::clone(&service)).with_publisher(publisher);
///
/// // A node's packet about a seeder, 198.51.100.7:6881.
/// let packet = b"node\0\0\0\0aaaaabbbbbcccccddddd\xc6\x33\x64\x07\x1a\xe1\x80\x00";
/// livesync.handle_input(now, "192.0.2.2:9696".parse()?, packet);
/// assert_eq!(service.stores().totals(Family::V4).peers, 1);
///
/// // The same from an address that is not a node's.
/// livesync.handle_input(now, "192.0.2.3:9696".parse()?, packet);
/// assert_eq!(livesync.counters().snapshot().total(LivesyncCount::UnknownNode), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Livesync {
    service: Arc<Service>,
    counters: Arc<Counters<Count>>,
    nodes: Arc<Nodes>,
    access: AccessView,
    settings: InForce<Arc<Settings>>,
    context: ThreadContext,
    /// The address that this node sends from.
    own: SocketAddr,
    id: TrackerId,
    id_changed: Option<Duration>,
    queued: Receiver<Record>,
    /// Taken from the queue; its packet waits to be sent.
    held: Option<Record>,
    sender: Sender,
    key: Option<Key>,
    guard: Box<ReplayGuard<SENDERS>>,
    /// A moment, and the system's time at that moment.
    clock: (Duration, Duration),
    warned: Option<Duration>,
}

impl Livesync {
    /// Makes a node, and the publisher by which handlers pass announces to it.
    ///
    /// # Errors
    /// A setting is invalid.
    pub fn new(
        service: Arc<Service>,
        settings: &LivesyncSettings,
        now: Duration,
    ) -> Result<(Self, Publisher), InvalidValue> {
        settings.check(&service.settings())?;
        let (publisher, queued) = queue(service.settings().peer_lifetime);
        let own = SocketAddr::new(settings.interface.to_canonical(), settings.port);
        let max_packet_len = if own.is_ipv6() { MAX_PACKET_LEN_V6 } else { MAX_PACKET_LEN };
        let signer = settings.key.clone().map(|key| Authenticator::new(key, now, now));
        let id = TrackerId(service.random_bytes());
        let livesync = Self {
            counters: Arc::new(Counters::default()),
            nodes: Arc::new(Nodes::new(&settings.nodes, settings.interface)),
            access: service.access_view(),
            settings: service.settings_in_force(),
            context: ThreadContext::new(u64::from_ne_bytes(service.random_bytes())),
            own,
            id,
            id_changed: None,
            queued,
            held: None,
            sender: Sender::new(now, id, signer, max_packet_len),
            key: settings.key.clone(),
            guard: Box::new(ReplayGuard::new(now, CLOCK_TOLERANCE)),
            clock: (now, now),
            warned: None,
            service,
        };
        Ok((livesync, publisher))
    }

    /// The id in this node's packets.
    #[must_use]
    pub fn id(&self) -> TrackerId {
        self.id
    }

    /// The node's counters.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters<Count>> {
        &self.counters
    }

    pub(crate) fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// Sets the clock of authenticated packets: `now` and `unix` since 1970 are the same moment. Call it about every
    /// second. Without a call, `now` counts as the system's time.
    ///
    /// After the clock was set back, this node takes a new id. Otherwise the others would refuse its packets until the
    /// time has caught up.
    pub fn set_clock(&mut self, now: Duration, unix: Duration) {
        self.clock = (now, unix);
        self.sender.set_clock(now, unix);
        if self.sender.needs_new_id(now) {
            self.take_new_id("the system's clock was set back");
        }
    }

    /// Handles a datagram from `source`, sent to the group or to this node alone: applies its records, or drops it.
    pub fn handle_input(&mut self, now: Duration, source: SocketAddr, datagram: &[u8]) {
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let is_own_address = self.own == source;
        if is_own_address && datagram.starts_with(&self.id.0) {
            return;
        }
        self.counters.add(Family::of(source.ip()), Count::PacketsReceived, 1);
        if is_own_address {
            let why =
                "it has this node's own address but another id; is there a second node on this machine?";
            return self.refuse(now, source, Count::UnknownNode, &why);
        }
        let Some(node) = self.nodes.find(source.ip()) else {
            return self.refuse(now, source, Count::UnknownNode, &"it is not among the nodes");
        };
        match receive(datagram, self.id, self.key.as_ref()) {
            Ok(packet) => self.admit(now, source, node, packet),
            Err(Refused::OwnId) => self.same_id(now, source),
            Err(why) => self.refuse(now, source, count_of(why), &why),
        }
    }

    fn admit(&mut self, now: Duration, source: SocketAddr, node: usize, packet: Packet<'_>) {
        let (set_at, unix) = self.clock;
        let unix = unix.saturating_add(now.saturating_sub(set_at));
        if let Some(sequence) = packet.sequence
            && let Err(why) = self.guard.admit(now, unix, packet.id, sequence)
        {
            return self.refuse(now, source, count_of_stale(why), &why);
        }
        let delay = packet.sequence.map(|sequence| unix.saturating_sub(sequence.unix_time()));
        if self.nodes.count_packet(node, now, delay) {
            info!("first packet from {source}, node {}", packet.id);
        }
        let mut counted = Snapshot::default();
        self.settings.refresh();
        for record in packet.records {
            let family = Family::of(record.peer.ip());
            counted.add(family, Count::RecordsReceived, 1);
            counted.add(family, self.apply((now.as_secs(), unix.as_secs()), &record), 1);
        }
        self.nodes.count_records(node, counted.total(Count::RecordsReceived), counted.total(Count::Applied));
        self.counters.add_all(&mut counted);
    }

    /// Applies a record like an announce of the peer, but does not publish it.
    fn apply(&mut self, (now, unix): (u64, u64), record: &Record) -> Count {
        let stopped = record.flags.contains(Flags::STOPPED);
        let min_port = if stopped { 0 } else { self.settings.min_peer_port };
        let Ok(peer) = PeerAddress::new(record.peer, min_port) else { return Count::BadPeer };
        let access = self.access.load();
        if !access.serves(&record.info_hash, unix) {
            return Count::NotServed;
        }
        if access.networks.find(peer.address().ip(), unix).is_some() {
            return Count::DeniedNetwork;
        }
        let seeding = record.flags.contains(Flags::SEEDING);
        let status = match () {
            () if stopped => PeerStatus::Stopped,
            () if seeding && record.flags.contains(Flags::COMPLETED) => PeerStatus::Completed,
            () if seeding => PeerStatus::Seeder,
            () => PeerStatus::Leecher,
        };
        let stores = self.service.stores();
        let outcome = stores.announce(now, record.info_hash, &peer, status, (&mut [], 0), &mut self.context);
        if outcome.is_not_stored() { Count::StoreFull } else { Count::Applied }
    }

    /// Another node has the same id, so each ignores the other's packets.
    fn same_id(&mut self, now: Duration, source: SocketAddr) {
        self.counters.add(Family::of(source.ip()), Count::OwnId, 1);
        if self.id_changed.is_some_and(|changed| now.saturating_sub(changed) < ID_PAUSE) {
            return;
        }
        self.id_changed = Some(now);
        self.take_new_id(&format!("{source} sends packets with this node's id"));
    }

    fn take_new_id(&mut self, cause: &str) {
        let id = TrackerId(self.service.random_bytes());
        error!("{cause}: this node's id changes from {} to {id}", self.id);
        self.id = id;
        self.sender.set_id(id);
    }

    fn refuse(&mut self, now: Duration, source: SocketAddr, count: Count, why: &dyn Display) {
        self.counters.add(Family::of(source.ip()), count, 1);
        // Packets without records are no error: opentracker sends them.
        if count != Count::BadLength && self.warned.is_none_or(|at| now.saturating_sub(at) >= WARNING_PAUSE) {
            self.warned = Some(now);
            warn!("dropped a packet from {source}: {why} (logged once a minute)");
        }
    }

    /// The next packet that is due, if any. Send it now, to the group and to each node of the list.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Duration) -> Option<&[u8]> {
        while let Some(record) = self.held.take().or_else(|| self.queued.try_recv().ok()) {
            if self.sender.push(&record).is_err() {
                self.held = Some(record);
                break;
            }
        }
        let packet = self.sender.poll_transmit(now)?;
        let (family, records) = contents(packet);
        self.counters.add(family, Count::PacketsSent, 1);
        self.counters.add(family, Count::RecordsSent, records);
        Some(packet)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout). May change with every call of the other methods.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.sender.poll_timeout()
    }

    /// Makes packets due whose time has come by `now`.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.sender.handle_timeout(now);
    }

    /// Makes all records due that were taken from the handlers, whether they fill a packet or not. Call it before the
    /// end, when [`poll_transmit`](Self::poll_transmit) returns nothing more.
    pub fn flush(&mut self) {
        self.sender.flush();
    }
}

/// The family and the number of the records in a packet of this node.
fn contents(packet: &[u8]) -> (Family, u64) {
    const HEADER_LEN: usize = 8;
    let (family, record_len) = match packet.get(4..HEADER_LEN) {
        Some([0, 0, 0, 0]) => (Family::V4, livesync_proto::Family::V4.record_len()),
        _ => (Family::V6, livesync_proto::Family::V6.record_len()),
    };
    // A trailer is shorter than a record.
    (family, (packet.len().saturating_sub(HEADER_LEN) / record_len) as u64)
}

fn count_of(why: Refused) -> Count {
    match why {
        Refused::HeaderOnly { .. } => Count::BadLength,
        Refused::Unauthenticated => Count::Unauthenticated,
        Refused::BadMac => Count::BadMac,
        Refused::OwnId => Count::OwnId,
        _ => Count::UnknownType,
    }
}

fn count_of_stale(why: NotFresh) -> Count {
    match why {
        NotFresh::Replayed => Count::Replayed,
        NotFresh::TooManySenders => Count::TooManySenders,
        _ => Count::BadTime,
    }
}
