//! The nodes whose packets are accepted, and when each sent the last.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The nodes whose packets are accepted. Read by any thread, written by the one that receives.
#[derive(Debug)]
pub(crate) struct Nodes {
    all: Box<[Node]>,
    own: IpAddr,
}

#[derive(Debug)]
struct Node {
    address: IpAddr,
    /// Seconds since 1970, or 0 before the first packet.
    heard_at: AtomicU64,
}

/// A node whose packets are accepted, and how long ago the last was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeHeard {
    /// Its address.
    pub address: IpAddr,
    /// Time since the last packet that was accepted, in whole seconds; `None` before the first.
    pub ago: Option<Duration>,
}

impl Nodes {
    /// `own`, the address of this node, may be among them.
    pub(crate) fn new(addresses: &[IpAddr], own: IpAddr) -> Self {
        let node = |address: &IpAddr| Node { address: address.to_canonical(), heard_at: AtomicU64::new(0) };
        Self { all: addresses.iter().map(node).collect(), own }
    }

    /// Which node an address is.
    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        self.all.iter().position(|node| node.address == address)
    }

    /// Notes a packet of a node; returns whether it is the first.
    pub(crate) fn hear(&self, node: usize, now: Duration) -> bool {
        self.all[node].heard_at.swap(now.as_secs().max(1), Relaxed) == 0
    }

    /// When the other nodes sent their last packets.
    pub(crate) fn heard(&self, now: Duration) -> Vec<NodeHeard> {
        let heard = |node: &Node| {
            let at = node.heard_at.load(Relaxed);
            let ago = (at > 0).then(|| Duration::from_secs(now.as_secs().saturating_sub(at)));
            NodeHeard { address: node.address, ago }
        };
        self.all.iter().map(heard).filter(|node| node.address != self.own).collect()
    }
}

/// `192.0.2.2: 3 s ago`, or `192.0.2.2: never`.
impl fmt::Display for NodeHeard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ago {
            Some(ago) => write!(f, "{}: {} s ago", self.address, ago.as_secs()),
            None => write!(f, "{}: never", self.address),
        }
    }
}
