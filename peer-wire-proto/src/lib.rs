//! The BitTorrent peer wire protocol.

#![no_std]
#![forbid(unsafe_code)]

mod bitfield;
mod block;
mod error;
mod frame;
mod handshake;
mod layout;
mod message;
mod reserved;

pub use bitfield::{Bitfield, BitfieldError};
pub use block::{BLOCK_LENGTH, Block, BlockError, MAX_BLOCK_LENGTH};
pub use error::{BufferTooSmall, DecodeError};
pub use frame::{Framed, Framer};
pub use handshake::{Handshake, HandshakeError};
pub use layout::{Layout, LayoutError};
pub use message::Message;
pub use reserved::Reserved;
/// The names of torrents and peers, which the tracker protocol's crate owns.
pub use udp_tracker_proto::{InfoHash, PeerId};
