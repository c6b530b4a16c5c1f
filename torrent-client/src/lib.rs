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
//! // It seeds by now. `stopped` is announced to the trackers:
//! app.stop(Duration::from_secs(5))?;
//! # Ok::<(), torrent_client::AppError>(())
//! ```
//!
//! An error says why it ended: a full disk, a file that another program changed, a port that is taken, and what can be
//! done about it. Dropped, an app stops in order.
//!
//! [`create_metainfo_file`] makes the .torrent file that it all begins with, [`verify`] checks what is on the disk.
//!
//! # Without threads and sockets
//! The [`engine`] decides everything and does nothing: it takes bytes, time and results of the [`disk`], and gives bytes,
//! jobs and actions.
//!
//! # Floors of this crate
//! Each uses only those above it:
//!
//! | modules | hold |
//! |---|---|
//! | `pieces`, `options`, `status`, [`disk`] | what the others speak of |
//! | `picker`, `choker`, `pipeline`, `rate`, `book`, `announcer`, `places`, `allowance` | one decision each: which block next, which peers to upload to, how many requests, how fast, which address, which tracker, which connection gives way, how much a peer may send that is of no use |
//! | [`engine`], `storage` | a session; the files and the threads that work on them |
//! | `driver` | sockets, and what wires the two together |
//! | `app` | a session as a job |

#[cfg(not(unix))]
compile_error!("torrent-client needs a Unix system: it opens files relative to folders");

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

pub use peer_wire_proto;
pub use torrent_metainfo;

pub use app::{App, AppError, Completion, Stopper, create_metainfo_file};
pub use disk::StorageError;
pub use driver::{ListenError, SetupError};
pub use engine::{Ended, Engine, PeerStatus, SessionError, TrackerState, TrackerStatus};
pub use options::{Options, Seeding, Source, USUAL_PORT};
pub use pieces::{BlockDigest, PeerKey, PieceSet, layout_of};
pub use status::{Phase, Status};
pub use storage::{Verified, VerifyProgress, verify};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
