//! Counts the items that operations look at or move. A test can bound this number, unlike time. Does nothing outside
//! tests.

#[cfg(test)]
thread_local! {
    static DONE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Counts peers, torrents, blocks or buckets that are looked at or moved.
#[inline]
pub(crate) fn count(items: usize) {
    #[cfg(test)]
    DONE.set(DONE.get() + items);
    #[cfg(not(test))]
    let _ = items;
}

/// The number that this thread counted while `operation` ran.
#[cfg(test)]
pub(crate) fn counted<T>(operation: impl FnOnce() -> T) -> (T, usize) {
    let before = DONE.get();
    let result = operation();
    (result, DONE.get() - before)
}
