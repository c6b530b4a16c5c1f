//! A download as a job: start it, watch it, stop it.

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

/// Makes a .torrent file from a file or a folder, with one tracker. It has the signature of `create_metainfo_file` in
/// the test framework that this API follows. [`torrent_metainfo::Builder`] has all the options.
///
/// # Errors
/// [`MakeError::Exists`] if `metainfo_file` exists already, [`MakeError::Cancelled`] if hashing takes longer than
/// `timeout`, and any other error while reading or writing.
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

/// One torrent, downloaded and seeded on threads of its own. It can be stopped and started again.
///
/// All methods take `&self`, so an app can be shared, for instance in an [`Arc`]: one thread may wait while another
/// reads the status. Dropping an app stops it in order, within five seconds.
#[derive(Debug)]
pub struct App {
    state: Mutex<State>,
    on_change: Callback,
}

#[derive(Debug)]
struct State {
    options: Options,
    running: Option<Running>,
    /// The status at the end of the last run.
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

/// The state of a download, see [`App::wait_completion`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Completion {
    /// All wanted pieces are present.
    Done(Status),
    /// Pieces are missing, and some arrived during the wait.
    Progress(Status),
    /// No piece arrived during the wait. Pieces are missing, or the check has not finished.
    TimedOut(Status),
}

/// Why an app can't start, or why it ended with an error.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// It could not start.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The session ended with an error.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// It was started already.
    #[error("the app is running already: stop it first")]
    Running,
    /// It was not started, or is stopped.
    #[error("the app is not running: start it first")]
    NotRunning,
    /// It did not end in time and was killed. Trackers may still list it as a peer.
    #[error("no orderly end within {timeout:?}, killed")]
    Killed {
        /// The timeout that was given.
        timeout: Duration,
    },
    /// Its thread panicked, which is a defect.
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

    /// Sets a function that is called with every new status: about twice a second while the app runs, and when the
    /// phase changes. It is called on the app's own thread, which serves no peers in the meantime. It must not call
    /// methods of the app that wait.
    #[must_use]
    pub fn on_change(mut self, callback: impl Fn(&Status) + Send + Sync + 'static) -> Self {
        self.on_change = Callback(Some(Arc::new(Box::new(callback))));
        self
    }

    /// Checks the data, downloads what is missing, then seeds. It runs on threads of its own until it is stopped or
    /// until its [seeding](Options::seeding) limit is reached.
    ///
    /// # Errors
    /// When it runs already, when the .torrent file can't be read, the folder can't be opened, or the port can't be
    /// listened on.
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

    /// Ends it in order: closes the peers and announces `stopped` to the trackers. It can be started again. If it isn't
    /// running, this returns how it ended.
    ///
    /// # Errors
    /// The error that ended it before; or [`AppError::Killed`] if it took longer than the timeout.
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

    /// Ends it at once, without an announce to trackers. Does nothing if it isn't running.
    pub fn kill(&self) {
        if let Some(control) = self.control() {
            control.kill();
            // This takes no longer than the current jobs of its disk threads.
            let _ = self.join();
        }
    }

    /// Waits until it ends by itself, or until another thread ends it.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], also when another thread has joined it; or the error that ended it.
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

    /// Whether the download is complete now. An original seeder is complete once its data is checked. Gives
    /// [`Completion::TimedOut`] until the check has finished.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or the error that ended it.
    pub fn check_completion(&self) -> Result<Completion, AppError> {
        let status = match self.wait_completion(Duration::ZERO)? {
            Completion::TimedOut(status) if status.phase == Phase::Downloading => {
                Completion::Progress(status)
            }
            other => other,
        };
        Ok(status)
    }

    /// Waits until the download is complete, for at most `timeout`.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or the error that ended it.
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

    /// The status; after the end, the last one.
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

    /// The trackers, with their states and error texts, as of the latest status; after the end, the last ones.
    #[must_use]
    pub fn trackers(&self) -> Vec<TrackerStatus> {
        let state = self.lock();
        match &state.running {
            Some(running) => running.control.trackers(),
            None => state.trackers.clone(),
        }
    }

    /// Connects to a peer in addition to those from trackers. If it isn't running, the address is kept for the next
    /// start.
    pub fn add_peer(&self, address: SocketAddr) {
        let mut state = self.lock();
        state.options.peers.push(address);
        if let Some(running) = &state.running {
            running.control.command(Command::AddPeer(address));
        }
    }

    /// Changes both rate limits, in bytes a second; `None` for no limit.
    pub fn set_rates(&self, download: Option<u64>, upload: Option<u64>) {
        let mut state = self.lock();
        state.options.download_rate = download;
        state.options.upload_rate = upload;
        if let Some(running) = &state.running {
            running.control.command(Command::SetRates { download, upload });
        }
    }

    /// The addresses on which it listens for peers, with the actual port; empty if it isn't running.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.lock().running.as_ref().map_or_else(Vec::new, |running| running.addresses.clone())
    }

    /// A handle with which another thread, such as a signal handler's, can end it. `None` if it isn't running.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.control().map(Stopper)
    }

    /// Waits until it ends or the time is up, whichever is first. True if it has ended.
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
    /// Begins an orderly end. Use [`App::join`] to wait for it.
    pub fn stop(&self) {
        self.0.stop();
    }

    /// Ends it at once.
    pub fn kill(&self) {
        self.0.kill();
    }
}

/// Wakes the threads that wait for the end, even if the session's thread panics.
struct End(Arc<Control>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
