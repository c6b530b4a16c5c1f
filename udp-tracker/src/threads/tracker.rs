//! A running tracker.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tracing::info;

use super::clock::Clock;
use super::livesync::LivesyncThread;
use super::livesync_sockets::{LivesyncSocketError, LivesyncSockets};
use super::monitor::Monitor;
use super::settings::ServerSettings;
use super::socket::ListenError;
use super::sockets::{Listening, Sockets};
use super::stats::WorkerStats;
use super::sweeper::Sweeper;
use super::wait::Waker;
use super::worker::Worker;
use crate::count::LivesyncCount;
use crate::counters::Snapshot;
use crate::handler::Handler;
use crate::livesync::{Livesync, LivesyncSettings, NodeStatus, Publisher};
use crate::service::Service;
use crate::settings::InvalidValue;

/// A running tracker. It stops when it is dropped.
#[derive(Debug)]
pub struct Tracker {
    monitor: Monitor,
    stop: Arc<AtomicBool>,
    workers: Vec<Running>,
    livesync: Option<RunningLivesync>,
    listening: Vec<Listening>,
    /// How long datagrams may gather.
    gather: Duration,
    publisher: Option<Publisher>,
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
        Self::serve(service, settings, Sockets::open(settings)?)
    }

    /// Starts to answer requests that come over these sockets, which were opened with the same settings.
    ///
    /// # Errors
    /// A thread is not available. Then nothing is left running.
    pub fn serve(
        service: Arc<Service>,
        settings: &ServerSettings,
        mut sockets: Sockets,
    ) -> Result<Self, StartError> {
        settings.check()?;
        let workers = settings.threads();
        let clock = Clock::start();
        let stats = (0..workers).map(|_| Arc::new(WorkerStats::new(&clock))).collect();
        let mut monitor = Monitor::new(service, sockets.addresses(), clock, stats);
        let livesync = settings.livesync.as_ref().zip(sockets.livesync);
        let (livesync, publisher) = livesync
            .map(|(settings, sockets)| start_livesync(&mut monitor, settings, sockets))
            .transpose()?
            .unzip();
        sockets.listening.iter_mut().for_each(Listening::bind_all);
        let mut tracker = Self {
            monitor,
            stop: Arc::new(AtomicBool::new(false)),
            workers: Vec::with_capacity(workers),
            livesync,
            listening: sockets.listening,
            gather: Duration::from_micros(settings.gather_microseconds.into()),
            publisher,
        };
        tracker.start_workers()?;
        info!("{workers} workers on {:?}", tracker.addresses());
        Ok(tracker)
    }

    fn start_workers(&mut self) -> Result<(), StartError> {
        let workers = self.monitor.stats.len();
        for at in 0..workers {
            let worker = self.worker(at, workers);
            let running = worker.and_then(|(worker, waker)| {
                Running::spawn(format!("tracker-{at}"), waker, move || worker.run())
            });
            let running = running.map_err(|source| StartError::Worker { worker: at + 1, workers, source })?;
            self.workers.push(running);
        }
        Ok(())
    }

    /// Stops to answer requests, after the current batches. Datagrams wait in the sockets, as many as they have room for,
    /// until [`resume`](Self::resume), or until another process reads them.
    ///
    /// # Errors
    /// A thread ended early, with this error.
    pub fn pause(&mut self) -> io::Result<()> {
        self.stop.store(true, Ordering::Release);
        let joined = self.workers.drain(..).map(|mut worker| worker.join());
        joined.fold(Ok(()), io::Result::and)
    }

    /// Answers requests again.
    ///
    /// # Errors
    /// A thread is not available.
    pub fn resume(&mut self) -> Result<(), StartError> {
        self.stop = Arc::new(AtomicBool::new(false));
        self.start_workers()
    }

    /// The listening sockets, for a process that takes over.
    #[must_use]
    pub fn sockets(&self) -> Vec<Arc<UdpSocket>> {
        self.listening.iter().flat_map(|listening| listening.sockets.iter().cloned()).collect()
    }

    /// Worker `at` of `workers`, and what wakes it to check `stop`.
    fn worker(&self, at: usize, workers: usize) -> io::Result<(Worker, Waker)> {
        let Monitor { service, clock, stats, .. } = &self.monitor;
        let mut handler = Handler::new(Arc::clone(service));
        if let Some(publisher) = &self.publisher {
            handler = handler.with_publisher(publisher.clone());
        }
        let sockets = self.listening.iter().flat_map(|listening| listening.of_worker(at, workers)).collect();
        let sweeper = Sweeper::new(Arc::clone(service), at, workers);
        let shared = (Arc::clone(&self.stop), Arc::clone(&stats[at]));
        Worker::new(handler, sockets, *clock, self.gather, sweeper, shared)
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

/// Starts livesync's thread. Returns also the publisher for the handlers.
fn start_livesync(
    monitor: &mut Monitor,
    settings: &LivesyncSettings,
    sockets: LivesyncSockets,
) -> Result<(RunningLivesync, Publisher), StartError> {
    let clock = monitor.clock;
    let (livesync, publisher) =
        Livesync::new(Arc::clone(&monitor.service), settings, clock.at(Instant::now()))?;
    monitor.livesync = Some((Arc::clone(livesync.counters()), Arc::clone(livesync.nodes())));
    let stop = Arc::new(AtomicBool::new(false));
    let thread = LivesyncThread::new(livesync, sockets, clock, Arc::clone(&stop));
    let running =
        thread.and_then(|(thread, waker)| Running::spawn("livesync".into(), waker, move || thread.run()));
    let running = running.map_err(StartError::LivesyncThread)?;
    Ok((RunningLivesync { running, stop }, publisher))
}
