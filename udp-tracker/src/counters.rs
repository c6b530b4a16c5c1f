//! Counters, by address family.

use std::fmt;
use std::marker::PhantomData;
use std::ops::AddAssign;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, fence};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Family;
use crate::count::Counted;

/// The most counters that an enum may have.
const CELLS: usize = 48;

/// The counters of one thread. Only that thread writes them; any thread may read them.
///
/// They have cache lines of their own (two, because some processors fetch pairs), so that threads don't slow each
/// other. What is added together is also read together: a reader never sees a datagram that was received, but neither
/// answered, rejected nor ignored.
#[repr(align(128))]
pub struct Counters<C> {
    /// Odd while the cells are being written. A reader that finds it odd or changed reads again.
    version: AtomicU64,
    cells: [[AtomicU64; CELLS]; 2],
    counted: PhantomData<C>,
}

impl<C> Default for Counters<C> {
    /// All zero.
    fn default() -> Self {
        Self {
            version: AtomicU64::new(0),
            cells: [const { [const { AtomicU64::new(0) }; CELLS] }; 2],
            counted: PhantomData,
        }
    }
}

impl<C: Counted> Counters<C> {
    /// Adds to one counter. Two threads must not call it at once: one addition could be lost.
    pub(crate) fn add(&self, family: Family, count: C, n: u64) {
        let mut counted = Snapshot::default();
        counted.add(family, count, n);
        self.add_all(&mut counted);
    }

    /// Adds what was counted, and sets that to zero. Two threads must not call it at once: an addition could be lost.
    pub(crate) fn add_all(&self, counted: &mut Snapshot<C>) {
        let version = self.version.load(Relaxed);
        self.version.store(version + 1, Relaxed);
        // No cell is written before the odd version, and the even one is not written before the last cell.
        fence(Release);
        for (cell, n) in self.cells.as_flattened().iter().zip(counted.values.as_flattened()) {
            if *n > 0 {
                cell.store(cell.load(Relaxed).wrapping_add(*n), Relaxed);
            }
        }
        self.version.store(version + 2, Release);
        *counted = Snapshot::default();
    }

    /// The current values.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<C> {
        loop {
            let before = self.version.load(Acquire);
            let values = self.cells.each_ref().map(|cells| cells.each_ref().map(|cell| cell.load(Relaxed)));
            fence(Acquire);
            if before.is_multiple_of(2) && self.version.load(Relaxed) == before {
                return Snapshot { values, counted: PhantomData };
            }
            // The writer is done after some dozens of nanoseconds, unless its thread was interrupted.
            std::thread::yield_now();
        }
    }
}

impl<C: Counted> fmt::Debug for Counters<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Counters({})", self.snapshot())
    }
}

/// The values of counters at one moment. Those of several threads can be added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot<C> {
    values: [[u64; CELLS]; 2],
    counted: PhantomData<C>,
}

impl<C> Default for Snapshot<C> {
    /// All zero.
    fn default() -> Self {
        Self { values: [[0; CELLS]; 2], counted: PhantomData }
    }
}

impl<C: Counted> Snapshot<C> {
    const FITS: () = assert!(C::ALL.len() <= CELLS);

    pub(crate) fn add(&mut self, family: Family, count: C, n: u64) {
        const { Self::FITS };
        let cell = &mut self.values[family as usize][count.index()];
        *cell = cell.wrapping_add(n);
    }

    /// Takes back what [`add`](Self::add) has added, maybe to a sum of which this is a part.
    pub(crate) fn take_back(&mut self, family: Family, count: C, n: u64) {
        let cell = &mut self.values[family as usize][count.index()];
        *cell = cell.wrapping_sub(n);
    }

    /// A counter's value for one family.
    #[must_use]
    pub fn get(&self, family: Family, count: C) -> u64 {
        self.values[family as usize][count.index()]
    }

    /// A counter's value, both families together.
    #[must_use]
    pub fn total(&self, count: C) -> u64 {
        self.get(Family::V4, count) + self.get(Family::V6, count)
    }

    /// The sum of all counters with this metric name, such as `tracker_rejected_total`, both families together.
    #[must_use]
    pub fn sum_of(&self, metric: &str) -> u64 {
        C::ALL.iter().filter(|count| count.metric().name == metric).map(|count| self.total(*count)).sum()
    }
}

impl<C> AddAssign for Snapshot<C> {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.values.as_flattened_mut().iter_mut().zip(other.values.as_flattened()) {
            *own = own.wrapping_add(*other);
        }
    }
}

/// One line: `received=12/3 connects=4/1 ..`, IPv4 before IPv6. Counters that are zero in both are left out.
impl<C: Counted> fmt::Display for Snapshot<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = C::ALL.iter().filter(|count| self.total(**count) > 0);
        for (at, count) in counted.enumerate() {
            let space = if at > 0 { " " } else { "" };
            let (v4, v6) = (self.get(Family::V4, *count), self.get(Family::V6, *count));
            write!(f, "{space}{}={v4}/{v6}", count.name())?;
        }
        Ok(())
    }
}

/// The counters of all threads, also of those that have ended.
pub(crate) struct Registry<C>(Mutex<Registered<C>>);

struct Registered<C> {
    /// The counts of threads that have ended.
    past: Snapshot<C>,
    present: Vec<Arc<Counters<C>>>,
}

impl<C> Default for Registry<C> {
    fn default() -> Self {
        Self(Mutex::new(Registered { past: Snapshot::default(), present: Vec::new() }))
    }
}

impl<C: Counted> Registry<C> {
    /// Makes counters for one more thread.
    pub(crate) fn register(&self) -> Arc<Counters<C>> {
        let mut registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Registered { past, present } = &mut *registered;
        // Remove those of ended threads, so that many short threads do not fill the memory.
        present.retain(|counters| {
            let is_used = Arc::strong_count(counters) > 1;
            if !is_used {
                *past += counters.snapshot();
            }
            is_used
        });
        let counters = Arc::default();
        present.push(Arc::clone(&counters));
        counters
    }

    /// The sum over all threads.
    pub(crate) fn snapshot(&self) -> Snapshot<C> {
        let registered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = registered.present.iter().map(|counters| counters.snapshot());
        present.fold(registered.past, |mut sum, counters| {
            sum += counters;
            sum
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::count::{Count, LivesyncCount};

    fn each_has_its_own_cell<C: Counted + fmt::Debug>() {
        let counters = Counters::default();
        for (at, count) in (1..).zip(C::ALL) {
            counters.add(Family::V4, *count, at);
            counters.add(Family::V6, *count, 100 * at);
        }
        let mut sum = counters.snapshot();
        sum += counters.snapshot();
        for (at, count) in (1..).zip(C::ALL) {
            assert_eq!((sum.get(Family::V4, *count), sum.get(Family::V6, *count)), (2 * at, 200 * at));
            assert_eq!(sum.total(*count), 202 * at);
        }
    }

    #[test]
    fn each_count_has_its_own_cell() {
        each_has_its_own_cell::<Count>();
        each_has_its_own_cell::<LivesyncCount>();
    }

    #[test]
    fn what_is_added_together_is_read_together() {
        let counters = Counters::default();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..100_000 {
                    let mut counted = Snapshot::default();
                    counted.add(Family::V4, Count::Received, 3);
                    counted.add(Family::V4, Count::Announces, 2);
                    counted.add(Family::V4, Count::BadLength, 1);
                    counters.add_all(&mut counted);
                    assert_eq!(counted, Snapshot::default());
                }
            });
            while !writer.is_finished() {
                let seen = counters.snapshot();
                let of = |count| seen.get(Family::V4, count);
                assert_eq!(of(Count::Received), of(Count::Announces) + of(Count::BadLength));
            }
        });
        assert_eq!(counters.snapshot().total(Count::Received), 300_000);
    }

    #[test]
    fn shows_one_line_without_zeros() {
        let counters = Counters::default();
        counters.add(Family::V4, Count::Received, 2);
        counters.add(Family::V6, Count::Scrapes, 1);
        assert_eq!(counters.snapshot().to_string(), "received=2/0 scrapes=0/1");
    }

    #[test]
    fn ended_threads_still_count_and_take_no_memory() {
        let registry = Registry::<Count>::default();
        for _ in 0..100 {
            registry.register().add(Family::V4, Count::Received, 1);
        }
        let counters = registry.register();
        counters.add(Family::V4, Count::Received, 1);
        assert_eq!(registry.snapshot().total(Count::Received), 101);
        assert_eq!(registry.0.lock().unwrap().present.len(), 1);
    }
}
