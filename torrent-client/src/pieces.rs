//! Sets of pieces, positions of pieces in the torrent, and the keys of connections.

use peer_wire_proto::{Bitfield, Layout};
use torrent_metainfo::Metainfo;

/// Identifies a connection to a peer; never reused for another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub usize);

/// The SHA-1 of a block, to distinguish two versions of it.
pub type BlockDigest = [u8; 20];

/// A set of a torrent's pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PieceSet {
    bits: Bitfield<Vec<u8>>,
    count: u32,
}

impl PieceSet {
    /// The empty set, for a torrent of this layout.
    #[must_use]
    pub fn none(layout: &Layout) -> Self {
        let bytes = usize::try_from(layout.bitfield_length()).unwrap_or(usize::MAX);
        let bits = Bitfield::decode(vec![0; bytes], layout.pieces())
            .unwrap_or_else(|_| unreachable!("zeros of the right length"));
        Self { bits, count: 0 }
    }

    /// The set of all pieces, for a torrent of this layout.
    #[must_use]
    pub fn all(layout: &Layout) -> Self {
        let mut all = Self::none(layout);
        all.bits.fill();
        all.count = layout.pieces();
        all
    }

    /// Adds a piece. True if the piece exists in the torrent and was not in the set.
    pub fn insert(&mut self, piece: u32) -> bool {
        let is_new = self.bits.set(piece);
        self.count += u32::from(is_new);
        is_new
    }

    /// Whether the piece is in the set.
    #[must_use]
    pub fn has(&self, piece: u32) -> bool {
        self.bits.has(piece)
    }

    /// The number of pieces in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The number of pieces of the torrent, in the set or not.
    #[must_use]
    pub fn pieces(&self) -> u32 {
        self.bits.pieces()
    }

    /// Whether the set has all pieces.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.count == self.bits.pieces()
    }

    /// Whether the set has no piece.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The pieces in the set, in rising order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        self.bits.iter()
    }

    /// The set as the bitfield message carries it (BEP 3).
    #[must_use]
    pub fn bitfield(&self) -> &Bitfield<Vec<u8>> {
        &self.bits
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bits.as_bytes()
    }
}

/// The size of a torrent and of its pieces.
///
/// # Panics
/// Never: a [`Metainfo`] has at least one piece, and fewer than 2^32 of them.
#[must_use]
pub fn layout_of(metainfo: &Metainfo) -> Layout {
    Layout::new(metainfo.length(), metainfo.piece_length()).expect("a metainfo's pieces can be counted")
}

pub(crate) trait LayoutExt {
    /// The offset of a byte of a piece in the torrent.
    fn offset(&self, piece: u32, begin: u32) -> u64;
    /// Bytes of a piece; 0 if there is no such piece.
    fn length_of(&self, piece: usize) -> u64;
}

impl LayoutExt for Layout {
    fn offset(&self, piece: u32, begin: u32) -> u64 {
        // Only the last piece may be shorter.
        u64::from(piece) * u64::from(self.piece_length(0).unwrap_or(0)) + u64::from(begin)
    }

    fn length_of(&self, piece: usize) -> u64 {
        let length = u32::try_from(piece).ok().and_then(|piece| self.piece_length(piece));
        u64::from(length.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_each_piece_once() {
        let layout = Layout::new(10, 1).unwrap();
        let mut set = PieceSet::none(&layout);
        assert!(set.is_empty() && set.insert(3) && !set.insert(3) && !set.insert(10));
        assert_eq!((set.count(), set.iter().collect::<Vec<_>>()), (1, vec![3]));
        (0..10).for_each(|piece| assert_eq!(set.insert(piece), piece != 3));
        assert!(set.is_full() && set == PieceSet::all(&layout));
    }
}
