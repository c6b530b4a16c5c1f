//! What the drivers need of the system besides a socket.

extern crate std;

use std::hash::{BuildHasher, RandomState};
use std::io::{Error, ErrorKind};

/// 32 bits of SipHash under a key from the system's random source: what the standard library protects its hash maps with.
pub(crate) fn random() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether a datagram that could not be sent won't be sent a few seconds later either.
pub(crate) fn is_lasting(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AddrNotAvailable
            | ErrorKind::HostUnreachable
            | ErrorKind::InvalidInput
            | ErrorKind::NetworkUnreachable
            | ErrorKind::Unsupported
    )
}
