//! The admin side: a page, metrics and an API over HTTP, on one thread of its own.
//!
//! The workers never wait for this thread. They write their figures where it reads them, and read what it has put in
//! force by comparing a pointer. So the tracker serves on when this side is overloaded, hangs or ends.
//!
//! # What a client controls
//! Anyone who reaches the address may read. The number of connections, the bytes of a request's head and body, and the
//! time of a connection are limited. Paths and names become parts of answers only after they were parsed as an
//! info_hash, a network, or a key. Changes need the token.

mod access;
mod api;
mod doctor;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod history;
mod host;
mod metrics;
mod page;
mod server;
mod status;
mod torrent;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;

use rustix::process::setpriority_process;
use tracing::error;
use udp_tracker::Monitor;

use crate::operations::Operations;
use crate::snapshots::SnapshotMonitor;
use doctor::Doctor;
use history::History;

#[cfg(feature = "fuzzing")]
pub use fuzzing::admin_http;
pub(crate) use server::AdminError;
pub(crate) use status::is_healthy;

/// What the requests are answered from.
pub(crate) struct Context {
    monitor: Monitor,
    operations: Arc<Operations>,
    history: History,
    doctor: Doctor,
    snapshots: Option<SnapshotMonitor>,
    token: Option<Token>,
}

impl Context {
    fn new(
        monitor: Monitor,
        operations: Arc<Operations>,
        snapshots: Option<SnapshotMonitor>,
        token: Option<Token>,
    ) -> Self {
        let (history, doctor) = (History::new(&monitor), Doctor::default());
        Self { monitor, operations, history, doctor, snapshots, token }
    }
}

/// The secret that a change must bring.
pub(crate) struct Token(Vec<u8>);

impl Token {
    pub(crate) fn new(text: &str) -> Self {
        Self(text.as_bytes().to_vec())
    }

    /// Compares in a time that doesn't depend on where the two differ.
    fn matches(&self, other: &[u8]) -> bool {
        self.0.len() == other.len()
            && self.0.iter().zip(other).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }
}

/// The nice value of the thread: among those that compete for a processor, it gets a tenth of a worker's time.
const PRIORITY: i32 = 10;

/// Opens the address. It is served once [`serve`] is called.
pub(crate) fn listen(address: SocketAddr) -> Result<TcpListener, AdminError> {
    let listen = || {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    listen().map_err(|source| AdminError { address, source })
}

/// Serves on a thread of its own, until the process ends.
pub(crate) fn serve(
    listener: TcpListener,
    monitor: Monitor,
    operations: Arc<Operations>,
    snapshots: Option<SnapshotMonitor>,
    token: Option<Token>,
) -> io::Result<()> {
    let context = Arc::new(Context::new(monitor, operations, snapshots, token));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    thread::Builder::new().name("admin".into()).spawn(move || {
        // Of this thread alone. The workers come first, also when this side is overloaded. Where this is not allowed, it
        // works without.
        let _ = setpriority_process(None, PRIORITY);
        let Err(error) = runtime.block_on(server::run(listener, context));
        error!("the status page and the API have ended: {error}");
    })?;
    Ok(())
}
