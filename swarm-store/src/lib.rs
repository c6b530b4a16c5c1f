//! An in-memory store of BitTorrent swarms: `info_hash -> swarm -> peers`, for many threads at once.
//!
//! A [`SwarmStore`] holds the peers of one address family in their compact form, `N` = 6 bytes for IPv4, 18 for IPv6.
//! It has no clock, no socket and no thread: every call takes the time, as seconds since any fixed moment, and the
//! owner of the store calls [`SwarmStore::sweep`] regularly.
//!
//! ```
//! use swarm_store::{Announce, Change, InfoHash, Limits, PeerStatus, SwarmStore, ThreadContext};
//!
//! let secret = [7; 16]; // in a real program, from the system's random source
//! let store = SwarmStore::<6>::new(secret, 2700, Limits::default());
//! let mut context = ThreadContext::new(1); // one for each thread, with a random seed
//! let mut peers = [[0; 6]; 50];
//!
//! let info_hash = InfoHash([1; 20]);
//! let seeder = Announce { info_hash, peer: [192, 0, 2, 1, 0x1a, 0xe1], status: PeerStatus::Seeder };
//! let leecher = Announce { info_hash, peer: [192, 0, 2, 2, 0x1a, 0xe1], status: PeerStatus::Leecher };
//! store.announce(0, &seeder, &mut peers, &mut context);
//! let outcome = store.announce(1, &leecher, &mut peers, &mut context);
//!
//! assert_eq!(outcome.change, Change::Added);
//! assert_eq!((outcome.counts.seeders, outcome.counts.leechers), (1, 1));
//! assert_eq!(peers[..outcome.peers], [seeder.peer]);
//! ```
//!
//! # What identifies a peer
//! A peer is identified by its address and port, never by its peer_id, which anyone can copy. A peer that announces
//! again with the same address and port replaces itself.
//!
//! # When peers are removed
//! A peer is removed when it announces `Stopped`, or when it expires: it has not announced for the store's
//! `peer_lifetime`. An expired peer may still be counted and returned until a sweep has removed it; if it announces
//! again before, it counts as new. Times have a resolution of a thousandth of the lifetime, at least a second, so
//! expiry may be late by that much.
//!
//! # Random samples
//! The returned peers are a sample without replacement of all that may be returned, in which each is equally likely.
//! Neighbours in the store's (random) order tend to be returned together, so two samples right after each other are not
//! fully independent.
//!
//! # What an attacker can do
//! Remote hosts choose info_hashes and addresses, and see samples. Each operation takes bounded time whatever they
//! choose, even if they know the store's secret, and none panics. An announce that would take longer is refused as
//! [`StoreFull`](Change::StoreFull). Memory is bounded by [`Limits`].

mod block;
#[cfg(test)]
mod bounds;
mod clock;
mod context;
mod hash;
mod held;
mod large_swarm;
mod linear;
mod look;
mod memory;
mod networks;
mod raw;
mod restore;
mod room;
mod sample;
mod snapshot;
mod store;
mod swarm;
mod sweep;
mod sync;
mod table;
mod walk;
mod work;

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use context::ThreadContext;
pub use memory::{Memory, failed_allocations};
pub use snapshot::{
    Moment, Part, Restored, SnapshotCursor, SnapshotError, SnapshotReader, SnapshotWriter, Swarms,
};
pub use store::SwarmStore;
pub use sweep::{SweepCursor, Swept};
pub use torrent_ids::InfoHash;
pub use walk::{PeerCursor, TorrentCursor};

/// What a peer announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<const N: usize> {
    /// The torrent.
    pub info_hash: InfoHash,
    /// Where the peer listens, in compact form.
    pub peer: [u8; N],
    /// How much of the torrent the peer has, or that it leaves.
    pub status: PeerStatus,
}

/// How much of a torrent a peer has, or that it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerStatus {
    /// It lacks some of the torrent.
    Leecher,
    /// It has the whole torrent.
    Seeder,
    /// It has just got the whole torrent. Counted as a completed download once per peer.
    Completed,
    /// It is leaving.
    Stopped,
}

/// A stored peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredPeer<const N: usize> {
    /// Where the peer listens, in compact form.
    pub peer: [u8; N],
    /// Whether it has the whole torrent.
    pub seeder: bool,
    /// Whether it was counted as a completed download.
    pub completed: bool,
    /// Seconds since its last announce, in the store's resolution.
    pub idle: u32,
}

/// The number of a torrent's peers and of its completed downloads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have the whole torrent.
    pub seeders: u32,
    /// Peers that lack some of it.
    pub leechers: u32,
    /// Downloads that completed since the torrent is in the store. The torrent, and this count with it, is removed when
    /// it has had no peers for a peer lifetime. At most 2^24 - 1.
    pub completed: u32,
}

/// What an announce has changed in the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// The peer is new, or had expired.
    Added,
    /// The peer was in the store.
    Refreshed {
        /// Seconds since its last announce.
        after: u32,
    },
    /// The peer stopped and was removed.
    Removed,
    /// The peer stopped, but was not in the store.
    #[default]
    Nothing,
    /// The peer is not stored, because the store has reached its [`Limits`] or its [`Memory`], and none of those that
    /// were looked at has less merit. It still gets other peers. The same happens when the part of the store that its
    /// hash selects is full, which does not occur with random hashes.
    StoreFull,
    /// The peer is not stored, because its torrent is new, and its network holds as many as
    /// [`Limits::torrents_per_network`].
    TooManyTorrentsOfNetwork,
    /// The peer is not stored, because its network has as many peers of the torrent as
    /// [`Limits::peers_per_network_and_torrent`] permits. It still gets other peers.
    TooManyPeersOfNetwork,
}

/// The outcome of an announce.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct AnnounceOutcome {
    /// What changed for the peer.
    pub change: Change,
    /// Whether this announce was counted as a completed download.
    pub completed: bool,
    /// The swarm's counts after the announce, including the announcing peer.
    pub counts: Counts,
    /// How many peers were written: as many as there is room for, or as many as may be returned to this peer.
    pub peers: usize,
    /// How many stored peers were removed to make room for this one, because the store is full.
    pub evicted: u32,
}

impl AnnounceOutcome {
    /// Whether the peer is not stored, although it announces that it is there.
    #[must_use]
    pub fn is_not_stored(&self) -> bool {
        matches!(
            self.change,
            Change::StoreFull | Change::TooManyTorrentsOfNetwork | Change::TooManyPeersOfNetwork
        )
    }
}

/// How much a store may hold. A store that is full answers every announce, and stores by merit: what one network holds
/// too much of gives way, and torrents that nobody else has asked for before others.
///
/// A network is the /24 of an IPv4 address, the /64 of an IPv6 address; the /48 and the /32 of an IPv6 address count as
/// several. Loopback, private and link-local addresses belong to no network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// Torrents.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
    /// Torrents that one network may hold, whether the store is full or not; 0 for no limit. Each of its stored peers
    /// counts as one. A network at the limit adds no more torrents, but its peers still join those that there are.
    pub torrents_per_network: usize,
    /// Peers of one torrent that one network may hold, or an eighth of the torrent's peers if that is more; 0 for no
    /// limit. In swarms of more than 128 peers it is approximate: up to twice as many.
    pub peers_per_network_and_torrent: usize,
}

impl Limits {
    /// Limits of this many torrents, and this many peers of all torrents together; none for a network.
    #[must_use]
    pub const fn new(torrents: usize, peers: usize) -> Self {
        Self { torrents, peers, torrents_per_network: 0, peers_per_network_and_torrent: 0 }
    }
}

impl Default for Limits {
    /// Ten million torrents and fifty million peers.
    fn default() -> Self {
        Self::new(10_000_000, 50_000_000)
    }
}

/// How much a store holds. While other threads change it, the numbers may be of slightly different moments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Torrents, including those that are only kept for their completed count.
    pub torrents: usize,
    /// Peers of all torrents together, seeders included.
    pub peers: usize,
    /// Peers that have the whole torrent.
    pub seeders: usize,
    /// Bytes of memory: all that the store has allocated, with its room for growth, for each allocation what glibc's
    /// malloc adds to it (8 bytes, rounded up to 16), and a 24th more for gaps between allocations. When a store has grown
    /// to a million peers or more, this is within 5 % of its resident memory. When it has shrunk, the allocator may keep
    /// what the store has freed.
    pub bytes: usize,
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

    /// The torrents and peers that a store holds.
    pub(crate) fn held<const N: usize>(store: &SwarmStore<N>) -> (usize, usize) {
        let Totals { torrents, peers, .. } = store.totals();
        (torrents, peers)
    }

    /// What a store holds that never held a torrent.
    pub(crate) fn nothing() -> Totals {
        SwarmStore::<6>::new([0; 16], 600, Limits::default()).totals()
    }
}
