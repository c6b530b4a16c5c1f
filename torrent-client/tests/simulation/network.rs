//! Connections: bytes in transit, and bytes that arrived but were not consumed.

use torrent_client::PeerKey;

/// The most bytes in transit or not yet consumed in one direction: TCP's window.
pub(crate) const WINDOW: usize = 96 << 10;

/// One of a connection's two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) peer: PeerKey,
}

pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    /// Bytes that arrived at each end and were not consumed.
    pub(crate) inbox: [Vec<u8>; 2],
    /// How many of them the engine was given already.
    pub(crate) shown: [usize; 2],
    /// Bytes in transit to each end.
    pub(crate) under_way: [usize; 2],
}

impl Connection {
    pub(crate) fn new(ends: [End; 2]) -> Self {
        Self { ends, inbox: Default::default(), shown: [0; 2], under_way: [0; 2] }
    }

    /// Bytes that may be sent to that end.
    pub(crate) fn room(&self, to: usize) -> usize {
        WINDOW.saturating_sub(self.under_way[to] + self.inbox[to].len())
    }
}
