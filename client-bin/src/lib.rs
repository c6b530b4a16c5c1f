//! A BitTorrent client for UDP trackers.
//!
//! Asking a tracker is in [`udp_tracker_proto`]: its `blocking` and `client` modules.

pub mod torrent;

pub use torrent::storage::{StorageError, Verified, VerifyProgress, verify};
pub use torrent::{
    App, AppError, Completion, Ended, ListenError, Options, Phase, Seeding, SessionError, SetupError, Status,
    Stopper, USUAL_PORT, create_metainfo_file, layout_of,
};
