//! What the drivers need from the system besides a socket: randomness, and a classification of errors.

extern crate std;

use std::hash::{BuildHasher, RandomState};
use std::io::{Error, ErrorKind};

/// 32 unpredictable bits: SipHash with a key from the system's random source, as the standard library uses for hash
/// maps.
pub(crate) fn random() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether an error of sending is permanent: sending again after a few seconds would fail too.
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
