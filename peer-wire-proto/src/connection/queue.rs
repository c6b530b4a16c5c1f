//! A queue of requests of fixed capacity, in the order in which they were made, each at most once.

use core::fmt;

use crate::block::Block;

/// The state of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// To be answered.
    Open,
    /// A cancelled request of the local side that the peer still has to answer (BEP 6).
    Cancelled,
    /// A request of the peer for which a reject is still to be sent; or one of the local side whose loss is still to be
    /// reported to the caller.
    Refused,
}

#[derive(Clone, Copy, PartialEq, Eq)]
struct Entry {
    block: Block,
    mark: Mark,
}

/// Up to `N` requests. Finding or removing one is O(`N`), over contiguous memory; most answers come in the order of the
/// requests, so the one wanted is near the front.
pub(super) struct Queue<const N: usize> {
    entries: [Entry; N],
    len: usize,
}

impl<const N: usize> Queue<N> {
    pub(super) const fn new() -> Self {
        let unused = Entry { block: Block { index: 0, begin: 0, length: 0 }, mark: Mark::Open };
        Self { entries: [unused; N], len: 0 }
    }

    fn entries(&self) -> &[Entry] {
        &self.entries[..self.len]
    }

    /// Requests of any mark.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn is_full(&self) -> bool {
        self.len == N
    }

    /// The requests that are to be answered, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = Block> {
        self.entries().iter().filter(|entry| entry.mark == Mark::Open).map(|entry| entry.block)
    }

    /// The oldest request with that mark.
    pub(super) fn first(&self, mark: Mark) -> Option<Block> {
        self.entries().iter().find(|entry| entry.mark == mark).map(|entry| entry.block)
    }

    pub(super) fn contains(&self, block: Block, mark: Mark) -> bool {
        self.entries().contains(&Entry { block, mark })
    }

    /// False, and nothing changed, if there is no room.
    pub(super) fn push(&mut self, block: Block, mark: Mark) -> bool {
        let room = self.entries.get_mut(self.len);
        let pushed = room.map(|entry| *entry = Entry { block, mark }).is_some();
        self.len += usize::from(pushed);
        pushed
    }

    /// True if the request was there, with that mark.
    pub(super) fn remove(&mut self, block: Block, mark: Mark) -> bool {
        let at = self.entries().iter().position(|entry| *entry == Entry { block, mark });
        if let Some(at) = at {
            self.entries.copy_within(at + 1..self.len, at);
            self.len -= 1;
        }
        at.is_some()
    }

    /// Changes the mark of one open request. True if there was one.
    pub(super) fn mark(&mut self, block: Block, mark: Mark) -> bool {
        let open = Entry { block, mark: Mark::Open };
        let entry = self.entries[..self.len].iter_mut().find(|entry| **entry == open);
        entry.map(|entry| entry.mark = mark).is_some()
    }

    /// Marks every open request whose piece is not `kept` as refused, and returns how many those are.
    pub(super) fn refuse_all(&mut self, kept: impl Fn(u32) -> bool) -> usize {
        let open = self.entries[..self.len].iter_mut().filter(|entry| entry.mark == Mark::Open);
        open.filter(|entry| !kept(entry.block.index)).map(|entry| entry.mark = Mark::Refused).count()
    }

    pub(super) fn clear(&mut self) {
        self.len = 0;
    }
}

impl<const N: usize> fmt::Debug for Queue<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.entries().iter().map(|entry| (entry.block, entry.mark))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(index: u32) -> Block {
        Block { index, begin: 0, length: 1 }
    }

    #[test]
    fn keeps_the_order_around_a_removal() {
        let mut queue = Queue::<3>::new();
        for index in 0..3 {
            assert!(queue.push(block(index), Mark::Open));
        }
        assert!(queue.is_full());
        assert!(!queue.push(block(3), Mark::Open));
        assert!(queue.remove(block(1), Mark::Open));
        assert!(!queue.remove(block(1), Mark::Open));
        assert!(queue.push(block(3), Mark::Open));
        assert!(queue.open().eq([block(0), block(2), block(3)]));
        assert!(queue.remove(block(3), Mark::Open));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn requests_are_found_by_their_mark() {
        let mut queue = Queue::<4>::new();
        for index in 0..4 {
            queue.push(block(index), Mark::Open);
        }
        assert!(queue.mark(block(3), Mark::Cancelled));
        assert!(!queue.mark(block(3), Mark::Cancelled));
        assert_eq!(queue.refuse_all(|index| index == 1), 2);
        assert!(queue.open().eq([block(1)]));
        assert_eq!(queue.first(Mark::Refused), Some(block(0)));
        assert!(queue.contains(block(3), Mark::Cancelled));
        assert!(!queue.contains(block(3), Mark::Open));
        queue.clear();
        assert_eq!((queue.len(), queue.first(Mark::Refused)), (0, None));
    }

    #[test]
    fn a_queue_of_capacity_0_is_always_full() {
        let mut queue = Queue::<0>::new();
        assert!(queue.is_full());
        assert!(!queue.push(block(0), Mark::Open));
    }
}
