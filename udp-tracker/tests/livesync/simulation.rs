//! Three nodes in simulated time, on a network that loses, duplicates and reorders packets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use swarm_store::SweepCursor;
use udp_tracker::{Count, Family, Key, LivesyncCount};
use udp_tracker_proto::InfoHash;

use crate::node::{NOW, Node, PeerStatus, key};

const TICK: Duration = Duration::from_secs(5);
const INTERVAL: u64 = 1800;
const LIFETIME: u64 = 2700;
const PEERS: u16 = 40;
const TORRENTS: u8 = 5;

/// What the network does to packets; the default is nothing.
#[derive(Clone, Copy, Debug, Default)]
struct Network {
    /// In 100.
    lost: u32,
    doubled: u32,
    /// Seconds.
    delay: u64,
}

#[derive(Clone, Copy, Debug)]
struct Peer {
    address: SocketAddr,
    torrent: InfoHash,
    status: PeerStatus,
    next: Duration,
    home: usize,
    completed: bool,
}

struct Cluster {
    rng: SmallRng,
    now: Duration,
    network: Network,
    nodes: Vec<Node>,
    peers: Vec<Peer>,
    /// Packets by arrival time and order of sending: destination and source.
    on_the_way: BTreeMap<(Duration, u64), (usize, SocketAddr, Vec<u8>)>,
    sent: u64,
    roaming: bool,
}

impl Cluster {
    fn new(seed: u64, network: Network, roaming: bool, key: Option<&Key>) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let peers = (0..PEERS).map(|at| {
            let at_byte = u8::try_from(at).unwrap();
            Peer {
                address: match at % 4 {
                    0 => ([0x2001, 0xdb8, 0, 0, 0, 0, 0, at], 6881).into(),
                    _ => ([198, 51, 100, at_byte], 6881).into(),
                },
                torrent: InfoHash([at_byte % TORRENTS; 20]),
                status: if rng.random_ratio(1, 3) { PeerStatus::Seeder } else { PeerStatus::Leecher },
                next: NOW + Duration::from_secs(rng.random_range(0..INTERVAL)),
                home: usize::from(at % 3),
                completed: false,
            }
        });
        let peers = peers.collect();
        let nodes = (1..=3).map(|at| Node::new(at, |_, livesync| livesync.key = key.cloned())).collect();
        let on_the_way = BTreeMap::new();
        Self { rng, now: NOW, network, nodes, peers, on_the_way, sent: 0, roaming }
    }

    /// Lets time pass; `change` changes peers.
    fn run(&mut self, seconds: u64, mut change: impl FnMut(&mut SmallRng, &mut Peer)) {
        let end = self.now + Duration::from_secs(seconds);
        while self.now < end {
            self.now += TICK;
            for at in 0..self.peers.len() {
                if self.peers[at].next <= self.now {
                    change(&mut self.rng, &mut self.peers[at]);
                    self.announce(at);
                }
            }
            self.deliver();
            for at in 0..self.nodes.len() {
                self.send(at);
            }
        }
    }

    fn announce(&mut self, at: usize) {
        let peer = &mut self.peers[at];
        peer.next = self.now + Duration::from_secs(INTERVAL + self.rng.random_range(0..=INTERVAL / 10));
        if self.roaming {
            peer.home = self.rng.random_range(0..3);
        }
        self.nodes[peer.home].announce(self.now, peer.address, peer.torrent, peer.status);
        peer.completed |= peer.status == PeerStatus::Completed;
        if peer.status == PeerStatus::Completed {
            peer.status = PeerStatus::Seeder;
        }
    }

    fn deliver(&mut self) {
        while let Some(first) = self.on_the_way.first_entry().filter(|first| first.key().0 <= self.now) {
            let (to, from, packet) = first.remove();
            self.nodes[to].livesync.handle_input(self.now, from, &packet);
        }
    }

    fn send(&mut self, at: usize) {
        let from = self.nodes[at].address;
        self.nodes[at].livesync.handle_timeout(self.now);
        while let Some(packet) = self.nodes[at].livesync.poll_transmit(self.now) {
            // To itself too: multicast returns a packet to its sender.
            for to in 0..3 {
                let copies = match self.rng.random_range(0..100) {
                    chance if chance < self.network.lost => 0,
                    chance if chance < self.network.lost + self.network.doubled => 2,
                    _ => 1,
                };
                for _ in 0..copies {
                    let delay = Duration::from_secs(self.rng.random_range(0..=self.network.delay));
                    self.sent += 1;
                    self.on_the_way.insert((self.now + delay, self.sent), (to, from, packet.to_vec()));
                }
            }
        }
    }

    /// Lets time pass without announces until all waiting records are sent.
    fn be_quiet(&mut self) {
        for peer in &mut self.peers {
            peer.next = Duration::MAX;
        }
        self.run(20, |_, _| ());
    }

    /// Removes expired peers from the stores.
    fn sweep(&mut self) {
        for node in &self.nodes {
            for family in [Family::V4, Family::V6] {
                let mut cursor = SweepCursor::new(0, 1);
                while !node
                    .service
                    .stores()
                    .sweep(self.now.as_secs(), family, &mut cursor, 1000)
                    .finished_round
                {}
            }
        }
    }

    /// For each node, each torrent's counts and the peers that the node returns: all of them, and the leechers.
    fn stores(&mut self) -> Vec<Vec<Swarm>> {
        let now = self.now;
        let swarms = |node: &mut Node| {
            let mut swarms = Vec::new();
            for torrent in (0..TORRENTS).map(|at| InfoHash([at; 20])) {
                for observer in ["203.0.113.1:1", "[2001:db8:ffff::1]:1"] {
                    let observer: SocketAddr = observer.parse().unwrap();
                    let counts = node.scrape(now, observer, torrent);
                    let all = node.announce(now, observer, torrent, PeerStatus::Leecher);
                    let leechers = node.announce(now, observer, torrent, PeerStatus::Seeder);
                    node.announce(now, observer, torrent, PeerStatus::Stopped);
                    assert_eq!(all.len(), (counts.leechers + counts.seeders) as usize);
                    assert_eq!(leechers.len(), counts.leechers as usize);
                    swarms.push(Swarm { all, leechers, completed: counts.completed });
                }
            }
            swarms
        };
        self.nodes.iter_mut().map(swarms).collect()
    }

    /// What the stores should hold, in the same order.
    fn truth(&self) -> Vec<Swarm> {
        let mut swarms = Vec::new();
        for torrent in (0..TORRENTS).map(|at| InfoHash([at; 20])) {
            for ipv4 in [true, false] {
                let peers = self.peers.iter();
                let ours = peers.filter(|peer| peer.torrent == torrent && peer.address.is_ipv4() == ipv4);
                let which = |which: fn(&Peer) -> bool| ours.clone().filter(move |peer| which(peer));
                swarms.push(Swarm {
                    all: which(|peer| peer.status != PeerStatus::Stopped).map(|peer| peer.address).collect(),
                    leechers: which(|peer| peer.status == PeerStatus::Leecher)
                        .map(|peer| peer.address)
                        .collect(),
                    completed: u32::try_from(which(|peer| peer.completed).count()).unwrap(),
                });
            }
        }
        swarms
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Swarm {
    all: BTreeSet<SocketAddr>,
    leechers: BTreeSet<SocketAddr>,
    completed: u32,
}

impl Swarm {
    fn without(mut self, gone: &BTreeSet<SocketAddr>) -> Self {
        self.all.retain(|peer| !gone.contains(peer));
        self.leechers.retain(|peer| !gone.contains(peer));
        self
    }
}

/// Peers complete, leave, and come back.
fn change(rng: &mut SmallRng, peer: &mut Peer) {
    peer.status = match (peer.status, rng.random_range(0..10)) {
        (PeerStatus::Leecher, 0..3) => PeerStatus::Completed,
        // A peer that has completed stays a seeder, so that a late packet can't make it complete again.
        (_, 3..5) if !peer.completed => PeerStatus::Stopped,
        (PeerStatus::Stopped, 5..8) => PeerStatus::Leecher,
        (status, _) => status,
    };
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn stores_become_equal_and_no_packet_is_passed_on(
        seed: u64,
        lost in prop_oneof![Just(0u32), 1..60u32],
        doubled in 0..40u32,
        delay in prop_oneof![Just(0u64), 1..60u64],
        roaming: bool,
        authenticated: bool,
    ) {
        let key = authenticated.then(key);
        let disorder = Network { lost, doubled, delay };
        let mut cluster = Cluster::new(seed, disorder, roaming, key.as_ref());
        cluster.run(3 * INTERVAL, change);

        // The network works again, peers don't change, and all of them announce once.
        cluster.run(delay, |_, _| ());
        cluster.network = Network::default();
        cluster.run(INTERVAL + INTERVAL / 10 + 20, |_, _| ());
        let gone = cluster.peers.iter().filter(|peer| peer.status == PeerStatus::Stopped);
        let gone: BTreeSet<SocketAddr> = gone.map(|peer| peer.address).collect();
        let truth = cluster.truth();
        for (node, store) in cluster.stores().into_iter().enumerate() {
            for (actual, truth) in store.into_iter().zip(&truth) {
                // A peer whose stop was lost stays until its lifetime is over.
                let actual = actual.without(&gone);
                prop_assert_eq!((node, &actual.all), (node, &truth.all));
                prop_assert_eq!((node, &actual.leechers), (node, &truth.leechers));
                // A completion whose packet was lost is not sent again. None is counted twice.
                prop_assert!(actual.completed <= truth.completed);
                prop_assert!(lost > 0 || actual.completed == truth.completed);
            }
        }
        cluster.run(LIFETIME, |_, _| ());
        cluster.be_quiet();
        cluster.sweep();
        for node in &cluster.nodes {
            let counters = node.handler.counters().snapshot();
            let published = counters.total(Count::LivesyncQueued);
            prop_assert_eq!(counters.total(Count::LivesyncQueueFull), 0);
            prop_assert_eq!(node.counted(LivesyncCount::RecordsSent), published);
            prop_assert!(node.counted(LivesyncCount::PacketsSent) <= published);
            prop_assert!(published <= counters.total(Count::Announces));
            let refused = [LivesyncCount::BadMac, LivesyncCount::BadTime, LivesyncCount::OwnId, LivesyncCount::BadPeer];
            prop_assert!(refused.iter().all(|count| node.counted(*count) == 0));
            prop_assert_eq!(node.counted(LivesyncCount::RecordsReceived), node.counted(LivesyncCount::Applied));
        }
        for store in cluster.stores() {
            for (actual, truth) in store.into_iter().zip(&truth) {
                prop_assert_eq!((&actual.all, &actual.leechers), (&truth.all, &truth.leechers));
                prop_assert!(lost > 0 || actual.completed == truth.completed);
            }
        }
    }
}

#[test]
fn a_node_without_clients_sends_nothing() {
    let mut cluster = Cluster::new(7, Network::default(), false, None);
    for peer in &mut cluster.peers {
        peer.home = 0;
    }
    cluster.run(10 * INTERVAL, change);
    cluster.be_quiet();
    let [sender, others @ ..] = &cluster.nodes[..] else { panic!("three nodes") };
    let packets = sender.counted(LivesyncCount::PacketsSent);
    // Two packets in 15 seconds, one a family, at most.
    assert!((1..=10 * INTERVAL / 15 * 2).contains(&packets), "{packets}");
    assert_eq!(sender.counted(LivesyncCount::PacketsReceived), 0, "not even its own");
    for other in others {
        assert_eq!(other.counted(LivesyncCount::PacketsReceived), packets);
        assert_eq!(other.counted(LivesyncCount::Applied), sender.counted(LivesyncCount::RecordsSent));
        assert_eq!(other.counted(LivesyncCount::PacketsSent), 0);
    }
}

/// A peer that announces every five minutes is published again before the other nodes expire it.
#[test]
fn a_peer_that_announces_often_does_not_expire_elsewhere() {
    let mut cluster = Cluster::new(8, Network::default(), false, None);
    cluster.peers.truncate(6);
    for _ in 0..40 {
        cluster.run(300, |_, _| ());
        for peer in &mut cluster.peers {
            peer.next = cluster.now;
        }
    }
    cluster.be_quiet();
    cluster.sweep();
    let published: u64 = cluster.nodes.iter().map(|node| node.counted(LivesyncCount::RecordsSent)).sum();
    // Of 6 x 40 announces, one for each peer in each of 20 slots of ten minutes.
    assert!((6 * 19..=6 * 22).contains(&published), "{published}");
    let truth = cluster.truth();
    for store in cluster.stores() {
        assert_eq!(store, truth);
    }
}
