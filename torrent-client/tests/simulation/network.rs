//! Connections: bytes under way, and bytes that came and are not taken.

use torrent_client::PeerKey;

/// Bytes that may be under way, or wait to be taken, in one direction: the window of TCP.
pub(crate) const WINDOW: usize = 96 << 10;

/// One of a connection's two ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: usize,
    pub(crate) peer: PeerKey,
}

pub(crate) struct Connection {
    pub(crate) ends: [End; 2],
    /// Bytes that came to each end and are not taken.
    pub(crate) inbox: [Vec<u8>; 2],
    /// Of these, bytes that the engine was shown already.
    pub(crate) shown: [usize; 2],
    /// Bytes under way to each end.
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
