//! The side of the successor.

use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::User;
use rustix::net::SocketType;
use rustix::net::sockopt::socket_type;
use tracing::{info, warn};
use udp_tracker::{Piece, Service, TakeOver};

use super::control::is_trusted;
use super::socket_path;
use super::wire::{Connection, Kind, VERSION};

/// Why a tracker can't take over. The running one goes on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReplaceError {
    #[error("--replace needs state_dir in the configuration, the same as that of the running tracker")]
    NoStateDir,
    #[error("--replace: no tracker can be reached at {}: {source}; start it without --replace", path.display())]
    Nobody { path: PathBuf, source: io::Error },
    #[error("--replace: {} belongs to another user than root and the tracker's", path.display())]
    Untrusted { path: PathBuf },
    #[error("--replace: {0}")]
    Refused(String),
    #[error("--replace: while {doing}: {source}; the running tracker goes on")]
    Failed { doing: &'static str, source: io::Error },
    #[error("--replace: cannot take over the swarms, and the running tracker goes on: {0}")]
    Swarms(#[from] udp_tracker::TakeOverError),
}

/// A running tracker that is being replaced.
pub(crate) struct Taking {
    connection: Connection,
}

/// What the running tracker has opened.
#[derive(Default)]
pub(crate) struct Inherited {
    pub(crate) udp: Vec<UdpSocket>,
    pub(crate) tcp: Vec<TcpListener>,
}

impl Taking {
    /// Connects to the tracker that uses this folder, and gets its sockets. `user` is the one that it may have become. The
    /// text says how to reach the service manager.
    pub(crate) fn begin(
        state_dir: Option<&Path>,
        user: Option<&str>,
    ) -> Result<(Self, Inherited, String), ReplaceError> {
        let path = socket_path(state_dir.ok_or(ReplaceError::NoStateDir)?);
        let failed =
            |source| ReplaceError::Failed { doing: "receiving the sockets of the running tracker", source };
        let stream = UnixStream::connect(&path)
            .map_err(|source| ReplaceError::Nobody { path: path.clone(), source })?;
        let user = user.and_then(|name| User::from_name(name).ok().flatten()).map(|user| user.uid.as_raw());
        if !is_trusted(&stream, user).map_err(failed)? {
            return Err(ReplaceError::Untrusted { path });
        }
        let mut connection = Connection::new(stream).map_err(failed)?;
        connection.send(Kind::Hello, VERSION).map_err(failed)?;
        let manager = loop {
            match connection.receive().map_err(failed)? {
                (Kind::Sockets, _) => {}
                (Kind::AllSockets, manager) => break String::from_utf8_lossy(manager).into_owned(),
                (Kind::Refused, text) => {
                    return Err(ReplaceError::Refused(String::from_utf8_lossy(text).into_owned()));
                }
                _ => return Err(failed(io::ErrorKind::InvalidData.into())),
            }
        };
        let mut inherited = Inherited::default();
        connection.files().for_each(|file| inherited.add(file));
        Ok((Self { connection }, inherited, manager))
    }

    /// Takes the swarms, until the running tracker has stopped reading. From then on, nobody serves until
    /// [`serving`](Self::serving).
    pub(crate) fn take_swarms(&mut self, service: &Arc<Service>) -> Result<(), ReplaceError> {
        let failed =
            |source| ReplaceError::Failed { doing: "receiving the swarms of the running tracker", source };
        let mut taking = TakeOver::new(Arc::clone(service));
        self.connection.send(Kind::Ready, b"").map_err(failed)?;
        loop {
            let piece = match self.connection.receive().map_err(failed)? {
                (Kind::Snapshot, bytes) => Piece::Snapshot(bytes),
                (Kind::Changes, bytes) => Piece::Changes(bytes),
                (Kind::Paused, _) => break,
                _ => return Err(failed(io::ErrorKind::InvalidData.into())),
            };
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
            taking.take(now, piece)?;
        }
        let (restored, changes) = taking.finish()?;
        info!(
            "took over {} peers and {changes} announces meanwhile; {} peers had expired, {} found no room",
            restored.peers, restored.expired, restored.refused
        );
        Ok(())
    }

    /// Says that this tracker serves, and waits until the service manager knows it.
    ///
    /// # Errors
    /// The running one goes on, so this one must not.
    pub(crate) fn serving(mut self) -> Result<(), ReplaceError> {
        let failed =
            |source| ReplaceError::Failed { doing: "waiting for the running tracker's answer", source };
        self.connection.send(Kind::Serving, b"").map_err(failed)?;
        match self.connection.receive().map_err(failed)? {
            (Kind::Over, _) => {}
            _ => return Err(failed(io::ErrorKind::InvalidData.into())),
        }
        if let Err(error) = self.connection.wait_for_end() {
            warn!("the tracker before this one has not ended: {error}");
        }
        Ok(())
    }
}

impl Inherited {
    /// From the service manager: see sd_listen_fds(3).
    pub(crate) fn from_manager() -> Self {
        let (mut all, mut inherited) = (listenfd::ListenFd::from_env(), Self::default());
        for at in 0..all.len() {
            // Those of other kinds stay where they are.
            if let Ok(Some(socket)) = all.take_udp_socket(at) {
                inherited.udp.push(socket);
            } else if let Ok(Some(listener)) = all.take_tcp_listener(at) {
                inherited.tcp.push(listener);
            }
        }
        inherited
    }

    /// These and others.
    pub(crate) fn and(mut self, others: Self) -> Self {
        self.udp.extend(others.udp);
        self.tcp.extend(others.tcp);
        self
    }

    /// The listener at this address, where port 0 is any.
    pub(crate) fn take_tcp(&mut self, address: std::net::SocketAddr) -> Option<TcpListener> {
        let is_at = |listener: &mut TcpListener| {
            let bound = listener.local_addr();
            bound.is_ok_and(|bound| bound == address || address.port() == 0 && bound.ip() == address.ip())
        };
        self.tcp.extract_if(.., is_at).next()
    }

    /// Other files than sockets are closed.
    pub(crate) fn add(&mut self, file: OwnedFd) {
        match socket_type(&file) {
            Ok(SocketType::DGRAM) => self.udp.push(file.into()),
            Ok(SocketType::STREAM) => self.tcp.push(file.into()),
            _ => {}
        }
    }
}
