//! A download as a job: it is started, watched and stopped.

use std::fmt;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use torrent_metainfo::{Builder, Existing, MakeError, Metainfo};

use crate::driver::{Changed, Command, Control, Session, SetupError};
use crate::engine::{Ended, PeerStatus, SessionError, TrackerStatus};
use crate::options::Options;
use crate::status::{Phase, Status};

/// How long [`App`] waits for an orderly end when it is dropped.
const DROP_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes a .torrent file of a file or a folder, for one tracker: `create_metainfo_file` of the test framework that this
/// API is modelled on. [`torrent_metainfo::Builder`] has all the options.
///
/// # Errors
/// [`MakeError::Exists`] if `metainfo_file` is there already, [`MakeError::Cancelled`] if hashing takes longer than
/// `timeout`, and whatever else hinders reading or writing.
pub fn create_metainfo_file(
    tracker: &str,
    metainfo_file: &Path,
    target: &Path,
    timeout: Duration,
) -> Result<Metainfo, MakeError> {
    let deadline = Instant::now() + timeout;
    let torrent = Builder::new(target)
        .tracker_tier([tracker])
        .created_by(concat!("torrent-client/", env!("CARGO_PKG_VERSION")))
        .create(metainfo_file, Existing::Refuse, |_| {
            if Instant::now() < deadline {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            }
        })?;
    Ok(torrent.into_metainfo())
}

/// One torrent that is downloaded and seeded on threads of its own, and can be stopped and started again.
///
/// All methods take `&self`: an app can be shared, in an [`Arc`] for instance, and one thread may wait while another one
/// asks how it stands. Dropped, it stops in order, within five seconds.
#[derive(Debug)]
pub struct App {
    state: Mutex<State>,
    on_change: Callback,
}

#[derive(Debug)]
struct State {
    options: Options,
    running: Option<Running>,
    /// What was known at the end.
    last: Status,
    trackers: Vec<TrackerStatus>,
    ended: Ended,
}

#[derive(Debug)]
struct Running {
    control: Arc<Control>,
    addresses: Vec<SocketAddr>,
    thread: JoinHandle<Result<Ended, SessionError>>,
}

#[derive(Clone, Default)]
struct Callback(Option<Arc<Changed>>);

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Callback" } else { "None" })
    }
}

/// How a download stands, see [`App::wait_completion`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Completion {
    /// Every wanted piece is there.
    Done(Status),
    /// Pieces are missing, and some came while it was waited for.
    Progress(Status),
    /// Pieces are missing, or it is not known yet whether they are, and none came while it was waited for.
    TimedOut(Status),
}

/// Why an app can't begin, or had to end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// It could not begin.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// It had to end.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It was started already.
    #[error("the app is running already: stop it first")]
    Running,
    /// It was not started, or is stopped.
    #[error("the app is not running: start it first")]
    NotRunning,
    /// It did not end in time and was killed; trackers may not know that it is gone.
    #[error("no orderly end within {timeout:?}, killed")]
    Killed {
        /// The time that it had.
        timeout: Duration,
    },
    /// Its thread ended by a panic, which is a defect.
    #[error("the app's thread has panicked")]
    Panicked,
}

impl App {
    /// An app that is not running yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let state = State {
            options,
            running: None,
            last: Status::default(),
            trackers: Vec::new(),
            ended: Ended::Stopped,
        };
        Self { state: Mutex::new(state), on_change: Callback::default() }
    }

    /// Has `callback` called whenever the status is renewed: about twice a second while it runs, and when the phase
    /// changes. It is called on the app's own thread, which serves no peer meanwhile, and must not call the app's methods
    /// that wait.
    #[must_use]
    pub fn on_change(mut self, callback: impl Fn(&Status) + Send + Sync + 'static) -> Self {
        self.on_change = Callback(Some(Arc::new(Box::new(callback))));
        self
    }

    /// Downloads what is missing, then seeds, on threads of its own, until it is stopped or its
    /// [seeding](Options::seeding) is over.
    ///
    /// # Errors
    /// When it runs already, when the .torrent file can't be read, the folder not be opened, the port not be had.
    pub fn start(&self) -> Result<(), AppError> {
        let mut state = self.lock();
        if state.running.as_ref().is_some_and(|running| !running.thread.is_finished()) {
            return Err(AppError::Running);
        }
        state.running = None;
        let session = Session::new(state.options.clone(), self.on_change.0.clone())?;
        let control = session.control();
        let addresses = session.addresses().to_vec();
        let end = End(Arc::clone(&control));
        let run = move || {
            let _end = end;
            session.run()
        };
        let thread = thread::Builder::new().name("torrent".into()).spawn(run).map_err(SetupError::System)?;
        state.running = Some(Running { control, addresses, thread });
        Ok(())
    }

    /// Ends it in order: peers are closed, and `stopped` is announced to trackers. It can be started again. If it isn't
    /// running, this is how it ended.
    ///
    /// # Errors
    /// Why it had ended before; or [`AppError::Killed`] when it took longer than the timeout.
    pub fn stop(&self, timeout: Duration) -> Result<Ended, AppError> {
        let Some(control) = self.control() else { return Ok(self.lock().ended) };
        control.stop();
        let (_, ended) = control.wait(Instant::now().checked_add(timeout), |_| false);
        if ended {
            return self.join();
        }
        self.kill();
        Err(AppError::Killed { timeout })
    }

    /// Ends it at once; nothing is announced to trackers. Nothing happens if it isn't running.
    pub fn kill(&self) {
        if let Some(control) = self.control() {
            control.kill();
            // Not longer than the jobs that its disk threads are at.
            let _ = self.join();
        }
    }

    /// Waits until it ends by itself, or until another thread ends it.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], also when another thread has joined it; or why it ended.
    pub fn join(&self) -> Result<Ended, AppError> {
        let control = self.control().ok_or(AppError::NotRunning)?;
        control.wait(None, |_| false);
        let mut state = self.lock();
        let running = state.running.take().ok_or(AppError::NotRunning)?;
        let outcome = running.thread.join();
        state.last = Status { phase: Phase::Idle, ..running.control.status() };
        state.trackers = running.control.trackers();
        state.ended = outcome.map_err(|_| AppError::Panicked)??;
        Ok(state.ended)
    }

    /// Whether the download is complete, as of now: an original seeder's is, once it is checked.
    /// [`Completion::TimedOut`] as long as that is not known.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or why it ended.
    pub fn check_completion(&self) -> Result<Completion, AppError> {
        let status = match self.wait_completion(Duration::ZERO)? {
            Completion::TimedOut(status) if status.phase == Phase::Downloading => {
                Completion::Progress(status)
            }
            other => other,
        };
        Ok(status)
    }

    /// Waits until the download is complete, at most as long as `timeout`.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or why it ended.
    pub fn wait_completion(&self, timeout: Duration) -> Result<Completion, AppError> {
        let control = self.control().ok_or(AppError::NotRunning)?;
        let before = control.status().have;
        let (status, ended) = control.wait(Instant::now().checked_add(timeout), Status::is_complete);
        if ended {
            self.join()?;
        }
        Ok(if status.is_complete() {
            Completion::Done(status)
        } else if status.have > before {
            Completion::Progress(status)
        } else {
            Completion::TimedOut(status)
        })
    }

    /// How it stands; after its end, how it stood last.
    #[must_use]
    pub fn status(&self) -> Status {
        let state = self.lock();
        state.running.as_ref().map_or(state.last, |running| running.control.status())
    }

    /// The connected peers, as of the latest status; none if it isn't running.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        self.control().map_or_else(Vec::new, |control| control.peers())
    }

    /// The trackers, with their states and error texts, as of the latest status; after its end, as they were last.
    #[must_use]
    pub fn trackers(&self) -> Vec<TrackerStatus> {
        let state = self.lock();
        match &state.running {
            Some(running) => running.control.trackers(),
            None => state.trackers.clone(),
        }
    }

    /// Connects to a peer besides those that trackers name. If it isn't running, the peer is kept for the next start.
    pub fn add_peer(&self, address: SocketAddr) {
        let mut state = self.lock();
        state.options.peers.push(address);
        if let Some(running) = &state.running {
            running.control.command(Command::AddPeer(address));
        }
    }

    /// Changes the limits of both rates, in bytes a second, from now on; `None` for no limit.
    pub fn set_rates(&self, download: Option<u64>, upload: Option<u64>) {
        let mut state = self.lock();
        state.options.download_rate = download;
        state.options.upload_rate = upload;
        if let Some(running) = &state.running {
            running.control.command(Command::SetRates { download, upload });
        }
    }

    /// Where peers can reach it, with the real port; empty if it isn't running.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().running.as_ref().map_or_else(Vec::new, |running| running.addresses.clone())
    }

    /// Something by which another thread, such as a signal handler's, can end it. `None` if it isn't running.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.control().map(Stopper)
    }

    /// Waits until its end, or until the time is up, whichever is first. Whether it has ended.
    #[must_use]
    pub fn wait_end(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.control().is_none_or(|control| control.wait(until, |_| false).1)
    }

    fn control(&self) -> Option<Arc<Control>> {
        self.lock().running.as_ref().map(|running| Arc::clone(&running.control))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let _ = self.stop(DROP_TIMEOUT);
    }
}

/// Ends an [`App`] from another thread.
#[derive(Clone, Debug)]
pub struct Stopper(Arc<Control>);

impl Stopper {
    /// Begins an orderly end; to wait for it, [`App::join`].
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.0.kill();
    }
}

/// However the thread ends, those that wait for its end are woken.
struct End(Arc<Control>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
