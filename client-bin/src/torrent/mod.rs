//! Downloading and sharing a torrent.
//!
//! | part | decides |
//! |---|---|
//! | [`picker`] | which block to request from whom, and who sent bad ones |
//! | [`choker`] | whom to upload to |
//! | [`pipeline`] | how many requests to have under way at a peer |
//! | [`rate`] | how fast octets go, and may go |
//! | [`book`] | which address to connect to when |
//! | [`announcer`] | which tracker to tell what, and when |
//! | [`places`] | who gives way when all places are taken |
//! | [`allowance`] | how much a peer may send that is of no use |
//!
//! These are told what happened and when, and say what to do. [`storage`] has the files, and checks them. What brings all
//! of it together with sockets is behind [`App`].

pub mod allowance;
pub mod announcer;
mod app;
pub mod book;
pub mod choker;
mod engine;
mod layout;
mod options;
pub mod picker;
pub mod pipeline;
pub mod places;
pub mod rate;
mod status;
pub mod storage;

pub use app::{App, AppError, Completion, Stopper, create_metainfo_file};
pub use engine::{Ended, ListenError, SessionError, SetupError};
pub(crate) use layout::LayoutExt;
pub use layout::layout_of;
pub use options::{Options, Seeding, USUAL_PORT};
pub use status::{Phase, Status};
