//! A running tracker.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::{info, warn};

use super::clock::Clock;
use super::livesync::LivesyncThread;
use super::livesync_sockets::{LivesyncSocketError, LivesyncSockets};
use super::monitor::Monitor;
use super::settings::ServerSettings;
use super::socket::{ListenError, listen};
use super::stats::WorkerStats;
use super::sweeper::Sweeper;
use super::wait::Waker;
use super::worker::Worker;
use crate::count::LivesyncCount;
use crate::counters::Snapshot;
use crate::handler::Handler;
use crate::livesync::{Livesync, NodeStatus, Publisher};
use crate::service::Service;
use crate::settings::InvalidValue;

/// A running tracker. It stops when it is dropped.
#[derive(Debug)]
pub struct Tracker {
    monitor: Monitor,
    stop: Arc<AtomicBool>,
    workers: Vec<Running>,
    livesync: Option<RunningLivesync>,
}

#[derive(Debug)]
struct RunningLivesync {
    running: Running,
    /// Set after the workers have ended: until then they make announces to send.
    stop: Arc<AtomicBool>,
}

/// A thread.
#[derive(Debug)]
struct Running {
    waker: Option<Waker>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// Why a tracker can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A setting is invalid.
    #[error("invalid value: {0}")]
    InvalidValue(#[from] InvalidValue),
    /// The tracker can't listen on an address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Livesync can't open its sockets.
    #[error(transparent)]
    LivesyncSocket(#[from] LivesyncSocketError),
    /// A worker's thread can't be started.
    #[error("cannot start worker {worker} of {workers}: {source}; set a smaller number of workers")]
    Worker {
        /// Its number, counted from 1.
        worker: usize,
        /// The number of workers.
        workers: usize,
        /// The system's error.
        source: io::Error,
    },
    /// Livesync's thread can't be started.
    #[error("cannot start livesync's thread: {0}")]
    LivesyncThread(io::Error),
}

impl Tracker {
    /// Opens the sockets and starts to answer requests.
    ///
    /// # Errors
    /// A setting is invalid, or an address or a thread is not available. Then nothing is left running.
    pub fn start(service: Arc<Service>, settings: &ServerSettings) -> Result<Self, StartError> {
        settings.check()?;
        let workers = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            set => set,
        };
        let (addresses, mut sockets) = listen_everywhere(settings, workers)?;
        let clock = Clock::start();
        let stats = (0..workers).map(|_| Arc::new(WorkerStats::new(&clock))).collect();
        let mut monitor = Monitor::new(service, addresses, clock, stats);
        let (livesync, publisher) = start_livesync(&mut monitor, settings)?.unzip();
        let stop = Arc::new(AtomicBool::new(false));
        let mut tracker = Self { monitor, stop, workers: Vec::with_capacity(workers), livesync };
        let gather = Duration::from_micros(settings.gather_microseconds.into());
        for at in 0..workers {
            let own = sockets.iter_mut().filter_map(Vec::pop).collect();
            let worker = tracker.worker((at, workers), own, gather, publisher.clone());
            let running = worker.and_then(|(worker, waker)| {
                Running::spawn(format!("tracker-{at}"), waker, move || worker.run())
            });
            let running = running.map_err(|source| StartError::Worker { worker: at + 1, workers, source })?;
            tracker.workers.push(running);
        }
        info!("{workers} workers on {:?}", tracker.addresses());
        Ok(tracker)
    }

    /// Worker `at` of `workers`, and what wakes it to check `stop`.
    fn worker(
        &self,
        (at, workers): (usize, usize),
        sockets: Vec<UdpSocket>,
        gather: Duration,
        publisher: Option<Publisher>,
    ) -> io::Result<(Worker, Waker)> {
        let Monitor { service, clock, stats, .. } = &self.monitor;
        let mut handler = Handler::new(Arc::clone(service));
        if let Some(publisher) = publisher {
            handler = handler.with_publisher(publisher);
        }
        let sweeper = Sweeper::new(Arc::clone(service), at, workers);
        let shared = (Arc::clone(&self.stop), Arc::clone(&stats[at]));
        Worker::new(handler, sockets, *clock, gather, sweeper, shared)
    }

    /// What can be observed of it, from any thread.
    #[must_use]
    pub fn monitor(&self) -> &Monitor {
        &self.monitor
    }

    /// The service that it was started with.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        self.monitor.service()
    }

    /// The addresses that it listens on. Port 0 is replaced by the real port.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.monitor.addresses()
    }

    /// Livesync's counters; zeros without livesync.
    #[must_use]
    pub fn livesync_counters(&self) -> Snapshot<LivesyncCount> {
        self.monitor.livesync_counters()
    }

    /// The nodes whose packets livesync accepts; none without livesync.
    #[must_use]
    pub fn livesync_nodes(&self) -> Vec<NodeStatus> {
        self.monitor.livesync_nodes()
    }

    /// Whether all workers and livesync are running. They stop by themselves only after an error of the system.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.threads().all(|running| running.thread.as_ref().is_some_and(|thread| !thread.is_finished()))
    }

    fn threads(&self) -> impl Iterator<Item = &Running> {
        self.workers.iter().chain(self.livesync.as_ref().map(|livesync| &livesync.running))
    }

    /// Stops the workers after their current batch, and then livesync after it has sent what was queued. The counters
    /// can still be read.
    ///
    /// # Errors
    /// A thread ended early, with this error.
    pub fn shutdown(&mut self) -> io::Result<()> {
        self.join()
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
        waker: Waker,
        run: impl FnOnce() -> io::Result<()> + Send + 'static,
    ) -> io::Result<Self> {
        let thread = std::thread::Builder::new().name(name).spawn(run)?;
        Ok(Self { waker: Some(waker), thread: Some(thread) })
    }

    /// Waits for a thread to end. Its stop flag must be set.
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

/// Starts livesync's thread if it is configured. Returns also the publisher for the handlers.
fn start_livesync(
    monitor: &mut Monitor,
    settings: &ServerSettings,
) -> Result<Option<(RunningLivesync, Publisher)>, StartError> {
    let Some(settings) = &settings.livesync else { return Ok(None) };
    let clock = monitor.clock;
    let (livesync, publisher) =
        Livesync::new(Arc::clone(&monitor.service), settings, clock.at(Instant::now()))?;
    monitor.livesync = Some((Arc::clone(livesync.counters()), Arc::clone(livesync.nodes())));
    let stop = Arc::new(AtomicBool::new(false));
    let sockets = LivesyncSockets::open(settings)?;
    let thread = LivesyncThread::new(livesync, sockets, clock, Arc::clone(&stop));
    let running =
        thread.and_then(|(thread, waker)| Running::spawn("livesync".into(), waker, move || thread.run()));
    let running = running.map_err(StartError::LivesyncThread)?;
    Ok(Some((RunningLivesync { running, stop }, publisher)))
}

/// The bound addresses, and for each address one socket for each worker.
type Listening = (Vec<SocketAddr>, Vec<Vec<UdpSocket>>);

fn listen_everywhere(settings: &ServerSettings, workers: usize) -> Result<Listening, ListenError> {
    let (mut bound, mut sockets) = (Vec::new(), Vec::new());
    for address in settings.addresses() {
        match listen(address, workers, settings.receive_buffer_bytes) {
            Ok(siblings) => {
                bound.push(siblings[0].local_addr().unwrap_or(address));
                sockets.push(siblings);
            }
            // IPv6 was not configured explicitly.
            Err(error) if settings.listen.is_none() && address.is_ipv6() && error.is_missing_family() => {
                warn!("no IPv6 on this machine, serving IPv4 only ({})", error.source);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((bound, sockets))
}
