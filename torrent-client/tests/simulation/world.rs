//! Nodes, each with an engine and a disk, and the events between them in the order of simulated time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use peer_wire_proto::connection::Torrent;
use peer_wire_proto::{Layout, PeerId};
use rand::rngs::StdRng;
use rand::seq::IteratorRandom;
use rand::{Rng, RngExt, SeedableRng};
use torrent_client::disk::Done;
use torrent_client::engine::{Action, Config};
use torrent_client::{Engine, PeerKey, Phase, Status};
use udp_tracker_proto::InfoHash;

use crate::disk::{Content, Disk};
use crate::network::{Connection, End};
use crate::tracker::{self, Tracker};

/// Bytes of the torrent: 32 pieces of 64 KiB, the last one short.
pub(crate) const LENGTH: usize = 32 * PIECE - 12_345;
const PIECE: usize = 64 << 10;
/// Bytes that a node sends at once before it serves another connection.
const CHUNK: usize = 16 << 10;
/// How long the disk takes for a job.
const DISK: Duration = Duration::from_millis(2);
const PORT: u16 = 6881;

/// The properties of a node.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) content: Content,
    /// Bytes a second that it can upload.
    pub(crate) bandwidth: u64,
}

pub(crate) struct Node {
    pub(crate) engine: Engine,
    pub(crate) kind: Kind,
    pub(crate) disk: Disk,
    /// When its clock started; its engine only uses time since then.
    start: Duration,
    latency: Duration,
    connections: BTreeMap<PeerKey, (usize, usize)>,
    is_listening: bool,
    /// When its uplink is free again.
    free_at: Duration,
    /// The peer that it sent to last.
    turn: Option<PeerKey>,
    /// Peers that may have bytes to write.
    to_send: BTreeSet<PeerKey>,
    wakes_at: Option<Duration>,
    pub(crate) completed_at: Option<Duration>,
    pub(crate) is_gone: bool,
}

enum Event {
    Wake,
    UplinkFree,
    Arrived { connection: usize, end: usize, bytes: Vec<u8> },
    ConnectArrived { peer: PeerKey, to: SocketAddr },
    Connected(PeerKey),
    Closed(PeerKey),
    Done(Vec<Done>),
    Reply(Vec<u8>),
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) rng: StdRng,
    pub(crate) nodes: Vec<Node>,
    pub(crate) tracker: Tracker,
    events: BTreeMap<(Duration, u64), (usize, Event)>,
    next_event: u64,
    connections: BTreeMap<usize, Connection>,
    next_connection: usize,
    torrent: Torrent,
    truth: Arc<Vec<u8>>,
}

/// The seed of this run, which is printed.
pub(crate) fn seed(name: &str, usual: u64) -> u64 {
    let seed = std::env::var("SIMULATION_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual);
    println!("{name}: SIMULATION_SEED={seed}");
    seed
}

impl World {
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut truth = vec![0; LENGTH];
        rng.fill_bytes(&mut truth);
        let layout = Layout::new(u64::try_from(LENGTH).unwrap(), u32::try_from(PIECE).unwrap()).unwrap();
        Self {
            now: Duration::ZERO,
            rng,
            nodes: Vec::new(),
            tracker: Tracker::default(),
            events: BTreeMap::new(),
            next_event: 0,
            connections: BTreeMap::new(),
            next_connection: 0,
            torrent: Torrent { info_hash: InfoHash([9; 20]), layout },
            truth: Arc::new(truth),
        }
    }

    /// Adds a node, which starts now.
    pub(crate) fn add(&mut self, kind: Kind, change: impl FnOnce(&mut Config)) -> usize {
        let at = self.nodes.len();
        let mut peer_id = [b'-'; 20];
        self.rng.fill_bytes(&mut peer_id[8..]);
        let seed = self.rng.next_u64();
        let mut config = Config {
            trackers: vec![vec![format!("udp://{}", tracker::ADDRESS)]],
            max_peers: 30,
            min_peers: 5,
            ..Config::new(self.torrent, PeerId(peer_id), PORT, seed)
        };
        change(&mut config);
        self.nodes.push(Node {
            engine: Engine::new(config),
            kind,
            disk: Disk::new(self.torrent.layout, Arc::clone(&self.truth), kind.content),
            start: self.now,
            latency: Duration::from_millis(self.rng.random_range(5..50)),
            connections: BTreeMap::new(),
            is_listening: false,
            free_at: self.now,
            turn: None,
            to_send: BTreeSet::new(),
            wakes_at: None,
            completed_at: None,
            is_gone: false,
        });
        self.later(Duration::ZERO, at, Event::Wake);
        at
    }

    pub(crate) fn address(node: usize) -> SocketAddr {
        let host = 0x0a00_0001 + u32::try_from(node).unwrap();
        SocketAddr::new(Ipv4Addr::from_bits(host).into(), PORT)
    }

    /// Runs until `is_over` returns true, which is checked ten times a second; false if that does not happen in time.
    pub(crate) fn run(&mut self, until: Duration, mut is_over: impl FnMut(&mut Self) -> bool) -> bool {
        let mut next_look = self.now;
        loop {
            if self.now >= next_look {
                if is_over(self) {
                    return true;
                }
                next_look = self.now + Duration::from_millis(100);
            }
            let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= until) else {
                self.now = until;
                return false;
            };
            let ((at, _), (node, event)) = next.remove_entry();
            self.now = at;
            self.handle(node, event);
            self.turn(node);
        }
    }

    pub(crate) fn status(&mut self, node: usize) -> Status {
        let now = self.time_of(node);
        self.nodes[node].engine.status(now)
    }

    /// Closes a random connection.
    pub(crate) fn cut_any(&mut self) {
        if let Some(at) = self.connections.keys().copied().choose(&mut self.rng) {
            self.cut(at, None);
        }
    }

    /// Stops a node in order.
    pub(crate) fn stop(&mut self, node: usize) {
        let now = self.time_of(node);
        self.nodes[node].engine.stop(now);
        self.turn(node);
    }

    /// Whether all nodes for which `counts` is true are complete.
    pub(crate) fn all_complete(&self, counts: impl Fn(&Node) -> bool) -> bool {
        self.nodes.iter().filter(|node| counts(node)).all(|node| node.completed_at.is_some())
    }

    /// Bytes of blocks that all nodes have sent.
    pub(crate) fn uploaded(&mut self) -> u64 {
        (0..self.nodes.len()).map(|node| self.status(node).uploaded).sum()
    }

    fn time_of(&self, node: usize) -> Duration {
        self.now - self.nodes[node].start
    }

    fn later(&mut self, delay: Duration, node: usize, event: Event) {
        self.next_event += 1;
        self.events.insert((self.now + delay, self.next_event), (node, event));
    }

    fn handle(&mut self, at: usize, event: Event) {
        let now = self.time_of(at);
        match event {
            Event::Wake => self.nodes[at].wakes_at = None,
            Event::UplinkFree => {}
            Event::Arrived { connection, end, bytes } => {
                if let Some(connection) = self.connections.get_mut(&connection) {
                    connection.under_way[end] -= bytes.len();
                    connection.inbox[end].extend_from_slice(&bytes);
                }
            }
            Event::ConnectArrived { peer, to } => self.connect_arrived(at, peer, to),
            Event::Connected(peer) => {
                self.nodes[at].engine.handle_connected(now, peer);
                self.nodes[at].to_send.insert(peer);
            }
            Event::Closed(peer) => {
                self.nodes[at].connections.remove(&peer);
                self.nodes[at].engine.handle_closed(now, peer);
            }
            Event::Done(results) => {
                for done in results {
                    self.nodes[at].engine.handle_done(now, done);
                }
            }
            Event::Reply(datagram) => {
                self.nodes[at].engine.handle_datagram(now, tracker::ADDRESS.parse().unwrap(), &datagram);
            }
        }
    }

    /// `at` has connected to `to`: half a round trip ago.
    fn connect_arrived(&mut self, at: usize, peer: PeerKey, to: SocketAddr) {
        let back = self.nodes[at].latency;
        let from = SocketAddr::new(Self::address(at).ip(), 50_000);
        let other = (0..self.nodes.len()).find(|node| Self::address(*node) == to);
        let accepted = other.filter(|other| self.nodes[*other].is_listening && !self.nodes[*other].is_gone);
        let accepted = accepted.and_then(|other| {
            let now = self.time_of(other);
            Some((other, self.nodes[other].engine.handle_accepted(now, from)?))
        });
        let Some((other, key)) = accepted else { return self.later(back, at, Event::Closed(peer)) };
        let connection = self.next_connection;
        self.next_connection += 1;
        let ends = [End { node: at, peer }, End { node: other, peer: key }];
        self.connections.insert(connection, Connection::new(ends));
        self.nodes[at].connections.insert(peer, (connection, 0));
        self.nodes[other].connections.insert(key, (connection, 1));
        self.later(back, at, Event::Connected(peer));
        self.turn(other);
    }

    /// Ends a connection. The end that closed it, if any, gets no event.
    fn cut(&mut self, connection: usize, by: Option<usize>) {
        let Some(connection) = self.connections.remove(&connection) else { return };
        for end in connection.ends {
            self.nodes[end.node].connections.remove(&end.peer);
            if Some(end.node) != by {
                let latency = self.nodes[end.node].latency;
                self.later(latency, end.node, Event::Closed(end.peer));
            }
        }
    }

    /// Lets a node do all pending work.
    fn turn(&mut self, at: usize) {
        if self.nodes[at].is_gone {
            return;
        }
        let now = self.time_of(at);
        if now >= self.nodes[at].engine.poll_timeout() {
            self.nodes[at].engine.handle_timeout(now);
        }
        loop {
            self.act(at);
            let read = self.read(at);
            while let Some(ready) = self.nodes[at].engine.poll_ready(now) {
                self.nodes[at].to_send.insert(ready);
            }
            if !self.send(at) && !read {
                break;
            }
        }
        self.act(at);
        self.ask_tracker(at);
        let node = &mut self.nodes[at];
        if node.completed_at.is_none() && node.engine.phase() == Phase::Seeding {
            node.completed_at = Some(self.now);
        }
        if node.engine.outcome().is_some() {
            node.is_gone = true;
            return;
        }
        let due = node.start + node.engine.poll_timeout().max(now + Duration::from_micros(1));
        if node.wakes_at.is_none_or(|wakes_at| wakes_at > due) {
            node.wakes_at = Some(due);
            self.later(due - self.now, at, Event::Wake);
        }
    }

    /// Carries out the engine's actions and jobs, everything except sending.
    fn act(&mut self, at: usize) {
        let mut results = VecDeque::new();
        while let Some(job) = self.nodes[at].engine.poll_job() {
            results.extend(self.nodes[at].disk.work(job));
        }
        if !results.is_empty() {
            self.later(DISK, at, Event::Done(results.into()));
        }
        while let Some(action) = self.nodes[at].engine.poll_action() {
            match action {
                Action::Connect { peer, address } => {
                    let latency = self.nodes[at].latency;
                    self.later(latency, at, Event::ConnectArrived { peer, to: address });
                }
                Action::Close(peer) => {
                    if let Some((connection, _)) = self.nodes[at].connections.get(&peer) {
                        self.cut(*connection, Some(at));
                    }
                }
                Action::Listen => self.nodes[at].is_listening = true,
                Action::Report => {}
                other => panic!("an unknown action: {other:?}"),
            }
        }
    }

    /// Passes received bytes to the engine; returns whether it consumed any.
    fn read(&mut self, at: usize) -> bool {
        let now = self.time_of(at);
        let node = &mut self.nodes[at];
        let mut progress = false;
        for (peer, (connection, end)) in &node.connections {
            let Some(connection) = self.connections.get_mut(connection) else { continue };
            let (inbox, shown) = (&mut connection.inbox[*end], &mut connection.shown[*end]);
            let mut show = *shown;
            if inbox.is_empty() {
                continue;
            }
            if inbox.len() > show {
                show += (inbox.len() - show).min(node.engine.receive_limit(now, *peer));
            }
            if show == *shown && !node.engine.wants_input(*peer) {
                continue;
            }
            let done = node.engine.handle_input(now, *peer, &inbox[..show]);
            node.to_send.insert(*peer);
            inbox.drain(..done);
            *shown = show - done;
            progress = true;
        }
        progress
    }

    /// Sends once if the uplink is free; returns whether anything was sent.
    fn send(&mut self, at: usize) -> bool {
        let now = self.time_of(at);
        let node = &mut self.nodes[at];
        if node.free_at > self.now {
            return false;
        }
        let after = node.to_send.iter().filter(|peer| Some(**peer) > node.turn);
        let before = node.to_send.iter().filter(|peer| Some(**peer) <= node.turn);
        let turns: Vec<PeerKey> = after.chain(before).copied().collect();
        for peer in turns {
            let connection = node.connections.get(&peer);
            let connection = connection.and_then(|at| Some((*at, self.connections.get_mut(&at.0)?)));
            let Some(((number, end), connection)) = connection.filter(|_| node.engine.wants_transmit(peer))
            else {
                node.to_send.remove(&peer);
                continue;
            };
            let to = 1 - end;
            let room = connection.room(to).min(CHUNK);
            if room == 0 {
                continue;
            }
            let mut bytes = Vec::new();
            for slice in node.engine.poll_transmit(now, peer).iter() {
                bytes.extend_from_slice(&slice[..slice.len().min(room - bytes.len())]);
            }
            if bytes.is_empty() {
                continue;
            }
            node.engine.handle_transmitted(now, peer, bytes.len());
            node.turn = Some(peer);
            connection.under_way[to] += bytes.len();
            let micros = u64::try_from(bytes.len()).unwrap() * 1_000_000 / node.kind.bandwidth;
            let took = Duration::from_micros(micros);
            node.free_at = self.now + took;
            let receiver = connection.ends[to].node;
            let latency = node.latency;
            self.later(took, at, Event::UplinkFree);
            self.later(took + latency, receiver, Event::Arrived { connection: number, end: to, bytes });
            return true;
        }
        false
    }

    fn ask_tracker(&mut self, at: usize) {
        let now = self.time_of(at);
        let mut datagram = [0; 1500];
        while let Some(sent) = self.nodes[at].engine.poll_datagram(now, &mut datagram) {
            let host: IpAddr = Self::address(at).ip();
            let reply = self.tracker.reply(host, &datagram[..sent.len], &mut self.rng);
            let round_trip = 2 * self.nodes[at].latency;
            self.later(round_trip, at, Event::Reply(reply));
        }
    }
}
