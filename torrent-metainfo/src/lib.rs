//! Reads and makes .torrent files of version 1 (BEP 3), with tiers of trackers (BEP 12) and the private flag (BEP 27).
//!
//! # Reading
//!
//! [`Metainfo::from_bytes`] makes the checks that a client needs: there are as many hashes as pieces, no path leads out
//! of the torrent's folder, and no two files have the same path. The info-hash is computed from the bytes of the file,
//! never from a re-encoding.
//!
//! ```
//! use torrent_metainfo::{FileSlice, Metainfo};
//!
//! let bytes = b"d8:announce21:udp://tracker.example4:infod5:filesl\
//!     d6:lengthi5e4:pathl7:read.meeed6:lengthi20000e4:pathl5:music7:one.oggeee\
//!     4:name5:album12:piece lengthi16384e6:pieces40:0123456789012345678901234567890123456789ee";
//! let torrent = Metainfo::from_bytes(bytes)?;
//!
//! assert_eq!(torrent.info_hash().to_string(), "a11d01fdd687185824f2229a594638c34f241696");
//! assert_eq!(torrent.trackers(), [["udp://tracker.example"]]);
//! assert_eq!(torrent.length(), 20_005);
//! for (index, file) in torrent.files().iter().enumerate() {
//!     let path = torrent.disk_path(index).expect("every file has a path");
//!     println!("{} bytes: {}", file.length(), path.display());
//! }
//!
//! // The files that the first piece overlaps.
//! let piece = torrent.piece_range(0).expect("every torrent has a piece");
//! let slices: Vec<_> = torrent.slices(piece).collect();
//! assert_eq!(slices[1], FileSlice { file: 1, offset: 0, length: 16_379 });
//!
//! // Errors have the fault and its place.
//! let bytes = b"d4:infod5:filesld4:pathl3:etc2:..eeeee";
//! let error = Metainfo::from_bytes(bytes).expect_err("this would lead out of the folder");
//! assert_eq!(error.to_string(), "info.files[0].path[1] is `..`");
//! # Ok::<(), torrent_metainfo::ReadError>(())
//! ```
//!
//! # Making
//!
//! [`Builder`] reads every file once, hashes on all cores, reports progress, and can be cancelled.
//!
//! ```
//! use std::ops::ControlFlow;
//! use torrent_metainfo::{Builder, Existing};
//!
//! # let folder = tempfile::tempdir()?;
//! # let album = folder.path().join("album");
//! # let output = folder.path().join("album.torrent");
//! # std::fs::create_dir(&album)?;
//! # std::fs::write(album.join("read.me"), "hello")?;
//! let builder = Builder::new(&album)
//!     .tracker_tier(["udp://tracker.example:6969/announce"])
//!     .tracker_tier(["udp://backup.example:6969/announce"])
//!     .created_by("an example");
//! let torrent = builder.create(&output, Existing::Refuse, |progress| {
//!     println!("{} of {} bytes", progress.done, progress.total);
//!     ControlFlow::Continue(())
//! })?;
//! println!("{} is {}", torrent.metainfo().name(), torrent.metainfo().info_hash());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Not supported
//!
//! Torrents of version 2 (BEP 52): of hybrids the version 1 part is read, others are rejected, and none are made. Web
//! seeds, DHT nodes, symbolic links and attributes other than padding are skipped.

#![forbid(unsafe_code)]

mod bencode;
mod error;
mod files;
mod make;
mod metainfo;
mod names;
mod read;

pub use error::{KeyPath, Kind, LoadError, NameFault, ReadError, SyntaxFault};
pub use files::{FileEntry, FileSlice, FileSlices};
pub use make::{Builder, Existing, MakeError, Progress, TorrentFile};
pub use metainfo::Metainfo;
pub use torrent_ids::InfoHash;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
