//! A session with one torrent, without sockets, clocks, files or threads.
//!
//! The [`Engine`] makes all decisions: which block to request from which peer, which peers to upload to, which
//! addresses to connect to, which tracker to announce to. Its caller drives it:
//!
//! | input | call | result |
//! |---|---|---|
//! | time that has passed | [`handle_timeout`](Engine::handle_timeout), due at [`poll_timeout`](Engine::poll_timeout) | |
//! | bytes from a peer | [`handle_input`](Engine::handle_input), at most [`receive_limit`](Engine::receive_limit) new ones | how many were consumed |
//! | a connection that is writable | [`poll_transmit`](Engine::poll_transmit) | slices to write, then [`handle_transmitted`](Engine::handle_transmitted) |
//! | a connection made, accepted or lost | [`handle_connected`](Engine::handle_connected), [`handle_accepted`](Engine::handle_accepted), [`handle_closed`](Engine::handle_closed) | |
//! | a disk result | [`handle_done`](Engine::handle_done) | |
//! | a datagram of a tracker | [`handle_datagram`](Engine::handle_datagram) | |
//! | addresses of a tracker's name | [`handle_looked_up`](Engine::handle_looked_up) | |
//!
//! After each of these calls, the caller polls for output until [`outcome`](Engine::outcome) returns a value:
//! [`poll_ready`](Engine::poll_ready) (peers with something to write), [`poll_job`](Engine::poll_job) (for the disk),
//! [`poll_datagram`](Engine::poll_datagram) (for trackers), [`poll_action`](Engine::poll_action) (connections to make
//! and to close).
//!
//! Time is the duration since any fixed moment, and doesn't go back. Randomness comes from the seed of the [`Config`]:
//! with the same calls, the engine does the same.
//!
//! # What a peer sees and controls
//! Peers choose what they send, when, and how fast they read. The state per peer is bounded: requests by the
//! connection's queues; blocks by the buffers of two pools that all peers share; outgoing messages by a limit beyond
//! which nothing more is read from the peer; useless bytes by an allowance. The number of addresses is bounded in total
//! and per host, and so is the number of connections.

mod choking;
mod config;
mod handshakes;
mod input;
mod outbox;
mod peer;
mod peers;
mod pool;
mod requests;
mod state;
mod timers;
mod trackers;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use peer_wire_proto::Block;
use tracing::info;

pub use self::config::Config;
pub use self::outbox::Transmit;
pub use self::state::{Ended, PeerStatus, SessionError, TrackerState, TrackerStatus};
pub use self::trackers::Datagram;

use self::peer::Peer;
use self::pool::Pool;
use self::trackers::Trackers;
use crate::book::Book;
use crate::choker::Choker;
use crate::disk::{BUFFER, Done, Job};
use crate::picker::Picker;
use crate::pieces::{PeerKey, PieceSet};
use crate::rate::{RateLimiter, Speed};
use crate::status::Phase;

/// The most bytes of received blocks that wait for the disk.
const DOWNLOAD_BUFFERS: usize = 16 << 20;
/// The most bytes of blocks that are read ahead of sending.
const UPLOAD_BUFFERS: usize = 12 << 20;
/// How often to do work that is not urgent.
const TICK: Duration = Duration::from_millis(500);
/// The most time for the announces of `stopped` at the end.
const LEAVE: Duration = Duration::from_secs(3);

/// Something for the caller to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Action {
    /// Connect to this address. Report the result with [`Engine::handle_connected`] or [`Engine::handle_closed`].
    Connect {
        /// The key of the connection from now on.
        peer: PeerKey,
        /// The address to connect to.
        address: SocketAddr,
    },
    /// Close this connection, and discard its bytes that were not consumed.
    Close(PeerKey),
    /// Accept connections from now on.
    Listen,
    /// Look up a tracker's host name, and report the result with [`Engine::handle_looked_up`].
    LookUp {
        /// The tracker's index, counted over all tiers.
        tracker: usize,
        /// The host name.
        host: String,
        /// The port of the tracker.
        port: u16,
    },
    /// The phase has changed, or some time has passed: a good moment to read [`Engine::status`].
    Report,
}

/// One torrent, its peers and its trackers; see the [module](self).
pub struct Engine {
    config: Config,
    phase: Phase,
    /// Pieces checked at the start.
    checked: u32,
    wanted_bytes: u64,
    peers: BTreeMap<PeerKey, Box<Peer>>,
    next_key: usize,
    exchange: Exchange,
    book: Book,
    choker: Choker,
    trackers: Trackers,
    actions: VecDeque<Action>,
    /// The hosts of peers that sent blocks, connected or not: to ban a host whose blocks were wrong.
    senders: BTreeMap<PeerKey, IpAddr>,
    /// The earliest time for the next assignment of free slots.
    next_fill: Duration,
    next_round: Duration,
    next_tick: Duration,
    seeding_since: Duration,
    leave_by: Duration,
    /// The result of the session, as soon as it is decided.
    outcome: Option<Result<Ended, SessionError>>,
    ended: bool,
}

/// The state that messages of peers change, apart from the peers themselves.
struct Exchange {
    picker: Picker,
    down_buffers: Pool,
    up_buffers: Pool,
    down_limit: RateLimiter,
    up_limit: RateLimiter,
    down: Speed,
    up: Speed,
    jobs: VecDeque<Job>,
    /// Requests to cancel: the block arrived from another peer.
    cancels: Vec<(PeerKey, Block)>,
    /// Peers that may have bytes to write, or may get new requests.
    ready: BTreeSet<PeerKey>,
    /// A peer became interested, or a slot became free.
    rechoke: bool,
    /// A rate limit stopped a peer; more is allowed at this time.
    limited_until: Option<Duration>,
}

impl Engine {
    /// A session that begins with [`Job::Check`].
    #[must_use]
    pub fn new(config: Config) -> Self {
        let layout = config.torrent.layout;
        let picker = Picker::new(layout, PieceSet::none(&layout), config.wanted.clone(), config.seed);
        Self {
            phase: Phase::Checking,
            checked: 0,
            wanted_bytes: picker.left(),
            peers: BTreeMap::new(),
            next_key: 0,
            exchange: Exchange {
                picker,
                down_buffers: Pool::new(DOWNLOAD_BUFFERS / BUFFER),
                up_buffers: Pool::new(UPLOAD_BUFFERS / BUFFER),
                down_limit: RateLimiter::new(config.download_rate),
                up_limit: RateLimiter::new(config.upload_rate),
                down: Speed::default(),
                up: Speed::default(),
                jobs: VecDeque::from([Job::Check]),
                cancels: Vec::new(),
                ready: BTreeSet::new(),
                rechoke: false,
                limited_until: None,
            },
            book: Book::default(),
            choker: Choker::default(),
            trackers: Trackers::new(&config),
            actions: VecDeque::new(),
            senders: BTreeMap::new(),
            next_fill: Duration::ZERO,
            next_round: Duration::ZERO,
            next_tick: Duration::ZERO,
            seeding_since: Duration::ZERO,
            leave_by: Duration::ZERO,
            outcome: None,
            ended: false,
            config,
        }
    }

    /// The next job for the disk. May change after any call that takes `now`.
    pub fn poll_job(&mut self) -> Option<Job> {
        self.exchange.jobs.pop_front()
    }

    /// The next thing to do. May change after any call that takes `now`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// The result, once the session has ended. Nothing needs to be done after that.
    pub fn outcome(&mut self) -> Option<Result<Ended, SessionError>> {
        if self.ended { self.outcome.take() } else { None }
    }

    /// Handles the result of a disk job.
    pub fn handle_done(&mut self, now: Duration, done: Done) {
        match done {
            Done::Checked { piece, good } => self.piece_checked(now, piece, good),
            Done::Created => self.begin_exchange(now),
            Done::Written(buffer) => {
                if self.exchange.down_buffers.is_empty() {
                    // The input of these peers could not be consumed because no buffer was free.
                    self.exchange.ready.extend(self.peers.keys());
                }
                self.exchange.down_buffers.put(buffer);
            }
            Done::Judged(verdict) => self.piece_judged(now, &verdict),
            Done::Read(peer, block, buffer) => self.block_read(now, peer, block, buffer),
            Done::Failed(error) => self.leave(now, Err(error.into())),
        }
    }

    /// Ends the session in order: closes the peers and announces `stopped` to the trackers, which takes at most three
    /// seconds.
    pub fn stop(&mut self, now: Duration) {
        self.leave(now, Ok(Ended::Stopped));
    }

    /// Adds the address of a peer, as if it came from a tracker.
    pub fn add_peer(&mut self, now: Duration, address: SocketAddr) {
        self.book.add(address);
        self.connect_more(now);
    }

    /// Changes both rate limits, in bytes a second; `None` for no limit.
    pub fn set_rates(&mut self, now: Duration, download: Option<u64>, upload: Option<u64>) {
        self.exchange.down_limit.set(now, download);
        self.exchange.up_limit.set(now, upload);
        self.exchange.limited_until = None;
    }

    /// Handles the check of one piece; after the last one, the exchange begins.
    fn piece_checked(&mut self, now: Duration, piece: u32, good: bool) {
        if self.phase != Phase::Checking {
            return;
        }
        self.checked += 1;
        if good {
            self.exchange.picker.found(piece);
        }
        let total = self.config.torrent.layout.pieces();
        if self.checked < total {
            return;
        }
        let have = self.exchange.picker.have().count();
        info!("{have} of {total} pieces are present");
        if !self.config.seed_only {
            self.exchange.jobs.push_back(Job::Create);
        } else if have == total {
            self.begin_exchange(now);
        } else {
            self.leave(now, Err(SessionError::Incomplete { have, total }));
        }
    }

    fn begin_exchange(&mut self, now: Duration) {
        if self.phase != Phase::Checking {
            return;
        }
        self.actions.push_back(Action::Listen);
        for peer in std::mem::take(&mut self.config.peers) {
            self.book.add(peer);
        }
        self.phase = Phase::Downloading;
        if self.exchange.picker.is_done() {
            self.completed(now);
        }
        self.actions.push_back(Action::Report);
        self.connect_more(now);
        self.turn_trackers(now);
    }

    /// All wanted pieces are present.
    fn completed(&mut self, now: Duration) {
        info!("all wanted pieces are present");
        self.phase = Phase::Seeding;
        self.seeding_since = now;
        self.drop_other_seeds(now);
        self.actions.push_back(Action::Report);
    }

    /// Begins the end: closes the peers and announces to the trackers.
    fn leave(&mut self, now: Duration, outcome: Result<Ended, SessionError>) {
        if self.phase == Phase::Stopping {
            return;
        }
        let spent = if self.phase == Phase::Seeding && outcome.as_ref().is_ok_and(|end| *end == Ended::Done) {
            now.saturating_sub(self.seeding_since)
        } else {
            Duration::ZERO
        };
        self.outcome = Some(outcome);
        // Trackers that never answered are unlikely to answer now.
        let patience = if self.trackers.answered() > 0 { LEAVE } else { LEAVE / 3 };
        self.leave_by = now + patience.saturating_sub(spent).max(LEAVE / 3);
        let was_checking = self.phase == Phase::Checking;
        self.phase = Phase::Stopping;
        self.drop_all_peers(now);
        if !was_checking {
            let report = self.announcement();
            self.trackers.stop(now, &report);
        }
        self.end_if_idle(now);
        self.actions.push_back(Action::Report);
    }

    fn end_if_idle(&mut self, now: Duration) {
        if self.phase == Phase::Stopping && (self.trackers.is_idle() || now >= self.leave_by) {
            self.ended = true;
        }
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine")
            .field("torrent", &self.config.torrent)
            .field("phase", &self.phase)
            .field("peers", &self.peers.len())
            .finish_non_exhaustive()
    }
}
