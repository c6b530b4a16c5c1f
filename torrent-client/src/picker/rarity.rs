//! Which pieces are rare: those that may be begun, in the order of how few peers have them.

use rand::RngExt;
use rand::rngs::StdRng;

/// Where a piece stands that is not listed.
const NOWHERE: usize = usize::MAX;

/// Pieces that may be begun, rarest first, those that are equally rare in random order: peers that all took the same one
/// next would have nothing to give each other.
///
/// The list is one array, cut into buckets of pieces that equally many peers have. A piece gets into a bucket, or out of
/// it, by one swap for each bucket above: at most as many as there are peers, however many pieces there are.
#[derive(Debug)]
pub(super) struct Rarity {
    /// Of each piece, the peers that have it; peers with all pieces are left out, as they change no order.
    peers: Vec<usize>,
    order: Vec<u32>,
    /// Where each piece stands in `order`, or [`NOWHERE`].
    position: Vec<usize>,
    /// Where each bucket ends in `order`; the last one ends where `order` does.
    ends: Vec<usize>,
}

impl Rarity {
    /// No peer has any piece, and no piece is listed.
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

    /// One peer less has the piece.
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
        // A gap at the end wanders down to the bucket: each bucket above gives its first place and takes the gap.
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

    /// The rarest listed piece for which `has` says yes.
    pub(super) fn rarest(&self, has: impl Fn(u32) -> bool) -> Option<u32> {
        self.order.iter().copied().find(|piece| has(*piece))
    }

    /// Any listed piece for which `has` says yes.
    pub(super) fn any(&self, has: impl Fn(u32) -> bool, rng: &mut StdRng) -> Option<u32> {
        if self.order.is_empty() {
            return None;
        }
        let (before, behind) = self.order.split_at(rng.random_range(..self.order.len()));
        behind.iter().chain(before).copied().find(|piece| has(*piece))
    }

    /// Moves what stands at `from` into the gap; nothing, if the gap is there.
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
        /// Against sets and counters.
        #[test]
        fn is_always_in_order(steps in proptest::collection::vec(step(), 0..200)) {
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
    fn equals_come_in_random_order() {
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
