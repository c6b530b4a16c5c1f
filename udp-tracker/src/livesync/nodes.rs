//! The nodes that may speak, and when each last did.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// The nodes that may speak; read by anybody, written by the one who hears them.
#[derive(Debug)]
pub(crate) struct Nodes {
    all: Box<[Node]>,
    own: Option<IpAddr>,
}

#[derive(Debug)]
struct Node {
    address: IpAddr,
    /// Seconds since 1970, or 0 if it was not heard.
    heard_at: AtomicU64,
}

/// One of the nodes that may speak, and how long ago it was heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeHeard {
    /// Its address.
    pub address: IpAddr,
    /// Whole seconds since the last packet from it that was taken; `None` if none was yet.
    pub ago: Option<Duration>,
}

impl Nodes {
    /// Ourselves may be among them.
    pub(crate) fn new(addresses: &[IpAddr], own: Option<IpAddr>) -> Self {
        let node = |address: &IpAddr| Node { address: address.to_canonical(), heard_at: AtomicU64::new(0) };
        Self { all: addresses.iter().map(node).collect(), own }
    }

    /// Which node an address is.
    pub(crate) fn find(&self, address: IpAddr) -> Option<usize> {
        self.all.iter().position(|node| node.address == address)
    }

    /// Notes that a node was heard, and says whether for the first time.
    pub(crate) fn hear(&self, node: usize, now: Duration) -> bool {
        self.all[node].heard_at.swap(now.as_secs().max(1), Relaxed) == 0
    }

    /// When the others were heard.
    pub(crate) fn heard(&self, now: Duration) -> Vec<NodeHeard> {
        let heard = |node: &Node| {
            let at = node.heard_at.load(Relaxed);
            let ago = (at > 0).then(|| Duration::from_secs(now.as_secs().saturating_sub(at)));
            NodeHeard { address: node.address, ago }
        };
        self.all.iter().map(heard).filter(|node| Some(node.address) != self.own).collect()
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
