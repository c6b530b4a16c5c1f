//! How much time livesync adds to an announce, and how fast a node applies records. No network:
//! `cargo bench -p udp-tracker --bench livesync`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use livesync_proto::{Authenticator, Flags, Key, MAX_PACKET_LEN, Record, Sender, TrackerId};
use udp_tracker::{
    Count, Family, Handler, Livesync, LivesyncCount, LivesyncSettings, Publisher, Service, Settings,
};
use udp_tracker_proto::{
    AnnounceRequest, ConnectRequest, ConnectResponse, ConnectionId, Dialect, Event, InfoHash, Options,
    PeerId, TransactionId,
};

/// 60 seconds before the next slot of ten minutes, in which known peers are published once.
const NOW: Duration = Duration::from_secs(1_799_999_940);
const PEERS: u32 = 200_000;
const TORRENTS: u32 = 40_000;
/// Announces before the queue is emptied, which is not measured: in a tracker another thread does it.
const BATCH: usize = 5_000;
/// Packets in one measurement.
const PACKETS: usize = 100;
const ROUNDS: usize = 15;
/// The seconds that each part took.
type Parts = Vec<f64>;

fn service() -> Arc<Service> {
    Arc::new(Service::new(Settings::default()).unwrap())
}

fn livesync(service: &Arc<Service>, key: Option<&Key>) -> (Livesync, Publisher) {
    let mut settings = LivesyncSettings::new([10, 0, 0, 1].into(), vec![[10, 0, 0, 2].into()]);
    settings.key = key.cloned();
    Livesync::new(Arc::clone(service), &settings, NOW).unwrap()
}

fn torrent(at: u32) -> InfoHash {
    let mut hash = [7; 20];
    hash[..4].copy_from_slice(&(at % TORRENTS).to_be_bytes());
    InfoHash(hash)
}

fn peer(at: u32) -> SocketAddr {
    (Ipv4Addr::from(0x0b00_0000 + at), 6881).into()
}

/// One announce of each peer, with connection ids of this handler.
fn announces(handler: &mut Handler) -> Vec<(SocketAddr, [u8; 98])> {
    let mut connect = [0; 16];
    ConnectRequest::new(TransactionId(1)).encode(&mut connect).unwrap();
    let mut connection_id = |source| -> ConnectionId {
        let mut reply = [0; 16];
        assert_eq!(handler.handle(NOW.as_secs(), source, &connect, &mut reply), 16);
        ConnectResponse::decode(&reply).unwrap().connection_id
    };
    let announce = |at| {
        let request = AnnounceRequest {
            dialect: Dialect::Bep15,
            connection_id: connection_id(peer(at)),
            transaction_id: TransactionId(2),
            info_hash: torrent(at),
            peer_id: PeerId([1; 20]),
            downloaded: 0,
            left: u64::from(at % 2),
            uploaded: 0,
            event: Event::None,
            ip: Ipv4Addr::UNSPECIFIED,
            key: 0,
            num_want: 50,
            port: 6881,
            options: Options::NONE,
        };
        let mut datagram = [0; 98];
        request.encode(&mut datagram).unwrap();
        (peer(at), datagram)
    };
    (0..PEERS).map(announce).collect()
}

/// Announces of new peers; then of the same peers, not published; then of the same peers, published.
fn announce_path(on: bool) -> [Parts; 3] {
    let service = service();
    let (mut node, publisher) = on.then(|| livesync(&service, None)).unzip();
    let mut handler = Handler::new(service);
    if let Some(publisher) = publisher {
        handler = handler.with_publisher(publisher);
    }
    let requests = announces(&mut handler);
    let mut reply = [0; 1232];
    // Before the connection ids expire.
    [(0, on), (50, false), (100, on)].map(|(after, published)| {
        let before = handler.counters().snapshot();
        let now = NOW.as_secs() + after;
        let mut parts = Vec::new();
        for batch in requests.chunks(BATCH) {
            let began = Instant::now();
            for (source, datagram) in batch {
                let len = handler.handle(now, *source, datagram, &mut reply);
                assert!(len >= 20 && reply[3] == 1);
            }
            parts.push(began.elapsed().as_secs_f64());
            while node.as_mut().is_some_and(|node| node.poll_transmit(NOW).is_some()) {}
        }
        let after = handler.counters().snapshot();
        let counted = |count| after.total(count) - before.total(count);
        assert_eq!(counted(Count::Announces), u64::from(PEERS));
        assert_eq!(counted(Count::LivesyncQueued), if published { u64::from(PEERS) } else { 0 });
        assert_eq!(counted(Count::LivesyncQueueFull), 0);
        parts
    })
}

/// Records of new peers, and of known ones.
fn applying(key: Option<&Key>) -> [Parts; 2] {
    let service = service();
    let (mut node, _publisher) = livesync(&service, key);
    let mut clock = Duration::ZERO;
    [(); 2].map(|()| {
        clock += Duration::from_secs(1);
        let authenticator = key.map(|key| Authenticator::new(key.clone(), NOW, NOW + clock));
        let mut sender = Sender::new(NOW, TrackerId(*b"node"), authenticator, MAX_PACKET_LEN);
        let mut packets = Vec::new();
        for at in 0..PEERS {
            let flags = if at % 2 == 0 { Flags::SEEDING } else { Flags::NONE };
            sender.push(&Record { info_hash: torrent(at), peer: peer(at), flags }).unwrap();
            packets.extend(sender.poll_transmit(NOW).map(<[u8]>::to_vec));
        }
        sender.flush();
        packets.extend(sender.poll_transmit(NOW).map(<[u8]>::to_vec));
        let before = node.counters().snapshot().total(LivesyncCount::Applied);
        let mut parts = Vec::new();
        for packets in packets.chunks(PACKETS) {
            let began = Instant::now();
            for packet in packets {
                node.handle_input(NOW + clock, "10.0.0.2:9696".parse().unwrap(), packet);
            }
            parts.push(began.elapsed().as_secs_f64());
        }
        let applied = node.counters().snapshot().total(LivesyncCount::Applied) - before;
        assert_eq!(applied, u64::from(PEERS));
        assert_eq!(service.stores().totals(Family::V4).peers, PEERS as usize);
        parts
    })
}

/// Nanoseconds for each peer, of the fastest round of each part: other load of the machine only adds time.
fn nanoseconds<const N: usize>(rounds: &[[Parts; N]], at: usize) -> f64 {
    let parts = 0..rounds[0][at].len();
    let fastest = |part| rounds.iter().map(|round| round[at][part]).fold(f64::INFINITY, f64::min);
    parts.map(fastest).sum::<f64>() * 1e9 / f64::from(PEERS)
}

fn main() {
    let key = Key::new(std::array::from_fn(|at| u8::try_from(at).unwrap()));
    let (mut off, mut on) = (Vec::new(), Vec::new());
    let (mut plain, mut authenticated) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        off.push(announce_path(false));
        on.push(announce_path(true));
        plain.push(applying(None));
        authenticated.push(applying(Some(&key)));
    }
    println!("{PEERS} peers of {TORRENTS} torrents, the fastest of {ROUNDS} rounds");
    for (at, what) in ["new, published", "again, not", "again, published"].into_iter().enumerate() {
        let (off, on) = (nanoseconds(&off, at), nanoseconds(&on, at));
        println!("announce, {what:16} off {off:5.0} ns, on {on:5.0} ns: {:+.0} ns", on - off);
    }
    for (at, what) in ["new peers", "known peers"].into_iter().enumerate() {
        for (rounds, mac) in [(&plain, "without MAC"), (&authenticated, "with MAC")] {
            let ns = nanoseconds(rounds, at);
            println!("applied, {what:12} {mac:11} {ns:5.0} ns a record, {:.1} million/s", 1e3 / ns);
        }
    }
}
