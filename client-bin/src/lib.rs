//! A BitTorrent client for UDP trackers.

mod ask;

pub use ask::{Announced, Ask, AskError};
