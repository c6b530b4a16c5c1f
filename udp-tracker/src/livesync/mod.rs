//! Several trackers that share their announces, in packets of livesync-proto.
//!
//! ```text
//! handlers --Publisher--> queue --> Livesync --packets--> group and list of nodes
//!    store <---------------------- Livesync <--packets--- nodes
//! ```
//! [`Livesync`] decides; it has no socket, no clock and no thread. A thread moves the packets.

mod node;
mod nodes;
mod publish;
mod settings;

pub use node::Livesync;
pub use nodes::NodeStatus;
pub use publish::Publisher;
pub use settings::LivesyncSettings;

#[cfg(target_os = "linux")]
pub(crate) use nodes::Nodes;
