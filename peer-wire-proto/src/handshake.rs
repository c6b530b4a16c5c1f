//! The handshake: the first 68 bytes in each direction (BEP 3, "peer protocol").
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | 19, the length of the name |
//! | 1 | 19 | `BitTorrent protocol` |
//! | 20 | 8 | reserved |
//! | 28 | 20 | info_hash |
//! | 48 | 20 | peer_id |

use torrent_ids::{InfoHash, PeerId};

use crate::error::BufferTooSmall;
use crate::reserved::Reserved;

/// The torrent that a connection is about, the sender's peer_id, and the extensions that the sender supports.
///
/// ```
/// use peer_wire_proto::{Handshake, HandshakeError, InfoHash, PeerId, Reserved};
///
/// let ours = Handshake {
///     reserved: Reserved::FAST,
///     info_hash: InfoHash([0xab; 20]),
///     peer_id: PeerId(*b"-XX0001-abcdefghijkl"),
/// };
/// let mut wire = [0; Handshake::LEN];
/// ours.encode(&mut wire)?;
/// assert_eq!(Handshake::decode(&wire), Ok(ours));
///
/// // Another protocol is recognized at its first wrong byte.
/// assert_eq!(Handshake::decode(b"GET /"), Err(HandshakeError::NotBitTorrent { at: 0 }));
/// # Ok::<(), peer_wire_proto::BufferTooSmall>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handshake {
    /// The extensions that the sender supports.
    pub reserved: Reserved,
    /// The torrent.
    pub info_hash: InfoHash,
    /// The sender's peer_id.
    pub peer_id: PeerId,
}

impl Handshake {
    /// Bytes on the wire.
    pub const LEN: usize = 68;

    /// Reads the first 68 bytes that a peer sent; bytes behind them are ignored.
    ///
    /// May be called after each received byte: the error distinguishes another protocol from an incomplete handshake.
    ///
    /// # Errors
    /// [`HandshakeError::NotBitTorrent`] as soon as one byte of the protocol's name is wrong;
    /// [`HandshakeError::Truncated`] while all bytes are right and some are missing.
    pub fn decode(input: &[u8]) -> Result<Self, HandshakeError> {
        if let Some(at) = input.iter().zip(NAME).position(|(got, expected)| got != expected) {
            return Err(HandshakeError::NotBitTorrent { at });
        }
        let Some((wire, _)) = input.split_first_chunk::<{ Self::LEN }>() else {
            return Err(HandshakeError::Truncated { needed: Self::LEN, got: input.len() });
        };
        let (mut reserved, mut info_hash, mut peer_id) = ([0; 8], [0; 20], [0; 20]);
        reserved.copy_from_slice(&wire[field::RESERVED]);
        info_hash.copy_from_slice(&wire[field::INFO_HASH]);
        peer_id.copy_from_slice(&wire[field::PEER_ID]);
        Ok(Self { reserved: Reserved(reserved), info_hash: InfoHash(info_hash), peer_id: PeerId(peer_id) })
    }

    /// Writes the handshake to the front of `out` and returns its length, 68 bytes.
    ///
    /// # Errors
    /// When `out` is shorter; nothing is written then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let got = out.len();
        let Some((wire, _)) = out.split_first_chunk_mut::<{ Self::LEN }>() else {
            return Err(BufferTooSmall { needed: Self::LEN, got });
        };
        wire[field::NAME].copy_from_slice(NAME);
        wire[field::RESERVED].copy_from_slice(&self.reserved.0);
        wire[field::INFO_HASH].copy_from_slice(&self.info_hash.0);
        wire[field::PEER_ID].copy_from_slice(&self.peer_id.0);
        Ok(Self::LEN)
    }
}

/// Why bytes are not a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// Valid so far, but incomplete: call again with more bytes.
    #[error("a handshake has {needed} bytes, got {got}")]
    Truncated {
        /// Bytes of a complete handshake.
        needed: usize,
        /// Bytes given.
        got: usize,
    },
    /// "The handshake starts with character nineteen (decimal) followed by the string 'BitTorrent protocol'" (BEP 3);
    /// this one doesn't. More bytes won't help.
    #[error("byte {at} differs from the handshake's \"BitTorrent protocol\"")]
    NotBitTorrent {
        /// Offset of the first wrong byte.
        at: usize,
    },
}

/// The protocol's name, behind its length.
const NAME: &[u8; 20] = b"\x13BitTorrent protocol";

mod field {
    use core::ops::Range;

    pub(super) const NAME: Range<usize> = 0..20;
    pub(super) const RESERVED: Range<usize> = 20..28;
    pub(super) const INFO_HASH: Range<usize> = 28..48;
    pub(super) const PEER_ID: Range<usize> = 48..68;
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &[u8; 68] = b"\x13BitTorrent protocol\
        \x00\x00\x00\x00\x00\x10\x00\x05\
        \x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\
        -TR3000-abcdefghijkl";

    #[test]
    fn reads_each_field() {
        let handshake = Handshake::decode(WIRE).unwrap();
        assert_eq!(handshake.reserved, Reserved::EXTENSION_PROTOCOL | Reserved::FAST | Reserved::DHT);
        assert_eq!(handshake.info_hash.0[..3], [1, 2, 3]);
        assert_eq!(handshake.info_hash.0[19], 20);
        assert_eq!(handshake.peer_id, PeerId(*b"-TR3000-abcdefghijkl"));
    }

    #[test]
    fn writes_the_same_bytes() {
        let mut out = [0xff; 70];
        assert_eq!(Handshake::decode(WIRE).unwrap().encode(&mut out), Ok(68));
        assert_eq!(out[..68], *WIRE);
        assert_eq!(out[68..], [0xff; 2]);
    }

    #[test]
    fn writes_nothing_to_a_short_buffer() {
        let mut out = [0; 67];
        let error = Handshake::decode(WIRE).unwrap().encode(&mut out).unwrap_err();
        assert_eq!(error, BufferTooSmall { needed: 68, got: 67 });
        assert_eq!(out, [0; 67]);
    }

    #[test]
    fn every_truncation_is_reported_as_truncated() {
        for got in 0..68 {
            assert_eq!(Handshake::decode(&WIRE[..got]), Err(HandshakeError::Truncated { needed: 68, got }));
        }
    }

    #[test]
    fn rejects_a_wrong_name_at_its_first_wrong_byte() {
        for at in 0..20 {
            let mut wire = *WIRE;
            wire[at] ^= 0x20;
            let error = Err(HandshakeError::NotBitTorrent { at });
            assert_eq!(Handshake::decode(&wire[..=at]), error);
            assert_eq!(Handshake::decode(&wire), error);
        }
    }

    #[test]
    fn ignores_bytes_behind_the_handshake() {
        let mut stream = [0; 73];
        stream[..68].copy_from_slice(WIRE);
        stream[68..].copy_from_slice(&[0, 0, 0, 1, 2]);
        assert_eq!(Handshake::decode(&stream), Handshake::decode(WIRE));
    }
}
