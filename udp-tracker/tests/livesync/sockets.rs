//! Trackers on real sockets, in one process and on one host: 127.0.0.x, and multicast over lo.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use livesync_proto::{Flags, MAX_PACKET_LEN, Record, Sender, TrackerId};
use socket2::{Domain, Socket, Type};
use udp_tracker::{
    Counted, Family, LivesyncCount, LivesyncSettings, ServerSettings, Service, Settings, StartError, Tracker,
};
use udp_tracker_proto::{ConnectResponse, ConnectionId, InfoHash, ScrapeEntry, ScrapeResponse};

use crate::node::{PeerStatus, announce, connect, key, peers, scrape};

/// Limits every wait. The longest, of 15 seconds, is for a packet that is not full.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port that is reserved at some addresses until nodes bind it there.
pub(crate) struct HeldPort {
    pub(crate) number: u16,
    _sockets: Vec<UdpSocket>,
}

impl HeldPort {
    pub(crate) fn at(addresses: &[IpAddr]) -> Self {
        let mut held = Self { number: 0, _sockets: Vec::new() };
        for address in addresses {
            let socket = Socket::new(Domain::for_address((*address, 0).into()), Type::DGRAM, None).unwrap();
            // Nodes set this option too, so they get the port, and no other program does.
            socket.set_reuse_address(true).unwrap();
            socket.bind(&SocketAddr::new(*address, held.number).into()).unwrap();
            let socket = UdpSocket::from(socket);
            held.number = socket.local_addr().unwrap().port();
            held._sockets.push(socket);
        }
        held
    }
}

/// A tracker with one worker, and livesync.
pub(crate) fn start(listen: IpAddr, livesync: LivesyncSettings) -> Result<Tracker, StartError> {
    let mut server = ServerSettings::default();
    server.listen = Some(vec![(listen, 0).into()]);
    server.workers = 1;
    server.livesync = Some(livesync);
    Tracker::start(Arc::new(Service::new(Settings::default()).unwrap()), &server)
}

/// A client on a real socket.
pub(crate) struct Client {
    socket: UdpSocket,
    connection_id: ConnectionId,
}

impl Client {
    pub(crate) fn connect(local: &str, tracker: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).unwrap();
        socket.connect(tracker).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { socket, connection_id: ConnectionId(0) };
        client.connection_id = ConnectResponse::decode(&client.exchange(&connect())).unwrap().connection_id;
        client
    }

    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        self.socket.send(request).unwrap();
        let mut reply = vec![0; 2048];
        let len = self.socket.recv(&mut reply).expect("a reply");
        reply.truncate(len);
        reply
    }

    /// Announces a peer at the client's address with this port. Returns the peers in the reply.
    pub(crate) fn announce(&self, torrent: InfoHash, port: u16, status: PeerStatus) -> BTreeSet<SocketAddr> {
        let reply = self.exchange(&announce(self.connection_id, torrent, port, status));
        peers(self.socket.local_addr().unwrap(), &reply)
    }

    pub(crate) fn scrape(&self, torrent: InfoHash) -> ScrapeEntry {
        let reply = self.exchange(&scrape(self.connection_id, torrent));
        ScrapeResponse::decode(&reply, 1).unwrap().entries().next().unwrap().1
    }
}

/// Nodes on 127.0.0.`hosts`, with changed settings.
fn cluster(hosts: [u8; 3], change: impl Fn(&mut LivesyncSettings)) -> (u16, [Tracker; 3]) {
    let nodes = hosts.map(|host| IpAddr::from([127, 0, 0, host]));
    let held = HeldPort::at(&nodes);
    let trackers = nodes.map(|node| {
        let mut livesync = LivesyncSettings::new(node, nodes.to_vec());
        livesync.port = held.number;
        change(&mut livesync);
        start(node, livesync).unwrap()
    });
    (held.number, trackers)
}

/// Waits until the trackers together have counted this many.
pub(crate) fn wait_for(trackers: &[Tracker], count: LivesyncCount, at_least: u64) {
    let counted = || trackers.iter().map(|tracker| tracker.livesync_counters().total(count)).sum::<u64>();
    let deadline = Instant::now() + PATIENCE;
    while counted() < at_least {
        let all: Vec<_> = trackers.iter().map(|tracker| tracker.livesync_counters().to_string()).collect();
        assert!(Instant::now() < deadline, "{} not {at_least}: {all:#?}", count.name());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Announces as many peers, each in its own torrent, as fill a packet, which is then sent at once.
fn fill_a_packet(tracker: &Tracker, records: u8) {
    let address = tracker.addresses()[0];
    let client = Client::connect(&format!("{}:0", address.ip()), address);
    for at in 0..records {
        client.announce(InfoHash([at; 20]), 1000 + u16::from(at), PeerStatus::Seeder);
    }
}

fn all_know(trackers: &[Tracker; 3], records: u8) {
    fill_a_packet(&trackers[0], records);
    wait_for(trackers, LivesyncCount::Applied, 2 * u64::from(records));
    for tracker in trackers {
        assert_eq!(tracker.service().stores().totals(Family::V4).peers, usize::from(records));
    }
    let client = Client::connect("127.0.0.1:0", trackers[2].addresses()[0]);
    let given = client.announce(InfoHash([3; 20]), 1, PeerStatus::Leecher);
    assert_eq!(given, BTreeSet::from([SocketAddr::new(trackers[0].addresses()[0].ip(), 1003)]));
}

#[test]
fn nodes_share_peers_by_multicast() {
    let (_, trackers) = cluster([31, 32, 33], |_| ());
    all_know(&trackers, 52);
    let sent: Vec<_> = trackers
        .iter()
        .map(|tracker| tracker.livesync_counters().total(LivesyncCount::PacketsSent))
        .collect();
    assert_eq!(sent, [1, 0, 0]);
    assert!(trackers[1].livesync_nodes()[0].to_string().ends_with(" s ago"));
    assert_eq!(trackers[1].livesync_nodes()[1].to_string(), "127.0.0.33: never");
}

#[test]
fn nodes_share_peers_by_unicast_with_a_key() {
    let (_, trackers) = cluster([41, 42, 43], |livesync| {
        livesync.group = None;
        livesync.key = Some(key());
        livesync.unicast = livesync.nodes.iter().map(|node| format!("{node}:{}", livesync.port)).collect();
    });
    all_know(&trackers, 51);
    // The list contains the node itself too, which sends nothing to itself.
    assert_eq!(trackers[0].livesync_counters().total(LivesyncCount::PacketsReceived), 0);
}

#[test]
fn waiting_records_are_sent_at_shutdown() {
    let (_, trackers) = cluster([51, 52, 53], |_| ());
    fill_a_packet(&trackers[0], 10);
    let [mut first, second, third] = trackers;
    first.shutdown().unwrap();
    assert_eq!(first.livesync_counters().total(LivesyncCount::RecordsSent), 10);
    wait_for(&[second, third], LivesyncCount::Applied, 20);
}

#[test]
fn a_packet_that_is_not_full_is_sent_after_15_seconds() {
    let (_, trackers) = cluster([61, 62, 63], |_| ());
    let began = Instant::now();
    fill_a_packet(&trackers[0], 1);
    wait_for(&trackers, LivesyncCount::Applied, 2);
    // A timer cannot be early. Tests in simulated time check that it is not late.
    assert!(began.elapsed() >= Duration::from_secs(14), "{:?}", began.elapsed());
}

#[test]
fn nodes_share_peers_over_ipv6() {
    let own: IpAddr = "::1".parse().unwrap();
    let held = HeldPort::at(&[own]);
    let port = held.number;
    let mut livesync = LivesyncSettings::new(own, vec![own]);
    (livesync.group, livesync.port) = (None, port);
    livesync.unicast = vec![format!("[::1]:{port}")];
    // There is only one address, so a socket of this test stands in for the other node.
    let tracker = start(own, livesync).unwrap();
    drop(held);
    let node = UdpSocket::bind("[::1]:0").unwrap();
    let packet =
        b"node\0\0\0\x01aaaaabbbbbcccccddddd\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1\x00\x00";
    node.send_to(packet, ("::1", port)).unwrap();
    wait_for(std::slice::from_ref(&tracker), LivesyncCount::Applied, 1);
    let client = Client::connect("[::1]:0", tracker.addresses()[0]);
    let given = client.announce(InfoHash(*b"aaaaabbbbbcccccddddd"), 1, PeerStatus::Leecher);
    assert_eq!(given, BTreeSet::from(["[2001:db8::1]:6881".parse().unwrap()]));
}

#[test]
fn a_flood_from_a_node_and_datagrams_of_any_length_stop_nothing() {
    let (port, trackers) = cluster([71, 72, 73], |_| ());
    let victim = &trackers[0];
    let node = UdpSocket::bind("127.0.0.74:0").unwrap();
    node.send_to(&[0; 100], ("127.0.0.71", port)).unwrap();
    wait_for(&trackers, LivesyncCount::UnknownNode, 1);
    let node = UdpSocket::bind("127.0.0.72:0").unwrap();
    for len in [0, 1, 8, 2049, 9000, 65_507] {
        node.send_to(&vec![0; len], ("127.0.0.71", port)).unwrap();
    }
    wait_for(&trackers, LivesyncCount::BadLength, 6);
    assert_eq!(victim.service().stores().totals(Family::V4).torrents, 0);

    let mut sender = Sender::new(Duration::ZERO, TrackerId(*b"node"), None, MAX_PACKET_LEN);
    let mut at = 0u32;
    while sender.poll_timeout().is_some() || at == 0 {
        let [_, a, b, c] = at.to_be_bytes();
        let record =
            Record { info_hash: InfoHash([c; 20]), peer: ([198, a, b, c], 1).into(), flags: Flags::SEEDING };
        sender.push(&record).unwrap();
        at += 1;
    }
    let packet = sender.poll_transmit(Duration::ZERO).unwrap();
    let stop = AtomicBool::new(false);
    let applied = || victim.livesync_counters().total(LivesyncCount::Applied);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                // The flood fills the socket's buffer, which is its purpose.
                let _ = node.send_to(packet, ("127.0.0.71", port));
            }
        });
        let client = Client::connect("127.0.0.1:0", victim.addresses()[0]);
        let mut slowest = Duration::ZERO;
        let mut announces = 0;
        let deadline = Instant::now() + PATIENCE;
        while announces < 1000 || applied() < 200_000 {
            let asked = Instant::now();
            client.announce(InfoHash([200; 20]), 1, PeerStatus::Leecher);
            slowest = slowest.max(asked.elapsed());
            announces += 1;
            assert!(Instant::now() < deadline, "{}", victim.livesync_counters());
        }
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        stop.store(true, Relaxed);
    });
    // As many as the flood has announced, however often.
    assert_eq!(victim.service().stores().totals(Family::V4).peers, 52 + 1);
}

#[test]
fn errors_name_what_cannot_be_opened() {
    let own = IpAddr::from([127, 0, 0, 81]);
    let held = HeldPort::at(&[own]);
    let livesync = |interface, change: &dyn Fn(&mut LivesyncSettings)| {
        let mut livesync = LivesyncSettings::new(interface, vec![own]);
        livesync.port = held.number;
        change(&mut livesync);
        start([127, 0, 0, 1].into(), livesync)
    };
    let error = |interface, change: &dyn Fn(&mut LivesyncSettings)| {
        livesync(interface, change).unwrap_err().to_string()
    };
    let text = error([192, 0, 2, 1].into(), &|_| ());
    assert!(text.starts_with("livesync: cannot use udp://192.0.2.1:"), "{text}");
    assert!(text.ends_with("the interface must be an address of this machine"), "{text}");
    // This socket lacks the option by which nodes share ports.
    let other = UdpSocket::bind((own, 0)).unwrap();
    let taken = other.local_addr().unwrap().port();
    let text = error(own, &|livesync| livesync.port = taken);
    assert!(text.ends_with("choose another interface or port"), "{text}");
    let text = error(own, &|livesync| livesync.unicast = vec!["no such host:1".into()]);
    assert!(
        text.starts_with("livesync.unicast: no address of interface's family for \"no such host:1\""),
        "{text}"
    );
    let text = error(own, &|livesync| livesync.ttl = 0);
    assert!(text.starts_with("invalid value: livesync.ttl: 0 is out of range"), "{text}");
    assert!(livesync(own, &|_| ()).is_ok(), "nothing is left running");
}
