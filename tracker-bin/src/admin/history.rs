//! The last hour, in bounded memory: what the page plots, and the rates of now.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::Serialize;
use tokio::time::{self, MissedTickBehavior};
use udp_tracker::{Count, Family, Latency, Monitor, Snapshot};

use super::{Context, host};

/// From one point to the next.
const STEP: Duration = Duration::from_secs(5);
/// An hour of points.
const POINTS: usize = 720;

/// The last hour of a tracker.
pub(crate) struct History(Mutex<Recorded>);

struct Recorded {
    last: Moment,
    /// Rates since `last` belong to the newest point.
    points: VecDeque<Point>,
    busy: Vec<f64>,
}

/// Totals at one moment.
struct Moment {
    uptime: Duration,
    counters: Snapshot<Count>,
    latency: Latency,
    busy: Vec<Duration>,
}

/// The rates of some seconds, and the totals at their end.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Point {
    /// Seconds since 1970.
    pub(crate) time: u64,
    /// Datagrams a second, as are the next five.
    pub(crate) received: f64,
    pub(crate) answered: f64,
    pub(crate) rejected: f64,
    pub(crate) ignored: f64,
    pub(crate) not_sent: f64,
    pub(crate) dropped_by_kernel: f64,
    /// Dropped because more arrive than can be answered: by the tracker, and by the kernel for it.
    pub(crate) shed: f64,
    pub(crate) torrents: usize,
    pub(crate) peers: usize,
    /// Microseconds, at most; `None` without requests.
    pub(crate) p50_microseconds: Option<u64>,
    pub(crate) p99_microseconds: Option<u64>,
    /// The busy share of the busiest worker.
    pub(crate) busy: f64,
    pub(crate) resident_bytes: Option<u64>,
    pub(crate) store_bytes: usize,
    /// Datagrams that the kernel had dropped from the start until these seconds.
    #[serde(skip)]
    dropped_before: u64,
}

impl Moment {
    fn now(monitor: &Monitor) -> Self {
        let workers = monitor.workers();
        let mut latency = Latency::default();
        workers.iter().for_each(|worker| latency += worker.latency);
        Self {
            uptime: monitor.uptime(),
            counters: monitor.service().counters(),
            latency,
            busy: workers.iter().map(|worker| worker.busy).collect(),
        }
    }

    fn busy_since(&self, earlier: &Self) -> Vec<f64> {
        let elapsed = self.uptime.saturating_sub(earlier.uptime).as_secs_f64().max(1e-9);
        let busy = self.busy.iter().zip(&earlier.busy);
        busy.map(|(now, before)| (now.saturating_sub(*before).as_secs_f64() / elapsed).min(1.0)).collect()
    }

    fn since(&self, earlier: &Self, monitor: &Monitor) -> Point {
        let elapsed = self.uptime.saturating_sub(earlier.uptime).as_secs_f64().max(1e-9);
        let rate = |total: fn(&Snapshot<Count>) -> u64| {
            total(&self.counters).saturating_sub(total(&earlier.counters)) as f64 / elapsed
        };
        let latency = self.latency.since(&earlier.latency);
        let quantile = |share| latency.quantile(share).and_then(|time| u64::try_from(time.as_micros()).ok());
        let stored = Family::ALL.map(|family| monitor.service().stores().totals(family));
        Point {
            time: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
            received: rate(|counters| counters.total(Count::Received)),
            answered: rate(|counters| counters.sum_of("tracker_answered_total")),
            rejected: rate(|counters| counters.sum_of("tracker_rejected_total")),
            ignored: rate(|counters| counters.sum_of("tracker_ignored_total")),
            not_sent: rate(|counters| counters.total(Count::NotSent)),
            dropped_by_kernel: rate(|counters| counters.total(Count::DroppedByKernel)),
            shed: rate(|counters| counters.total(Count::Shed) + counters.total(Count::ShedByKernel)),
            torrents: stored.iter().map(|totals| totals.torrents).sum(),
            peers: stored.iter().map(|totals| totals.peers).sum(),
            p50_microseconds: quantile(0.5),
            p99_microseconds: quantile(0.99),
            busy: self.busy_since(earlier).into_iter().fold(0.0, f64::max),
            resident_bytes: host::resident_bytes(),
            store_bytes: stored.iter().map(|totals| totals.bytes).sum(),
            dropped_before: earlier.counters.total(Count::DroppedByKernel),
        }
    }
}

impl History {
    pub(super) fn new(monitor: &Monitor) -> Self {
        let last = Moment::now(monitor);
        let busy = vec![0.0; last.busy.len()];
        Self(Mutex::new(Recorded { last, points: VecDeque::with_capacity(POINTS), busy }))
    }

    fn add(&self, monitor: &Monitor) {
        let now = Moment::now(monitor);
        let mut recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let point = now.since(&recorded.last, monitor);
        recorded.busy = now.busy_since(&recorded.last);
        recorded.last = now;
        if recorded.points.len() == POINTS {
            recorded.points.pop_front();
        }
        recorded.points.push_back(point);
    }

    /// The newest points, at most `last`, the oldest of them first.
    pub(super) fn points(&self, last: usize) -> Vec<Point> {
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let older = recorded.points.len().saturating_sub(last);
        recorded.points.range(older..).copied().collect()
    }

    /// Datagrams that the kernel has dropped in the last hour.
    pub(super) fn dropped_by_kernel(&self, monitor: &Monitor) -> u64 {
        let total = monitor.service().counters().total(Count::DroppedByKernel);
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = if recorded.points.len() < POINTS { 0 } else { recorded.points[0].dropped_before };
        total.saturating_sub(before)
    }

    /// The rates of now: those since the last point, or of the last point, if that is very recent. Also the busy share
    /// of each worker.
    pub(super) fn now(&self, monitor: &Monitor) -> (Point, Vec<f64>) {
        let now = Moment::now(monitor);
        let recorded = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if now.uptime.saturating_sub(recorded.last.uptime) < Duration::from_secs(1)
            && let Some(last) = recorded.points.back()
        {
            return (*last, recorded.busy.clone());
        }
        (now.since(&recorded.last, monitor), now.busy_since(&recorded.last))
    }
}

/// Adds a point every few seconds, for ever.
pub(super) async fn record(context: Arc<Context>) {
    let mut ticks = time::interval_at(time::Instant::now() + STEP, STEP);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        context.history.add(&context.monitor);
    }
}

#[cfg(test)]
mod tests {
    use udp_tracker::{ServerSettings, Service, Settings, Tracker};

    use super::*;

    #[test]
    fn keeps_an_hour_and_shows_its_newest_points() {
        let mut server = ServerSettings::default();
        server.listen = Some(vec!["127.0.0.1:0".parse().unwrap()]);
        let tracker = Tracker::start(Arc::new(Service::new(Settings::default()).unwrap()), &server).unwrap();
        let history = History::new(tracker.monitor());
        let times = |last| history.points(last).iter().map(|point| point.time).collect::<Vec<_>>();
        assert!(times(usize::MAX).is_empty());
        for n in 0..POINTS as u64 + 5 {
            history.add(tracker.monitor());
            history.0.lock().unwrap().points.back_mut().unwrap().time = n;
        }
        assert_eq!(times(usize::MAX), (5..725).collect::<Vec<_>>());
        assert_eq!(times(3), [722, 723, 724]);
        assert!(times(0).is_empty());
    }
}
