//! A running tracker: its sockets, and the threads that answer requests on them.

mod clock;
mod livesync;
mod livesync_sockets;
mod pace;
mod settings;
mod socket;
mod sweeper;
mod tracker;
mod wait;
mod worker;

pub use livesync_sockets::LivesyncSocketError;
pub use settings::{DEFAULT_PORT, ServerSettings};
pub use socket::ListenError;
pub use tracker::{StartError, Tracker};
