//! Locks and counters: those of the standard library, or those of a test that schedules the threads
//! (`scripts/shuttle`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
