//! Who shares which torrent: `info_hash -> swarm -> peers`, in memory, for many threads at once.
//!
//! A [`SwarmStore`] holds the peers of one address family in the wire's compact form, `N` = 6 bytes for IPv4, 18 for
//! IPv6. It has no clock, no socket and no thread: every call is given the time, as seconds since any fixed moment, and
//! whoever owns the store calls [`SwarmStore::sweep`] now and then.
//!
//! ```
//! use swarm_store::{Announce, Change, InfoHash, Limits, PeerStatus, SwarmStore, ThreadContext};
//!
//! let key = [7; 16]; // from the system's random source, in earnest
//! let store = SwarmStore::<6>::new(key, 2700, Limits::default());
//! let mut context = ThreadContext::new(1); // one for each thread
//! let mut peers = [[0; 6]; 50];
//!
//! let torrent = InfoHash([1; 20]);
//! let (alice, bob) = ([192, 0, 2, 1, 0x1a, 0xe1], [192, 0, 2, 2, 0x1a, 0xe1]);
//! store.announce(0, &Announce { info_hash: torrent, peer: alice, status: PeerStatus::Seeder }, &mut peers, &mut context);
//! let outcome = store.announce(1, &Announce { info_hash: torrent, peer: bob, status: PeerStatus::Leecher }, &mut peers, &mut context);
//!
//! assert_eq!(outcome.change, Change::Added);
//! assert_eq!((outcome.counts.seeders, outcome.counts.leechers), (1, 1));
//! assert_eq!(peers[..outcome.peers], [alice]);
//! ```
//!
//! # Who is who
//! A peer is an address and a port, never a peer_id, which anybody can copy. A peer that announces again under the same
//! address and port replaces itself.
//!
//! # How peers end
//! By `Stopped`, or by silence: a peer that has not announced for the store's `peer_lifetime` is expired. An expired peer
//! may still be counted and handed out until a sweep has passed over it; when it announces again it is new. Times are
//! kept with a resolution of a thousandth of the lifetime, at least a second, so "after" and the moment of expiry may be
//! off by that much.
//!
//! # Chance
//! The peers handed out are a sample without replacement of all that may be handed out, in which each is equally likely.
//! Neighbours in the store's (random) order tend to come together, so two draws right after each other are not fully
//! independent.

mod block;
#[cfg(test)]
mod bounds;
mod clock;
mod context;
mod hash;
mod large_swarm;
mod linear;
mod raw;
mod restore;
mod sample;
mod store;
mod swarm;
mod sweep;
mod table;
mod walk;
mod work;

pub use context::ThreadContext;
pub use store::SwarmStore;
pub use sweep::{SweepCursor, Swept};
pub use torrent_ids::InfoHash;
pub use walk::{PeerCursor, TorrentCursor};

/// What a peer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<const N: usize> {
    /// The torrent it is about.
    pub info_hash: InfoHash,
    /// Where the peer listens, in compact form.
    pub peer: [u8; N],
    /// How it stands with the torrent.
    pub status: PeerStatus,
}

/// How a peer stands with a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerStatus {
    /// It lacks something.
    Leecher,
    /// It has everything.
    Seeder,
    /// It has everything, and has just finished. Counted as a completed download once per peer.
    Completed,
    /// It is leaving.
    Stopped,
}

/// A peer, and what a store keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPeer<const N: usize> {
    /// Where the peer listens, in compact form.
    pub peer: [u8; N],
    /// Whether it has everything.
    pub seeder: bool,
    /// Whether it was counted as a completed download.
    pub completed: bool,
    /// Seconds since its last announce, in the store's resolution.
    pub idle: u32,
}

/// How many peers a torrent has, and how many there were that completed it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have everything.
    pub seeders: u32,
    /// Peers that lack something.
    pub leechers: u32,
    /// Downloads seen to finish since the torrent is known. Forgotten with the torrent, which is when it has been
    /// without peers for a peer lifetime. At most 2^24 - 1.
    pub completed: u32,
}

/// What an announce has changed in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The peer is new, or was expired.
    Added,
    /// The peer was known.
    Refreshed {
        /// Seconds since its last announce.
        after: u32,
    },
    /// The peer has left.
    Removed,
    /// A peer has left that wasn't there.
    #[default]
    Nothing,
    /// The peer is new, and the store has reached its [`Limits`]: it was given others, but is not stored.
    StoreFull,
}

/// What comes of an announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceOutcome {
    /// What happened to the peer.
    pub change: Change,
    /// Whether this announce was counted as a completed download.
    pub completed: bool,
    /// The swarm after the announce, the announcer included.
    pub counts: Counts,
    /// How many peers were written: as many as there was room for, or as many as may be handed out to this one.
    pub peers: usize,
}

/// How much a store may hold. What comes beyond is answered, and not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Torrents.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
}

impl Limits {
    /// So many torrents, and so many peers of all torrents together.
    #[must_use]
    pub const fn new(torrents: usize, peers: usize) -> Self {
        Self { torrents, peers }
    }
}

impl Default for Limits {
    /// Ten million torrents and fifty million peers.
    fn default() -> Self {
        Self::new(10_000_000, 50_000_000)
    }
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Torrents, those included that are only remembered for their completed count.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One torrent for each number.
    pub(crate) fn torrent(number: u32) -> InfoHash {
        let mut bytes = [0; 20];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        InfoHash(bytes)
    }
}
