//! Bitfields: which pieces somebody has, as the bitfield message carries it (BEP 3) and as a program keeps it.
//!
//! Piece 0 is the most significant bit of octet 0, piece 8 that of octet 1. The last octet's spare bits are 0.

/// A set of pieces, over octets that somebody else owns.
///
/// `S` is where they are: `&[u8]` for what a message carries, `Vec<u8>`, `[u8; N]` or `&mut [u8]` for a set that is
/// kept and changed. The octets always have the right number, and their spare bits are 0, so that they can be sent as
/// they stand.
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
    octets: S,
    pieces: u32,
}

impl<S: AsRef<[u8]>> Bitfield<S> {
    /// Takes `octets` as a set of `pieces` pieces.
    ///
    /// "Spare bits at the end are set to zero" (BEP 3): clients close on a set one as on a wrong length.
    ///
    /// # Errors
    /// When there are more or fewer octets than `pieces` bits need, or when a spare bit is set.
    pub fn decode(octets: S, pieces: u32) -> Result<Self, BitfieldError> {
        let held = octets.as_ref();
        let needed = octets_of(pieces);
        if held.len() != needed {
            return Err(BitfieldError::Length { needed, got: held.len() });
        }
        match held.last() {
            Some(last) if last & !last_mask(pieces) != 0 => Err(BitfieldError::SpareBits { last: *last }),
            _ => Ok(Self { octets, pieces }),
        }
    }

    /// The octets as they stand in a message.
    pub fn octets(&self) -> &[u8] {
        self.octets.as_ref()
    }

    /// Pieces of the torrent, in the set or not.
    pub fn pieces(&self) -> u32 {
        self.pieces
    }

    /// Whether the piece `index` is in the set; no piece beyond the last is.
    pub fn has(&self, index: u32) -> bool {
        let (at, mask) = place(index);
        index < self.pieces && self.octets().get(at).is_some_and(|octet| octet & mask != 0)
    }

    /// Pieces in the set.
    pub fn count(&self) -> u32 {
        self.octets().iter().map(|octet| octet.count_ones()).sum()
    }

    /// Whether no piece is missing; true as well of a torrent without pieces.
    pub fn is_full(&self) -> bool {
        self.count() == self.pieces
    }

    /// Whether every piece is missing.
    pub fn is_empty(&self) -> bool {
        self.octets().iter().all(|octet| *octet == 0)
    }

    /// The pieces in the set, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.pieces).filter(|index| self.has(*index))
    }

    /// The same set, borrowed.
    pub fn as_slice(&self) -> Bitfield<&[u8]> {
        Bitfield { octets: self.octets(), pieces: self.pieces }
    }
}

impl<S: AsRef<[u8]> + AsMut<[u8]>> Bitfield<S> {
    /// Adds the piece `index`. True if it was missing; false if it was there, or is beyond the last.
    pub fn set(&mut self, index: u32) -> bool {
        let missing = index < self.pieces && !self.has(index);
        let (at, mask) = place(index);
        if let Some(octet) = self.octets.as_mut().get_mut(at).filter(|_| missing) {
            *octet |= mask;
        }
        missing
    }

    /// Takes the piece `index` away. True if it was there.
    pub fn clear(&mut self, index: u32) -> bool {
        let there = self.has(index);
        let (at, mask) = place(index);
        if let Some(octet) = self.octets.as_mut().get_mut(at).filter(|_| there) {
            *octet &= !mask;
        }
        there
    }

    /// Adds every piece: what "have all" says (BEP 6).
    pub fn fill(&mut self) {
        let mask = last_mask(self.pieces);
        let octets = self.octets.as_mut();
        octets.fill(0xff);
        if let Some(last) = octets.last_mut() {
            *last = mask;
        }
    }

    /// Becomes the same set as `other`.
    ///
    /// # Errors
    /// When `other` has more or fewer octets, or a piece beyond this torrent's last; nothing changes then.
    pub fn copy_from<T: AsRef<[u8]>>(&mut self, other: &Bitfield<T>) -> Result<(), BitfieldError> {
        let other = Bitfield::decode(other.octets(), self.pieces)?;
        self.octets.as_mut().copy_from_slice(other.octets);
        Ok(())
    }
}

/// Why octets are no bitfield.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BitfieldError {
    /// Another number of octets than the pieces need.
    #[error("a bitfield of {needed} octets is needed, got {got}")]
    Length {
        /// Octets that hold one bit a piece.
        needed: usize,
        /// Octets there are.
        got: usize,
    },
    /// A bit after the last piece's is set.
    #[error("a spare bit is set in the last octet, {last:#04x}")]
    SpareBits {
        /// The last octet.
        last: u8,
    },
}

/// Octets that hold a bit for each of `pieces`.
fn octets_of(pieces: u32) -> usize {
    // At most half a GiB. A machine that can't count so far has no slice of that length either.
    usize::try_from(pieces.div_ceil(8)).unwrap_or(usize::MAX)
}

/// The octet that holds a piece's bit, and the bit.
fn place(index: u32) -> (usize, u8) {
    (usize::try_from(index / 8).unwrap_or(usize::MAX), 0x80 >> (index % 8))
}

/// The bits of the last octet that stand for pieces.
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
    fn the_length_must_fit() {
        let wrong = |got| Err(BitfieldError::Length { needed: 2, got });
        assert_eq!(Bitfield::decode(&[0; 1][..], 9), wrong(1));
        assert_eq!(Bitfield::decode(&[0; 3][..], 9), wrong(3));
        assert!(Bitfield::decode(&[0; 2][..], 9).is_ok());
        assert!(Bitfield::decode([], 0).is_ok());
    }

    #[test]
    fn spare_bits_must_be_zero() {
        for pieces in 1..8 {
            let spare: u8 = 0x80 >> pieces;
            assert_eq!(Bitfield::decode([spare], pieces), Err(BitfieldError::SpareBits { last: spare }));
            assert!(Bitfield::decode([spare << 1], pieces).is_ok());
        }
        assert!(Bitfield::decode([0xff], 8).unwrap().is_full());
    }

    #[test]
    fn set_and_clear_say_whether_something_changed() {
        let mut field = Bitfield::decode([0, 0], 9).unwrap();
        assert!(field.set(8));
        assert!(!field.set(8));
        assert!(!field.set(9));
        assert_eq!(field.octets(), [0, 0x80]);
        assert!(field.clear(8));
        assert!(!field.clear(8));
        assert!(!field.clear(9));
        assert!(field.is_empty());
    }

    #[test]
    fn fill_leaves_spare_bits_alone() {
        let mut field = Bitfield::decode([0, 0], 9).unwrap();
        field.fill();
        assert_eq!(field.octets(), [0xff, 0x80]);
        assert!(field.is_full());
    }

    #[test]
    fn copies_only_what_fits() {
        let mut kept = Bitfield::decode([0, 0], 9).unwrap();
        let wide = Bitfield::decode([0xff, 0xc0], 10).unwrap();
        assert_eq!(kept.copy_from(&wide), Err(BitfieldError::SpareBits { last: 0xc0 }));
        assert!(kept.is_empty());
    }
}
