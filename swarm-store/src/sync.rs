//! Locks and counters: the standard library's, or those of a test that decides which thread goes on
//! (`scripts/shuttle`).

#[cfg(shuttle)]
pub(crate) use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};
#[cfg(not(shuttle))]
pub(crate) use std::sync::{Mutex, MutexGuard, PoisonError, atomic};
