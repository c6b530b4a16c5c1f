//! Counters, by address family.

use std::fmt;
use std::marker::PhantomData;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use crate::Family;
use crate::count::Counted;

/// The most counters that an enum may have.
const CELLS: usize = 32;

/// The counters of one thread. Only that thread writes them; any thread may read them.
///
/// They have cache lines of their own (two, because some processors fetch pairs), so that threads don't slow each
/// other.
#[repr(align(128))]
pub struct Counters<C> {
    cells: [[AtomicU64; CELLS]; 2],
    counted: PhantomData<C>,
}

impl<C> Default for Counters<C> {
    /// All zero.
    fn default() -> Self {
        Self { cells: [const { [const { AtomicU64::new(0) }; CELLS] }; 2], counted: PhantomData }
    }
}

impl<C: Counted> Counters<C> {
    const FITS: () = assert!(C::ALL.len() <= CELLS);

    /// Adds to a counter. Two threads must not call it at once: one addition could be lost.
    pub(crate) fn add(&self, family: Family, count: C, n: u64) {
        const { Self::FITS };
        let cell = &self.cells[family as usize][count.index()];
        cell.store(cell.load(Relaxed) + n, Relaxed);
    }

    /// The current values.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot<C> {
        let values = self.cells.each_ref().map(|cells| cells.each_ref().map(|cell| cell.load(Relaxed)));
        Snapshot { values, counted: PhantomData }
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
}

impl<C> AddAssign for Snapshot<C> {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.values.as_flattened_mut().iter_mut().zip(other.values.as_flattened()) {
            *own += other;
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
