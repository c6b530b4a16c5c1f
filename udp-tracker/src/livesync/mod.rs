//! Several trackers that share what they hear: telling the others, and hearing from them (livesync-proto).
//!
//! ```text
//! handlers --Teller--> queue --> Livesync --packets--> group and list of nodes
//!    store <------------------- Livesync <--packets--- nodes
//! ```
//! [`Livesync`] decides; it has no socket, no clock and no thread. The thread moves the packets.

mod config;
mod node;
mod nodes;
mod sockets;
mod tell;
mod thread;

pub use config::LivesyncConfig;
pub use node::Livesync;
pub use nodes::NodeHeard;
pub use sockets::LivesyncError;

pub(crate) use node::Beginning;
pub(crate) use nodes::Nodes;
pub(crate) use tell::{Teller, queue};
pub(crate) use thread::LivesyncThread;
