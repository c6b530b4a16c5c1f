//! A BitTorrent client for UDP trackers, to embed.
//!
//! # A download as a job
//! [`App`] downloads and seeds one torrent on its own threads. It can be started and stopped any number of times, and
//! reports its status:
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
//!         Completion::TimedOut(status) => println!("no piece in 10 s, {} peers known", status.known),
//!     }
//! }
//! // It seeds by now. `stopped` is announced to the trackers:
//! app.stop(Duration::from_secs(5))?;
//! # Ok::<(), torrent_client::AppError>(())
//! ```
//!
//! An error gives the cause: a full disk, a file changed by another program, a port in use. Where the user can do
//! something about it, the text says what. Dropping an app stops it in order.
//!
//! [`create_metainfo_file`] makes a .torrent file; [`verify`] checks the data on the disk.
//!
//! # Without threads and sockets
//! The [`engine`] makes all decisions and does no input or output. It takes bytes, the time and results of the
//! [`disk`], and returns bytes, jobs and actions.
//!
//! # Layers of this crate
//! Each layer uses only those above it:
//!
//! | modules | hold |
//! |---|---|
//! | `pieces`, `options`, `status`, [`disk`] | the types that all others use |
//! | `picker`, `choker`, `pipeline`, `rate`, `book`, `announcer`, `places`, `allowance` | one decision each: the next block, the peers to upload to, the number of requests, the rate, the next address, the next tracker, the connection to replace, the useless bytes that a peer may send |
//! | [`engine`], `storage` | a session; the files and the threads that work on them |
//! | `driver` | sockets, and the loop that connects engine and storage |
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
