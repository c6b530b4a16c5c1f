//! The nodes whose packets are accepted, and when each sent its last one.

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
}

/// A node whose packets are accepted, and the time since its last packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its address.
    pub address: IpAddr,
    /// Time since its last accepted packet, in whole seconds; `None` before the first.
    pub ago: Option<Duration>,
}

impl Nodes {
    /// `own`, the address of this node, may be among them.
    pub(crate) fn new(addresses: &[IpAddr], own: IpAddr) -> Self {
        let node =
            |address: &IpAddr| Node { address: address.to_canonical(), last_packet_at: AtomicU64::new(0) };
        Self { all: addresses.iter().map(node).collect(), own }
    }

    /// The index of the node with this address.
    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        self.all.iter().position(|node| node.address == address)
    }

    /// Records a packet of a node. Returns whether it is the first.
    pub(crate) fn record_packet(&self, node: usize, now: Duration) -> bool {
        self.all[node].last_packet_at.swap(now.as_secs().max(1), Relaxed) == 0
    }

    /// When the other nodes sent their last packets.
    pub(crate) fn status(&self, now: Duration) -> Vec<NodeStatus> {
        let status = |node: &Node| {
            let at = node.last_packet_at.load(Relaxed);
            let ago = (at > 0).then(|| Duration::from_secs(now.as_secs().saturating_sub(at)));
            NodeStatus { address: node.address, ago }
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
