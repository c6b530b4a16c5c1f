//! A running tracker: its sockets, and the threads that answer requests on them.

mod arrivals;
mod clock;
mod filter;
mod livesync;
mod livesync_sockets;
mod load;
mod monitor;
mod pace;
mod settings;
mod socket;
mod sockets;
mod stats;
mod sweeper;
mod tracker;
mod wait;
mod worker;

pub(crate) use clock::unix_time;

pub use livesync_sockets::LivesyncSocketError;
pub use monitor::Monitor;
pub use settings::{DEFAULT_PORT, ServerSettings};
pub use socket::ListenError;
pub use sockets::Sockets;
pub use stats::WorkerStatus;
pub use tracker::{StartError, Tracker};
