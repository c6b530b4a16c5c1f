//! Finds the peers whose blocks made a piece fail its hash check.

use std::collections::{BTreeMap, BTreeSet};

use crate::pieces::{BlockDigest, PeerKey};

/// The most failed versions of a piece kept for comparison.
const ATTEMPTS_PER_PIECE: usize = 4;
/// The most pieces with failed versions: peers that send wrong blocks must not fill the memory.
const PIECES: usize = 64;

/// A version of a piece that failed the hash check.
#[derive(Debug)]
struct Attempt {
    /// For each block, the peer that sent it and its digest.
    blocks: Vec<(PeerKey, BlockDigest)>,
}

/// Failed pieces whose culprit is not found yet.
///
/// A peer that sent all blocks of a bad piece is the culprit. If several peers sent blocks, the piece is downloaded
/// again, from one peer alone. Either that peer is found to be the culprit, or its good blocks show which of the
/// earlier blocks were bad.
#[derive(Debug, Default)]
pub(super) struct Blame {
    attempts: BTreeMap<u32, Vec<Attempt>>,
}

impl Blame {
    /// Whether to return the digests of the piece's blocks even if its hash is right.
    pub(super) fn suspects(&self, piece: u32) -> bool {
        self.attempts.contains_key(&piece)
    }

    /// The piece was bad. Returns the peers to ban; none if several peers sent blocks of it.
    pub(super) fn bad(&mut self, piece: u32, blocks: Vec<(PeerKey, BlockDigest)>) -> BTreeSet<PeerKey> {
        let senders: BTreeSet<PeerKey> = blocks.iter().map(|(peer, _)| *peer).collect();
        if senders.len() > 1 && (self.attempts.len() < PIECES || self.suspects(piece)) {
            let attempts = self.attempts.entry(piece).or_default();
            if attempts.len() < ATTEMPTS_PER_PIECE {
                attempts.push(Attempt { blocks });
            }
        }
        if senders.len() == 1 { senders } else { BTreeSet::new() }
    }

    /// The piece is good. Returns the peers that sent different blocks before.
    pub(super) fn good(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        let attempts = self.attempts.remove(&piece).unwrap_or_default();
        let compared = attempts.iter().flat_map(|attempt| attempt.blocks.iter().zip(digests));
        compared.filter(|((_, sent), good)| sent != *good).map(|((peer, _), _)| *peer).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HONEST: PeerKey = PeerKey(1);
    const LIAR: PeerKey = PeerKey(2);

    #[test]
    fn the_only_sender_of_a_bad_piece_is_the_culprit() {
        let mut blame = Blame::default();
        assert_eq!(blame.bad(0, vec![(LIAR, [0; 20]), (LIAR, [1; 20])]), BTreeSet::from([LIAR]));
        assert!(!blame.suspects(0));
    }

    #[test]
    fn good_blocks_identify_the_bad_ones() {
        let mut blame = Blame::default();
        assert!(blame.bad(3, vec![(HONEST, [0; 20]), (LIAR, [9; 20])]).is_empty());
        assert!(blame.suspects(3));
        assert_eq!(blame.good(3, &[[0; 20], [1; 20]]), BTreeSet::from([LIAR]));
        assert!(!blame.suspects(3));
    }

    #[test]
    fn the_number_of_failed_versions_is_bounded() {
        let mut blame = Blame::default();
        for piece in 0..1000 {
            for _ in 0..10 {
                blame.bad(piece, vec![(HONEST, [0; 20]), (LIAR, [9; 20])]);
            }
        }
        assert_eq!(blame.attempts.len(), PIECES);
        assert!(blame.attempts.values().all(|attempts| attempts.len() == ATTEMPTS_PER_PIECE));
    }
}
