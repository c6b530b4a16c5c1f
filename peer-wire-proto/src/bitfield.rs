//! Bitfields: sets of pieces, as the bitfield message carries them (BEP 3) and as a program keeps them.
//!
//! Piece 0 is the most significant bit of byte 0, piece 8 that of byte 1. The last byte's spare bits are 0.

/// A set of pieces, over bytes that the caller provides.
///
/// `S` is the storage: `&[u8]` for the payload of a message, `Vec<u8>`, `[u8; N]` or `&mut [u8]` for a set that is
/// kept and changed. The number of bytes is always right and the spare bits are always 0, so the bytes can be sent
/// unchanged.
///
/// ```
/// use peer_wire_proto::Bitfield;
///
/// let theirs = Bitfield::decode(&[0b1010_0000][..], 3)?;
/// assert!(theirs.iter().eq([0, 2]));
///
/// let mut kept = Bitfield::decode([0], 3)?;
/// kept.copy_from(&theirs)?;
/// assert!(kept.set(1));
/// assert!(kept.is_full());
/// # Ok::<(), peer_wire_proto::BitfieldError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bitfield<S> {
    bytes: S,
    pieces: u32,
}

impl<S: AsRef<[u8]>> Bitfield<S> {
    /// Reads `bytes` as a set of `pieces` pieces.
    ///
    /// "Spare bits at the end are set to zero" (BEP 3): clients close the connection on a set spare bit, as on a wrong
    /// length.
    ///
    /// # Errors
    /// When there are more or fewer bytes than `pieces` bits need, or when a spare bit is set.
    pub fn decode(bytes: S, pieces: u32) -> Result<Self, BitfieldError> {
        let held = bytes.as_ref();
        let needed = bytes_of(pieces);
        if held.len() != needed {
            return Err(BitfieldError::Length { needed, got: held.len() });
        }
        match held.last() {
            Some(last) if last & !last_mask(pieces) != 0 => Err(BitfieldError::SpareBits { last: *last }),
            _ => Ok(Self { bytes, pieces }),
        }
    }

    /// The payload of a bitfield message.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.as_ref()
    }

    /// Number of pieces of the torrent, in the set or not.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Whether the piece `index` is in the set; false for an index beyond the last piece.
    pub fn has(&self, index: u32) -> bool {
        let (at, mask) = place(index);
        index < self.pieces && self.as_bytes().get(at).is_some_and(|byte| byte & mask != 0)
    }

    /// Number of pieces in the set.
    pub fn count(&self) -> u32 {
        self.as_bytes().iter().map(|byte| byte.count_ones()).sum()
    }

    /// Whether every piece is in the set; also true for a torrent without pieces.
    pub fn is_full(&self) -> bool {
        self.count() == self.pieces
    }

    /// Whether no piece is in the set.
    pub fn is_empty(&self) -> bool {
        self.as_bytes().iter().all(|byte| *byte == 0)
    }

    /// Indexes of the pieces in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.pieces).filter(|index| self.has(*index))
    }

    /// The same set, borrowed.
    pub fn as_slice(&self) -> Bitfield<&[u8]> {
        Bitfield { bytes: self.as_bytes(), pieces: self.pieces }
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]>> Bitfield<S> {
    /// Adds the piece `index`. Returns whether the set changed: false if the piece was in it, or is beyond the last.
    pub fn set(&mut self, index: u32) -> bool {
        let missing = index < self.pieces && !self.has(index);
        let (at, mask) = place(index);
        if let Some(byte) = self.bytes.as_mut().get_mut(at).filter(|_| missing) {
            *byte |= mask;
        }
        missing
    }

    /// Removes the piece `index`. Returns whether it was in the set.
    pub fn clear(&mut self, index: u32) -> bool {
        let there = self.has(index);
        let (at, mask) = place(index);
        if let Some(byte) = self.bytes.as_mut().get_mut(at).filter(|_| there) {
            *byte &= !mask;
        }
        there
    }

    /// Adds every piece, as a "have all" message announces (BEP 6).
    pub fn fill(&mut self) {
        let mask = last_mask(self.pieces);
        let bytes = self.bytes.as_mut();
        bytes.fill(0xff);
        if let Some(last) = bytes.last_mut() {
            *last = mask;
        }
    }

    /// Makes this set equal to `other`.
    ///
    /// # Errors
    /// When `other` has more or fewer bytes, or a piece beyond this torrent's last; nothing changes then.
    pub fn copy_from<T: AsRef<[u8]>>(&mut self, other: &Bitfield<T>) -> Result<(), BitfieldError> {
        let other = Bitfield::decode(other.as_bytes(), self.pieces)?;
        self.bytes.as_mut().copy_from_slice(other.bytes);
        Ok(())
    }
}

/// Why bytes are not a valid bitfield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitfieldError {
    /// The number of bytes does not match the number of pieces.
    #[error("a bitfield of {needed} bytes is needed, got {got}")]
    Length {
        /// Bytes that hold one bit for each piece.
        needed: usize,
        /// Bytes given.
        got: usize,
    },
    /// A bit behind that of the last piece is set.
    #[error("a spare bit is set in the last byte, {last:#04x}")]
    SpareBits {
        /// The last byte.
        last: u8,
    },
}

/// Bytes that hold one bit for each of `pieces`.
fn bytes_of(pieces: u32) -> usize {
    // At most half a GiB. Where usize is too small for that, no slice has that length either.
    usize::try_from(pieces.div_ceil(8)).unwrap_or(usize::MAX)
}

/// The byte that holds a piece's bit, and the bit.
fn place(index: u32) -> (usize, u8) {
    (usize::try_from(index / 8).unwrap_or(usize::MAX), 0x80 >> (index % 8))
}

/// The bits of the last byte that stand for pieces.
fn last_mask(pieces: u32) -> u8 {
    match pieces % 8 {
        0 => 0xff,
        used => !(0xff >> used),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_piece_is_the_highest_bit() {
        let field = Bitfield::decode([0x80, 0x40], 10).unwrap();
        assert!(field.iter().eq([0, 9]));
        assert_eq!(field.count(), 2);
        assert!(!field.has(10));
        assert!(!field.has(u32::MAX));
    }

    #[test]
    fn rejects_a_wrong_length() {
        let wrong = |got| Err(BitfieldError::Length { needed: 2, got });
        assert_eq!(Bitfield::decode(&[0; 1][..], 9), wrong(1));
        assert_eq!(Bitfield::decode(&[0; 3][..], 9), wrong(3));
        assert!(Bitfield::decode(&[0; 2][..], 9).is_ok());
        assert!(Bitfield::decode([], 0).is_ok());
    }

    #[test]
    fn rejects_set_spare_bits() {
        for pieces in 1..8 {
            let spare: u8 = 0x80 >> pieces;
            assert_eq!(Bitfield::decode([spare], pieces), Err(BitfieldError::SpareBits { last: spare }));
            assert!(Bitfield::decode([spare << 1], pieces).is_ok());
        }
        assert!(Bitfield::decode([0xff], 8).unwrap().is_full());
    }

    #[test]
    fn set_and_clear_return_whether_the_set_changed() {
        let mut field = Bitfield::decode([0, 0], 9).unwrap();
        assert!(field.set(8));
        assert!(!field.set(8));
        assert!(!field.set(9));
        assert_eq!(field.as_bytes(), [0, 0x80]);
        assert!(field.clear(8));
        assert!(!field.clear(8));
        assert!(!field.clear(9));
        assert!(field.is_empty());
    }

    #[test]
    fn fill_leaves_spare_bits_zero() {
        let mut field = Bitfield::decode([0, 0], 9).unwrap();
        field.fill();
        assert_eq!(field.as_bytes(), [0xff, 0x80]);
        assert!(field.is_full());
    }

    #[test]
    fn copy_from_rejects_another_number_of_pieces() {
        let mut kept = Bitfield::decode([0, 0], 9).unwrap();
        let wide = Bitfield::decode([0xff, 0xc0], 10).unwrap();
        assert_eq!(kept.copy_from(&wide), Err(BitfieldError::SpareBits { last: 0xc0 }));
        assert!(kept.is_empty());
    }
}
