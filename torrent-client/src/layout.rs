//! Where a torrent's pieces lie among its octets.

use peer_wire_proto::Layout;
use torrent_metainfo::Metainfo;

/// The size of a torrent and of its pieces.
///
/// # Panics
/// Never: a [`Metainfo`] has pieces, and as many hashes as there are, which are fewer than 2^32.
#[must_use]
pub fn layout_of(metainfo: &Metainfo) -> Layout {
    Layout::new(metainfo.length(), metainfo.piece_length()).expect("a metainfo's pieces can be counted")
}

pub(crate) trait LayoutExt {
    /// Where an octet of a piece stands in the torrent.
    fn offset(&self, piece: u32, begin: u32) -> u64;
    /// Octets of a piece; 0 if there is no such.
    fn length_of(&self, piece: usize) -> u64;
}

impl LayoutExt for Layout {
    fn offset(&self, piece: u32, begin: u32) -> u64 {
        // All pieces before another one are full ones.
        u64::from(piece) * u64::from(self.piece_length(0).unwrap_or(0)) + u64::from(begin)
    }

    fn length_of(&self, piece: usize) -> u64 {
        let length = u32::try_from(piece).ok().and_then(|piece| self.piece_length(piece));
        u64::from(length.unwrap_or(0))
    }
}
