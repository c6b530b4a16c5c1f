//! The BitTorrent peer wire protocol (BEP 3), with the fast extension (BEP 6) and the envelope of the extension
//! protocol (BEP 10): a codec, and a [`Connection`] without a socket and without a clock.
//!
//! Neither std nor an allocator is used. From the bottom up:
//!
//! - [`Handshake`] and [`Message`] are decoded from and encoded to bytes; [`Framer`] finds the messages in a stream.
//! - [`Layout`], [`Block`] and [`Bitfield`] describe pieces and blocks, and check them against the torrent.
//! - [`Connection`] enforces which side may send which message when, and decides when to close: see [`connection`].
//!
//! # Example
//! Two connections that are each other's peer. Vectors replace the sockets.
//!
//! ```
//! use core::time::Duration;
//! use peer_wire_proto::connection::{Config, Event, Torrent};
//! use peer_wire_proto::{BLOCK_LENGTH, Bitfield, Connection, InfoHash, Layout, PeerId};
//!
//! let content = [7; 20_000];
//! let torrent = Torrent { info_hash: InfoHash([0x1f; 20]), layout: Layout::new(20_000, 32_768)? };
//! let now = Duration::ZERO;
//! let mut seeder: Connection = Connection::accept(now, PeerId([b's'; 20]), Config::default());
//! let mut leecher: Connection = Connection::connect(now, PeerId([b'l'; 20]), torrent, Config::default());
//!
//! let (mut to_seeder, mut to_leecher) = (Vec::new(), Vec::new());
//! let mut out = [0; <Connection>::TRANSMIT_LEN];
//! let mut downloaded = Vec::new();
//! while downloaded.len() < content.len() {
//!     // The seeder's turn.
//!     let input = seeder.handle_input(now, &to_seeder)?;
//!     let written = match input.event {
//!         Some(Event::Handshake(handshake)) => {
//!             // A program looks its torrent up by handshake.info_hash.
//!             assert_eq!(handshake.info_hash, torrent.info_hash);
//!             let answer = seeder.answer(now, torrent, &mut out)?;
//!             to_leecher.extend_from_slice(&out[..answer]);
//!             seeder.bitfield(now, &Bitfield::decode([0x80], 1)?, &mut out)?
//!         }
//!         Some(Event::Interested) => seeder.unchoke(now, &mut out)?,
//!         Some(Event::Requested(block)) => {
//!             // The head of the message, then the block.
//!             let head = seeder.piece(now, block, &mut out)?;
//!             to_leecher.extend_from_slice(&out[..head]);
//!             let begin = usize::try_from(block.begin)?;
//!             to_leecher.extend_from_slice(&content[begin..][..usize::try_from(block.length)?]);
//!             0
//!         }
//!         _ => seeder.poll_transmit(now, &mut out),
//!     };
//!     to_leecher.extend_from_slice(&out[..written]);
//!     to_seeder.drain(..input.consumed);
//!
//!     // The leecher's turn.
//!     let input = leecher.handle_input(now, &to_leecher)?;
//!     let written = match input.event {
//!         Some(Event::Handshake(_)) => leecher.bitfield(now, &Bitfield::decode([0], 1)?, &mut out)?,
//!         Some(Event::Bitfield(_) | Event::HaveAll) => leecher.interested(now, &mut out)?,
//!         Some(Event::Unchoked) => {
//!             for block in torrent.layout.blocks(0, BLOCK_LENGTH) {
//!                 let request = leecher.request(now, block, &mut out)?;
//!                 to_seeder.extend_from_slice(&out[..request]);
//!             }
//!             0
//!         }
//!         Some(Event::Piece { data, .. }) => {
//!             downloaded.extend_from_slice(data);
//!             0
//!         }
//!         _ => leecher.poll_transmit(now, &mut out),
//!     };
//!     to_seeder.extend_from_slice(&out[..written]);
//!     to_leecher.drain(..input.consumed);
//! }
//! assert_eq!(downloaded, content);
//! # Ok::<(), Box<dyn core::error::Error>>(())
//! ```

#![no_std]
#![forbid(unsafe_code)]

mod bitfield;
mod block;
pub mod connection;
mod error;
mod frame;
mod handshake;
mod layout;
mod message;
mod reserved;

pub use bitfield::{Bitfield, BitfieldError};
pub use block::{BLOCK_LENGTH, Block, BlockError, MAX_BLOCK_LENGTH};
pub use connection::Connection;
pub use error::{BufferTooSmall, DecodeError};
pub use frame::{Framed, Framer};
pub use handshake::{Handshake, HandshakeError};
pub use layout::{Layout, LayoutError};
pub use message::Message;
pub use reserved::Reserved;
/// The identifiers of torrents and peers, which the tracker protocol uses as well.
pub use torrent_ids::{InfoHash, PeerId};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
