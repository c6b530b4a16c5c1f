//! The identifiers that BitTorrent crates share: [`InfoHash`], [`PeerId`], and peers' addresses in [`compact`] form.
//!
//! ```
//! use torrent_ids::{InfoHash, PeerId, compact};
//!
//! let torrent: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
//! let bytes: [u8; 20] = torrent.into();
//! assert_eq!(InfoHash::from(bytes).to_string(), "e5d5fdac66b48270c93842b333061ea4dd7233e9");
//!
//! let peer = PeerId(*b"-TR3000-\x00\xff0123456789");
//! assert_eq!(peer.to_string(), "-TR3000-%00%ff0123456789");
//!
//! let address = "192.0.2.7:6881".parse()?;
//! assert_eq!(compact::from_v4(address), [192, 0, 2, 7, 0x1a, 0xe1]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! With the feature `serde`, both ids are 40 hex digits in human-readable formats such as JSON, and 20 bytes in binary
//! formats.
//!
//! # Not supported
//! - The 32-byte info_hash of version 2 torrents (BEP 52). Trackers and the peer protocol use its first 20 bytes.
//! - Base32, which old magnet links use instead of hex.

#![no_std]
#![forbid(unsafe_code)]

pub mod compact;
mod hex;
mod info_hash;
mod peer_id;
#[cfg(feature = "serde")]
mod serde;

pub use hex::ParseIdError;
pub use info_hash::InfoHash;
pub use peer_id::PeerId;

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
