//! `/api/status`: what the tracker does, as JSON.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use udp_tracker::{Count, Counted, Family, Snapshot, WorkerStatus};

use super::Context;
use super::history::Point;
use super::host::Host;
use crate::doctor::Finding;
use crate::snapshots::{SnapshotMonitor, SnapshotStatus};

/// A worker that has not had a turn for this long hangs, or its processor is busy with something else. An idle one has
/// four turns a second.
const HANGS: Duration = Duration::from_secs(3);

/// What `/api/status` answers.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    version: &'static str,
    uptime_seconds: f64,
    listening: Vec<String>,
    families: BTreeMap<&'static str, Stored>,
    requests: Requests,
    /// Of the last seconds.
    rates: Point,
    workers: Vec<Worker>,
    livesync: Vec<Node>,
    memory: Memory,
    /// `null` without a `state_dir`.
    snapshot: Option<SnapshotStatus>,
    host: Host,
    findings: Vec<Finding>,
}

#[derive(Debug, Serialize)]
struct Stored {
    torrents: usize,
    peers: usize,
    seeders: usize,
    leechers: usize,
    completed: u64,
}

/// Since the start. `received` is the sum of `answered`, `rejected`, `ignored` and `not_sent`.
#[derive(Debug, Serialize)]
struct Requests {
    received: u64,
    answered: u64,
    answered_by_action: BTreeMap<&'static str, u64>,
    rejected: BTreeMap<&'static str, u64>,
    ignored: BTreeMap<&'static str, u64>,
    not_sent: u64,
    dropped_by_kernel: u64,
    /// What the kernel dropped for the tracker, of networks that send too much.
    shed_by_kernel: u64,
    receive_errors: u64,
    /// Answered, but not stored.
    store_full: u64,
    /// The same, because a peer may not be stored, or a network may hold no more.
    not_stored: BTreeMap<&'static str, u64>,
    /// Stored peers that made room for others in a full store.
    evicted: u64,
}

#[derive(Debug, Serialize)]
struct Worker {
    /// The share of the last seconds in which it did not wait.
    busy: f64,
    /// Datagrams that a batch has on average.
    batch: f64,
    datagrams: u64,
    seconds_since_turn: f64,
}

#[derive(Debug, Serialize)]
struct Node {
    address: String,
    seconds_since_packet: Option<u64>,
    lag_seconds: Option<f64>,
    packets: u64,
    records: u64,
    applied: u64,
}

#[derive(Debug, Serialize)]
struct Memory {
    resident_bytes: Option<u64>,
    store_bytes: usize,
    /// 0 for no ceiling.
    max_store_bytes: usize,
    /// Of each family.
    max_torrents: usize,
    max_peers: usize,
}

/// Whether all workers turn.
pub(crate) fn is_healthy(workers: &[WorkerStatus]) -> bool {
    workers.iter().all(|worker| worker.turned_ago < HANGS)
}

pub(super) fn status(context: &Context) -> Status {
    let monitor = &context.monitor;
    let service = monitor.service();
    let (settings, counters, workers) = (service.settings(), service.counters(), monitor.workers());
    let (rates, busy) = context.history.now(monitor);
    let host = Host::read();
    let stored = Family::ALL.map(|family| (family, service.stores().totals(family)));
    let families = stored.map(|(family, totals)| {
        let stored = Stored {
            torrents: totals.torrents,
            peers: totals.peers,
            seeders: totals.seeders,
            leechers: totals.peers.saturating_sub(totals.seeders),
            completed: counters.get(family, Count::Completed),
        };
        (family.name(), stored)
    });
    let mut status = Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_seconds: monitor.uptime().as_secs_f64(),
        listening: monitor.addresses().iter().map(|address| format!("udp://{address}")).collect(),
        families: families.into(),
        requests: Requests {
            received: counters.total(Count::Received),
            answered: counters.sum_of("tracker_answered_total"),
            answered_by_action: by_label(&counters, "tracker_answered_total"),
            rejected: by_label(&counters, "tracker_rejected_total"),
            ignored: by_label(&counters, "tracker_ignored_total"),
            not_sent: counters.total(Count::NotSent),
            dropped_by_kernel: counters.total(Count::DroppedByKernel),
            shed_by_kernel: counters.total(Count::ShedByKernel),
            receive_errors: counters.total(Count::NotReceived),
            store_full: counters.total(Count::StoreFull),
            not_stored: by_label(&counters, "tracker_not_stored_total"),
            evicted: counters.total(Count::Evicted),
        },
        rates,
        workers: workers
            .iter()
            .zip(busy)
            .map(|(worker, busy)| Worker {
                busy,
                batch: worker.datagrams as f64 / worker.batches.max(1) as f64,
                datagrams: worker.datagrams,
                seconds_since_turn: worker.turned_ago.as_secs_f64(),
            })
            .collect(),
        livesync: monitor
            .livesync_nodes()
            .iter()
            .map(|node| Node {
                address: node.address.to_string(),
                seconds_since_packet: node.ago.map(|ago| ago.as_secs()),
                lag_seconds: node.delay.map(|delay| delay.as_secs_f64()),
                packets: node.packets,
                records: node.records,
                applied: node.applied,
            })
            .collect(),
        memory: Memory {
            resident_bytes: host.resident_bytes,
            store_bytes: stored.iter().map(|(_, totals)| totals.bytes).sum(),
            max_store_bytes: settings.max_store_bytes,
            max_torrents: settings.max_stored_torrents,
            max_peers: settings.max_stored_peers,
        },
        snapshot: context.snapshots.as_ref().map(SnapshotMonitor::status),
        host,
        findings: Vec::new(),
    };
    status.findings = findings(&status, context.history.dropped_by_kernel(monitor));
    status.findings.extend(context.doctor.findings());
    status
}

/// The counters of a metric by their only label.
fn by_label(counters: &Snapshot<Count>, metric: &str) -> BTreeMap<&'static str, u64> {
    let own = Count::ALL.iter().filter(|count| count.metric().name == metric);
    own.filter_map(|count| Some((count.metric().labels.first()?.1, counters.total(*count)))).collect()
}

/// What needs attention now, and what to do. `dropped` is the number of datagrams that the kernel dropped in the last
/// hour.
fn findings(status: &Status, dropped: u64) -> Vec<Finding> {
    let mut found = Vec::new();
    let Status { rates, memory, .. } = status;
    if rates.dropped_by_kernel > 0.0 {
        found.push(Finding::problem(
            "dropping",
            format!(
                "the kernel drops {:.0} datagrams a second because a receive buffer is full",
                rates.dropped_by_kernel
            ),
            "tracker-bin doctor names the command; more workers help too, if the machine has more cores",
        ));
    } else if dropped > 0 {
        found.push(Finding::warning(
            "dropped",
            format!(
                "the kernel dropped {dropped} datagrams in the last hour because a receive buffer was full"
            ),
            "tracker-bin doctor names the command that helps",
        ));
    }
    if rates.shed > 0.0 {
        found.push(Finding::warning(
            "shedding",
            format!("{:.0} datagrams a second are dropped, of the networks that send most", rates.shed),
            "look who floods; requests_per_second_per_network limits each network, access.network_list denies some",
        ));
    }
    for (at, worker) in status.workers.iter().enumerate() {
        if worker.seconds_since_turn > HANGS.as_secs_f64() {
            found.push(Finding::problem(
                "worker_hangs",
                format!("worker {at} has not had a turn for {:.0} s", worker.seconds_since_turn),
                "restart the tracker, and report this with its log",
            ));
        } else if worker.busy > 0.9 {
            found.push(Finding::warning(
                "worker_busy",
                format!("worker {at} is busy {:.0} % of the time", worker.busy * 100.0),
                "set more workers, if the machine has more cores",
            ));
        }
    }
    for (family, stored) in &status.families {
        for (what, n, most, key) in [
            ("torrents", stored.torrents, memory.max_torrents, "max_stored_torrents"),
            ("peers", stored.peers, memory.max_peers, "max_stored_peers"),
        ] {
            if n.saturating_mul(10) > most.saturating_mul(9) {
                found.push(Finding::warning(
                    "store_nearly_full",
                    format!("the store has {n} of at most {most} {what} ({family})"),
                    format!("raise {key}, if there is memory"),
                ));
            }
        }
    }
    // One family alone may take seven eighths.
    if memory.max_store_bytes > 0 && memory.store_bytes > memory.max_store_bytes / 20 * 17 {
        found.push(Finding::warning(
            "store_at_ceiling",
            format!(
                "the store takes {} of at most {} bytes: when it is full, new peers are stored by merit",
                memory.store_bytes, memory.max_store_bytes
            ),
            "raise max_store_bytes, if there is memory",
        ));
    }
    found.extend(status.snapshot.iter().flat_map(of_snapshots));
    if rates.not_sent > 0.0 {
        found.push(Finding::warning(
            "not_sent",
            format!("the system does not accept {:.0} replies a second", rates.not_sent),
            "look for a firewall that rejects them",
        ));
    }
    for node in &status.livesync {
        let silent = match node.seconds_since_packet {
            Some(seconds) if seconds > 60 => format!("has sent nothing for {seconds} s"),
            None if status.uptime_seconds > 60.0 => "has sent nothing yet".into(),
            _ => continue,
        };
        found.push(Finding::warning(
            "node_silent",
            format!("the livesync node {} {silent}", node.address),
            "check that it runs, and its address, port and key",
        ));
    }
    found
}

fn of_snapshots(status: &SnapshotStatus) -> Vec<Finding> {
    let mut found = Vec::new();
    if let Some(problem) = &status.problem {
        let what = format!("the last snapshot could not be written: {problem}");
        found.push(Finding::problem(
            "snapshot_failed",
            what,
            "make room on that disk, or set another state_dir",
        ));
    } else if status.is_late {
        let what = match status.age_seconds {
            Some(age) => format!("the last snapshot is {age:.0} s old"),
            None => "no snapshot has been written yet".into(),
        };
        found.push(Finding::problem(
            "snapshot_late",
            what,
            "see the log; if the disk is slow, set a longer snapshot_interval",
        ));
    }
    found.extend(status.refused.iter().map(|refused| {
        Finding::warning(
            "snapshot_refused",
            refused.clone(),
            "look at that file; the warning is gone after the next restart",
        )
    }));
    found
}
