//! The BitTorrent peer wire protocol.

#![no_std]
#![forbid(unsafe_code)]

mod error;
mod handshake;
mod reserved;

pub use error::{BufferTooSmall, DecodeError};
pub use handshake::{Handshake, HandshakeError};
pub use reserved::Reserved;
/// The names of torrents and peers, which the tracker protocol's crate owns.
pub use udp_tracker_proto::{InfoHash, PeerId};
