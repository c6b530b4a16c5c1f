//! Trackers on real sockets, in one process and on one host: 127.0.0.x, and multicast over lo.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use livesync_proto::{Flags, MAX_PACKET_LEN, Record, Sender, TrackerId};
use udp_tracker::{Config, Count, Family, Tracker};
use udp_tracker_proto::{ConnectResponse, ConnectionId, InfoHash, ScrapeEntry, ScrapeResponse};

use crate::node::{Says, announce, connect, key_file, peers, scrape};

/// Bounds every wait; the longest is for a packet that is not full, 15 seconds.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A port that nobody has at an address.
pub(crate) fn free_port(address: &str) -> u16 {
    UdpSocket::bind((address, 0)).unwrap().local_addr().unwrap().port()
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

    /// Announces for a peer at our address and this port; the peers that it is given.
    pub(crate) fn announce(&self, torrent: InfoHash, port: u16, says: Says) -> BTreeSet<SocketAddr> {
        let reply = self.exchange(&announce(self.connection_id, torrent, port, says));
        peers(self.socket.local_addr().unwrap(), &reply)
    }

    pub(crate) fn scrape(&self, torrent: InfoHash) -> ScrapeEntry {
        let reply = self.exchange(&scrape(self.connection_id, torrent));
        ScrapeResponse::decode(&reply, 1).unwrap().entries().next().unwrap().1
    }
}

/// Nodes on 127.0.0.`hosts`, with the lines of configuration that the port gives.
fn cluster(hosts: [u8; 3], lines: impl Fn(u16) -> String) -> (u16, [Tracker; 3]) {
    let nodes = hosts.map(|host| format!("127.0.0.{host}"));
    let port = free_port(&nodes[0]);
    let trackers = nodes.each_ref().map(|node| {
        let text = format!(
            "listen = [\"{node}:0\"]\nworkers = 1\n[livesync]\nenabled = true\ninterface = \"{node}\"\n\
             port = {port}\nnodes = {nodes:?}\n{}",
            lines(port)
        );
        Tracker::start(Config::from_toml(&text).unwrap()).unwrap()
    });
    (port, trackers)
}

/// Waits until the trackers have counted this many together.
pub(crate) fn wait_for(trackers: &[Tracker], count: Count, at_least: u64) {
    let counted = || trackers.iter().map(|tracker| tracker.counters().total(count)).sum::<u64>();
    let deadline = Instant::now() + PATIENCE;
    while counted() < at_least {
        let all: Vec<_> = trackers.iter().map(|tracker| tracker.counters().to_string()).collect();
        assert!(Instant::now() < deadline, "{} not {at_least}: {all:#?}", count.name());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Announces as many peers, each of a torrent of its own, as fill a packet, which then leaves at once.
fn fill_a_packet(tracker: &Tracker, records: u8) {
    let address = tracker.addresses()[0];
    let client = Client::connect(&format!("{}:0", address.ip()), address);
    for at in 0..records {
        client.announce(InfoHash([at; 20]), 1000 + u16::from(at), Says::Seeder);
    }
}

fn all_know(trackers: &[Tracker; 3], records: u8) {
    fill_a_packet(&trackers[0], records);
    wait_for(trackers, Count::LivesyncApplied, 2 * u64::from(records));
    for tracker in trackers {
        assert_eq!(tracker.totals(Family::V4).peers, usize::from(records));
    }
    let client = Client::connect("127.0.0.1:0", trackers[2].addresses()[0]);
    let given = client.announce(InfoHash([3; 20]), 1, Says::Leecher);
    assert_eq!(given, BTreeSet::from([SocketAddr::new(trackers[0].addresses()[0].ip(), 1003)]));
}

#[test]
fn by_multicast() {
    let (_, trackers) = cluster([31, 32, 33], |_| String::new());
    all_know(&trackers, 52);
    let sent: Vec<_> =
        trackers.iter().map(|tracker| tracker.counters().total(Count::LivesyncPacketsSent)).collect();
    assert_eq!(sent, [1, 0, 0]);
    assert!(trackers[1].livesync_nodes()[0].to_string().ends_with(" s ago"));
    assert_eq!(trackers[1].livesync_nodes()[1].to_string(), "127.0.0.33: never");
}

#[test]
fn by_unicast_with_a_key() {
    let (_file, key) = key_file(&"0f".repeat(32));
    let all =
        |port| format!("unicast = [\"127.0.0.41:{port}\", \"127.0.0.42:{port}\", \"127.0.0.43:{port}\"]\n");
    let (_, trackers) = cluster([41, 42, 43], |port| format!("group = \"\"\n{}{key}", all(port)));
    all_know(&trackers, 51);
    // The list has ourselves too; nothing is sent there.
    assert_eq!(trackers[0].counters().total(Count::LivesyncPacketsReceived), 0);
}

#[test]
fn what_is_left_is_told_at_the_end() {
    let (_, trackers) = cluster([51, 52, 53], |_| String::new());
    fill_a_packet(&trackers[0], 10);
    let [first, second, third] = trackers;
    let counted = first.shutdown().unwrap();
    assert_eq!(counted.total(Count::LivesyncRecordsSent), 10);
    wait_for(&[second, third], Count::LivesyncApplied, 20);
}

#[test]
fn a_packet_that_is_not_full_leaves_after_15_seconds() {
    let (_, trackers) = cluster([61, 62, 63], |_| String::new());
    let began = Instant::now();
    fill_a_packet(&trackers[0], 1);
    wait_for(&trackers, Count::LivesyncApplied, 2);
    assert!(began.elapsed() < Duration::from_secs(25), "{:?}", began.elapsed());
}

#[test]
fn by_ipv6() {
    let port = free_port("::1");
    let text = format!(
        "listen = [\"[::1]:0\"]\nworkers = 1\n[livesync]\nenabled = true\ninterface = \"::1\"\ngroup = \"\"\n\
         port = {port}\nnodes = [\"::1\"]\nunicast = [\"[::1]:{port}\"]\n"
    );
    // There is but one address: what it hears is what a socket of ours says.
    let tracker = Tracker::start(Config::from_toml(&text).unwrap()).unwrap();
    let node = UdpSocket::bind("[::1]:0").unwrap();
    let packet =
        b"node\0\0\0\x01aaaaabbbbbcccccddddd\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1\x00\x00";
    node.send_to(packet, ("::1", port)).unwrap();
    wait_for(std::slice::from_ref(&tracker), Count::LivesyncApplied, 1);
    let client = Client::connect("[::1]:0", tracker.addresses()[0]);
    let given = client.announce(InfoHash(*b"aaaaabbbbbcccccddddd"), 1, Says::Leecher);
    assert_eq!(given, BTreeSet::from(["[2001:db8::1]:6881".parse().unwrap()]));
}

#[test]
fn a_flood_from_a_node_and_datagrams_of_any_length_stop_nothing() {
    let (port, trackers) = cluster([71, 72, 73], |_| String::new());
    let victim = &trackers[0];
    let node = UdpSocket::bind("127.0.0.74:0").unwrap();
    node.send_to(&[0; 100], ("127.0.0.71", port)).unwrap();
    wait_for(&trackers, Count::LivesyncStranger, 1);
    let node = UdpSocket::bind("127.0.0.72:0").unwrap();
    for len in [0, 1, 8, 2049, 9000, 65_507] {
        node.send_to(&vec![0; len], ("127.0.0.71", port)).unwrap();
    }
    wait_for(&trackers, Count::LivesyncBadLength, 6);
    assert_eq!(victim.totals(Family::V4).torrents, 0);

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
    let applied = || victim.counters().total(Count::LivesyncApplied);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                // A full buffer on the other side is what it is about.
                let _ = node.send_to(packet, ("127.0.0.71", port));
            }
        });
        let client = Client::connect("127.0.0.1:0", victim.addresses()[0]);
        let mut slowest = Duration::ZERO;
        let mut announces = 0;
        let deadline = Instant::now() + PATIENCE;
        while announces < 1000 || applied() < 200_000 {
            let asked = Instant::now();
            client.announce(InfoHash([200; 20]), 1, Says::Leecher);
            slowest = slowest.max(asked.elapsed());
            announces += 1;
            assert!(Instant::now() < deadline, "{}", victim.counters());
        }
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        stop.store(true, Relaxed);
    });
    // As many as the flood has named, however often.
    assert_eq!(victim.totals(Family::V4).peers, 52 + 1);
}

#[test]
fn what_cannot_be_opened_is_said() {
    let port = free_port("127.0.0.81");
    let start = |lines: &str| {
        let text = format!(
            "listen = [\"127.0.0.1:0\"]\n[livesync]\nenabled = true\nport = {port}\n\
             nodes = [\"127.0.0.81\"]\n{lines}"
        );
        Tracker::start(Config::from_toml(&text).unwrap())
    };
    let error = |lines: &str| start(lines).unwrap_err().to_string();
    let text = error("interface = \"192.0.2.1\"");
    assert!(text.starts_with("livesync: cannot use udp://192.0.2.1:"), "{text}");
    assert!(text.ends_with("livesync.interface must be an address of this machine"), "{text}");
    let other = UdpSocket::bind(("127.0.0.81", port)).unwrap();
    let text = error("interface = \"127.0.0.81\"");
    assert!(text.ends_with("change livesync.interface or livesync.port"), "{text}");
    drop(other);
    let text = error("interface = \"127.0.0.81\"\nunicast = [\"no such host:1\"]");
    assert!(
        text.starts_with("livesync.unicast: no address of interface's family for \"no such host:1\""),
        "{text}"
    );
    let text = error("interface = \"127.0.0.81\"\nkey_file = \"/nonexistent\"");
    assert!(text.starts_with("livesync.key_file: /nonexistent: "), "{text}");
    let (_file, short) = key_file("0f0f");
    let text = error(&format!("interface = \"127.0.0.81\"\n{short}"));
    assert!(text.ends_with("64 hex digits expected"), "{text}");
    assert!(start("interface = \"127.0.0.81\"").is_ok(), "nothing is left running");
}
