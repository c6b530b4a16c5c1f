//! A BitTorrent client for UDP trackers, to embed.
//!
//! # A download as a job
//! [`App`] downloads and seeds one torrent on threads of its own. It is started and stopped, as often as one likes, and
//! asked how it stands:
//!
//! ```no_run
//! use std::time::Duration;
//! use client::{App, Completion, Options};
//!
//! let mut app = App::new(Options { save_to: "/srv/downloads".into(), ..Options::new("debian.torrent") });
//! app.start()?;
//! println!("peers reach us at {:?}", app.addresses());
//! loop {
//!     match app.wait_completion(Duration::from_secs(10))? {
//!         Completion::Done(_) => break,
//!         Completion::Progress(status) => println!("{} of {} pieces", status.have, status.total),
//!         Completion::TimedOut(status) => println!("nothing came in 10 s, {} peers known", status.known),
//!     }
//! }
//! // It seeds by now. The trackers are told that it leaves:
//! app.stop(Duration::from_secs(5))?;
//! # Ok::<(), client::AppError>(())
//! ```
//!
//! An error says why it had to end: a full disk, a file that somebody else changed, a port that is taken, and what can be
//! done about it. Dropped, an app stops in order.
//!
//! [`create_metainfo_file`] makes the .torrent file that it all begins with, [`verify`] looks what is on the disk.
//!
//! # What it does
//! Each session is one thread for all sockets, over IPv4 and IPv6, and a few that read, write and hash. Files are only
//! created below the download folder; no symbolic link is followed. What is there already is checked at each start and
//! kept, so that a session may be killed at any moment.
//!
//! # Parts
//! What decides what in a session knows no sockets, clocks or files, and can be used without it: see [`torrent`]. Asking
//! a tracker is in [`udp_tracker_proto`]: its `blocking` and `client` modules.

pub mod torrent;

pub use torrent::storage::{StorageError, Verified, VerifyProgress, verify};
pub use torrent::{
    App, AppError, Completion, Ended, ListenError, Options, Phase, Seeding, SessionError, SetupError, Status,
    Stopper, USUAL_PORT, create_metainfo_file, layout_of,
};
