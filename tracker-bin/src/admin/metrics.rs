//! `/metrics`: the figures in the text formats of Prometheus and OpenMetrics.

use std::fmt::{self, Write as _};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use udp_tracker::{Counted, Family, Latency, Metric, Monitor, NodeStatus, Snapshot};

use super::host::Host;
use crate::snapshots::{SnapshotMonitor, SnapshotStatus};

/// The content types of the two formats.
pub(super) const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub(super) const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All metrics in the format of OpenMetrics.
pub(super) fn openmetrics(
    monitor: &Monitor,
    busy: Vec<f64>,
    snapshots: Option<&SnapshotMonitor>,
) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    let snapshots = snapshots.map(SnapshotMonitor::status);
    registry.register_collector(Box::new(Figures { monitor: monitor.clone(), busy, snapshots }));
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &registry)?;
    Ok(text)
}

/// The same metrics in the older format of Prometheus, in which the lines that describe a counter have its whole name.
pub(super) fn prometheus(openmetrics: &str) -> String {
    let mut text = String::with_capacity(openmetrics.len());
    let mut help = None;
    for line in openmetrics.lines() {
        if line.starts_with("# HELP ") {
            help = Some(line);
        } else if let Some(of_type) = line.strip_prefix("# TYPE ") {
            let suffix = if of_type.ends_with(" counter") { "_total" } else { "" };
            for line in help.take().into_iter().chain([line]) {
                // "# HELP name text" or "# TYPE name type".
                let mut words = line.splitn(4, ' ');
                let [Some(hash), Some(kind), Some(name)] = [(); 3].map(|()| words.next()) else { continue };
                let rest = words.next().unwrap_or_default();
                let _ = writeln!(text, "{hash} {kind} {name}{suffix} {rest}");
            }
        } else if !line.starts_with('#') {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

#[derive(Debug)]
struct Figures {
    monitor: Monitor,
    busy: Vec<f64>,
    snapshots: Option<SnapshotStatus>,
}

/// Names and values of labels. The values come from the program's own tables, and from the addresses of the configured
/// nodes; never from a client.
type Labels<'a> = Vec<(&'a str, String)>;

impl Collector for Figures {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let service = self.monitor.service();
        counts(encoder, &service.counters())?;
        counts(encoder, &self.monitor.livesync_counters())?;
        let totals = Family::ALL.map(|family| (family.name(), service.stores().totals(family)));
        gauge(
            encoder,
            "tracker_torrents",
            "Torrents in the store",
            totals.map(|(family, totals)| (vec![("family", family.into())], totals.torrents as f64)),
        )?;
        let peers = totals.into_iter().flat_map(|(family, totals)| {
            let of =
                |kind: &str, n: usize| (vec![("family", family.into()), ("kind", kind.into())], n as f64);
            [of("seeder", totals.seeders), of("leecher", totals.peers - totals.seeders.min(totals.peers))]
        });
        gauge(encoder, "tracker_peers", "Peers in the store", peers)?;
        let bytes: usize = totals.iter().map(|(_, totals)| totals.bytes).sum();
        gauge(
            encoder,
            "tracker_store_bytes",
            "Bytes of memory that the store has allocated",
            one(bytes as f64),
        )?;
        let settings = service.settings();
        gauge(
            encoder,
            "tracker_max_store_bytes",
            "The most bytes of memory for the store; 0 for no ceiling",
            one(settings.max_store_bytes as f64),
        )?;
        gauge(
            encoder,
            "tracker_max_torrents",
            "The most torrents in the store, of each family",
            one(settings.max_stored_torrents as f64),
        )?;
        gauge(
            encoder,
            "tracker_max_peers",
            "The most peers in the store, of each family",
            one(settings.max_stored_peers as f64),
        )?;
        self.workers(encoder)?;
        self.nodes(encoder)?;
        if let Some(status) = &self.snapshots {
            snapshots(encoder, status)?;
        }
        host(encoder, &Host::read())?;
        gauge(
            encoder,
            "tracker_uptime_seconds",
            "Time since the tracker was started",
            one(self.monitor.uptime().as_secs_f64()),
        )?;
        let build = vec![("version", env!("CARGO_PKG_VERSION").to_owned())];
        gauge(encoder, "tracker_build_info", "The version of the program; always 1", [(build, 1.0)])
    }
}

impl Figures {
    fn workers(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let workers = self.monitor.workers();
        let label = |at: usize| vec![("worker", at.to_string())];
        let busy = self.busy.iter().enumerate().map(|(at, busy)| (label(at), *busy));
        gauge(
            encoder,
            "tracker_worker_busy_ratio",
            "The share of the last seconds in which a worker did not wait",
            busy,
        )?;
        let batches = workers.iter().enumerate().map(|(at, worker)| (label(at), worker.batches));
        counter(
            encoder,
            "tracker_worker_batches",
            "Batches of datagrams that a worker has received",
            batches,
        )?;
        let datagrams = workers.iter().enumerate().map(|(at, worker)| (label(at), worker.datagrams));
        counter(encoder, "tracker_worker_datagrams", "Datagrams that a worker has received", datagrams)?;
        let mut latency = Latency::default();
        workers.iter().for_each(|worker| latency += worker.latency);
        let buckets: Vec<_> = latency
            .buckets()
            .map(|(bound, n)| (bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64()), n))
            .collect();
        let help = "Time from the arrival of a request to its reply, of the first request of each batch";
        let mut histogram =
            encoder.encode_descriptor("tracker_reply_seconds", help, None, MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(latency.sum().as_secs_f64(), latency.count(), &buckets, None)
    }

    fn nodes(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let nodes = self.monitor.livesync_nodes();
        let label = |at: usize| vec![("node", nodes[at].address.to_string())];
        let of = |figure: fn(&NodeStatus) -> Option<f64>| {
            let figures = nodes.iter().enumerate();
            figures.filter_map(|(at, node)| Some((label(at), figure(node)?))).collect::<Vec<_>>()
        };
        let count = |figure: fn(&NodeStatus) -> u64| {
            nodes.iter().enumerate().map(|(at, node)| (label(at), figure(node))).collect::<Vec<_>>()
        };
        gauge(
            encoder,
            "tracker_livesync_silent_seconds",
            "Time since a node's last accepted packet",
            of(|node| Some(node.ago?.as_secs_f64())),
        )?;
        gauge(
            encoder,
            "tracker_livesync_lag_seconds",
            "How long a node's last authenticated packet was on its way, by the two clocks",
            of(|node| Some(node.delay?.as_secs_f64())),
        )?;
        counter(
            encoder,
            "tracker_livesync_heard_packets",
            "Packets accepted from a node",
            count(|node| node.packets),
        )?;
        counter(
            encoder,
            "tracker_livesync_heard_records",
            "Records in the packets accepted from a node",
            count(|node| node.records),
        )?;
        counter(
            encoder,
            "tracker_livesync_node_applied",
            "Records from a node that were applied",
            count(|node| node.applied),
        )
    }
}

/// All counters of an enum, in families by their metric names.
fn counts<C: Counted>(encoder: &mut DescriptorEncoder<'_>, counted: &Snapshot<C>) -> fmt::Result {
    let mut names: Vec<&str> = Vec::new();
    for metric in C::ALL.iter().map(|count| count.metric()) {
        if !names.contains(&metric.name) {
            names.push(metric.name);
        }
    }
    for name in names {
        let own: Vec<_> = C::ALL.iter().filter(|count| count.metric().name == name).collect();
        let values = own.iter().flat_map(|count| {
            Family::ALL.map(|family| {
                let Metric { labels, .. } = count.metric();
                let labels = labels.iter().map(|(label, value)| (*label, (*value).to_owned()));
                let labels: Labels<'_> =
                    [("family", family.name().to_owned())].into_iter().chain(labels).collect();
                (labels, counted.get(family, **count))
            })
        });
        // The encoder appends this suffix itself.
        counter(encoder, name.strip_suffix("_total").unwrap_or(name), help(name), values)?;
    }
    Ok(())
}

/// What the counters of a metric count.
fn help(metric: &str) -> &'static str {
    match metric {
        "tracker_datagrams_received_total" => "Datagrams received",
        "tracker_answered_total" => "Requests answered, by action",
        "tracker_not_sent_total" => "Replies that the system did not accept",
        "tracker_rejected_total" => "Requests answered with an error, by reason",
        "tracker_ignored_total" => "Datagrams without an answer, by reason",
        "tracker_requests_total" => "Well-formed requests, by action and dialect",
        "tracker_completed_total" => "Downloads completed",
        "tracker_store_full_total" => {
            "Announces that were answered but not stored, because the store was full"
        }
        "tracker_evicted_total" => "Stored peers removed from a full store, to make room for others",
        "tracker_not_stored_total" => "Announces that were answered but not stored, by reason",
        "tracker_receive_errors_total" => "Errors on receiving",
        "tracker_kernel_dropped_total" => {
            "Datagrams that the kernel dropped because a receive buffer was full"
        }
        "tracker_kernel_shed_total" => {
            "Datagrams that the kernel dropped for the tracker, of networks that sent more than could be answered"
        }
        "tracker_livesync_queued_total" => "Announces queued for the other nodes",
        "tracker_livesync_queue_full_total" => {
            "Announces not queued for the other nodes, because the queue was full"
        }
        "tracker_livesync_packets_sent_total" => "Packets made for the other nodes",
        "tracker_livesync_records_sent_total" => "Records in packets to the other nodes",
        "tracker_livesync_not_sent_total" => "Packets that the system did not accept, for each destination",
        "tracker_livesync_packets_received_total" => "Packets received on livesync's port",
        "tracker_livesync_records_received_total" => "Records in accepted packets",
        "tracker_livesync_applied_total" => "Records applied to the store",
        "tracker_livesync_dropped_total" => "Packets dropped, by reason",
        "tracker_livesync_records_dropped_total" => "Records dropped, by reason",
        "tracker_livesync_receive_errors_total" => "Errors on receiving on livesync's port",
        _ => "A counter",
    }
}

/// Only with a `state_dir`. Without a snapshot since the start, there is no age, and so on.
fn snapshots(encoder: &mut DescriptorEncoder<'_>, status: &SnapshotStatus) -> fmt::Result {
    let gauges = [
        ("tracker_snapshot_age_seconds", "Time since the last snapshot was begun", status.age_seconds),
        ("tracker_snapshot_seconds", "How long the last snapshot took to write", status.seconds),
        ("tracker_snapshot_bytes", "Bytes of the last snapshot", status.bytes.map(|bytes| bytes as f64)),
        (
            "tracker_snapshot_late",
            "1 if the last snapshot is older than two intervals",
            Some(if status.is_late { 1.0 } else { 0.0 }),
        ),
        (
            "tracker_snapshot_loading",
            "1 while a snapshot is loaded",
            Some(if status.loading { 1.0 } else { 0.0 }),
        ),
    ];
    for (name, help, value) in gauges {
        gauge(encoder, name, help, value.into_iter().flat_map(one))?;
    }
    let failures = [(Labels::new(), status.failures)];
    counter(encoder, "tracker_snapshot_failures", "Snapshots that could not be written", failures)
}

fn host(encoder: &mut DescriptorEncoder<'_>, host: &Host) -> fmt::Result {
    let gauges = [
        ("tracker_resident_bytes", "Bytes of the process in memory", host.resident_bytes),
        ("tracker_host_conntrack_entries", "Connections that the kernel tracks", host.conntrack_entries),
        (
            "tracker_host_conntrack_limit",
            "The most connections that the kernel can track",
            host.conntrack_limit,
        ),
    ];
    for (name, help, value) in gauges {
        gauge(encoder, name, help, value.into_iter().flat_map(|value| one(value as f64)))?;
    }
    let counters = [
        (
            "tracker_host_softnet_dropped",
            "Packets that the kernel dropped before any socket, of all programs",
            host.softnet_dropped,
        ),
        (
            "tracker_host_softnet_squeezed",
            "How often the kernel stopped receiving although there were packets",
            host.softnet_squeezed,
        ),
        (
            "tracker_host_udp_buffer_errors",
            "Datagrams that UDP sockets of all programs dropped because a buffer was full",
            host.udp_buffer_errors,
        ),
    ];
    for (name, help, value) in counters {
        counter(encoder, name, help, value.map(|value| (Labels::new(), value)))?;
    }
    Ok(())
}

fn one<'a>(value: f64) -> [(Labels<'a>, f64); 1] {
    [(Labels::new(), value)]
}

fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> fmt::Result {
    family(encoder, (name, help, MetricType::Gauge), values, |encoder, value| encoder.encode_gauge(&value))
}

fn counter<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> fmt::Result {
    family(encoder, (name, help, MetricType::Counter), values, |encoder, value| {
        encoder.encode_counter::<NoLabelSet, _, u64>(&value, None)
    })
}

/// A metric with a value for each set of labels; nothing, if there is no value.
fn family<'a, T>(
    encoder: &mut DescriptorEncoder<'_>,
    (name, help, kind): (&str, &str, MetricType),
    values: impl IntoIterator<Item = (Labels<'a>, T)>,
    encode: impl Fn(&mut MetricEncoder<'_>, T) -> fmt::Result,
) -> fmt::Result {
    let mut values = values.into_iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let mut metric = encoder.encode_descriptor(name, help, None, kind)?;
    for (labels, value) in values {
        if labels.is_empty() {
            encode(&mut metric, value)?;
        } else {
            encode(&mut metric.encode_family(&labels)?, value)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use udp_tracker::{Count, LivesyncCount};

    use super::*;

    #[test]
    fn the_older_format_has_the_whole_names_of_counters() {
        let openmetrics = "# HELP a_b Things, counted.\n# TYPE a_b counter\na_b_total{c=\"d\"} 1\n\
                           # HELP e Now.\n# TYPE e gauge\ne 2\n# EOF\n";
        let expected = "# HELP a_b_total Things, counted.\n# TYPE a_b_total counter\na_b_total{c=\"d\"} 1\n\
                        # HELP e Now.\n# TYPE e gauge\ne 2\n";
        assert_eq!(prometheus(openmetrics), expected);
    }

    #[test]
    fn every_counter_is_described() {
        fn described<C: Counted>() {
            for count in C::ALL {
                assert_ne!(help(count.metric().name), "A counter", "{}", count.metric().name);
            }
        }
        described::<Count>();
        described::<LivesyncCount>();
    }
}
