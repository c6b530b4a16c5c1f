//! A client as a job: start it, ask how it is, stop it.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::engine::{Control, Ended, Session, SessionError, SetupError};
use super::options::Options;
use super::status::{Phase, Status};
use torrent_metainfo::{Builder, Existing, MakeError, Metainfo};

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
        .created_by(concat!("client-bin/", env!("CARGO_PKG_VERSION")))
        .create(metainfo_file, Existing::Refuse, |_| {
            if Instant::now() < deadline {
                std::ops::ControlFlow::Continue(())
            } else {
                std::ops::ControlFlow::Break(())
            }
        })?;
    Ok(torrent.into_metainfo())
}

/// One torrent that is downloaded and seeded on threads of its own, and can be stopped and started again. Dropped, it
/// stops in order.
#[derive(Debug)]
pub struct App {
    options: Options,
    running: Option<Running>,
    last: Status,
    ended: Ended,
}

#[derive(Debug)]
struct Running {
    control: Arc<Control>,
    addresses: Vec<SocketAddr>,
    thread: JoinHandle<Result<Ended, SessionError>>,
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

/// Why an app is not doing what it should.
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
    /// It ended by a fault of its own.
    #[error("the app's thread has panicked")]
    Panicked,
}

impl App {
    /// An app that is not running yet.
    #[must_use]
    pub fn new(options: Options) -> Self {
        Self { options, running: None, last: Status::default(), ended: Ended::Stopped }
    }

    /// Downloads what is missing, then seeds, on threads of its own, until it is stopped or its
    /// [seeding](Options::seeding) is over.
    ///
    /// # Errors
    /// When it runs already, when the .torrent file can't be read, the folder not be opened, the port not be had.
    pub fn start(&mut self) -> Result<(), AppError> {
        if self.running.as_ref().is_some_and(|running| !running.thread.is_finished()) {
            return Err(AppError::Running);
        }
        self.running = None;
        let session = Session::new(self.options.clone())?;
        let control = session.control();
        let addresses = session.addresses().to_vec();
        let its = Arc::clone(&control);
        let run = move || {
            let _end = End(its);
            session.run()
        };
        let thread = thread::Builder::new().name("torrent".into()).spawn(run).map_err(SetupError::System)?;
        self.running = Some(Running { control, addresses, thread });
        Ok(())
    }

    /// Ends it in order: peers are closed, and trackers are told `stopped`. It can be started again. If it isn't running,
    /// says how it ended.
    ///
    /// # Errors
    /// Why it had ended before; or [`AppError::Killed`] when it took longer than the timeout.
    pub fn stop(&mut self, timeout: Duration) -> Result<Ended, AppError> {
        let Some(running) = &self.running else { return Ok(self.ended) };
        running.control.stop();
        let (_, ended) = running.control.wait(Instant::now().checked_add(timeout), |_| false);
        if ended {
            return self.join();
        }
        self.kill();
        Err(AppError::Killed { timeout })
    }

    /// Ends it at once; trackers are not told. Nothing happens if it isn't running.
    pub fn kill(&mut self) {
        if let Some(running) = &self.running {
            running.control.kill();
            // Not longer than the job that its disk threads are at.
            let _ = self.join();
        }
    }

    /// Waits until it ends by itself, or until it is [asked to stop](App::stopper).
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or why it ended.
    pub fn join(&mut self) -> Result<Ended, AppError> {
        let running = self.running.take().ok_or(AppError::NotRunning)?;
        let outcome = running.thread.join();
        self.last = Status { phase: Phase::Idle, ..running.control.status() };
        self.ended = outcome.map_err(|_| AppError::Panicked)??;
        Ok(self.ended)
    }

    /// Whether the download is complete, as of now: an original seeder's is, once it is checked.
    /// [`Completion::TimedOut`] as long as that is not known.
    ///
    /// # Errors
    /// [`AppError::NotRunning`], or why it ended.
    pub fn check_completion(&mut self) -> Result<Completion, AppError> {
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
    pub fn wait_completion(&mut self, timeout: Duration) -> Result<Completion, AppError> {
        let running = self.running.as_ref().ok_or(AppError::NotRunning)?;
        let before = running.control.status().have;
        let (status, ended) = running.control.wait(Instant::now().checked_add(timeout), Status::is_complete);
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
        self.running.as_ref().map_or(self.last, |running| running.control.status())
    }

    /// Where peers can reach it, with the real port; empty if it isn't running.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        self.running.as_ref().map_or(&[], |running| &running.addresses)
    }

    /// Something by which another thread, such as a signal handler's, can end it. `None` if it isn't running.
    #[must_use]
    pub fn stopper(&self) -> Option<Stopper> {
        self.running.as_ref().map(|running| Stopper(Arc::clone(&running.control)))
    }

    /// Waits until its end, or until the time is up, whichever is first. Whether it has ended.
    #[must_use]
    pub fn wait_end(&self, timeout: Duration) -> bool {
        let until = Instant::now().checked_add(timeout);
        self.running.as_ref().is_none_or(|running| running.control.wait(until, |_| false).1)
    }
}

impl Drop for App {
    fn drop(&mut self) {
        if self.running.is_some() {
            let _ = self.stop(DROP_TIMEOUT);
        }
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

/// However the thread ends, its keeper gets to know.
struct End(Arc<Control>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
