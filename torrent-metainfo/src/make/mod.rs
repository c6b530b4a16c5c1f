//! Making a .torrent file of what lies on the disk.

mod builder;
mod encode;
mod error;
mod hash;
mod source;
mod walk;
mod write;

pub use builder::{Builder, Progress};
pub use error::MakeError;
pub use write::{Existing, TorrentFile};
