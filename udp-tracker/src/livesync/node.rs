//! One node of a cluster: without a socket, a clock or a thread.

use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use livesync_proto::{
    CLOCK_TOLERANCE, Flags, Key, MAX_PACKET_LEN, NotFresh, Packet, Record, Refused, ReplayGuard, Sender,
    Signer, TrackerId, receive,
};
use rand::RngExt;
use rand::rngs::SmallRng;
use swarm_store::{Announce, AnnounceOutcome, Change, PeerStatus, ThreadContext};
use tracing::{error, info, warn};
use udp_tracker_proto::compact;

use super::Nodes;
use crate::access::AccessView;
use crate::counters::{Count, Counters, Family};
use crate::service::{Service, random_octets, store_time};

/// Senders of signed packets that are remembered, so that nothing is taken twice. A node is several if it restarts.
pub(super) const SENDERS: usize = 64;

/// The largest packet that IPv6 carries whole over Ethernet: 1500 octets without its header and UDP's.
const MAX_PACKET_LEN_V6: usize = 1452;

/// How long an id is kept at least. An old packet of our own, sent again by somebody else, looks like a second node with
/// our id; it shall not make us take ids as fast as it can be sent.
const ID_PAUSE: Duration = Duration::from_secs(600);

/// How often a dropped packet is logged; all are counted.
const WARNING_PAUSE: Duration = Duration::from_secs(60);

/// What livesync begins with, made by the service.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub(crate) id: TrackerId,
    pub(crate) key: Option<Key>,
    pub(crate) told: Receiver<Record>,
}

/// A tracker's part in a cluster: makes packets of what its handlers hear, and applies the packets of others.
///
/// `now` is the time since 1970 by the clock that the handlers' seconds are of. Drive it so:
/// 1. give each datagram to [`handle_input`](Self::handle_input);
/// 2. call [`handle_timeout`](Self::handle_timeout) when [`poll_timeout`](Self::poll_timeout) says;
/// 3. now and then, at least every tenth of a second, and after 2, send what
///    [`poll_transmit`](Self::poll_transmit) gives until there is no more.
///
/// ```
/// use std::time::Duration;
/// use udp_tracker::{Config, Count, Livesync, Service};
///
/// let config = Config::from_toml(
///     r#"
///     [livesync]
///     enabled = true
///     interface = "192.0.2.1"
///     nodes = ["192.0.2.2"]
///     "#,
/// )?;
/// let service = Service::new(config)?;
/// let now = Duration::from_secs(1_800_000_000);
/// let mut livesync = Livesync::new(&service, now).expect("enabled, and not begun before");
///
/// // What a node says of a seeder, 198.51.100.7:6881.
/// let packet = b"node\0\0\0\0aaaaabbbbbcccccddddd\xc6\x33\x64\x07\x1a\xe1\x80\x00";
/// livesync.handle_input(now, "192.0.2.2:9696".parse()?, packet);
/// assert_eq!(service.totals(udp_tracker::Family::V4).peers, 1);
///
/// // A stranger.
/// livesync.handle_input(now, "192.0.2.3:9696".parse()?, packet);
/// assert_eq!(livesync.counters().snapshot().total(Count::LivesyncStranger), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Livesync {
    service: Arc<Service>,
    counters: Arc<Counters>,
    nodes: Arc<Nodes>,
    access: AccessView,
    context: ThreadContext,
    /// From where we send ourselves.
    own: Option<SocketAddr>,
    id: TrackerId,
    id_changed: Option<Duration>,
    told: Receiver<Record>,
    /// Taken off the queue, while its packet waits to be sent.
    held: Option<Record>,
    sender: Sender,
    key: Option<Key>,
    guard: Box<ReplayGuard<SENDERS>>,
    /// A moment, and what the system's clock said then.
    clock: (Duration, Duration),
    warned: Option<Duration>,
}

impl Livesync {
    /// The node that the service's handlers tell. `None` if its configuration doesn't enable it, or if it was made
    /// before.
    #[must_use]
    pub fn new(service: &Arc<Service>, now: Duration) -> Option<Self> {
        let Beginning { id, key, told } = service.begin_livesync()?;
        let config = &service.config().livesync;
        let own = config.interface.map(|interface| SocketAddr::new(interface, config.port));
        let max_packet_len = match own {
            Some(SocketAddr::V6(_)) => MAX_PACKET_LEN_V6,
            _ => MAX_PACKET_LEN,
        };
        let signer = key.clone().map(|key| Signer::new(key, now, now));
        Some(Self {
            counters: Arc::new(Counters::default()),
            nodes: Arc::new(Nodes::new(&config.nodes, config.interface)),
            access: AccessView::new(service),
            context: ThreadContext::new(rand::make_rng::<SmallRng>().random()),
            own,
            id,
            id_changed: None,
            told,
            held: None,
            sender: Sender::new(now, id, signer, max_packet_len),
            key,
            guard: Box::new(ReplayGuard::new(now, CLOCK_TOLERANCE)),
            clock: (now, now),
            warned: None,
            service: Arc::clone(service),
        })
    }

    /// The id in this node's packets.
    #[must_use]
    pub fn id(&self) -> TrackerId {
        self.id
    }

    /// What it has counted.
    #[must_use]
    pub fn counters(&self) -> &Arc<Counters> {
        &self.counters
    }

    pub(crate) fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    /// Sets the clock by which authenticated packets are dated: at the moment `now` the system's clock stood at `unix`
    /// since 1970. Do so every second or so; without it, `now` is taken for the system's time.
    ///
    /// A clock that was set back gives this node a new id, so that the others don't refuse its packets until the time
    /// has caught up.
    pub fn set_clock(&mut self, now: Duration, unix: Duration) {
        self.clock = (now, unix);
        self.sender.set_clock(now, unix);
        if self.sender.needs_new_id(now) {
            self.take_new_id("the system's clock was set back");
        }
    }

    /// Takes a datagram that came from `source`, to the group or to this node alone: applies its records, or drops it.
    pub fn handle_input(&mut self, now: Duration, source: SocketAddr, datagram: &[u8]) {
        let source = SocketAddr::new(source.ip().to_canonical(), source.port());
        let is_own_address = self.own == Some(source);
        if is_own_address && datagram.starts_with(&self.id.0) {
            return;
        }
        self.counters.add(family_of(source), Count::LivesyncPacketsReceived, 1);
        if is_own_address {
            let why = "it is our own address, and another's id: is a second node here?";
            return self.refuse(now, source, Count::LivesyncStranger, &why);
        }
        let Some(node) = self.nodes.find(source.ip()) else {
            return self.refuse(now, source, Count::LivesyncStranger, &"it is not among livesync.nodes");
        };
        match receive(datagram, self.id, self.key.as_ref()) {
            Ok(packet) => self.admit(now, source, node, packet),
            Err(Refused::OwnId) => self.meet_namesake(now, source),
            Err(why) => self.refuse(now, source, count_of(why), &why),
        }
    }

    fn admit(&mut self, now: Duration, source: SocketAddr, node: usize, packet: Packet<'_>) {
        if let Some(sequence) = packet.sequence {
            let (set_at, unix) = self.clock;
            let unix = unix.saturating_add(now.saturating_sub(set_at));
            if let Err(why) = self.guard.admit(now, unix, packet.id, sequence) {
                return self.refuse(now, source, count_of_stale(why), &why);
            }
        }
        if self.nodes.hear(node, now) {
            info!("hear {source} for the first time, node {}", packet.id);
        }
        for record in packet.records {
            let count = self.apply(store_time(now.as_secs()), &record);
            self.counters.add(family_of(record.peer), Count::LivesyncRecordsReceived, 1);
            self.counters.add(family_of(record.peer), count, 1);
        }
    }

    /// As if the peer had announced, but that nobody is told.
    fn apply(&mut self, now: u32, record: &Record) -> Count {
        let Some(ip) = peer_address(record.peer) else { return Count::LivesyncBadPeer };
        let torrent = record.info_hash;
        if !self.access.serves(&self.service, &torrent) {
            return Count::LivesyncNotServed;
        }
        let seeding = record.flags.contains(Flags::SEEDING);
        let status = match () {
            () if record.flags.contains(Flags::STOPPED) => PeerStatus::Stopped,
            () if seeding && record.flags.contains(Flags::COMPLETED) => PeerStatus::Completed,
            () if seeding => PeerStatus::Seeder,
            () => PeerStatus::Leecher,
        };
        let AnnounceOutcome { change, .. } = match SocketAddr::new(ip, record.peer.port()) {
            SocketAddr::V4(peer) => {
                let announce = Announce { info_hash: torrent, peer: compact::from_v4(peer), status };
                self.service.v4.announce(now, &announce, &mut [], &mut self.context)
            }
            SocketAddr::V6(peer) => {
                let announce = Announce { info_hash: torrent, peer: compact::from_v6(peer), status };
                self.service.v6.announce(now, &announce, &mut [], &mut self.context)
            }
        };
        if change == Change::StoreFull { Count::LivesyncNotStored } else { Count::LivesyncApplied }
    }

    /// Somebody else has our id, so neither hears the other.
    fn meet_namesake(&mut self, now: Duration, source: SocketAddr) {
        self.counters.add(family_of(source), Count::LivesyncOwnId, 1);
        if self.id_changed.is_some_and(|changed| now.saturating_sub(changed) < ID_PAUSE) {
            return;
        }
        self.id_changed = Some(now);
        self.take_new_id(&format!("{source} sends packets with this node's id"));
    }

    fn take_new_id(&mut self, cause: &str) {
        match random_octets() {
            Ok(id) => {
                let id = TrackerId(id);
                error!("{cause}: this node's id was {}, and is {id} from now on", self.id);
                self.id = id;
                self.sender.set_id(id);
            }
            Err(why) => error!("{cause}: this node needs another id than {}, and {why}", self.id),
        }
    }

    fn refuse(&mut self, now: Duration, source: SocketAddr, count: Count, why: &dyn Display) {
        self.counters.add(family_of(source), count, 1);
        // Packets without records are nobody's mistake.
        if count != Count::LivesyncBadLength
            && self.warned.is_none_or(|at| now.saturating_sub(at) >= WARNING_PAUSE)
        {
            self.warned = Some(now);
            warn!("dropped a packet from {source}: {why} (said once a minute)");
        }
    }

    /// The next packet to send now, to the group and to each node of the list alike; `None` if there is none yet.
    #[must_use]
    pub fn poll_transmit(&mut self, now: Duration) -> Option<&[u8]> {
        while let Some(record) = self.held.take().or_else(|| self.told.try_recv().ok()) {
            if self.sender.push(&record).is_err() {
                self.held = Some(record);
                break;
            }
        }
        let packet = self.sender.poll_transmit(now)?;
        let (family, records) = contents(packet);
        self.counters.add(family, Count::LivesyncPacketsSent, 1);
        self.counters.add(family, Count::LivesyncRecordsSent, records);
        Some(packet)
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; may change with every call of the others.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.sender.poll_timeout()
    }

    /// Makes due the packets whose time has come.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.sender.handle_timeout(now);
    }

    /// Makes due all that was fetched from the handlers, full or not: before the end, when
    /// [`poll_transmit`](Self::poll_transmit) has nothing more.
    pub fn flush(&mut self) {
        self.sender.flush();
    }
}

/// A peer's address if anybody can have it, as IPv4 if it is one in the form of IPv6.
fn peer_address(peer: SocketAddr) -> Option<IpAddr> {
    let ip = peer.ip().to_canonical();
    let nobody =
        ip.is_unspecified() || ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    (peer.port() != 0 && !nobody).then_some(ip)
}

/// What a packet of our own is about, and how many records it has.
fn contents(packet: &[u8]) -> (Family, u64) {
    const HEADER_LEN: usize = 8;
    let (family, record_len) = match packet.get(4..HEADER_LEN) {
        Some([0, 0, 0, 0]) => (Family::V4, livesync_proto::Family::V4.record_len()),
        _ => (Family::V6, livesync_proto::Family::V6.record_len()),
    };
    // A signature is shorter than a record.
    (family, (packet.len().saturating_sub(HEADER_LEN) / record_len) as u64)
}

fn family_of(address: SocketAddr) -> Family {
    if address.ip().to_canonical().is_ipv4() { Family::V4 } else { Family::V6 }
}

fn count_of(why: Refused) -> Count {
    match why {
        Refused::HeaderOnly { .. } => Count::LivesyncBadLength,
        Refused::Unsigned => Count::LivesyncUnsigned,
        Refused::BadMac => Count::LivesyncBadMac,
        Refused::OwnId => Count::LivesyncOwnId,
        _ => Count::LivesyncUnknownType,
    }
}

fn count_of_stale(why: NotFresh) -> Count {
    match why {
        NotFresh::Replayed => Count::LivesyncReplayed,
        NotFresh::TooManySenders => Count::LivesyncTooManySenders,
        _ => Count::LivesyncBadTime,
    }
}
