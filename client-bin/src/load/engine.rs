//! Sockets, what waits for answers, and the judgement on each: everything but what to ask and when.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};
use udp_tracker_proto::{ConnectionId, ResponseHead, TransactionId};

use super::arguments::Sources;
use super::check::{Rules, Told, Wrong, WrongAnswer};
use super::pending::{Asked, Kind, Pending, Stray};
use super::population::{Peer, Population};
use super::question::Question;
use super::report::Tally;
use super::wire::{BATCH, Inbox, Outlet};

/// Octets of a socket's receive buffer, if the system allows: room for all answers to a large window.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Batches that one socket may have in one look, so that none is forgotten for long.
const BATCHES_A_LOOK: usize = 4;

/// Why a run ends before its time.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Wrong(#[from] Box<WrongAnswer>),
    #[error("cannot send from {from}: {source}")]
    Socket { from: IpAddr, source: io::Error },
    #[error("sending: {0}; --no-segments may help")]
    Send(io::Error),
    #[error("receiving: {0}")]
    Receive(io::Error),
    #[error("{0} does not answer")]
    Silent(SocketAddr),
}

/// Kinds of requests that differ in length, each of which has a box of its own: UDP_SEGMENT needs one length.
const BOXES: [Kind; 3] = [Kind::Connect, Kind::Announce, Kind::Scrape];

const fn box_of(kind: Kind) -> usize {
    match kind {
        Kind::Connect => 0,
        Kind::Announce | Kind::Stop => 1,
        Kind::Scrape => 2,
    }
}

/// A socket, and requests on their way to it: those of one length in each box.
struct Port {
    socket: UdpSocket,
    boxes: [Vec<u8>; 3],
}

pub(super) struct Engine {
    tracker: SocketAddr,
    sources: Sources,
    sockets_each: u32,
    ports: Vec<Port>,
    /// By source.
    connection_ids: Vec<Option<ConnectionId>>,
    inbox: Inbox,
    outlet: Outlet,
    pub(super) pending: Pending,
    pub(super) rules: Rules,
    pub(super) population: Population,
    pub(super) tally: Tally,
    started: Instant,
    /// Requests due before this moment are not measured, in nanoseconds since the start.
    measured_from: u64,
}

/// How the sockets are made.
pub(super) struct Wiring {
    pub(super) tracker: SocketAddr,
    pub(super) sources: Sources,
    /// On each address.
    pub(super) sockets: u32,
    pub(super) segment: bool,
}

impl Engine {
    /// Opens the sockets; `room` is the number of requests that may wait at once.
    pub(super) fn new(
        wiring: &Wiring,
        room: usize,
        rules: Rules,
        population: Population,
    ) -> Result<Self, Failure> {
        let mut ports = Vec::new();
        for from in wiring.sources.iter() {
            for _ in 0..wiring.sockets {
                let socket = open(from).map_err(|source| Failure::Socket { from, source })?;
                ports.push(Port { socket, boxes: BOXES.map(|_| Vec::new()) });
            }
        }
        let salt = u32::from_be_bytes(*population.info_hash(0).first_chunk().unwrap_or(&[0; 4]));
        let mut engine = Self {
            tracker: wiring.tracker,
            sources: wiring.sources,
            sockets_each: wiring.sockets,
            ports,
            connection_ids: wiring.sources.iter().map(|_| None).collect(),
            inbox: Inbox::new(),
            outlet: Outlet::new(wiring.tracker, wiring.segment),
            pending: Pending::new(room, salt),
            rules,
            population,
            tally: Tally::new(),
            started: Instant::now(),
            measured_from: 0,
        };
        for port in &mut engine.ports {
            for (octets, kind) in port.boxes.iter_mut().zip(BOXES) {
                octets.reserve_exact(BATCH * Question::len(kind, &engine.rules));
            }
        }
        Ok(engine)
    }

    /// Nanoseconds since the start.
    pub(super) fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    /// Begins to measure: what was asked before will not be counted. The moment of it.
    pub(super) fn measure(&mut self) -> u64 {
        self.tally = Tally::new();
        self.measured_from = self.now();
        self.measured_from
    }

    pub(super) fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// Gets a connection id for each source.
    pub(super) fn connect(&mut self, patience: Duration) -> Result<(), Failure> {
        let give_up = self.now() + nanos(patience);
        let mut again_at = 0;
        while self.connection_ids.iter().any(Option::is_none) {
            let now = self.now();
            if now >= give_up {
                return Err(Failure::Silent(self.tracker));
            }
            if now >= again_at {
                while self.pending.lose(now).is_some() {}
                self.reconnect(now)?;
                again_at = now + nanos(Duration::from_millis(250));
            }
            if self.look()? == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    /// Asks for a connection id for each source.
    pub(super) fn reconnect(&mut self, now: u64) -> Result<(), Failure> {
        for source in 0..self.sources.count {
            let asked = Asked {
                kind: Kind::Connect,
                socket: self.socket_of(source, 0),
                tries: 0,
                peer: Peer::default(),
                at: now,
            };
            self.post(asked)?;
        }
        self.flush()
    }

    /// Asks, at the latest at the next [`Engine::flush`]; does nothing when there is no room.
    pub(super) fn ask(&mut self, question: Question, tries: u8, at: u64) -> Result<(), Failure> {
        let Question { kind, peer } = question;
        let source = self.population.endpoint(peer).source;
        self.post(Asked { kind, socket: self.socket_of(source, peer.nth), tries, peer, at })
    }

    fn post(&mut self, asked: Asked) -> Result<(), Failure> {
        let Some(transaction_id) = self.pending.ask(asked) else { return Ok(()) };
        let source = u32::from(asked.socket) / self.sockets_each;
        let connection_id = self.connection_ids[source as usize].unwrap_or(ConnectionId(0));
        let len = Question::len(asked.kind, &self.rules);
        let octets = &mut self.ports[usize::from(asked.socket)].boxes[box_of(asked.kind)];
        let begin = octets.len();
        octets.resize(begin + len, 0);
        Question { kind: asked.kind, peer: asked.peer }
            .encode(
                &self.population,
                &self.rules,
                (connection_id, TransactionId(transaction_id)),
                &mut octets[begin..],
            )
            .map_err(|error| Failure::Send(io::Error::other(error.to_string())))?;
        if asked.at >= self.measured_from {
            self.tally.sent[asked.kind as usize] += 1;
        }
        if octets.len() == BATCH * len {
            self.flush_box(asked.socket.into(), box_of(asked.kind))?;
        }
        Ok(())
    }

    /// Sends what was asked.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        for port in 0..self.ports.len() {
            for which in 0..BOXES.len() {
                self.flush_box(port, which)?;
            }
        }
        Ok(())
    }

    fn flush_box(&mut self, port: usize, which: usize) -> Result<(), Failure> {
        let Port { socket, boxes } = &mut self.ports[port];
        let octets = &mut boxes[which];
        let len = Question::len(BOXES[which], &self.rules);
        let len16 = u16::try_from(len).unwrap_or(u16::MAX);
        let mut sent = 0;
        while sent < octets.len() {
            let taken = self.outlet.send(socket, &octets[sent..], len16).map_err(Failure::Send)?;
            sent += taken * len;
            if taken == 0 {
                // The socket's buffer is full, which the network is about to change.
                thread::yield_now();
            }
        }
        octets.clear();
        Ok(())
    }

    /// Reads and judges the answers that are there; returns how many.
    pub(super) fn look(&mut self) -> Result<usize, Failure> {
        let mut answers = 0;
        for port in 0..self.ports.len() {
            for _ in 0..BATCHES_A_LOOK {
                let received = self.inbox.receive(&self.ports[port].socket).map_err(Failure::Receive)?;
                if received > 0 {
                    let now = self.now();
                    (0..received).try_for_each(|at| self.judge(port, at, now))?;
                }
                answers += received;
                if received < BATCH {
                    break;
                }
            }
        }
        let now = self.now();
        self.tally.gaps.looked(now, answers);
        Ok(answers)
    }

    fn judge(&mut self, port: usize, at: usize, now: u64) -> Result<(), Failure> {
        let (source, datagram) = self.inbox.datagram(at);
        let mut asked = None;
        let mut judge = || {
            if let Some(stranger) = source.filter(|source| !is_same(*source, self.tracker)) {
                return Err(Wrong::Source(stranger));
            }
            let datagram = datagram.ok_or(Wrong::TooLong)?;
            let TransactionId(id) = ResponseHead::decode(datagram)?.transaction_id;
            match self.pending.answered(id) {
                Ok(known) if usize::from(known.socket) == port => {
                    asked = Some(known);
                    self.rules.judge(&self.population, &known, datagram).map(Some)
                }
                Err(Stray::Late) => Ok(None),
                Ok(_) | Err(Stray::Unknown) => Err(Wrong::Transaction(id)),
            }
        };
        let told = judge();
        match (told, asked) {
            (Err(wrong), _) => {
                let datagram = datagram.unwrap_or_default().to_vec();
                return Err(Box::new(WrongAnswer { wrong, asked, datagram }).into());
            }
            (Ok(Some(told)), Some(asked)) => {
                match told {
                    Told::ConnectionId(id) => {
                        self.connection_ids[port / self.sockets_each as usize] = Some(id);
                    }
                    Told::Peers(given) => self.tally.peers += given as u64,
                    Told::Counts => {}
                }
                if asked.at >= self.measured_from {
                    self.tally.answer(&asked, now);
                }
            }
            _ => self.tally.late += 1,
        }
        Ok(())
    }

    /// Gives up what has waited too long; `again` is told of it, and says whether it will be asked again.
    pub(super) fn give_up(&mut self, before: u64, mut again: impl FnMut(Asked) -> bool) {
        while let Some(asked) = self.pending.lose(before) {
            let counted = if again(asked) { &mut self.tally.resent } else { &mut self.tally.lost };
            *counted += u64::from(asked.at >= self.measured_from);
        }
    }

    fn socket_of(&self, source: u32, nth: u32) -> u16 {
        u16::try_from(source * self.sockets_each + nth % self.sockets_each).unwrap_or(u16::MAX)
    }
}

fn open(from: IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}

/// Whether these are one place; IPv6's scope and flow are not looked at.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
