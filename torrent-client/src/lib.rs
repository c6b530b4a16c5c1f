//! A BitTorrent client for UDP trackers, to embed.
//!
//! # A download as a job
//! [`App`] downloads and seeds one torrent on threads of its own. It is started and stopped, as often as one likes, and
//! asked how it stands:
//!
//! ```no_run
//! use std::time::Duration;
//! use torrent_client::{App, Completion, Options};
//!
//! let app = App::new(Options { save_to: "/srv/downloads".into(), ..Options::new("debian.torrent") });
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
//! # Ok::<(), torrent_client::AppError>(())
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
//! | part | decides |
//! |---|---|
//! | `picker` | which block to request from which peer, and which peers sent bad ones |
//! | `choker` | which peers to upload to |
//! | `pipeline` | how many requests to have under way at a peer |
//! | `rate` | how fast bytes go, and may go |
//! | `book` | which address to connect to, and when |
//! | `announcer` | which tracker to announce to, and when |
//! | `places` | which connection gives way when all places are taken |
//! | `allowance` | how much a peer may send that is of no use |
//!
//! These know neither sockets, clocks nor files. `storage` has the files and the threads that work on them.

mod allowance;
mod announcer;
mod app;
mod book;
mod choker;
pub mod disk;
mod driver;
pub mod engine;
mod options;
mod picker;
mod pieces;
mod pipeline;
mod places;
mod rate;
mod status;
mod storage;

pub use app::{App, AppError, Completion, Stopper, create_metainfo_file};
pub use disk::StorageError;
pub use driver::{ListenError, SetupError};
pub use engine::{Ended, Engine, PeerStatus, SessionError, TrackerState, TrackerStatus};
pub use options::{Options, Seeding, Source, USUAL_PORT};
pub use pieces::{BlockDigest, PeerKey, PieceSet, layout_of};
pub use status::{Phase, Status};
pub use storage::{Verified, VerifyProgress, verify};
