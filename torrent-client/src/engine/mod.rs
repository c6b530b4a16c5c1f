//! A session with one torrent: one thread for all sockets, which leaves the disk to [others](super::storage).

mod control;
mod inbound;
mod outbound;
mod outbox;
mod peer;
mod peers;
mod pool;
mod setup;
mod sockets;
mod tick;
mod trackers;
mod utp;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::TcpListener;
use mio::{Events, Poll, Token};
use peer_wire_proto::connection::Torrent;
use peer_wire_proto::{Layout, PeerId};
use tracing::{info, warn};
use udp_tracker_proto::client::Announce;

pub(crate) use control::Control;
pub use setup::SetupError;
pub use sockets::ListenError;

use self::control::Order;
use self::peer::Peer;
use self::pool::Pool;
use self::trackers::Trackers;
use self::utp::NoUtp;
use super::book::Book;
use super::choker::Choker;
use super::options::{Options, Seeding};
use super::picker::{PeerKey, Picker, PieceSet};
use super::rate::{RateLimiter, Speed};
use super::status::{Phase, Status};
use super::storage::{Disk, Done, StorageError};

const WAKER: Token = Token(0);
const LISTENERS: [Token; 2] = [Token(1), Token(2)];
const TRACKERS: [Token; 2] = [Token(3), Token(4)];
const UTP: [Token; 2] = [Token(5), Token(6)];
/// Peers' tokens are their keys, from here on.
const FIRST_PEER: usize = 7;

/// Octets of blocks that wait for the disk, at most.
const DOWNLOAD_BUFFERS: usize = 16 << 20;
/// Octets of blocks that are read ahead of their sending, at most.
const UPLOAD_BUFFERS: usize = 12 << 20;
/// Octets that are read from a socket at once.
const READ: usize = 256 << 10;
/// How often what needs no haste is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How long trackers may take when we leave.
const LEAVE: Duration = Duration::from_secs(3);

/// How a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Everything wanted is there, and as much was shared as was asked for.
    Done,
    /// It was told to.
    Stopped,
}

/// Why a session ended against its will.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The disk doesn't do what it should.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// It was to share what is not all there.
    #[error(
        "only {have} of {total} pieces are there: download the rest before seeding, or choose the folder that has them"
    )]
    Incomplete {
        /// Pieces that are there.
        have: u32,
        /// Pieces of the torrent.
        total: u32,
    },
    /// The system doesn't let us wait for sockets.
    #[error("cannot wait for sockets: {0}")]
    Poll(#[source] io::Error),
}

/// One torrent, its peers, its trackers and its files; everything but the disk's threads runs on the thread that calls
/// [`run`](Self::run).
pub(crate) struct Session {
    options: Options,
    torrent: Torrent,
    layout: Layout,
    wanted: PieceSet,
    wanted_octets: u64,
    peer_id: PeerId,
    /// By which trackers recognise us under several addresses.
    key: u32,
    addresses: Vec<SocketAddr>,

    start: Instant,
    now: Duration,
    poll: Poll,
    listeners: Vec<TcpListener>,
    trackers: Trackers,
    no_utp: NoUtp,
    disk: Disk,
    control: Arc<Control>,

    phase: Phase,
    checked: u32,
    picker: Picker,
    book: Book,
    choker: Choker,
    peers: BTreeMap<PeerKey, Box<Peer>>,
    next_key: usize,
    /// Peers for which there is something to do.
    active: BTreeSet<PeerKey>,
    /// Some of them got on, and get their next turn at once.
    again: bool,
    /// Of peers that sent blocks, connected or not, where they are: to ban those that lied.
    senders: BTreeMap<PeerKey, IpAddr>,
    scratch: Vec<u8>,
    down_buffers: Pool,
    up_buffers: Pool,
    down_limit: RateLimiter,
    up_limit: RateLimiter,
    down: Speed,
    up: Speed,
    /// Somebody became interested, or a slot free.
    rechoke: bool,
    /// When free slots may be given away again.
    next_fill: Duration,
    next_round: Duration,
    next_tick: Duration,
    seeding_since: Duration,
    leave_by: Duration,
    outcome: Result<Ended, SessionError>,
}

impl Session {
    /// Where peers can reach us.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// Checks, downloads, seeds and leaves.
    ///
    /// # Errors
    /// When the disk or the system fail; also then, trackers were told that we leave.
    pub(crate) fn run(mut self) -> Result<Ended, SessionError> {
        self.disk.check_all();
        let mut events = Events::with_capacity(1024);
        loop {
            let timeout = self.timeout();
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(SessionError::Poll(error));
                }
                _ => {}
            }
            self.now = self.start.elapsed();
            for event in &events {
                self.handle(event);
            }
            self.take_results();
            self.serve_peers();
            self.ask_trackers();
            if self.now >= self.next_tick {
                self.tick();
            }
            if self.rechoke && self.now >= self.next_fill {
                self.fill_slots();
            }
            self.disk.flush();
            match self.control.order() {
                Order::Run => {}
                Order::Stop => self.leave(Ok(Ended::Stopped)),
                Order::Kill => return self.outcome.and(Ok(Ended::Stopped)),
            }
            if self.phase == Phase::Stopping && (self.trackers.is_idle() || self.now >= self.leave_by) {
                self.report();
                return self.outcome;
            }
        }
    }

    fn handle(&mut self, event: &Event) {
        match event.token() {
            WAKER => {}
            token if LISTENERS.contains(&token) => self.accept(token),
            token if TRACKERS.contains(&token) => self.trackers.readable(),
            token if UTP.contains(&token) => self.no_utp.answer(),
            Token(key) => {
                if let Some(peer) = self.peers.get_mut(&PeerKey(key)) {
                    peer.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
                    peer.writable |= event.is_writable();
                    self.active.insert(PeerKey(key));
                }
            }
        }
    }

    /// How long there is nothing to do unless something happens.
    fn timeout(&self) -> Duration {
        if self.again {
            return Duration::ZERO;
        }
        let mut until = self.next_tick;
        if self.rechoke {
            until = until.min(self.next_fill);
        }
        if let Some(trackers) = self.trackers.poll_timeout()
            && self.phase != Phase::Checking
        {
            until = until.min(trackers);
        }
        if self.phase == Phase::Stopping {
            until = until.min(self.leave_by);
        }
        let wait = until.saturating_sub(self.start.elapsed());
        // The active ones that didn't get on wait for buffers, which the waker tells of, or for the rate limits.
        let limits = self.down_limit.wait().max(self.up_limit.wait());
        if self.active.is_empty() || limits.is_zero() { wait } else { wait.min(limits) }
    }

    fn take_results(&mut self) {
        while let Some(done) = self.disk.poll() {
            match done {
                Done::Checked { piece, good } => self.checked(piece, good),
                Done::Written(buffer) => self.down_buffers.put(buffer),
                Done::Judged(verdict) => self.judged(&verdict),
                Done::Read(peer, block, buffer) => self.block_read(peer, block, buffer),
                Done::Failed(error) => {
                    warn!("{error}");
                    self.leave(Err(error.into()));
                }
            }
        }
    }

    /// A piece was looked at; after the last one, the exchange begins.
    fn checked(&mut self, piece: u32, good: bool) {
        if self.phase != Phase::Checking {
            return;
        }
        self.checked += 1;
        if good {
            self.picker.found(piece);
        }
        if self.checked < self.layout.pieces() {
            return;
        }
        let (have, total) = (self.picker.have().count(), self.layout.pieces());
        info!("{have} of {total} pieces are there");
        if self.options.seed_only && have < total {
            self.leave(Err(SessionError::Incomplete { have, total }));
        } else if let Err(error) = self.open_for_peers() {
            self.leave(Err(error));
        }
    }

    fn open_for_peers(&mut self) -> Result<(), SessionError> {
        if !self.options.seed_only {
            let files = self.options.files.as_ref();
            self.disk.files().create(|file| files.is_none_or(|files| files.contains(&file)))?;
        }
        for (listener, token) in self.listeners.iter_mut().zip(LISTENERS) {
            let registered = self.poll.registry().register(listener, token, mio::Interest::READABLE);
            registered.map_err(SessionError::Poll)?;
        }
        for peer in self.options.peers.clone() {
            self.book.add(peer);
        }
        self.phase = Phase::Downloading;
        if self.picker.is_done() {
            self.done();
        }
        self.report();
        self.connect_more();
        Ok(())
    }

    /// Everything wanted is there.
    fn done(&mut self) {
        info!("everything is there");
        self.phase = Phase::Seeding;
        self.seeding_since = self.now;
        self.drop_other_seeds();
        self.report();
    }

    /// Whether there is nothing left to do.
    fn has_seeded_enough(&self) -> bool {
        match self.options.seeding {
            // The end of the download is told first, if that goes quickly.
            Seeding::Never => !self.trackers.owes_completed() || self.now >= self.seeding_since + LEAVE / 2,
            Seeding::Until { time, ratio } => {
                #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
                let given = self.up.total() as f64 / self.wanted_octets.max(1) as f64;
                time.is_some_and(|time| self.now >= self.seeding_since + time)
                    || ratio.is_some_and(|ratio| given >= ratio)
            }
        }
    }

    /// Begins to leave: peers are closed, trackers are told.
    fn leave(&mut self, outcome: Result<Ended, SessionError>) {
        if self.phase == Phase::Stopping {
            return;
        }
        self.outcome = outcome;
        let spent =
            if self.phase == Phase::Seeding && self.outcome.as_ref().is_ok_and(|end| *end == Ended::Done) {
                self.now.saturating_sub(self.seeding_since)
            } else {
                Duration::ZERO
            };
        // Those that never said a word hardly will now.
        let patience = if self.trackers.announced > 0 { LEAVE } else { LEAVE / 3 };
        self.leave_by = self.now + patience.saturating_sub(spent).max(LEAVE / 3);
        let was_checking = self.phase == Phase::Checking;
        self.phase = Phase::Stopping;
        self.drop_all_peers();
        if !was_checking {
            let report = self.announcement();
            self.trackers.stop(self.now, &report);
        }
        self.report();
    }

    fn ask_trackers(&mut self) {
        if self.phase == Phase::Checking {
            return;
        }
        let report = self.announcement();
        let before = self.book.len();
        let book = &mut self.book;
        self.trackers.turn(self.now, &report, |address| book.add(address));
        if self.book.len() > before {
            self.connect_more();
        }
        if self.phase == Phase::Seeding && self.has_seeded_enough() {
            self.leave(Ok(Ended::Done));
        }
    }

    /// What trackers are told about us.
    fn announcement(&self) -> Announce<'static> {
        let port = self.addresses.first().map_or(0, SocketAddr::port);
        let wanted = self.options.max_peers.saturating_sub(self.peers.len()).min(200);
        Announce {
            downloaded: self.down.total(),
            uploaded: self.up.total(),
            key: self.key,
            num_want: i32::try_from(wanted).unwrap_or(-1),
            ..Announce::new(self.torrent.info_hash, self.peer_id, port, self.picker.left())
        }
    }

    /// Tells the keeper how it stands.
    fn report(&mut self) {
        let seeders = self.peers.values().filter(|peer| peer.is_ready() && peer.pieces.is_full()).count();
        let ready = self.peers.values().filter(|peer| peer.is_ready()).count();
        let (have, available) = self.picker.counts();
        self.control.report(Status {
            phase: self.phase,
            have,
            total: self.wanted.count(),
            available,
            checked: self.checked,
            left: self.picker.left(),
            wanted: self.wanted_octets,
            downloaded: self.down.total(),
            uploaded: self.up.total(),
            download_rate: self.down.per_second(self.now),
            upload_rate: self.up.per_second(self.now),
            seeders,
            leechers: ready - seeders,
            known: self.book.len(),
            announced: self.trackers.announced,
            announce_failures: self.trackers.failures,
            running: self.now,
        });
    }
}
