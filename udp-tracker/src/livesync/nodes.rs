//! The nodes whose packets are accepted, and what each has sent.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The nodes whose packets are accepted. Any thread reads them; the thread that receives writes them.
#[derive(Debug)]
pub(crate) struct Nodes {
    all: Box<[Node]>,
    own: IpAddr,
}

#[derive(Debug)]
struct Node {
    address: IpAddr,
    /// Seconds since 1970, or 0 before the first packet.
    last_packet_at: AtomicU64,
    /// Microseconds, or `u64::MAX` if it is not known.
    delay: AtomicU64,
    packets: AtomicU64,
    records: AtomicU64,
    applied: AtomicU64,
}

/// A node whose packets are accepted, and what it has sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its address.
    pub address: IpAddr,
    /// Time since its last accepted packet, in whole seconds; `None` before the first.
    pub ago: Option<Duration>,
    /// How long its last packet was on its way, if it was authenticated. The difference of the two clocks is a part of
    /// it; zero if the sender's clock is ahead.
    pub delay: Option<Duration>,
    /// Accepted packets.
    pub packets: u64,
    /// Records in them.
    pub records: u64,
    /// Records that were applied to the store.
    pub applied: u64,
}

/// Stands for a delay that is not known.
const UNKNOWN: u64 = u64::MAX;

impl Nodes {
    /// `own`, the address of this node, may be among them.
    pub(crate) fn new(addresses: &[IpAddr], own: IpAddr) -> Self {
        let node = |address: &IpAddr| Node {
            address: address.to_canonical(),
            last_packet_at: AtomicU64::new(0),
            delay: AtomicU64::new(UNKNOWN),
            packets: AtomicU64::new(0),
            records: AtomicU64::new(0),
            applied: AtomicU64::new(0),
        };
        Self { all: addresses.iter().map(node).collect(), own }
    }

    /// The index of the node with this address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        self.all.iter().position(|node| node.address == address)
    }

    /// Counts a packet of a node, which was on its way for `delay`. Returns whether it is the first.
    pub(crate) fn count_packet(&self, node: usize, now: Duration, delay: Option<Duration>) -> bool {
        let node = &self.all[node];
        let delay = delay.and_then(|delay| u64::try_from(delay.as_micros()).ok());
        node.delay.store(delay.unwrap_or(UNKNOWN), Relaxed);
        node.packets.fetch_add(1, Relaxed);
        node.last_packet_at.swap(now.as_secs().max(1), Relaxed) == 0
    }

    /// Counts the records of a packet.
    pub(crate) fn count_records(&self, node: usize, records: u64, applied: u64) {
        self.all[node].records.fetch_add(records, Relaxed);
        self.all[node].applied.fetch_add(applied, Relaxed);
    }

    /// What the other nodes have sent.
    pub(crate) fn status(&self, now: Duration) -> Vec<NodeStatus> {
        let status = |node: &Node| {
            let at = node.last_packet_at.load(Relaxed);
            let ago = (at > 0).then(|| Duration::from_secs(now.as_secs().saturating_sub(at)));
            let delay = Some(node.delay.load(Relaxed)).filter(|delay| *delay != UNKNOWN);
            NodeStatus {
                address: node.address,
                ago,
                delay: delay.map(Duration::from_micros),
                packets: node.packets.load(Relaxed),
                records: node.records.load(Relaxed),
                applied: node.applied.load(Relaxed),
            }
        };
        self.all.iter().map(status).filter(|node| node.address != self.own).collect()
    }
}

/// `192.0.2.2: 3 s ago`, or `192.0.2.2: never`.
impl fmt::Display for NodeStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ago {
            Some(ago) => write!(f, "{}: {} s ago", self.address, ago.as_secs()),
            None => write!(f, "{}: never", self.address),
        }
    }
}
