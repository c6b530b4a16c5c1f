//! What can be observed of a running tracker, without stopping it or slowing it down.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::clock::Clock;
use super::stats::{WorkerStats, WorkerStatus};
use crate::count::LivesyncCount;
use crate::counters::{Counters, Snapshot};
use crate::livesync::{NodeStatus, Nodes};
use crate::service::Service;

/// What can be observed of a [`Tracker`](crate::Tracker), from any thread. Clones observe the same tracker, also after
/// it has stopped.
#[derive(Clone, Debug)]
pub struct Monitor {
    pub(super) service: Arc<Service>,
    addresses: Vec<SocketAddr>,
    pub(super) clock: Clock,
    pub(super) stats: Vec<Arc<WorkerStats>>,
    pub(super) livesync: Option<(Arc<Counters<LivesyncCount>>, Arc<Nodes>)>,
}

impl Monitor {
    pub(super) fn new(
        service: Arc<Service>,
        addresses: Vec<SocketAddr>,
        clock: Clock,
        stats: Vec<Arc<WorkerStats>>,
    ) -> Self {
        Self { service, addresses, clock, stats, livesync: None }
    }

    /// The tracker's service.
    #[must_use]
    pub fn service(&self) -> &Arc<Service> {
        &self.service
    }

    /// The addresses that it listens on. Port 0 is replaced by the real port.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// How long ago it was started.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.clock.since_start(Instant::now())
    }

    /// The time of the stores, in seconds: that of [`Stores::scrape`](crate::Stores::scrape).
    #[must_use]
    pub fn store_seconds(&self) -> u64 {
        self.clock.seconds_at(Instant::now())
    }

    /// The workers' figures.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let now = Instant::now();
        self.stats.iter().map(|stats| stats.status(&self.clock, now)).collect()
    }

    /// Whether every worker has finished a turn since this moment. It may have begun before.
    #[must_use]
    pub fn have_turned_since(&self, moment: Instant) -> bool {
        let now = Instant::now();
        let ago = now.duration_since(moment);
        self.stats.iter().all(|stats| stats.status(&self.clock, now).turned_ago < ago)
    }

    /// Livesync's counters; zeros without livesync.
    #[must_use]
    pub fn livesync_counters(&self) -> Snapshot<LivesyncCount> {
        self.livesync.as_ref().map(|(counters, _)| counters.snapshot()).unwrap_or_default()
    }

    /// The nodes whose packets livesync accepts; none without livesync.
    #[must_use]
    pub fn livesync_nodes(&self) -> Vec<NodeStatus> {
        let now = self.clock.at(Instant::now());
        self.livesync.as_ref().map(|(_, nodes)| nodes.status(now)).unwrap_or_default()
    }
}
