//! Making a .torrent file from files on disk.

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
