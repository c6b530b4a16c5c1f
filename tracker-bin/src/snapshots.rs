//! The thread that loads what is kept over a restart, and saves it from time to time and at the end.
//!
//! It works beside the workers, in steps of a fraction of a millisecond, and rests after each as long as it took. It has
//! no lower priority than they have: while it holds a shard of the store, a worker may wait for it, and must not wait
//! for everything else that runs on the machine.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Serialize;
use tracing::{error, info, warn};
use udp_tracker::{Loaded, Monitor, SaveError, Saved, StateDir, StateDirError};

/// How long the program waits for the last snapshot. systemd kills a service 90 seconds after it asked it to stop.
const LAST_PATIENCE: Duration = Duration::from_secs(60);
/// The longest rest between two steps, so that a step that waited for the disk doesn't double that.
const LONGEST_REST: Duration = Duration::from_millis(2);

/// How often to see whether the tracker that was replaced has ended.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The running thread.
pub(crate) struct Snapshots {
    shared: Arc<Shared>,
    end: Sender<End>,
    ended: Receiver<()>,
}

/// How the thread ends.
enum End {
    /// With a last snapshot.
    Save,
    /// Without: a successor has all swarms, and waits for the folder.
    Leave,
}

/// What the thread shares with others.
#[derive(Debug, Default)]
struct Shared {
    /// Whether the program ends.
    ending: AtomicBool,
    figures: Mutex<Figures>,
    interval: u64,
}

/// What others can see of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct SnapshotMonitor(Arc<Shared>);

#[derive(Clone, Debug, Default)]
struct Figures {
    loading: bool,
    saved: Option<(Instant, Duration, Saved)>,
    started: Option<Instant>,
    failures: u64,
    /// Why the last one could not be saved.
    problem: Option<String>,
    /// Sentences about files that were not loaded.
    refused: Vec<String>,
}

/// The figures of snapshots, as of now.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct SnapshotStatus {
    /// Whether one is being loaded. Until then, none is saved.
    pub(crate) loading: bool,
    /// Seconds since the last one was saved.
    pub(crate) age_seconds: Option<f64>,
    /// How long it took.
    pub(crate) seconds: Option<f64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) peers: Option<u64>,
    /// How often it could not be saved.
    pub(crate) failures: u64,
    /// Why the last one could not be saved.
    pub(crate) problem: Option<String>,
    /// Sentences about files that could not be loaded.
    pub(crate) refused: Vec<String>,
    /// Whether the last one is older than it should be.
    pub(crate) is_late: bool,
}

impl Snapshots {
    /// Starts the thread. `interval` is in seconds; 0 is only at the end.
    pub(crate) fn start(source: Source, monitor: Monitor, interval: u64) -> io::Result<Self> {
        let loading = matches!(source, Source::Files(_));
        let figures = Figures { loading, started: Some(Instant::now()), ..Figures::default() };
        let shared = Arc::new(Shared { figures: Mutex::new(figures), interval, ..Shared::default() });
        let (end, ends) = channel();
        let (has_ended, ended) = channel();
        let own = Arc::clone(&shared);
        thread::Builder::new().name("snapshot".into()).spawn(move || {
            run(source, monitor, own, &ends);
            let _ = has_ended.send(());
        })?;
        Ok(Self { shared, end, ended })
    }

    pub(crate) fn monitor(&self) -> SnapshotMonitor {
        SnapshotMonitor(Arc::clone(&self.shared))
    }

    /// Saves for the last time, and waits for it. Call this when the workers have ended.
    pub(crate) fn end(self) {
        self.finish(End::Save);
    }

    /// Leaves the folder to a successor, which has all swarms.
    pub(crate) fn leave(self) {
        self.finish(End::Leave);
    }

    fn finish(self, end: End) {
        self.shared.ending.store(true, Ordering::Release);
        let _ = self.end.send(end);
        match self.ended.recv_timeout(LAST_PATIENCE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => error!(
                "the last snapshot is not complete after {} s, and the tracker ends without it: the one before is kept",
                LAST_PATIENCE.as_secs()
            ),
            Err(RecvTimeoutError::Disconnected) => error!("there is no last snapshot: its thread has ended"),
        }
    }
}

impl SnapshotMonitor {
    pub(crate) fn status(&self) -> SnapshotStatus {
        let figures = self.0.figures().clone();
        let saved = figures.saved.as_ref();
        // An interval of rest, the time to write one, and another interval.
        let patience = Duration::from_secs(2 * self.0.interval + 60);
        let since = saved.map(|(at, ..)| *at).or(figures.started);
        let is_late = self.0.interval > 0 && since.is_some_and(|since| since.elapsed() > patience);
        SnapshotStatus {
            loading: figures.loading,
            age_seconds: saved.map(|(at, ..)| at.elapsed().as_secs_f64()),
            seconds: saved.map(|(_, took, _)| took.as_secs_f64()),
            bytes: saved.map(|(.., saved)| saved.bytes),
            peers: saved.map(|(.., saved)| saved.peers),
            failures: figures.failures,
            problem: figures.problem,
            refused: figures.refused,
            is_late,
        }
    }
}

impl Shared {
    fn figures(&self) -> std::sync::MutexGuard<'_, Figures> {
        self.figures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }
}

/// Where what is kept comes from.
pub(crate) enum Source {
    /// From the files in the folder.
    Files(StateDir),
    /// From the tracker that was replaced. It uses the folder until it has ended.
    RunningTracker(PathBuf),
}

struct Keeper {
    state: StateDir,
    monitor: Monitor,
    shared: Arc<Shared>,
}

fn run(source: Source, monitor: Monitor, shared: Arc<Shared>, ends: &Receiver<End>) {
    let (state, has_swarms) = match source {
        Source::Files(state) => (state, false),
        Source::RunningTracker(path) => match free(&path, &shared) {
            Some(state) => (state, true),
            None => return warn!("no snapshot is written: the tracker that was replaced has not ended"),
        },
    };
    let keeper = Keeper { state, monitor, shared };
    if keeper.load(has_swarms) {
        keeper.save_until(ends);
    } else {
        warn!("stopped while a snapshot was loaded: no new one is written, and that one is kept");
    }
}

/// The folder, when the tracker that was replaced has ended. `None` if this one ends before.
fn free(path: &Path, shared: &Shared) -> Option<StateDir> {
    loop {
        match StateDir::open(path) {
            Ok(state) => return Some(state),
            Err(StateDirError::InUse { .. }) => {}
            Err(error) => {
                error!("no snapshots are written: {error}");
                shared.figures().problem = Some(error.to_string());
                return None;
            }
        }
        if shared.is_ending() {
            return None;
        }
        thread::sleep(LOOK_AGAIN);
    }
}

impl Keeper {
    /// Returns whether all was loaded.
    fn load(&self, has_swarms: bool) -> bool {
        let service = self.monitor.service();
        let (_, refused_hits) = self.state.load_hits(service);
        if has_swarms {
            return true;
        }
        let start = Instant::now();
        let mut loaded = self.state.load_swarms(service, self.monitor.store_seconds(), &mut self.pace());
        loaded.refused.extend(refused_hits);
        for refused in &loaded.refused {
            warn!("{refused}");
        }
        let is_stopped = loaded.incomplete.is_some() && self.shared.is_ending();
        log_loaded(&loaded, start.elapsed(), &self.state);
        let mut figures = self.shared.figures();
        figures.loading = false;
        figures.refused = loaded.refused.iter().map(ToString::to_string).collect();
        !is_stopped
    }

    /// Saves at each interval, and once more when told to end.
    fn save_until(&self, ends: &Receiver<End>) {
        loop {
            let end = match self.shared.interval {
                0 => ends.recv().map_err(|_| RecvTimeoutError::Disconnected),
                seconds => ends.recv_timeout(Duration::from_secs(seconds)),
            };
            match end {
                Err(RecvTimeoutError::Timeout) => self.save(&mut self.pace()),
                Err(RecvTimeoutError::Disconnected) => return,
                Ok(End::Save) => return self.save(&mut || true),
                Ok(End::Leave) => {
                    if let Err(error) = self.state.save_hits(self.monitor.service()) {
                        error!("how often the access rules were applied is not handed over: {error}");
                    }
                    return;
                }
            }
        }
    }

    fn save(&self, go_on: &mut dyn FnMut() -> bool) {
        let start = Instant::now();
        let service = self.monitor.service();
        let saved = self.state.save_swarms(service, self.monitor.store_seconds(), go_on);
        let saved = saved.and_then(|saved| self.state.save_hits(service).map(|_| saved));
        let mut figures = self.shared.figures();
        match saved {
            Ok(saved) => {
                let took = start.elapsed();
                info!(
                    "wrote a snapshot of {} peers: {} bytes in {:.1} s",
                    saved.peers,
                    saved.bytes,
                    took.as_secs_f64()
                );
                figures.saved = Some((start, took, saved));
                figures.problem = None;
            }
            // The last one follows.
            Err(SaveError::Stopped) => {}
            Err(problem) => {
                error!("no snapshot was written: {problem}");
                figures.failures += 1;
                figures.problem = Some(problem.to_string());
            }
        }
    }

    /// Rests after each step as long as it took. Ends the work when the program ends.
    fn pace(&self) -> impl FnMut() -> bool {
        let mut worked_since = Instant::now();
        move || {
            if self.shared.is_ending() {
                return false;
            }
            thread::sleep(worked_since.elapsed().min(LONGEST_REST));
            worked_since = Instant::now();
            true
        }
    }
}

fn log_loaded(loaded: &Loaded, took: Duration, state: &StateDir) {
    let Some(path) = &loaded.path else {
        info!("no snapshot is loaded: there is none in {} that can be used", state.path().display());
        return;
    };
    let restored = &loaded.restored;
    let mut line = format!(
        "loaded {} peers from {}, written {} s ago: {} bytes in {:.1} s",
        restored.peers,
        path.display(),
        loaded.age,
        loaded.bytes,
        took.as_secs_f64()
    );
    for (peers, what) in [
        (restored.newer, "have announced since"),
        (restored.expired, "have expired"),
        (restored.refused, "don't fit into the store"),
    ] {
        if peers > 0 {
            line += &format!("; {peers} more {what}");
        }
    }
    match &loaded.incomplete {
        None => info!("{line}"),
        Some(reason) => warn!("{line}; not all of it: {reason}"),
    }
}
