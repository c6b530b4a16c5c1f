//! The BitTorrent UDP tracker protocol, for both ends of the wire.

#![no_std]
#![forbid(unsafe_code)]

mod id;

pub use id::{ConnectionId, InfoHash, ParseIdError, PeerId, TransactionId};
