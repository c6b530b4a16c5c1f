//! Downloading and sharing a torrent.

pub mod announcer;
mod app;
pub mod book;
pub mod choker;
mod engine;
mod layout;
mod options;
pub mod picker;
pub mod pipeline;
pub mod rate;
mod status;
pub mod storage;

pub use app::{App, AppError, Completion, Stopper, create_metainfo_file};
pub use engine::{Ended, ListenError, SessionError, SetupError};
pub(crate) use layout::LayoutExt;
pub use layout::layout_of;
pub use options::{Options, Seeding, USUAL_PORT};
pub use status::{Phase, Status};
