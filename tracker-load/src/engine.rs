//! Sends requests, keeps those without an answer, and checks each answer. What to ask and when is decided elsewhere.

use std::cell::Cell;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use datagram_batch::Datagram;
use udp_tracker_proto::{ConnectionId, ResponseHead, TransactionId};

use crate::check::{Content, Rules, Wrong, WrongAnswer};
use crate::error::LoadError;
use crate::pending::{Kind, Pending, Stray, Waiting};
use crate::population::{Peer, Population};
use crate::ports::Ports;
use crate::report::Tally;
use crate::request::Request;
use crate::settings::Settings;

pub(crate) struct Engine {
    ports: Ports,
    ledger: Ledger,
}

/// The state for checking and counting answers.
pub(crate) struct Ledger {
    tracker: SocketAddr,
    sockets_each: u32,
    /// By source address.
    connection_ids: Vec<Option<ConnectionId>>,
    pub(crate) pending: Pending,
    pub(crate) rules: Rules,
    pub(crate) population: Population,
    pub(crate) tally: Tally,
    started: Instant,
    /// Requests due before this time are not measured, in nanoseconds since the start.
    measured_from: u64,
}

impl Engine {
    /// Opens the sockets.
    pub(crate) fn new(settings: &Settings) -> Result<Self, LoadError> {
        let sources = settings.checked_sources()?;
        let population = settings.population(sources)?;
        let rules = Rules {
            num_want: settings.num_want,
            scrape_torrents: settings.scrape_torrents,
            first_source: sources.first(),
            sources: sources.count(),
            alone: !settings.others,
            own: settings.own,
            complete: false,
            most_given: Cell::new(0),
        };
        let ports = Ports::open(settings, sources, &rules)?;
        let salt = u32::from_be_bytes(*population.info_hash(0).0.first_chunk().unwrap_or(&[0; 4]));
        let room = settings.pace.room(settings.timeout) + sources.iter().count();
        let ledger = Ledger {
            tracker: settings.tracker,
            sockets_each: settings.sockets,
            connection_ids: sources.iter().map(|_| None).collect(),
            pending: Pending::new(room, salt),
            rules,
            population,
            tally: Tally::new(),
            started: Instant::now(),
            measured_from: 0,
        };
        Ok(Self { ports, ledger })
    }

    pub(crate) fn ledger(&mut self) -> &mut Ledger {
        &mut self.ledger
    }

    /// Nanoseconds since the start.
    pub(crate) fn now(&self) -> u64 {
        self.ledger.now()
    }

    /// Gets a connection_id for each source address.
    pub(crate) fn connect(&mut self, patience: Duration) -> Result<(), LoadError> {
        let give_up = self.now() + nanos(patience);
        let mut again_at = 0;
        while self.ledger.connection_ids.iter().any(Option::is_none) {
            let now = self.now();
            if now >= give_up {
                return Err(LoadError::Silent(self.ledger.tracker));
            }
            if now >= again_at {
                while self.ledger.pending.lose(now).is_some() {}
                self.reconnect(now)?;
                again_at = now + nanos(Duration::from_millis(250));
            }
            if self.look()? == 0 {
                thread::sleep(Duration::from_micros(100));
            }
        }
        Ok(())
    }

    /// Requests a connection_id for each source address.
    pub(crate) fn reconnect(&mut self, now: u64) -> Result<(), LoadError> {
        for source in 0..self.ledger.rules.sources {
            let socket = self.ledger.socket_of(source, 0);
            self.post(Waiting { kind: Kind::Connect, socket, tries: 0, peer: Peer::default(), at: now })?;
        }
        self.flush()
    }

    /// Queues a request that was due at `at`; it is sent at the next [`Engine::flush`] at the latest. Does nothing if
    /// there is no room.
    pub(crate) fn ask(&mut self, request: Request, tries: u8, at: u64) -> Result<(), LoadError> {
        let Request { kind, peer } = request;
        let source = self.ledger.population.endpoint(peer).source;
        let socket = self.ledger.socket_of(source, peer.nth);
        self.post(Waiting { kind, socket, tries, peer, at })
    }

    fn post(&mut self, waiting: Waiting) -> Result<(), LoadError> {
        let Self { ports, ledger } = self;
        let Some(transaction_id) = ledger.pending.add(waiting) else { return Ok(()) };
        let Waiting { kind, socket, peer, at, .. } = waiting;
        let source = u32::from(socket) / ledger.sockets_each;
        let connection_id = ledger.connection_ids[source as usize].unwrap_or(ConnectionId(0));
        let ids = (connection_id, TransactionId(transaction_id));
        let out = ports.queue(socket.into(), kind);
        Request { kind, peer }
            .encode(&ledger.population, &ledger.rules, ids, out)
            .map_err(|error| LoadError::Send(std::io::Error::other(error.to_string())))?;
        if at >= ledger.measured_from {
            ledger.tally.sent[kind as usize] += 1;
        }
        ports.flush_if_full(socket.into(), kind)
    }

    /// Sends all queued requests.
    pub(crate) fn flush(&mut self) -> Result<(), LoadError> {
        self.ports.flush()
    }

    /// Receives and checks waiting answers; returns their number.
    pub(crate) fn look(&mut self) -> Result<usize, LoadError> {
        let Self { ports, ledger } = self;
        let mut answers = 0;
        for port in 0..ports.len() {
            answers += ports.receive(port, |received| {
                let now = ledger.now();
                received.iter().try_for_each(|datagram| ledger.settle(port, &datagram, now))
            })?;
        }
        let now = ledger.now();
        ledger.tally.gaps.looked(now, answers);
        Ok(answers)
    }
}

impl Ledger {
    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }

    pub(crate) fn tracker(&self) -> SocketAddr {
        self.tracker
    }

    /// Begins to measure: requests that were due before are not counted. Returns the time.
    pub(crate) fn measure(&mut self) -> u64 {
        self.tally = Tally::new();
        self.measured_from = self.now();
        self.measured_from
    }

    /// Checks and counts an answer.
    fn settle(&mut self, port: usize, datagram: &Datagram<'_>, now: u64) -> Result<(), LoadError> {
        let mut request = None;
        match self.check(port, datagram, &mut request) {
            Err(wrong) => {
                let datagram = datagram.whole().unwrap_or_default().to_vec();
                return Err(Box::new(WrongAnswer { wrong, datagram, request }).into());
            }
            Ok(None) => self.tally.late += 1,
            Ok(Some(content)) => {
                match content {
                    Content::ConnectionId(id) => {
                        self.connection_ids[port / self.sockets_each as usize] = Some(id);
                    }
                    Content::Peers(given) => self.tally.peers += given as u64,
                    Content::Counts => {}
                }
                if let Some(request) = request.filter(|request| request.at >= self.measured_from) {
                    self.tally.answer(&request, now);
                }
            }
        }
        Ok(())
    }

    /// The content of an answer, `None` if it is late. Sets `request` to the request that it answers.
    fn check(
        &mut self,
        port: usize,
        datagram: &Datagram<'_>,
        request: &mut Option<Waiting>,
    ) -> Result<Option<Content>, Wrong> {
        if !is_same(datagram.source, self.tracker) {
            return Err(Wrong::Source(datagram.source));
        }
        let bytes = datagram.whole().ok_or(Wrong::TooLong)?;
        let TransactionId(id) = ResponseHead::decode(bytes)?.transaction_id;
        match self.pending.answered(id) {
            Ok(waiting) if usize::from(waiting.socket) == port => {
                *request = Some(waiting);
                self.rules.check(&self.population, &waiting, bytes).map(Some)
            }
            Err(Stray::Late) => Ok(None),
            Ok(_) | Err(Stray::Unknown) => Err(Wrong::Transaction(id)),
        }
    }

    /// Counts requests that waited too long as lost; or as resent, if `again` returns true.
    pub(crate) fn give_up(&mut self, before: u64, mut again: impl FnMut(Waiting) -> bool) {
        while let Some(request) = self.pending.lose(before) {
            let counted = if again(request) { &mut self.tally.resent } else { &mut self.tally.lost };
            *counted += u64::from(request.at >= self.measured_from);
        }
    }

    fn socket_of(&self, source: u32, nth: u32) -> u16 {
        u16::try_from(source * self.sockets_each + nth % self.sockets_each).unwrap_or(u16::MAX)
    }
}

/// Whether both addresses are the same; IPv6's scope and flow are ignored.
fn is_same(one: SocketAddr, other: SocketAddr) -> bool {
    (one.ip(), one.port()) == (other.ip(), other.port())
}

pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
