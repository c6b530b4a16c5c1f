//! The torrents of one shard.
//!
//! They are in buckets of ten or twenty, whose number grows and shrinks by one at a time. A bucket is one cache line: a
//! byte of each torrent's hash, called its mark, for as many torrents as there is room, and the list of the slots. So
//! a torrent is found with two memory accesses, to the marks and to the slot. The list grows in small steps, so it has
//! little unused room.

use torrent_ids::InfoHash;

use crate::hash::Hasher;
use crate::linear::{Buckets, Span};
use crate::memory::{allocated, list, reserve};
use crate::raw::prefetch;
use crate::swarm::Swarm;
use crate::{Totals, work};

/// Torrents that a bucket has on average just before the number of buckets grows. A bucket that is not yet divided has
/// up to twice as many.
const FULL: usize = 18;
/// Torrents that a bucket has on average just before the number of buckets shrinks: less than half of [`FULL`], so that
/// buckets are not divided and joined again and again.
const SPARSE: usize = 8;
/// The most torrents of one bucket, so that a search takes bounded time whatever torrents there are.
///
/// Without an attack it is not reached. A bucket that is not yet divided has at most 36 torrents on average. With a
/// pseudo-random hash, the number in it is binomial: the probability that it exceeds 128 is below
/// `exp(-(128 ln(128/36) - 128 + 36))`, which is less than 10^-30.
pub(crate) const MOST: usize = 128;
/// Marks in a bucket: the rest of a cache line. Of the buckets that are about to be divided, one in four has more
/// torrents; those without a mark are compared one by one.
const MARKS: usize = 64 - size_of::<Vec<u8>>();
/// By how many slots a list grows.
const STEP: usize = 4;
/// Torrents that nearly every bucket of a full table has.
const LIKELY: usize = 3 * STEP;

/// The largest number in three bytes.
pub(crate) const MOST_COMPLETED: u32 = (1 << 24) - 1;

/// A torrent's data.
#[derive(Debug)]
pub(crate) struct Slot<const N: usize> {
    pub(crate) torrent: InfoHash,
    completed: [u8; 3],
    pub(crate) swarm: Swarm<N>,
}

// Two in a cache line.
const _: () = assert!(size_of::<Slot<6>>() == 32 || size_of::<usize>() != 8);
const _: () = assert!(size_of::<Bucket<6>>() == 64);

impl<const N: usize> Slot<N> {
    /// Completed downloads.
    pub(crate) fn completed(&self) -> u32 {
        let [a, b, c] = self.completed;
        u32::from_le_bytes([a, b, c, 0])
    }

    /// Adds one, up to [`MOST_COMPLETED`].
    pub(crate) fn count_completed(&mut self) {
        self.set_completed(MOST_COMPLETED.min(self.completed() + 1));
    }

    /// Sets the count, which must be at most [`MOST_COMPLETED`].
    pub(crate) fn set_completed(&mut self, completed: u32) {
        let [a, b, c, _] = completed.to_le_bytes();
        self.completed = [a, b, c];
    }

    /// Whether nothing would be lost with it, or only the count of a torrent that was without peers for a lifetime.
    pub(crate) fn is_forgettable(&self, now: u32, peer_lifetime: u32) -> bool {
        let since = self.swarm.empty_since();
        since.is_some_and(|since| self.completed() == 0 || now.saturating_sub(since) > peer_lifetime)
    }
}

#[derive(Debug)]
#[repr(align(64))]
struct Bucket<const N: usize> {
    marks: [u8; MARKS],
    slots: Vec<Slot<N>>,
}

impl<const N: usize> Default for Bucket<N> {
    fn default() -> Self {
        Self { marks: [0; MARKS], slots: Vec::new() }
    }
}

/// The byte of a hash that buckets keep. The lowest bits select the bucket, the highest the shard.
fn mark(hash: u64) -> u8 {
    hash.to_le_bytes()[5]
}

impl<const N: usize> Bucket<N> {
    /// The positions whose mark is `mark`, as bits.
    fn marked(&self, mark: u8) -> u64 {
        const LOW: u64 = 0x7f7f_7f7f_7f7f_7f7f;
        let mut hits = 0;
        for (number, word) in self.marks.as_chunks::<8>().0.iter().enumerate() {
            // Bytes that equal the mark become zero, and then they alone have their highest bit set. The multiplication
            // gathers these bits in the highest byte.
            let word = u64::from_le_bytes(*word) ^ u64::from_ne_bytes([mark; 8]);
            let zeros = !(((word & LOW) + LOW) | word | LOW);
            hits |= ((zeros >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) << (number * 8);
        }
        hits
    }

    fn find(&self, mark: u8, torrent: &InfoHash) -> Option<usize> {
        let mut hits = self.marked(mark);
        while hits != 0 {
            let at = hits.trailing_zeros() as usize;
            hits &= hits - 1;
            work::count(1);
            if self.slots.get(at).is_some_and(|slot| slot.torrent == *torrent) {
                return Some(at);
            }
        }
        let rest = self.slots.get(MARKS..)?;
        work::count(rest.len());
        rest.iter().position(|slot| slot.torrent == *torrent).map(|at| MARKS + at)
    }

    /// The memory of the slots.
    fn bytes(&self) -> usize {
        allocated(self.slots.capacity() * size_of::<Slot<N>>())
    }

    /// Returns the position, or `None` if there is no memory.
    fn push(&mut self, slot: Slot<N>, mark: u8) -> Option<usize> {
        let at = self.slots.len();
        if at == self.slots.capacity() {
            work::count(at);
            reserve(&mut self.slots, STEP)?;
        }
        self.slots.push(slot);
        if let Some(room) = self.marks.get_mut(at) {
            *room = mark;
        }
        Some(at)
    }

    /// Removes a slot, and puts the last one in its place.
    fn remove(&mut self, at: usize, hasher: &Hasher) -> Slot<N> {
        let slot = self.slots.swap_remove(at);
        if let (true, Some(moved)) = (at < MARKS, self.slots.get(at)) {
            let last = self.slots.len();
            let known = self.marks.get(last).copied();
            self.marks[at] = known.unwrap_or_else(|| mark(hasher.hash(&moved.torrent.0)));
        }
        slot
    }

    /// Frees memory, except for room that growth may need.
    fn tighten(&mut self) {
        if self.slots.is_empty() {
            self.slots = Vec::new();
        } else if self.slots.len() + 2 * STEP <= self.slots.capacity() {
            work::count(self.slots.len());
            // Without memory for a shorter list, it stays as it is.
            if let Some(mut shorter) = list(self.slots.len() + STEP) {
                shorter.append(&mut self.slots);
                self.slots = shorter;
            }
        }
    }
}

/// Where a torrent is, until the next torrent of the table is added or removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Location {
    pub(crate) bucket: usize,
    pub(crate) slot: usize,
}

/// What to prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The marks, and where the slots are.
    Bucket,
    /// The torrent's slot.
    Slot,
    /// The first of its peers, if the slot doesn't hold them.
    Swarm,
    /// The other peers.
    Peers,
}

impl Stage {
    /// In their order.
    pub(crate) const ALL: [Self; 4] = [Self::Bucket, Self::Slot, Self::Swarm, Self::Peers];
}

#[derive(Debug)]
pub(crate) struct Table<const N: usize> {
    buckets: Buckets<Bucket<N>, 16>,
    torrents: usize,
    /// The memory of the slots and of the pages of buckets.
    bytes: usize,
    /// The bucket where torrents were last removed to make room.
    hand: u32,
}

impl<const N: usize> Table<N> {
    pub(crate) const fn new() -> Self {
        Self { buckets: Buckets::new(), torrents: 0, bytes: 0, hand: 0 }
    }

    /// Moves the hand to the next bucket.
    pub(crate) fn next_bucket(&mut self) -> usize {
        self.hand = self.hand.wrapping_add(1);
        if self.hand as usize >= self.buckets.len() {
            self.hand = 0;
        }
        self.hand as usize
    }

    /// The torrents of a bucket; none if there is no such bucket.
    pub(crate) fn slots_of(&self, bucket: usize) -> &[Slot<N>] {
        self.buckets.get(bucket).map_or(&[], |bucket| &bucket.slots)
    }

    /// The torrents, and the memory of the table. Their swarms are not included.
    pub(crate) fn totals(&self) -> Totals {
        Totals { torrents: self.torrents, peers: 0, seeders: 0, bytes: self.bytes }
    }

    pub(crate) fn find(&self, hash: u64, torrent: &InfoHash) -> Option<Location> {
        let bucket = self.buckets.of(hash);
        let slot = self.buckets.get(bucket)?.find(mark(hash), torrent)?;
        Some(Location { bucket, slot })
    }

    pub(crate) fn slot(&mut self, at: Location) -> &mut Slot<N> {
        &mut self.buckets.at_mut(at.bucket).slots[at.slot]
    }

    /// Inserts a torrent that is not there. Returns its location, or `None` when its bucket is full, or when there is no
    /// memory.
    pub(crate) fn insert(
        &mut self,
        hash: u64,
        torrent: InfoHash,
        now: u32,
        hasher: &Hasher,
    ) -> Option<Location> {
        if self.torrents >= self.buckets.len() * FULL {
            // Without memory, the buckets that there are get fuller.
            let _ = self.grow(hasher);
        }
        let bucket = self.buckets.of(hash);
        if self.buckets.get(bucket)?.slots.len() >= MOST {
            return None;
        }
        let slot = Slot { torrent, completed: [0; 3], swarm: Swarm::empty(now) };
        let slot = self.change(bucket, |bucket| bucket.push(slot, mark(hash)))?;
        self.torrents += 1;
        Some(Location { bucket, slot })
    }

    /// Changes the slots of a bucket, and counts the memory that this takes or frees.
    fn change<T>(&mut self, bucket: usize, change: impl FnOnce(&mut Bucket<N>) -> T) -> T {
        let bucket = self.buckets.at_mut(bucket);
        self.bytes -= bucket.bytes();
        let result = change(bucket);
        self.bytes += bucket.bytes();
        result
    }

    /// Removes a torrent. Only the slots of its bucket move. Call [`settle`](Self::settle) after it.
    pub(crate) fn remove(&mut self, at: Location, hasher: &Hasher) -> Slot<N> {
        self.torrents -= 1;
        self.buckets.at_mut(at.bucket).remove(at.slot, hasher)
    }

    /// Divides buckets, at most `steps` times, until there are as many as `torrents` need, and then makes room in the empty
    /// ones. So later they are not divided one by one. Returns whether all is done, as far as there is memory.
    pub(crate) fn prepare(&mut self, torrents: usize, steps: usize, hasher: &Hasher) -> bool {
        let enough = torrents / FULL;
        let missing = enough.saturating_sub(self.buckets.len());
        for _ in 0..steps.min(missing) {
            if self.grow(hasher).is_none() {
                return true;
            }
        }
        if missing > steps {
            return false;
        }
        for bucket in 0..enough {
            if self.buckets.at(bucket).slots.capacity() == 0 {
                let Some(empty) = list(LIKELY) else { return true };
                self.change(bucket, |bucket| bucket.slots = empty);
            }
        }
        true
    }

    /// Divides a bucket. `None` if there is no memory; then nothing has changed.
    fn grow(&mut self, hasher: &Hasher) -> Option<()> {
        let from = self.change_pages(Buckets::grow)?;
        let to = self.buckets.len() - 1;
        if from == to {
            return Some(());
        }
        let slots = &self.buckets.at(from).slots;
        work::count(slots.len());
        let mut hashes = [0; MOST];
        for (hash, slot) in hashes.iter_mut().zip(slots) {
            *hash = hasher.hash(&slot.torrent.0);
        }
        let hashes = &hashes[..slots.len()];
        let moving = hashes.iter().filter(|hash| self.buckets.of(**hash) == to).count();
        let Some(lists) = list(slots.len() - moving).zip(list(moving)) else {
            self.change_pages(Buckets::shrink);
            return None;
        };
        let all = self.change(from, std::mem::take);
        self.change(from, |bucket| bucket.slots = lists.0);
        self.change(to, |bucket| bucket.slots = lists.1);
        // In order, so that a sweep that stopped inside the bucket misses nothing.
        for (slot, hash) in all.slots.into_iter().zip(hashes) {
            let bucket = self.buckets.of(*hash);
            let at = self.buckets.at_mut(bucket).push(slot, mark(*hash));
            debug_assert!(at.is_some(), "there is room");
        }
        Some(())
    }

    /// Adds or removes a bucket, and counts the memory that this takes or frees.
    fn change_pages<T>(&mut self, change: impl FnOnce(&mut Buckets<Bucket<N>, 16>) -> T) -> T {
        self.bytes -= self.buckets.bytes();
        let result = change(&mut self.buckets);
        self.bytes += self.buckets.bytes();
        result
    }

    /// Makes the table smaller, after `removed` torrents were taken out of a bucket: by at most this many steps, and
    /// not while two buckets are too full to be joined.
    pub(crate) fn settle(&mut self, bucket: usize, removed: usize, hasher: &Hasher) {
        if removed > 0 {
            self.change(bucket, Bucket::tighten);
        }
        for _ in 0..removed {
            if self.torrents >= self.buckets.len() * SPARSE {
                return;
            }
            let Some((last, into)) = self.buckets.joins_next() else { return };
            let moving = self.buckets.at(last).slots.len();
            if moving + self.buckets.at(into).slots.len() > MOST {
                return;
            }
            if self.change(into, |into| reserve(&mut into.slots, moving)).is_none() {
                return;
            }
            let Some((bucket, into)) = self.change_pages(Buckets::shrink) else { return };
            self.bytes -= bucket.bytes();
            self.change(into, |into| {
                work::count(bucket.slots.len() + into.slots.len() + 1);
                for slot in bucket.slots {
                    let hash = hasher.hash(&slot.torrent.0);
                    let at = into.push(slot, mark(hash));
                    debug_assert!(at.is_some(), "there is room");
                }
            });
        }
    }

    /// Frees the last bucket of a table without torrents.
    pub(crate) fn free_if_empty(&mut self) {
        if self.torrents == 0 && self.buckets.len() == 1 {
            *self = Self::new();
        }
    }

    /// The span of a walk's place, and how many torrents its bucket has.
    pub(crate) fn span(&self, place: u64) -> (Span, usize) {
        let span = self.buckets.span(place);
        (span, self.buckets.get(span.bucket).map_or(0, |bucket| bucket.slots.len()))
    }

    /// The span of a walk's place, and its bucket's torrents.
    pub(crate) fn span_slots(&self, place: u64) -> (Span, &[Slot<N>]) {
        let span = self.buckets.span(place);
        (span, self.buckets.get(span.bucket).map_or(&[], |bucket| &bucket.slots))
    }

    /// Prefetches one stage of what an announce to a torrent will need. The memory of a stage is needed to find that of
    /// the next one. Returns whether there is a next stage.
    pub(crate) fn prefetch(&mut self, hash: u64, stage: Stage) -> bool {
        let Some(bucket) = self.bucket(hash) else { return false };
        if stage == Stage::Bucket {
            prefetch(bucket);
            return true;
        }
        // The first slot with that mark, which is seldom that of another torrent.
        let likely = bucket.marked(mark(hash)).trailing_zeros() as usize;
        let Some(slot) = bucket.slots.get(likely) else {
            // The torrent will be added after the others.
            if let Some(place) = bucket.slots.spare_capacity_mut().first() {
                prefetch(place);
            }
            return false;
        };
        match stage {
            Stage::Bucket | Stage::Slot => prefetch(slot),
            Stage::Swarm => return slot.swarm.prefetch(),
            Stage::Peers => slot.swarm.prefetch_rest(),
        }
        true
    }

    fn bucket(&mut self, hash: u64) -> Option<&mut Bucket<N>> {
        let bucket = self.buckets.of(hash);
        (bucket < self.buckets.len()).then(|| self.buckets.at_mut(bucket))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::torrent;

    fn insert(table: &mut Table<6>, hasher: &Hasher, number: u32) {
        let torrent = torrent(number);
        assert!(table.insert(hasher.hash(&torrent.0), torrent, 0, hasher).is_some());
    }

    fn is_there(table: &mut Table<6>, hasher: &Hasher, number: u32) -> bool {
        let torrent = torrent(number);
        let found = table.find(hasher.hash(&torrent.0), &torrent);
        found.is_some_and(|location| table.slot(location).torrent == torrent)
    }

    #[test]
    fn grows_and_shrinks_one_bucket_at_a_time() {
        let hasher = Hasher::with_key([5, 6]);
        let mut table = Table::<6>::new();
        for number in 0..20_000 {
            let before = table.buckets.len();
            insert(&mut table, &hasher, number);
            assert!(table.buckets.len() - before <= 1);
            assert!(is_there(&mut table, &hasher, number / 2));
        }
        assert_eq!(table.buckets.len(), 20_000usize.div_ceil(FULL));
        let slots: usize = (0..table.buckets.len()).map(|at| table.buckets.at(at).slots.capacity()).sum();
        assert!(slots < 20_000 * 5 / 4, "{slots}");
        for number in 0..20_000 {
            let hash = hasher.hash(&torrent(number).0);
            let location = table.find(hash, &torrent(number)).expect("not yet removed");
            table.remove(location, &hasher);
            let before = table.buckets.len();
            table.settle(location.bucket, 1, &hasher);
            assert!(before - table.buckets.len() <= 1);
            assert!(!is_there(&mut table, &hasher, number));
            assert!(number == 19_999 || is_there(&mut table, &hasher, 10_000.max(number + 1)));
        }
        assert_eq!((table.torrents, table.buckets.len()), (0, 1));
        assert_eq!(table.buckets.at(0).slots.len(), 0);
    }

    #[test]
    fn a_bucket_may_have_more_torrents_than_marks() {
        let hasher = Hasher::with_key([5, 6]);
        let mut bucket = Bucket::<6>::default();
        let marked = |number: u32| (mark(hasher.hash(&torrent(number).0)), torrent(number));
        for number in 0..100 {
            let (mark, torrent) = marked(number);
            let slot = Slot { torrent, completed: [0; 3], swarm: Swarm::empty(0) };
            assert_eq!(bucket.find(mark, &torrent), None);
            bucket.push(slot, mark).expect("memory");
        }
        // From the front, so that slots without a mark move to places that have one.
        for number in 0..100 {
            let (mark, torrent) = marked(number);
            let at = bucket.find(mark, &torrent).expect("not yet removed");
            assert_eq!(bucket.remove(at, &hasher).torrent, torrent);
            for number in number + 1..100 {
                let (mark, torrent) = marked(number);
                assert!(bucket.find(mark, &torrent).is_some());
            }
        }
    }

    #[test]
    fn marks_are_found_wherever_they_are() {
        let mut bucket = Bucket::<6>::default();
        for at in 0..MARKS {
            bucket.marks[at] = [0, 0x55, 0xaa, 0xff, 1][at % 5];
        }
        for mark in [0, 1, 0x54, 0x55, 0xaa, 0xff, 0xfe] {
            let expected =
                (0..MARKS).filter(|at| bucket.marks[*at] == mark).fold(0, |bits, at| bits | 1 << at);
            assert_eq!(bucket.marked(mark), expected);
        }
    }

    #[test]
    fn counts_completed_downloads_up_to_the_limit() {
        let mut slot =
            Slot::<6> { torrent: torrent(1), completed: [0xfe, 0xff, 0xff], swarm: Swarm::empty(0) };
        for _ in 0..3 {
            slot.count_completed();
            assert_eq!(slot.completed(), (1 << 24) - 1);
        }
    }
}
