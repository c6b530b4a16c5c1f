//! How much memory the stores take, how much they may take, and allocations that may fail.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize as Total;

use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// What an allocation of `len` bytes takes from the system: glibc's malloc adds 8 bytes of its own, and rounds up to 16
/// (on 64-bit platforms; the store allocates nothing below its minimum). Nothing is allocated for 0 bytes.
pub(crate) fn allocated(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16) }
}

/// What allocations of `bytes` take in all: glibc keeps gaps between them, freed and not used again. `examples/memory`
/// found 0 to 8 % in stores of a million peers and more, 6 % with 10 million torrents; 4 % is within 5 % of all of these.
pub(crate) const fn with_gaps(bytes: usize) -> usize {
    bytes + bytes / 24
}

/// A ceiling on the memory of one or more stores.
///
/// Stores that share one may fill it together, but none takes more than seven eighths: so a flood of one address family
/// doesn't lock out the other.
///
/// ```
/// use swarm_store::{Limits, Memory, SwarmStore};
///
/// let memory = Memory::up_to(64 << 20);
/// let v4 = SwarmStore::<6>::with_memory([1; 16], 2700, Limits::default(), &memory);
/// let v6 = SwarmStore::<18>::with_memory([2; 16], 2700, Limits::default(), &memory);
/// assert_eq!(memory.used(), v4.totals().bytes + v6.totals().bytes);
/// ```
#[derive(Clone, Debug)]
pub struct Memory(Arc<Shared>);

/// Separate from other data, because every store that grows changes it.
#[derive(Debug)]
#[repr(align(128))]
struct Shared {
    ceiling: usize,
    /// Without gaps.
    used: AtomicUsize,
}

impl Memory {
    /// No ceiling.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::up_to(usize::MAX)
    }

    /// A ceiling of this many bytes, as [`Totals::bytes`](crate::Totals::bytes) counts them. What one announce adds may
    /// exceed it by a 64th.
    #[must_use]
    pub fn up_to(bytes: usize) -> Self {
        Self(Arc::new(Shared { ceiling: bytes, used: AtomicUsize::new(0) }))
    }

    /// Bytes that the stores have together.
    #[must_use]
    pub fn used(&self) -> usize {
        with_gaps(self.0.used.load(Relaxed))
    }

    /// The most bytes; `usize::MAX` without a ceiling.
    #[must_use]
    pub fn ceiling(&self) -> usize {
        self.0.ceiling
    }

    /// The most bytes of one store.
    pub(crate) fn ceiling_of_one(&self) -> usize {
        self.0.ceiling - self.0.ceiling / 8
    }

    /// Counts `bytes` more, or less if the sum wraps.
    pub(crate) fn add(&self, bytes: usize) {
        self.0.used.fetch_add(bytes, Relaxed);
    }
}

static FAILED: Total = Total::new(0);

/// How often the allocator had no memory for a store of this process. What needed it was refused as if the store were
/// full. Other parts of the program will soon not get memory either, and Rust ends a program for that: so end it in
/// order, as soon as this is not 0.
#[must_use]
pub fn failed_allocations() -> usize {
    FAILED.load(Relaxed)
}

fn failed<E>(_: E) {
    FAILED.fetch_add(1, Relaxed);
}

/// An empty list with room for `len` items. `None` if there is no memory.
pub(crate) fn list<T>(len: usize) -> Option<Vec<T>> {
    let mut list = Vec::new();
    reserve(&mut list, len)?;
    Some(list)
}

/// Makes room for `more` items. `None` if there is no memory.
pub(crate) fn reserve<T>(list: &mut Vec<T>, more: usize) -> Option<()> {
    list.try_reserve_exact(more).map_err(failed).ok()
}

/// An array on the heap. `None` if there is no memory.
pub(crate) fn boxed<T, const LEN: usize>(mut item: impl FnMut() -> T) -> Option<Box<[T; LEN]>> {
    let mut items = list(LEN)?;
    items.extend(std::iter::repeat_with(&mut item).take(LEN));
    items.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allocation_that_fails_is_counted_and_does_not_abort() {
        let before = failed_allocations();
        assert!(list::<u64>(usize::MAX / 16).is_none());
        assert!(list::<u64>(usize::MAX).is_none());
        assert_eq!(failed_allocations(), before + 2);
        assert_eq!(boxed::<_, 3>(|| 7u8).as_deref(), Some(&[7; 3]));
    }
}
