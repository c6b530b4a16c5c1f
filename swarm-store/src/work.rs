//! Counts what operations look at or move: a test can bound that, unlike time. Nothing outside of tests.

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// So many peers, torrents, blocks or buckets are looked at or moved.
#[inline]
pub(crate) fn count(items: usize) {
    #[cfg(test)]
    DONE.set(DONE.get() + items);
    #[cfg(not(test))]
    let _ = items;
}

/// What this thread has counted while `operation` ran.
#[cfg(test)]
pub(crate) fn counted<T>(operation: impl FnOnce() -> T) -> (T, usize) {
    let before = DONE.get();
    let result = operation();
    (result, DONE.get() - before)
}
