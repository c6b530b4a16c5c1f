//! How long requests waited for their replies.

use std::array;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The upper bounds of the buckets, in microseconds: from what one datagram takes to what makes clients ask again.
const BOUNDS: [u64; 16] = [
    10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 1_000_000,
    10_000_000,
];

/// One thread's histogram. Only that thread writes it; any thread may read it.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// The last one is above all bounds.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    sum: AtomicU64,
}

/// The times from the arrival of requests to their replies: how many were in which range.
///
/// The time begins when the kernel receives the request, and ends when it has accepted the reply. One request of each
/// batch is measured, the first, which has waited longest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    buckets: [u64; BOUNDS.len() + 1],
    sum: u64,
}

impl Histogram {
    /// Adds a time. Two threads must not call it at once.
    pub(crate) fn add(&self, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        let add = |cell: &AtomicU64, n: u64| cell.store(cell.load(Relaxed).wrapping_add(n), Relaxed);
        add(&self.buckets[bucket], 1);
        add(&self.sum, micros);
    }

    pub(crate) fn snapshot(&self) -> Latency {
        Latency {
            buckets: self.buckets.each_ref().map(|cell| cell.load(Relaxed)),
            sum: self.sum.load(Relaxed),
        }
    }
}

impl Latency {
    /// The ranges: the upper bound of each, and how many times were at most this long and longer than the bound before.
    /// The last range has no bound.
    pub fn buckets(&self) -> impl Iterator<Item = (Option<Duration>, u64)> + '_ {
        let bounds = BOUNDS.iter().map(|bound| Some(Duration::from_micros(*bound))).chain([None]);
        bounds.zip(self.buckets)
    }

    /// How many times there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The sum of all times.
    #[must_use]
    pub fn sum(&self) -> Duration {
        Duration::from_micros(self.sum)
    }

    /// The time that this share of the requests did not exceed, such as 0.5 for the median: the upper bound of its
    /// range. `None` without requests, or above the last bound.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        let wanted = (self.count() as f64 * share).ceil().max(1.0);
        let mut below = 0;
        let found = self.buckets().find(|(_, n)| {
            below += n;
            below as f64 >= wanted
        });
        found.and_then(|(bound, _)| bound)
    }

    /// What was added since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            buckets: array::from_fn(|at| self.buckets[at].wrapping_sub(earlier.buckets[at])),
            sum: self.sum.wrapping_sub(earlier.sum),
        }
    }
}

impl std::ops::AddAssign for Latency {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.buckets.iter_mut().zip(other.buckets) {
            *own += other;
        }
        self.sum += other.sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(times: impl IntoIterator<Item = u64>) -> Latency {
        let histogram = Histogram::default();
        for micros in times {
            histogram.add(Duration::from_micros(micros));
        }
        histogram.snapshot()
    }

    #[test]
    fn a_bound_belongs_to_the_range_below_it() {
        let latency = of([0, 10, 11, 10_000_000, 10_000_001]);
        let filled: Vec<_> = latency.buckets().filter(|(_, n)| *n > 0).collect();
        let micros = |micros| Some(Duration::from_micros(micros));
        assert_eq!(filled, [(micros(10), 2), (micros(25), 1), (micros(10_000_000), 1), (None, 1)]);
        assert_eq!((latency.count(), latency.sum()), (5, Duration::from_micros(20_000_022)));
    }

    #[test]
    fn quantiles_are_bounds() {
        let latency = of((0..100).map(|n| if n < 60 { 20 } else { 200 }));
        let quantile = |share| latency.quantile(share).map(|time| time.as_micros());
        assert_eq!(
            (quantile(0.0), quantile(0.6), quantile(0.61), quantile(1.0)),
            (Some(25), Some(25), Some(250), Some(250))
        );
        assert_eq!(of([]).quantile(0.5), None);
        assert_eq!(of([u64::MAX]).quantile(0.5), None);
    }

    #[test]
    fn times_since_an_earlier_moment() {
        let (earlier, mut later) = (of([5]), of([5, 30]));
        assert_eq!(later.since(&earlier), of([30]));
        later += earlier;
        assert_eq!(later, of([5, 5, 30]));
    }
}
