//! A BitTorrent UDP tracker: BEP 15, BEP 41 and the 2004 dialect, over IPv4 and IPv6.
//!
//! # A whole tracker
//! [`Tracker::start`] opens the sockets and serves on threads of its own until it is shut down.
//!
//! ```
//! use udp_tracker::{Config, Count, Tracker};
//!
//! let mut config = Config::default();
//! config.listen = Some(vec!["127.0.0.1:0".parse()?]);
//! let tracker = Tracker::start(config)?;
//! println!("announce to udp://{}", tracker.addresses()[0]);
//! let counted = tracker.shutdown()?;
//! assert_eq!(counted.total(Count::Announces), 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # A cluster
//! With [`Config::livesync`], trackers tell each other what they hear. [`Livesync`] is one's part in it, without a socket,
//! a clock or a thread; a [`Tracker`] has a thread for it.
//!
//! # Only the answers
//! [`Handler::handle`] turns a datagram into a reply, without a socket, a clock or a thread: for tests, for simulations,
//! and for any other way of moving packets.

mod access;
mod clock;
mod config;
mod connection_ids;
mod counters;
mod handler;
mod id_clock;
mod livesync;
mod pace;
mod service;
mod socket;
mod sweeper;
mod values;
mod wait;
mod worker;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Instant;

use tracing::{info, warn};

pub use access::AccessListError;
pub use config::{Access, Config, ConfigError, DEFAULT_PORT, DEFAULT_TOML, Impossible};
pub use connection_ids::ConnectionIds;
pub use counters::{Count, Counters, Family, Snapshot};
pub use handler::Handler;
pub use livesync::{Livesync, LivesyncConfig, LivesyncError, NodeHeard};
pub use service::{Service, ServiceError};
pub use socket::ListenError;
pub use swarm_store::Totals;

use clock::Clock;
use livesync::{LivesyncThread, Nodes};
use sweeper::Sweeper;
use wait::Waker;
use worker::Worker;

/// A running tracker. Dropped, it stops, without telling what it counted.
#[derive(Debug)]
pub struct Tracker {
    service: Arc<Service>,
    addresses: Vec<SocketAddr>,
    clock: Clock,
    stop: Arc<AtomicBool>,
    workers: Vec<Running>,
    livesync: Option<RunningLivesync>,
}

#[derive(Debug)]
struct RunningLivesync {
    running: Running,
    nodes: Arc<Nodes>,
    /// Set after the workers have ended: until then there is something to tell.
    stop: Arc<AtomicBool>,
}

/// A thread.
#[derive(Debug)]
struct Running {
    counters: Arc<Counters>,
    waker: Option<Waker>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Why a tracker doesn't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The configuration, or a file that it names.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The other trackers.
    #[error(transparent)]
    Livesync(#[from] LivesyncError),
    /// A thread, or what it waits with.
    #[error("cannot start worker {worker} of {workers}: {source}; fewer can be set with --workers")]
    Worker {
        /// Which, counted from 1.
        worker: usize,
        /// Of how many.
        workers: usize,
        /// What the system said.
        source: io::Error,
    },
}

impl Tracker {
    /// Opens the sockets and starts to serve.
    ///
    /// # Errors
    /// An impossible configuration, an address that can't be listened on, a lack of threads; then nothing is left
    /// running.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let service = Service::new(config)?;
        let workers = match service.config().workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            set => set,
        };
        let (addresses, mut sockets) = listen(service.config(), workers)?;
        let clock = Clock::start();
        let livesync = start_livesync(&service, clock)?;
        let stop = Arc::new(AtomicBool::new(false));
        let mut tracker = Self { service, addresses, clock, stop, workers: Vec::new(), livesync };
        for at in 0..workers {
            let own = sockets.iter_mut().filter_map(Vec::pop).collect();
            let running = tracker.start_worker(at, workers, own, clock);
            let running = running.map_err(|source| StartError::Worker { worker: at + 1, workers, source })?;
            tracker.workers.push(running);
        }
        info!("{workers} workers on {:?}", tracker.addresses);
        Ok(tracker)
    }

    fn start_worker(
        &self,
        at: usize,
        workers: usize,
        sockets: Vec<std::net::UdpSocket>,
        clock: Clock,
    ) -> io::Result<Running> {
        let sweeper = Sweeper::new(Arc::clone(&self.service), at, workers);
        let (worker, waker) = Worker::new(&self.service, sockets, clock, sweeper, Arc::clone(&self.stop))?;
        let counters = Arc::clone(worker.handler().counters());
        Running::spawn(format!("tracker-{at}"), counters, waker, move || worker.run())
    }

    /// Where it listens, with the real port where 0 was asked for.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What all workers, and livesync, have counted until now.
    #[must_use]
    pub fn counters(&self) -> Snapshot {
        self.threads().fold(Snapshot::default(), |mut sum, running| {
            sum += running.counters.snapshot();
            sum
        })
    }

    /// The nodes that livesync hears, none if it isn't enabled.
    #[must_use]
    pub fn livesync_nodes(&self) -> Vec<NodeHeard> {
        let now = self.clock.at(Instant::now());
        self.livesync.as_ref().map(|livesync| livesync.nodes.heard(now)).unwrap_or_default()
    }

    /// How much is stored, by family.
    #[must_use]
    pub fn totals(&self, family: Family) -> Totals {
        self.service.totals(family)
    }

    /// Reads the list of torrents again; on an error the old one stays.
    ///
    /// # Errors
    /// See [`AccessListError`].
    pub fn reload(&self) -> Result<(), AccessListError> {
        self.service.reload()
    }

    /// Whether all workers, and livesync, are at work. They don't stop by themselves, unless the system denies them what
    /// they need.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.threads().all(|running| running.thread.as_ref().is_some_and(|thread| !thread.is_finished()))
    }

    fn threads(&self) -> impl Iterator<Item = &Running> {
        self.workers.iter().chain(self.livesync.as_ref().map(|livesync| &livesync.running))
    }

    /// Ends the workers, after the batch they are at, and livesync, after it told the others what was left; returns what
    /// they counted.
    ///
    /// # Errors
    /// When a worker had to give up before.
    pub fn shutdown(mut self) -> io::Result<Snapshot> {
        self.join()?;
        Ok(self.counters())
    }

    fn join(&mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Release);
        let mut result = Ok(());
        for worker in &mut self.workers {
            result = result.and(worker.join());
        }
        if let Some(livesync) = &mut self.livesync {
            livesync.stop.store(true, Ordering::Release);
            result = result.and(livesync.running.join());
        }
        result
    }
}

impl Running {
    fn spawn(
        name: String,
        counters: Arc<Counters>,
        waker: Waker,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name).spawn(run)?;
        Ok(Self { counters, waker: Some(waker), thread: Some(thread) })
    }

    /// Waits for the end of a thread that was told to stop.
    fn join(&mut self) -> io::Result<()> {
        drop(self.waker.take());
        let Some(thread) = self.thread.take() else { return Ok(()) };
        thread.join().unwrap_or_else(|_| Err(io::Error::other("a thread has panicked")))
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.join();
    }
}

fn start_livesync(service: &Arc<Service>, clock: Clock) -> Result<Option<RunningLivesync>, LivesyncError> {
    let stop = Arc::new(AtomicBool::new(false));
    let Some((thread, waker)) = LivesyncThread::new(service, clock, Arc::clone(&stop))? else {
        return Ok(None);
    };
    let (counters, nodes) = (Arc::clone(thread.livesync().counters()), Arc::clone(thread.livesync().nodes()));
    let running = Running::spawn("livesync".into(), counters, waker, move || thread.run());
    Ok(Some(RunningLivesync { running: running.map_err(LivesyncError::Thread)?, nodes, stop }))
}

/// The bound addresses, and for each its sockets, one a worker.
type Listening = (Vec<SocketAddr>, Vec<Vec<std::net::UdpSocket>>);

fn listen(config: &Config, workers: usize) -> Result<Listening, ListenError> {
    let (mut bound, mut sockets) = (Vec::new(), Vec::new());
    for address in config.addresses() {
        match socket::listen(address, workers, config.receive_buffer_octets) {
            Ok(siblings) => {
                bound.push(siblings[0].local_addr().unwrap_or(address));
                sockets.push(siblings);
            }
            // Nobody asked for IPv6 in particular.
            Err(error) if config.listen.is_none() && address.is_ipv6() && error.is_missing_family() => {
                warn!("no IPv6 on this machine, serving IPv4 only ({})", error.source);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((bound, sockets))
}
