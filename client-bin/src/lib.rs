//! A BitTorrent client for UDP trackers.

mod ask;
mod torrent;

pub use ask::{Announced, Ask, AskError};
