//! The pieces that may be begun, rarest first.

use rand::RngExt;
use rand::rngs::StdRng;

/// The position of a piece that is not listed.
const NOWHERE: usize = usize::MAX;

/// Pieces that may be begun, rarest first. Equally rare pieces are in random order: if all peers took the same piece
/// next, they would have nothing to exchange.
///
/// The list is one array, divided into buckets of pieces that the same number of peers have. Adding or removing a piece
/// takes one swap for each bucket above it: at most as many as there are peers, independent of the number of pieces.
#[derive(Debug)]
pub(super) struct Rarity {
    /// For each piece, the number of peers that have it. Peers with all pieces are not counted, because they don't
    /// change the order.
    peers: Vec<usize>,
    order: Vec<u32>,
    /// The position of each piece in `order`, or [`NOWHERE`].
    position: Vec<usize>,
    /// The end of each bucket in `order`; the last one ends where `order` does.
    ends: Vec<usize>,
}

impl Rarity {
    /// A list without pieces; no peer has any piece.
    pub(super) fn new(pieces: u32) -> Self {
        let pieces = at(pieces);
        Self { peers: vec![0; pieces], order: Vec::new(), position: vec![NOWHERE; pieces], ends: vec![0] }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Peers that have the piece.
    pub(super) fn peers(&self, piece: u32) -> usize {
        self.peers[at(piece)]
    }

    /// One more peer has the piece.
    pub(super) fn gained(&mut self, piece: u32, rng: &mut StdRng) {
        let listed = self.unlist(piece);
        self.peers[at(piece)] += 1;
        if listed {
            self.list(piece, rng);
        }
    }

    /// One fewer peer has the piece.
    pub(super) fn lost(&mut self, piece: u32, rng: &mut StdRng) {
        let listed = self.unlist(piece);
        self.peers[at(piece)] = self.peers[at(piece)].saturating_sub(1);
        if listed {
            self.list(piece, rng);
        }
    }

    /// The piece may be begun.
    pub(super) fn list(&mut self, piece: u32, rng: &mut StdRng) {
        if self.position[at(piece)] != NOWHERE {
            return;
        }
        let bucket = self.peers[at(piece)];
        let full = self.order.len();
        if self.ends.len() <= bucket {
            self.ends.resize(bucket + 1, full);
        }
        // The new place at the end moves down to the bucket: each bucket above moves its first item to its end.
        let mut gap = full;
        self.order.push(piece);
        for above in (bucket + 1..self.ends.len()).rev() {
            let first = self.ends[above - 1];
            self.shift(first, gap);
            gap = first;
            self.ends[above] += 1;
        }
        let first = if bucket == 0 { 0 } else { self.ends[bucket - 1] };
        self.ends[bucket] += 1;
        let place = rng.random_range(first..=gap);
        self.shift(place, gap);
        self.put(place, piece);
    }

    /// The piece is begun, or not wanted any more. True if it was listed.
    pub(super) fn unlist(&mut self, piece: u32) -> bool {
        let mut gap = self.position[at(piece)];
        if gap == NOWHERE {
            return false;
        }
        for bucket in self.peers[at(piece)]..self.ends.len() {
            self.ends[bucket] -= 1;
            let last = self.ends[bucket];
            self.shift(last, gap);
            gap = last;
        }
        self.order.pop();
        self.position[at(piece)] = NOWHERE;
        true
    }

    /// The rarest listed piece for which `has` returns true.
    pub(super) fn rarest(&self, has: impl Fn(u32) -> bool) -> Option<u32> {
        self.order.iter().copied().find(|piece| has(*piece))
    }

    /// A random listed piece for which `has` returns true.
    pub(super) fn any(&self, has: impl Fn(u32) -> bool, rng: &mut StdRng) -> Option<u32> {
        if self.order.is_empty() {
            return None;
        }
        let (before, behind) = self.order.split_at(rng.random_range(..self.order.len()));
        behind.iter().chain(before).copied().find(|piece| has(*piece))
    }

    /// Moves the item at `from` into the gap, unless they are the same place.
    fn shift(&mut self, from: usize, gap: usize) {
        if from != gap {
            self.put(gap, self.order[from]);
        }
    }

    fn put(&mut self, place: usize, piece: u32) {
        self.order[place] = piece;
        self.position[at(piece)] = place;
    }
}

fn at(piece: u32) -> usize {
    usize::try_from(piece).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Gained(u32),
        Lost(u32),
        List(u32),
        Unlist(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        let piece = 0..12_u32;
        prop_oneof![
            piece.clone().prop_map(Step::Gained),
            piece.clone().prop_map(Step::Lost),
            piece.clone().prop_map(Step::List),
            piece.prop_map(Step::Unlist),
        ]
    }

    proptest! {
        /// Compares with sets and counters.
        #[test]
        fn keeps_pieces_ordered_by_rarity(steps in proptest::collection::vec(step(), 0..200)) {
            let mut rng = StdRng::seed_from_u64(1);
            let mut rarity = Rarity::new(12);
            let (mut listed, mut peers) = (BTreeSet::new(), [0_usize; 12]);
            for step in steps {
                match step {
                    Step::Gained(piece) => { rarity.gained(piece, &mut rng); peers[at(piece)] += 1; }
                    Step::Lost(piece) => {
                        rarity.lost(piece, &mut rng);
                        peers[at(piece)] = peers[at(piece)].saturating_sub(1);
                    }
                    Step::List(piece) => { rarity.list(piece, &mut rng); listed.insert(piece); }
                    Step::Unlist(piece) => prop_assert_eq!(rarity.unlist(piece), listed.remove(&piece)),
                }
                prop_assert_eq!(rarity.order.iter().copied().collect::<BTreeSet<_>>(), listed.clone());
                prop_assert_eq!(rarity.order.len(), listed.len());
                prop_assert!(rarity.order.is_sorted_by_key(|piece| peers[at(*piece)]));
                let odd = rarity.rarest(|piece| piece % 2 == 1);
                let fewest = listed.iter().filter(|piece| *piece % 2 == 1).map(|piece| peers[at(*piece)]).min();
                prop_assert_eq!(odd.map(|piece| peers[at(piece)]), fewest);
            }
        }
    }

    #[test]
    fn equally_rare_pieces_are_in_random_order() {
        let mut rng = StdRng::seed_from_u64(2);
        let firsts: BTreeSet<_> = (0..64)
            .map(|_| {
                let mut rarity = Rarity::new(8);
                (0..8).for_each(|piece| rarity.list(piece, &mut rng));
                rarity.rarest(|_| true)
            })
            .collect();
        assert_eq!(firsts.len(), 8);
    }
}
