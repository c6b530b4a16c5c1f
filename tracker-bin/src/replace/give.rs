//! The side of the running tracker: it waits for a successor, and serves meanwhile.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::net::sockopt::socket_peercred;
use tracing::{info, warn};
use udp_tracker::{HandOver, Monitor, Piece, Tracker};

use super::control::{Control, is_trusted};
use super::wire::{Connection, Kind, MOST_FILES, VERSION};
use crate::snapshots::SnapshotMonitor;

/// How long the successor may take to start its workers, while nobody serves.
const START_PATIENCE: Duration = Duration::from_secs(3);
/// How often to see whether the workers have had a turn.
const PAUSE: Duration = Duration::from_millis(5);
/// How long to wait for that. An idle worker has four turns a second.
const TURN_PATIENCE: Duration = Duration::from_secs(5);
/// Rounds of sending what was announced meanwhile, before the workers stop. Each is shorter than the one before.
const ROUNDS: usize = 100;

/// Waits for successors, on a thread of its own. What the last steps need is sent to the thread that has the tracker.
pub(crate) struct Handing {
    ready: Receiver<Successor>,
}

/// A successor that has all but the last changes, or serves.
pub(crate) struct Successor {
    connection: Connection,
    swarms: HandOver,
    pid: i32,
    /// Tells the waiting thread that this one has failed.
    _over: Sender<()>,
}

/// What a successor gets.
struct Offer {
    monitor: Monitor,
    sockets: Vec<Arc<std::net::UdpSocket>>,
    page: Option<TcpListener>,
    /// How to reach the service manager.
    manager: String,
    snapshots: Option<SnapshotMonitor>,
}

impl Handing {
    /// `page` is a copy of the admin listener. `wake` is called when there is something for
    /// [`finish`](Self::finish) to do.
    pub(crate) fn start(
        control: Control,
        tracker: &Tracker,
        page: Option<TcpListener>,
        manager: String,
        snapshots: Option<SnapshotMonitor>,
        wake: impl Fn() + Send + 'static,
    ) -> io::Result<Self> {
        control.publish()?;
        let monitor = tracker.monitor().clone();
        let offer = Offer { monitor, sockets: tracker.sockets(), page, manager, snapshots };
        let (prepared, ready) = channel();
        let run = move || {
            for stream in control.listener.incoming() {
                let Ok(stream) = stream else {
                    thread::sleep(Duration::from_millis(100));
                    continue;
                };
                match offer.prepare(stream) {
                    Ok((successor, is_over)) => {
                        if prepared.send(successor).is_err() {
                            return;
                        }
                        wake();
                        // One at a time.
                        let _ = is_over.recv();
                    }
                    Err(error) => warn!("a successor has failed, and this tracker goes on: {error}"),
                }
            }
        };
        thread::Builder::new().name("control".into()).spawn(run)?;
        Ok(Self { ready })
    }

    /// Lets a successor that is ready take over. `None`: there is none that serves, and this tracker does.
    ///
    /// # Errors
    /// This tracker has stopped and can't serve again.
    pub(crate) fn finish(
        &self,
        tracker: &mut Tracker,
    ) -> Result<Option<Successor>, Box<dyn std::error::Error>> {
        let Ok(mut successor) = self.ready.try_recv() else { return Ok(None) };
        let paused = Instant::now();
        tracker.pause()?;
        match successor.finish() {
            Ok(()) => {
                info!(
                    "process {} has taken over; nobody answered for {:.1} ms",
                    successor.pid,
                    paused.elapsed().as_secs_f64() * 1000.0
                );
                Ok(Some(successor))
            }
            Err(error) => {
                tracker.resume()?;
                warn!("the successor has failed, and this tracker serves again: {error}");
                Ok(None)
            }
        }
    }
}

impl Offer {
    /// All steps in which this tracker serves. The receiver reports the end of the last ones.
    fn prepare(&self, stream: UnixStream) -> io::Result<(Successor, Receiver<()>)> {
        if !is_trusted(&stream, None)? {
            return Err(io::Error::other("it belongs to another user"));
        }
        let pid = socket_peercred(&stream)?.pid.as_raw_nonzero().get();
        let mut connection = Connection::new(stream)?;
        let is_same = matches!(connection.receive()?, (Kind::Hello, VERSION));
        if !is_same {
            let own = String::from_utf8_lossy(VERSION);
            let text = format!("the running tracker is of another version ({own}): restart it instead");
            connection.send(Kind::Refused, text.as_bytes())?;
            return Err(io::Error::other("it is of another version"));
        }
        if self.snapshots.as_ref().is_some_and(|snapshots| snapshots.status().loading) {
            // The successor would get a part of it, and no file would have the rest for long.
            let text = "the running tracker is still loading its snapshot: try again in a few seconds";
            connection.send(Kind::Refused, text.as_bytes())?;
            return Err(io::Error::other("a snapshot is still being loaded"));
        }
        info!("process {pid} takes over");
        self.send_sockets(&connection)?;
        match connection.receive()? {
            (Kind::Ready, _) => {}
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        let service = Arc::clone(self.monitor.service());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut swarms = HandOver::new(service, self.monitor.store_seconds(), unix);
        self.wait_for_turns()?;
        for _ in 0..ROUNDS {
            let mut pieces = 0;
            while let Some(piece) = swarms.next_piece() {
                send(&connection, piece)?;
                pieces += 1;
            }
            if pieces <= 1 {
                break;
            }
        }
        let (over, is_over) = channel();
        Ok((Successor { connection, swarms, pid, _over: over }, is_over))
    }

    fn send_sockets(&self, connection: &Connection) -> io::Result<()> {
        let sockets = self.sockets.iter().map(AsFd::as_fd);
        let all: Vec<BorrowedFd<'_>> = sockets.chain(self.page.iter().map(AsFd::as_fd)).collect();
        all.chunks(MOST_FILES).try_for_each(|some| connection.send_with(Kind::Sockets, b"", some))?;
        connection.send(Kind::AllSockets, self.manager.as_bytes())
    }

    /// Waits until all workers see that changes are collected. The first turn that has ended may have begun before, so
    /// there must be a second one.
    fn wait_for_turns(&self) -> io::Result<()> {
        let deadline = Instant::now() + TURN_PATIENCE;
        for _ in 0..2 {
            let now = Instant::now();
            while !self.monitor.have_turned_since(now) {
                if Instant::now() > deadline {
                    return Err(io::Error::new(io::ErrorKind::TimedOut, "a worker of this tracker hangs"));
                }
                thread::sleep(PAUSE);
            }
        }
        Ok(())
    }
}

impl Successor {
    /// Its process id.
    pub(crate) fn pid(&self) -> i32 {
        self.pid
    }

    /// The last steps. The workers must have stopped.
    fn finish(&mut self) -> io::Result<()> {
        while let Some(piece) = self.swarms.next_piece() {
            send(&self.connection, piece)?;
        }
        if self.swarms.lost() > 0 {
            warn!("{} announces were too many to hand over; their peers announce again", self.swarms.lost());
        }
        self.connection.send(Kind::Paused, b"")?;
        self.connection.set_patience(START_PATIENCE)?;
        match self.connection.receive()? {
            (Kind::Serving, _) => self.connection.send(Kind::Over, b""),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn send(connection: &Connection, piece: Piece<'_>) -> io::Result<()> {
    match piece {
        Piece::Snapshot(bytes) => connection.send(Kind::Snapshot, bytes),
        Piece::Changes(bytes) => connection.send(Kind::Changes, bytes),
    }
}
