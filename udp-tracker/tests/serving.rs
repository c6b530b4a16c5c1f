//! A tracker on real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use udp_tracker::{Config, Count, Family, Snapshot, Tracker};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Dialect, Event,
    InfoHash, Options, PeerId, ScrapeRequest, ScrapeResponse, TransactionId,
};

/// Bounds every wait; nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(20);
const TORRENT: InfoHash = InfoHash([7; 20]);

fn start(listen: &[&str], workers: usize, change: impl FnOnce(&mut Config)) -> Tracker {
    let mut config = Config::default();
    config.listen = Some(listen.iter().map(|address| address.parse().unwrap()).collect());
    config.workers = workers;
    change(&mut config);
    Tracker::start(config).unwrap()
}

/// A client whose socket takes replies only from where it sends to.
struct Client {
    socket: UdpSocket,
    connection_id: ConnectionId,
}

impl Client {
    fn connect(local: &str, tracker: SocketAddr) -> Self {
        let socket = UdpSocket::bind(local).unwrap();
        socket.connect(tracker).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut client = Self { socket, connection_id: ConnectionId(0) };
        let mut datagram = [0; 16];
        ConnectRequest::new(TransactionId(1)).encode(&mut datagram).unwrap();
        let reply = client.exchange(&datagram);
        client.connection_id = ConnectResponse::decode(&reply).unwrap().connection_id;
        client
    }

    fn exchange(&self, request: &[u8]) -> Vec<u8> {
        self.socket.send(request).unwrap();
        let mut reply = vec![0; 2048];
        let len = self.socket.recv(&mut reply).expect("a reply");
        reply.truncate(len);
        reply
    }

    /// Announces as a leecher; leechers as told.
    fn announce(&self, port: u16) -> u32 {
        let request = AnnounceRequest {
            dialect: Dialect::Bep15,
            connection_id: self.connection_id,
            transaction_id: TransactionId(2),
            info_hash: TORRENT,
            peer_id: PeerId([1; 20]),
            downloaded: 0,
            left: 1,
            uploaded: 0,
            event: Event::Started,
            ip: std::net::Ipv4Addr::UNSPECIFIED,
            key: 0,
            num_want: 0,
            port,
            options: Options::NONE,
        };
        let mut datagram = [0; 98];
        request.encode(&mut datagram).unwrap();
        let reply = self.exchange(&datagram);
        AnnounceResponse::<18>::decode(&reply).unwrap().head.counts.unwrap().leechers
    }

    fn scrape(&self) -> u32 {
        let hashes = [TORRENT.0];
        let request = ScrapeRequest {
            connection_id: self.connection_id,
            transaction_id: TransactionId(3),
            info_hashes: &hashes,
        };
        let mut datagram = [0; 36];
        request.encode(&mut datagram).unwrap();
        let reply = self.exchange(&datagram);
        let (_, entry) = ScrapeResponse::decode(&reply, 1).unwrap().entries().next().unwrap();
        entry.leechers
    }
}

#[test]
fn workers_share_the_swarms() {
    let tracker = start(&["127.0.0.1:0", "[::1]:0"], 4, |_| {});
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    // Different source ports reach different workers.
    for port in 1..=64 {
        let client = Client::connect("127.0.0.1:0", v4);
        assert_eq!(client.announce(port), u32::from(port));
    }
    assert_eq!(Client::connect("[::1]:0", v6).announce(1), 1);
    let counted = tracker.counters();
    assert_eq!(tracker.totals(Family::V4).peers, 64);
    let stopped = tracker.shutdown().unwrap();
    for counted in [counted, stopped] {
        assert_eq!(counted.get(Family::V4, Count::Announces), 64);
        assert_eq!(counted.get(Family::V6, Count::Announces), 1);
        assert_eq!(counted.total(Count::NotSent), 0);
    }
    assert_eq!(stopped.total(Count::Sent), 130);
}

#[test]
fn replies_leave_from_the_address_that_was_asked() {
    let tracker = start(&["0.0.0.0:0", "[::]:0"], 2, |_| {});
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    for asked in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.1.2.3"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), v4.port());
        // From everywhere else the client's socket would not take it.
        Client::connect("127.0.0.1:0", asked).announce(1);
    }
    Client::connect("[::1]:0", SocketAddr::new("::1".parse().unwrap(), v6.port())).announce(1);
    assert_eq!(tracker.totals(Family::V4).peers, 1);
}

#[test]
fn a_flood_on_one_socket_starves_nothing() {
    let tracker = start(&["127.0.0.1:0", "[::1]:0"], 1, |config| {
        config.announce_interval = 3;
        config.peer_lifetime = 4;
    });
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    let stop = AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        let flood = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let junk = [1; 98];
            while !stop.load(Relaxed) {
                // A full buffer on the other side is what it is about.
                let _ = socket.send_to(&junk, v4);
            }
        };
        scope.spawn(flood);
        scope.spawn(flood);
        let flooded = |counted: &Snapshot| counted.get(Family::V4, Count::Received);
        let client = Client::connect("[::1]:0", v6);
        let before = flooded(&tracker.counters());
        // The other family is answered, ..
        for port in 1..=100 {
            client.announce(port);
        }
        // .. the clock runs and the sweep gets to the peers, ..
        let deadline = Instant::now() + PATIENCE;
        while tracker.totals(Family::V6).peers > 0 {
            assert!(Instant::now() < deadline, "peers outlive their time by far");
            let _ = client.socket.set_read_timeout(Some(PATIENCE));
            client.exchange(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 9]);
        }
        assert!(flooded(&tracker.counters()) > before + 10_000, "there was a flood");
        // .. and it ends when it is told to.
        let asked = Instant::now();
        let counted = tracker.shutdown().unwrap();
        assert!(asked.elapsed() < PATIENCE / 4);
        stop.store(true, Relaxed);
        counted
    });
    assert!(counted.get(Family::V4, Count::NoRequest) > 10_000);
}

#[test]
fn malformed_datagrams_do_not_stop_it() {
    let tracker = start(&["127.0.0.1:0"], 1, |_| {});
    let client = Client::connect("127.0.0.1:0", tracker.addresses()[0]);
    for len in [0, 1, 15, 16, 17, 95, 2048, 2049, 9000, 65_507] {
        client.socket.send(&vec![0xff; len]).unwrap();
    }
    client.announce(1);
    assert_eq!(client.scrape(), 1);
    let counted = tracker.shutdown().unwrap();
    // 0, 1 and 15 are too short; 2049 and more are too long.
    assert_eq!((counted.total(Count::BadLength), counted.total(Count::NoRequest)), (6, 4));
}

#[test]
fn a_dropped_tracker_gives_its_port_back() {
    let tracker = start(&["127.0.0.1:0"], 3, |_| {});
    let address = tracker.addresses()[0].to_string();
    drop(tracker);
    assert_eq!(start(&[&address], 3, |_| {}).addresses()[0].to_string(), address);
}

#[test]
fn a_port_in_use_and_an_impossible_value_are_told() {
    let tracker = start(&["127.0.0.1:0"], 1, |_| {});
    let mut config = Config::default();
    config.listen = Some(tracker.addresses().to_vec());
    let error = Tracker::start(config.clone()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on udp://{}: ", tracker.addresses()[0])), "{error}");
    assert!(error.contains("choose another with --listen"), "{error}");
    config.max_peers = 0;
    let error = Tracker::start(config).unwrap_err().to_string();
    assert!(error.contains("max_peers: 0 is out of range"), "{error}");
}
