//! Who shares which torrent: `info_hash -> swarm -> peers`, in memory, for many threads at once.
//!
//! A [`SwarmStore`] holds the peers of one address family in the wire's compact form, `N` = 6 octets for IPv4, 18 for
//! IPv6. It has no clock, no socket and no thread: every call is given the time, as seconds since any fixed moment, and
//! whoever owns the store calls [`SwarmStore::sweep`] now and then.
//!
//! ```
//! use rand::{SeedableRng, rngs::SmallRng};
//! use swarm_store::{Announce, Change, Limits, Standing, SwarmStore};
//! use torrent_ids::InfoHash;
//!
//! let key = [7; 16]; // from the system's random source, in earnest
//! let store = SwarmStore::<6>::new(key, 2700, Limits::default());
//! let mut rng = SmallRng::seed_from_u64(1);
//! let mut peers = [[0; 6]; 50];
//!
//! let torrent = InfoHash([1; 20]);
//! let (alice, bob) = ([192, 0, 2, 1, 0x1a, 0xe1], [192, 0, 2, 2, 0x1a, 0xe1]);
//! store.announce(0, &Announce { torrent, peer: alice, standing: Standing::Seeder }, &mut peers, &mut rng);
//! let told = store.announce(1, &Announce { torrent, peer: bob, standing: Standing::Leecher }, &mut peers, &mut rng);
//!
//! assert_eq!(told.change, Change::Added);
//! assert_eq!((told.counts.seeders, told.counts.leechers), (1, 1));
//! assert_eq!(peers[..told.peers], [alice]);
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
mod crowd;
mod hash;
mod linear;
mod raw;
mod sample;
mod store;
mod swarm;
mod sweep;
mod table;
mod work;

pub use store::SwarmStore;
pub use sweep::{SweepCursor, Swept};

use torrent_ids::InfoHash;

/// What a peer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announce<const N: usize> {
    /// The torrent it is about.
    pub torrent: InfoHash,
    /// Where the peer listens, in compact form.
    pub peer: [u8; N],
    /// How it stands with the torrent.
    pub standing: Standing,
}

/// How a peer stands with a torrent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It lacks something.
    Leecher,
    /// It has everything.
    Seeder,
    /// It has everything, and says that it has just finished. Counted as a completed download once per peer.
    Finished,
    /// It is leaving.
    Stopped,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
    Nothing,
    /// The peer is new, and the store has reached its [`Limits`]: it was told of others, but is not stored.
    NoRoom,
}

/// What comes of an announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
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
pub struct Limits {
    /// Torrents.
    pub torrents: usize,
    /// Peers of all torrents together.
    pub peers: usize,
}

impl Default for Limits {
    /// Ten million torrents and fifty million peers.
    fn default() -> Self {
        Self { torrents: 10_000_000, peers: 50_000_000 }
    }
}

/// How much a store holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
        let mut octets = [0; 20];
        octets[..4].copy_from_slice(&number.to_be_bytes());
        InfoHash(octets)
    }
}
