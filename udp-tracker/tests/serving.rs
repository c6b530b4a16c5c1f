//! A tracker on real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use udp_tracker::{Count, Family, ServerSettings, Service, Settings, Snapshot, StartError, Tracker};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Dialect, Event,
    InfoHash, Options, PeerId, ScrapeRequest, ScrapeResponse, TransactionId,
};

/// Limits every wait. Nothing here takes nearly as long.
const PATIENCE: Duration = Duration::from_secs(20);
const TORRENT: InfoHash = InfoHash([7; 20]);

fn start(listen: &[&str], workers: usize) -> Tracker {
    start_with(listen, workers, Settings::default()).unwrap()
}

fn start_with(listen: &[&str], workers: usize, settings: Settings) -> Result<Tracker, StartError> {
    let mut server = ServerSettings::default();
    server.listen = Some(listen.iter().map(|address| address.parse().unwrap()).collect());
    server.workers = workers;
    Tracker::start(Arc::new(Service::new(settings).unwrap()), &server)
}

fn peers(tracker: &Tracker, family: Family) -> usize {
    tracker.service().stores().totals(family).peers
}

/// A client whose socket accepts replies only from the address that it sends to.
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

    /// Announces as a leecher. Returns the number of leechers in the reply.
    fn announce(&self, port: u16) -> u32 {
        let reply = self.exchange(&self.encoded(port));
        AnnounceResponse::<18>::decode(&reply).unwrap().head.counts.unwrap().leechers
    }

    fn encoded(&self, port: u16) -> [u8; 98] {
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
        datagram
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

/// In a small receive buffer, a flood at full speed always overflows.
#[test]
fn a_flooded_worker_sheds_its_flooder() {
    let mut server = ServerSettings::default();
    server.listen = Some(vec!["127.0.0.1:0".parse().unwrap()]);
    (server.workers, server.receive_buffer_bytes) = (1, 4096);
    let tracker = Tracker::start(Arc::new(Service::new(Settings::default()).unwrap()), &server).unwrap();
    let address = tracker.addresses()[0];
    let victim = Client::connect("127.8.8.8:0", address);
    victim.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let flooder = Client::connect("127.7.7.7:0", address);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (request, until) = (flooder.encoded(1), Instant::now() + 2 * PATIENCE);
            while !stop.load(Relaxed) && Instant::now() < until {
                // Fails when the socket's send buffer is full.
                let _ = flooder.socket.send(&request);
            }
        });
        let counted = |count| tracker.service().counters().total(count);
        let until = Instant::now() + PATIENCE;
        while counted(Count::Shed) < 1000 && Instant::now() < until {
            std::thread::yield_now();
        }
        let (mut tries, mut answered) = (0, 0);
        while answered < 10 && tries < 100 {
            tries += 1;
            victim.socket.send(&victim.encoded(2)).unwrap();
            answered += usize::from(victim.socket.recv(&mut [0; 2048]).is_ok());
        }
        stop.store(true, Relaxed);
        assert!(counted(Count::Shed) >= 1000, "{}", tracker.service().counters());
        assert_eq!(answered, 10, "of {tries}: {}", tracker.service().counters());
    });
    // Then everything is answered again.
    flooder.socket.set_nonblocking(true).unwrap();
    while flooder.socket.recv(&mut [0; 2048]).is_ok() {}
    let until = Instant::now() + PATIENCE;
    let mut in_turn = 0;
    flooder.socket.set_nonblocking(false).unwrap();
    flooder.socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while in_turn < 50 && Instant::now() < until {
        flooder.socket.send(&flooder.encoded(1)).unwrap();
        in_turn = if flooder.socket.recv(&mut [0; 2048]).is_ok() { in_turn + 1 } else { 0 };
    }
    assert_eq!(in_turn, 50, "{}", tracker.service().counters());
}

#[test]
fn workers_share_the_swarms() {
    let mut tracker = start(&["127.0.0.1:0", "[::1]:0"], 4);
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    // Different source ports reach different workers.
    for port in 1..=64 {
        let client = Client::connect("127.0.0.1:0", v4);
        assert_eq!(client.announce(port), u32::from(port));
    }
    assert_eq!(Client::connect("[::1]:0", v6).announce(1), 1);
    assert_eq!(peers(&tracker, Family::V4), 64);
    // A worker counts a batch after it has sent the replies.
    tracker.shutdown().unwrap();
    let counted = tracker.service().counters();
    assert_eq!(counted.get(Family::V4, Count::Announces), 64);
    assert_eq!(counted.get(Family::V6, Count::Announces), 1);
    assert_eq!((counted.total(Count::Received), counted.total(Count::NotSent)), (130, 0));
    let workers = tracker.monitor().workers();
    assert_eq!(workers.iter().map(|worker| worker.datagrams).sum::<u64>(), 130);
    let measured: u64 = workers.iter().map(|worker| worker.latency.count()).sum();
    assert_eq!(measured, workers.iter().map(|worker| worker.batches).sum::<u64>());
}

#[test]
fn replies_leave_from_the_address_that_the_request_was_sent_to() {
    let tracker = start(&["0.0.0.0:0", "[::]:0"], 2);
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    for asked in ["127.0.0.1", "127.0.0.2", "127.0.0.3", "127.1.2.3"] {
        let asked = SocketAddr::new(asked.parse().unwrap(), v4.port());
        // The client's socket would not accept it from another address.
        Client::connect("127.0.0.1:0", asked).announce(1);
    }
    Client::connect("[::1]:0", SocketAddr::new("::1".parse().unwrap(), v6.port())).announce(1);
    assert_eq!(peers(&tracker, Family::V4), 1);
}

#[test]
fn a_flood_on_one_socket_delays_nothing_else() {
    let mut settings = Settings::default();
    (settings.announce_interval, settings.peer_lifetime) = (3, 4);
    let mut tracker = start_with(&["127.0.0.1:0", "[::1]:0"], 1, settings).unwrap();
    let [v4, v6] = *tracker.addresses() else { panic!("two addresses") };
    let stop = AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        let flood = || {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let junk = [1; 98];
            while !stop.load(Relaxed) {
                // The flood fills the socket's buffer, which is its purpose.
                let _ = socket.send_to(&junk, v4);
            }
        };
        scope.spawn(flood);
        scope.spawn(flood);
        let flooded = |counted: &Snapshot<Count>| counted.get(Family::V4, Count::Received);
        let client = Client::connect("[::1]:0", v6);
        let before = flooded(&tracker.service().counters());
        // The other family is answered, ..
        for port in 1..=100 {
            client.announce(port);
        }
        // .. the clock runs, the sweep removes the peers, ..
        let deadline = Instant::now() + PATIENCE;
        while peers(&tracker, Family::V6) > 0 {
            assert!(Instant::now() < deadline, "peers outlive their time by far");
            let _ = client.socket.set_read_timeout(Some(PATIENCE));
            client.exchange(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 9]);
        }
        assert!(flooded(&tracker.service().counters()) > before + 10_000, "there was a flood");
        // .. and the tracker can be shut down.
        tracker.shutdown().unwrap();
        stop.store(true, Relaxed);
        tracker.service().counters()
    });
    assert!(counted.get(Family::V4, Count::NoRequest) > 10_000);
}

#[test]
fn malformed_datagrams_do_not_stop_it() {
    let mut tracker = start(&["127.0.0.1:0"], 1);
    let client = Client::connect("127.0.0.1:0", tracker.addresses()[0]);
    for len in [0, 1, 15, 16, 17, 95, 2048, 2049, 9000, 65_507] {
        client.socket.send(&vec![0xff; len]).unwrap();
    }
    client.announce(1);
    assert_eq!(client.scrape(), 1);
    tracker.shutdown().unwrap();
    let counted = tracker.service().counters();
    // 0, 1 and 15 are too short; 2049 and more are too long.
    assert_eq!((counted.total(Count::BadLength), counted.total(Count::NoRequest)), (6, 4));
}

#[test]
fn a_dropped_tracker_releases_its_port() {
    let tracker = start(&["127.0.0.91:0"], 3);
    let address = tracker.addresses()[0].to_string();
    drop(tracker);
    assert_eq!(start(&[&address], 3).addresses()[0].to_string(), address);
}

#[test]
fn errors_name_a_port_in_use_and_an_invalid_value() {
    let tracker = start(&["127.0.0.1:0"], 1);
    let address = tracker.addresses()[0].to_string();
    let error = start_with(&[&address], 1, Settings::default()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen on udp://{address}: ")), "{error}");
    assert!(error.contains("choose another"), "{error}");
    let error = start_with(&["127.0.0.1:0"], 5000, Settings::default()).unwrap_err().to_string();
    assert_eq!(error, "invalid value: workers: 5000 is out of range: 0 to 1024 expected");
    let mut settings = Settings::default();
    settings.max_peers = 0;
    let error = Service::new(settings).unwrap_err().to_string();
    assert!(error.starts_with("invalid value: max_peers: 0 is out of range"), "{error}");
}
