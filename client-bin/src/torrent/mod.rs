//! Downloading and sharing a torrent.

pub mod announcer;
pub mod book;
pub mod choker;
mod layout;
pub mod picker;
pub mod pipeline;
pub mod rate;
pub mod storage;

pub(crate) use layout::LayoutExt;
pub use layout::layout_of;
