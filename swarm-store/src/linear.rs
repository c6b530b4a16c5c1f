//! Linear hashing: buckets whose number grows and shrinks by one at a time.
//!
//! With `len` buckets, the lowest bits of a hash select its bucket: as many bits as the numbers of the buckets have, or
//! one fewer if that would select a bucket that does not exist. To grow, the contents of one bucket are divided between
//! it and a new last one. To shrink, the contents of the last bucket return to where they came from. Nothing else
//! moves, and no step takes longer in a large table than in a small one.
//!
//! # A walk through a growing table
//! Consider hashes in the order of their bits read backwards, from the lowest to the highest. In this order, the hashes
//! of one bucket are consecutive: they are a span. Growing divides a span, and shrinking joins two neighbouring spans.
//! So a walk that goes from span to span, and remembers its place in that order instead of the bucket, visits
//! everything that is there all the time, however the table grows and shrinks.

use crate::memory::{allocated, boxed, reserve};

/// Buckets, in pages of `PAGE`, so that a page never moves. Empty, unused buckets keep their default.
#[derive(Debug)]
pub(crate) struct Buckets<T, const PAGE: usize> {
    pages: Vec<Box<[T; PAGE]>>,
    len: usize,
}

/// The hashes of a bucket, in the order of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) bucket: usize,
    /// How many bits of the hash select the bucket. More bits make a shorter span.
    pub(crate) bits: u32,
    /// Where the next span begins, unless this is the last.
    pub(crate) next: Option<u64>,
}

impl Span {
    /// Whether a place is the first one of the span.
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

    /// The memory of the pages. That of the contents is not included.
    pub(crate) fn bytes(&self) -> usize {
        let directory = allocated(self.pages.capacity() * size_of::<Box<[T; PAGE]>>());
        directory + self.pages.len() * allocated(size_of::<[T; PAGE]>())
    }

    /// The bucket of a hash; 0 also when there is no bucket.
    pub(crate) fn of(&self, hash: u64) -> usize {
        let mask = self.len.next_power_of_two() - 1;
        let bucket = usize::try_from(hash & mask as u64).unwrap_or(mask); // never larger than the mask
        if bucket < self.len { bucket } else { bucket & (mask >> 1) }
    }

    pub(crate) fn get(&self, bucket: usize) -> Option<&T> {
        self.pages.get(bucket / PAGE).map(|page| &page[bucket % PAGE])
    }

    /// A bucket that exists.
    pub(crate) fn at(&self, bucket: usize) -> &T {
        &self.pages[bucket / PAGE][bucket % PAGE]
    }

    /// A bucket that exists.
    pub(crate) fn at_mut(&mut self, bucket: usize) -> &mut T {
        &mut self.pages[bucket / PAGE][bucket % PAGE]
    }

    /// Adds a bucket. The caller must take the contents out of the returned bucket and put each where it belongs now:
    /// there, or into the new last one. When the first bucket is added, it is returned itself. `None` if there is no memory.
    pub(crate) fn grow(&mut self) -> Option<usize> {
        let new = self.len;
        if new / PAGE == self.pages.len() {
            let page = boxed(T::default)?;
            if self.pages.len() == self.pages.capacity() {
                // As much again, so that pages are seldom moved.
                let more = self.pages.len().max(4);
                reserve(&mut self.pages, more)?;
            }
            self.pages.push(page);
        }
        self.len += 1;
        Some(Self::origin(new))
    }

    /// The last bucket, and the one that [`shrink`](Self::shrink) joins it with. `None` when there is only one.
    pub(crate) fn joins_next(&self) -> Option<(usize, usize)> {
        let last = self.len.checked_sub(1).filter(|last| *last > 0)?;
        Some((last, Self::origin(last)))
    }

    /// Removes the last bucket. Returns its contents, and the bucket where they belong now. `None` when there is only
    /// one.
    pub(crate) fn shrink(&mut self) -> Option<(T, usize)> {
        let (last, into) = self.joins_next()?;
        let contents = std::mem::take(self.at_mut(last));
        self.len = last;
        // One page is kept in reserve, for growth that follows.
        self.pages.truncate(last.div_ceil(PAGE) + 1);
        Some((contents, into))
    }

    /// The bucket that was divided to make this one.
    fn origin(bucket: usize) -> usize {
        bucket.checked_ilog2().map_or(0, |highest| bucket - (1 << highest))
    }

    /// The span that contains a place in the order of a walk, which begins at 0.
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
        let from = buckets.grow().expect("memory");
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
        buckets.grow().expect("memory");
        buckets.at_mut(0).extend(hashes());
        buckets
    }

    #[test]
    fn each_hash_is_in_its_bucket_at_any_size() {
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
            buckets.grow().expect("memory");
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
    fn a_walk_misses_nothing_while_the_table_grows_and_shrinks() {
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
