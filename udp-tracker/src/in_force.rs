//! Values that one thread puts in force while others use them.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwapAny, Cache, RefCnt};

/// One thread's view of a shared value, as of the last call of [`refresh`](Self::refresh). Reading it touches no memory
/// that other threads write.
pub(crate) struct InForce<T: RefCnt> {
    newest: Cache<Arc<ArcSwapAny<T>>, T>,
    current: T,
}

impl<T: RefCnt> InForce<T> {
    pub(crate) fn new(shared: &Arc<ArcSwapAny<T>>) -> Self {
        Self { newest: Cache::new(Arc::clone(shared)), current: shared.load_full() }
    }

    /// Takes the newest value.
    pub(crate) fn refresh(&mut self) {
        let newest = self.newest.load();
        if !std::ptr::eq(T::as_ptr(newest), T::as_ptr(&self.current)) {
            self.current.clone_from(newest);
        }
    }
}

impl<T: RefCnt> Deref for InForce<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.current
    }
}

impl<T: RefCnt + fmt::Debug> fmt::Debug for InForce<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.current.fmt(f)
    }
}
