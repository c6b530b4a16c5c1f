//! The pieces that may be requested despite a choke (BEP 6, "allowed fast").

/// Pieces that a connection remembers as allowed fast, in each direction.
///
/// BEP 6 proposes sets of 10, libtorrent allows 5. Pieces that a peer allows beyond 16 are reported as events but not
/// remembered, so that a connection has a fixed size.
pub const ALLOWED_FAST: usize = 16;

/// A set of up to [`ALLOWED_FAST`] pieces.
#[derive(Debug)]
pub(super) struct AllowedSet {
    pieces: [u32; ALLOWED_FAST],
    len: usize,
}

impl AllowedSet {
    pub(super) const fn new() -> Self {
        Self { pieces: [0; ALLOWED_FAST], len: 0 }
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        self.pieces[..self.len].contains(&index)
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == ALLOWED_FAST
    }

    /// Does nothing if the piece is in the set already, or if the set is full.
    pub(super) fn insert(&mut self, index: u32) {
        if !self.contains(index)
            && let Some(room) = self.pieces.get_mut(self.len)
        {
            *room = index;
            self.len += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_each_piece_once_up_to_its_capacity() {
        let mut set = AllowedSet::new();
        for index in (0..20).flat_map(|index| [index, index]) {
            set.insert(index);
        }
        assert!(set.is_full());
        assert!(set.contains(0));
        assert!(set.contains(15));
        assert!(!set.contains(16));
    }
}
