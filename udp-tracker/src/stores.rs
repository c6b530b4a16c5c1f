//! The swarms of both address families.

use std::net::{IpAddr, SocketAddr};

use swarm_store::{
    Announce, AnnounceOutcome, Counts, Limits, Memory, PeerCursor, PeerStatus, SwarmStore, SweepCursor,
    Swept, ThreadContext, Totals,
};
use udp_tracker_proto::{InfoHash, compact};

use crate::Family;

/// The swarms of both address families. The address of an announce or a scrape selects the family.
///
/// Times are seconds of a clock that never runs backwards, the same for all calls.
#[derive(Debug)]
#[non_exhaustive]
pub struct Stores {
    /// Peers with IPv4 addresses.
    pub v4: SwarmStore<{ compact::V4 }>,
    /// Peers with IPv6 addresses.
    pub v6: SwarmStore<{ compact::V6 }>,
    /// What both take together, and may take.
    pub memory: Memory,
}

/// A stored peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KnownPeer {
    /// Its address and port.
    pub address: SocketAddr,
    /// Whether it has the whole torrent.
    pub seeder: bool,
    /// Seconds since its last announce.
    pub idle: u32,
}

impl Stores {
    pub(crate) fn new(keys: [[u8; 16]; 2], peer_lifetime: u32, limits: Limits, memory: Memory) -> Self {
        let [v4, v6] = keys;
        Self {
            v4: SwarmStore::with_memory(v4, peer_lifetime, limits, &memory),
            v6: SwarmStore::with_memory(v6, peer_lifetime, limits, &memory),
            memory,
        }
    }

    /// Applies an announce of `peer`. Writes up to `wanted` other peers to `compact_peers`, in the compact form of the
    /// peer's family, limited by its length. The outcome has their number.
    pub(crate) fn announce(
        &self,
        now: u64,
        info_hash: InfoHash,
        peer: SocketAddr,
        status: PeerStatus,
        (compact_peers, wanted): (&mut [u8], usize),
        context: &mut ThreadContext,
    ) -> AnnounceOutcome {
        let now = store_time(now);
        match peer.ip().to_canonical() {
            IpAddr::V4(ip) => {
                let peer = compact::from_v4(std::net::SocketAddrV4::new(ip, peer.port()));
                let room = room(compact_peers, wanted);
                self.v4.announce(now, &Announce { info_hash, peer, status }, room, context)
            }
            IpAddr::V6(ip) => {
                let peer = compact::from_v6(std::net::SocketAddrV6::new(ip, peer.port(), 0, 0));
                let room = room(compact_peers, wanted);
                self.v6.announce(now, &Announce { info_hash, peer, status }, room, context)
            }
        }
    }

    /// The counts of a torrent's swarm.
    #[must_use]
    pub fn scrape(&self, now: u64, family: Family, torrent: &InfoHash) -> Counts {
        match family {
            Family::V4 => self.v4.scrape(store_time(now), torrent),
            Family::V6 => self.v6.scrape(store_time(now), torrent),
        }
    }

    /// Some of a torrent's peers: up to `most`, or a few more than a hundred.
    #[must_use]
    pub fn some_peers(&self, now: u64, family: Family, torrent: &InfoHash, most: usize) -> Vec<KnownPeer> {
        let now = store_time(now);
        match family {
            Family::V4 => some_peers(&self.v4, now, torrent, most, |peer| compact::to_v4(peer).into()),
            Family::V6 => some_peers(&self.v6, now, torrent, most, |peer| compact::to_v6(peer).into()),
        }
    }

    /// How many torrents and peers are stored.
    #[must_use]
    pub fn totals(&self, family: Family) -> Totals {
        match family {
            Family::V4 => self.v4.totals(),
            Family::V6 => self.v6.totals(),
        }
    }

    /// Removes expired peers, in a step of about `budget` torrents and peers.
    pub fn sweep(&self, now: u64, family: Family, cursor: &mut SweepCursor, budget: usize) -> Swept {
        match family {
            Family::V4 => self.v4.sweep(store_time(now), cursor, budget),
            Family::V6 => self.v6.sweep(store_time(now), cursor, budget),
        }
    }

    /// Asks the processor to load the memory that announces of these torrents will need.
    pub(crate) fn prefetch(&self, family: Family, torrents: &[InfoHash], context: &mut ThreadContext) {
        match family {
            Family::V4 => self.v4.prefetch(torrents, context),
            Family::V6 => self.v6.prefetch(torrents, context),
        }
    }
}

fn some_peers<const N: usize>(
    store: &SwarmStore<N>,
    now: u32,
    torrent: &InfoHash,
    most: usize,
    address: impl Fn([u8; N]) -> SocketAddr,
) -> Vec<KnownPeer> {
    let mut known = Vec::new();
    store.for_each_peer(now, torrent, &mut PeerCursor::default(), most, |peer| {
        if known.len() < most {
            known.push(KnownPeer { address: address(peer.peer), seeder: peer.seeder, idle: peer.idle });
        }
    });
    known
}

/// Bytes of a peer in the compact form.
pub(crate) const fn compact_len(family: Family) -> usize {
    match family {
        Family::V4 => compact::V4,
        Family::V6 => compact::V6,
    }
}

fn room<const N: usize>(bytes: &mut [u8], wanted: usize) -> &mut [[u8; N]] {
    let (all, _) = bytes.as_chunks_mut();
    let wanted = wanted.min(all.len());
    &mut all[..wanted]
}

/// The store's time: seconds since 1970 in 32 bits, until 2106.
pub(crate) fn store_time(now: u64) -> u32 {
    u32::try_from(now).unwrap_or(u32::MAX)
}
