//! Linear hashing: buckets whose number grows and shrinks by one at a time.
//!
//! With `len` buckets, a hash belongs to the one that its lowest bits name: as many bits as name them all, or one less
//! where that would name one that isn't there. To grow, one bucket's contents are divided between it and a new last
//! one; to shrink, the last one's go back to where they came from. Nothing else moves, and no step is longer in a large
//! table than in a small one.
//!
//! # A walk through what grows
//! Read backwards, from the lowest bit to the highest, the hashes that belong to one bucket are neighbours: it has a
//! span of that order. Growing divides a span, shrinking joins two that are neighbours. So whoever goes through the
//! buckets span by span, and remembers the place in that order instead of the bucket, misses nothing that was there all
//! the time, however the table grows and shrinks meanwhile.

/// Buckets, in pages of `PAGE` so that their array never moves; empty, unused ones are left at their default.
#[derive(Debug)]
pub(crate) struct Buckets<T, const PAGE: usize> {
    pages: Vec<Box<[T; PAGE]>>,
    len: usize,
}

/// Which hashes belong to a bucket, in the order of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) bucket: usize,
    /// How many bits of the hash decide. More of them make a shorter span.
    pub(crate) bits: u32,
    /// Where the next span begins, if this isn't the last.
    pub(crate) next: Option<u64>,
}

impl Span {
    /// Whether a place within it is its first.
    pub(crate) fn begins_at(&self, place: u64) -> bool {
        place.checked_shl(self.bits).unwrap_or(0) == 0
    }
}

impl<T: Default, const PAGE: usize> Buckets<T, PAGE> {
    pub(crate) const fn new() -> Self {
        Self { pages: Vec::new(), len: 0 }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// The bucket that a hash belongs to; 0 also when there is none.
    pub(crate) fn of(&self, hash: u64) -> usize {
        let mask = self.len.next_power_of_two() - 1;
        let bucket = usize::try_from(hash & mask as u64).unwrap_or(mask); // never larger than the mask
        if bucket < self.len { bucket } else { bucket & (mask >> 1) }
    }

    pub(crate) fn get(&self, bucket: usize) -> Option<&T> {
        self.pages.get(bucket / PAGE).map(|page| &page[bucket % PAGE])
    }

    /// One that is there.
    pub(crate) fn at(&self, bucket: usize) -> &T {
        &self.pages[bucket / PAGE][bucket % PAGE]
    }

    /// One that is there.
    pub(crate) fn at_mut(&mut self, bucket: usize) -> &mut T {
        &mut self.pages[bucket / PAGE][bucket % PAGE]
    }

    /// Adds a bucket. What is in the one returned is to be taken out and put where it belongs now: there, or into the
    /// new last one. The first bucket is returned itself.
    pub(crate) fn grow(&mut self) -> usize {
        let new = self.len;
        if new / PAGE == self.pages.len() {
            self.pages.push(Box::new(std::array::from_fn(|_| T::default())));
        }
        self.len += 1;
        Self::origin(new)
    }

    /// The last bucket, and the one that [`shrink`](Self::shrink) would join it with. None when there is but one.
    pub(crate) fn joins_next(&self) -> Option<(usize, usize)> {
        let last = self.len.checked_sub(1).filter(|last| *last > 0)?;
        Some((last, Self::origin(last)))
    }

    /// Takes the last bucket away: what was in it, and the bucket where that belongs now. Not when there is but one.
    pub(crate) fn shrink(&mut self) -> Option<(T, usize)> {
        let (last, into) = self.joins_next()?;
        let contents = std::mem::take(self.at_mut(last));
        self.len = last;
        // One page is kept in reserve, for growth that follows.
        self.pages.truncate(last.div_ceil(PAGE) + 1);
        Some((contents, into))
    }

    /// The bucket that was divided for this one.
    fn origin(bucket: usize) -> usize {
        bucket.checked_ilog2().map_or(0, |highest| bucket - (1 << highest))
    }

    /// The span around a place in the order of a walk, which begins at 0.
    pub(crate) fn span(&self, place: u64) -> Span {
        let bucket = self.of(place.reverse_bits());
        let all = self.len.next_power_of_two();
        let divided = bucket + all / 2 < self.len || bucket >= all / 2;
        let bits = if divided { all.ilog2() } else { all.ilog2() - 1 };
        let next = match bits {
            0 => None,
            bits => (place >> (64 - bits)).checked_add(1).filter(|next| next >> bits == 0),
        };
        Span { bucket, bits, next: next.map(|next| next << (64 - bits)) }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    type Few = Buckets<Vec<u64>, 4>;

    fn grow(buckets: &mut Few) {
        let from = buckets.grow();
        for hash in std::mem::take(buckets.at_mut(from)) {
            let to = buckets.of(hash);
            assert!(to == from || to == buckets.len() - 1);
            buckets.at_mut(to).push(hash);
        }
    }

    fn shrink(buckets: &mut Few) {
        if let Some((contents, into)) = buckets.shrink() {
            assert!(contents.iter().all(|hash| buckets.of(*hash) == into));
            buckets.at_mut(into).extend(contents);
        }
    }

    fn hashes() -> impl Iterator<Item = u64> {
        (1..1000u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn filled() -> Few {
        let mut buckets = Few::new();
        buckets.grow();
        buckets.at_mut(0).extend(hashes());
        buckets
    }

    #[test]
    fn each_is_where_it_belongs_at_any_size() {
        let mut buckets = filled();
        let there = |buckets: &Few| hashes().all(|hash| buckets.at(buckets.of(hash)).contains(&hash));
        for len in 2..100 {
            grow(&mut buckets);
            assert_eq!(buckets.len(), len);
            assert!(there(&buckets));
        }
        for len in (1..99).rev() {
            shrink(&mut buckets);
            assert_eq!(buckets.len(), len);
            assert!(there(&buckets));
        }
        shrink(&mut buckets);
        assert_eq!((buckets.len(), buckets.pages.len()), (1, 2));
    }

    #[test]
    fn spans_go_round_once() {
        let mut buckets = Few::new();
        for len in 1..100 {
            buckets.grow();
            let mut visited = vec![false; len];
            let mut place = Some(0);
            while let Some(at) = place {
                let span = buckets.span(at);
                assert!(!std::mem::replace(&mut visited[span.bucket], true));
                place = span.next;
            }
            assert!(visited.iter().all(|visited| *visited), "{len}");
        }
    }

    #[test]
    fn a_walk_misses_nothing_while_it_grows_and_shrinks() {
        for seed in 1..50u64 {
            let mut buckets = filled();
            let mut dice = seed;
            let mut seen = BTreeSet::<u64>::new();
            let mut place = Some(0);
            while let Some(at) = place {
                let span = buckets.span(at);
                seen.extend(buckets.at(span.bucket).iter().copied());
                place = span.next;
                dice = dice.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(seed);
                let growing = (dice >> 40) % 16 < 9;
                for _ in 0..dice >> 61 {
                    if growing { grow(&mut buckets) } else { shrink(&mut buckets) }
                }
            }
            assert_eq!(seen.len(), hashes().count());
        }
    }
}
