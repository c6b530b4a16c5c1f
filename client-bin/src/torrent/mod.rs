//! Downloading and sharing a torrent.

pub mod announcer;
pub mod book;
pub mod choker;
pub mod picker;
pub mod pipeline;
pub mod rate;
