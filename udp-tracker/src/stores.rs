//! The swarms of both address families.

use std::net::{IpAddr, SocketAddr};

use swarm_store::{
    Announce, AnnounceOutcome, Counts, Limits, Memory, PeerCursor, PeerStatus, Restored, SwarmStore, Swarms,
    SweepCursor, Swept, ThreadContext, Totals,
};
use udp_tracker_proto::{InfoHash, compact};

use crate::Family;
use crate::peer_address::PeerAddress;
use crate::scope::{Scope, Scopes};

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
    scopes: Scopes,
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
            scopes: Scopes::default(),
        }
    }

    /// Applies an announce of `peer`. Writes up to `wanted` other peers to `compact_peers`, in the compact form of the
    /// peer's family, limited by its length: none that a client in the peer's place may not get. The outcome has their
    /// number.
    pub(crate) fn announce(
        &self,
        now: u64,
        info_hash: InfoHash,
        peer: &PeerAddress,
        status: PeerStatus,
        (compact_peers, wanted): (&mut [u8], usize),
        context: &mut ThreadContext,
    ) -> AnnounceOutcome {
        let now = store_time(now);
        let scope = peer.scope();
        self.scopes.note(scope);
        match peer.address() {
            SocketAddr::V4(peer) => {
                let room = room(compact_peers, wanted);
                let announce = Announce { info_hash, peer: compact::from_v4(peer), status };
                let mut outcome = self.v4.announce(now, &announce, room, context);
                outcome.peers = self.scopes.keep_visible(scope, &mut room[..outcome.peers], scope_of_v4);
                outcome
            }
            SocketAddr::V6(peer) => {
                let room = room(compact_peers, wanted);
                let announce = Announce { info_hash, peer: compact::from_v6(peer), status };
                let mut outcome = self.v6.announce(now, &announce, room, context);
                outcome.peers = self.scopes.keep_visible(scope, &mut room[..outcome.peers], scope_of_v6);
                outcome
            }
        }
    }

    /// Writes peers of a torrent like [`announce`](Self::announce), for a client that is not stored. Returns the
    /// torrent's counts, and how many peers were written.
    pub(crate) fn sample(
        &self,
        now: u64,
        (torrent, client, with_seeders): (InfoHash, IpAddr, bool),
        (compact_peers, wanted): (&mut [u8], usize),
        context: &mut ThreadContext,
    ) -> (Counts, usize) {
        let now = store_time(now);
        let scope = Scope::of(client).unwrap_or(Scope::Global);
        match client {
            IpAddr::V4(_) => {
                let room = room(compact_peers, wanted);
                let (counts, peers) = self.v4.sample(now, &torrent, with_seeders, room, context);
                (counts, self.scopes.keep_visible(scope, &mut room[..peers], scope_of_v4))
            }
            IpAddr::V6(_) => {
                let room = room(compact_peers, wanted);
                let (counts, peers) = self.v6.sample(now, &torrent, with_seeders, room, context);
                (counts, self.scopes.keep_visible(scope, &mut room[..peers], scope_of_v6))
            }
        }
    }

    /// Adds the torrents and peers of a part of a snapshot, which was begun `elapsed` seconds before `now`; see
    /// [`SwarmStore::restore_swarms`].
    pub fn restore_swarms(
        &self,
        now: u64,
        elapsed: u32,
        swarms: &Swarms<'_>,
        context: &mut ThreadContext,
    ) -> Restored {
        // Before they are stored, so that no reply has one that its client may not get.
        let scopes = swarms.peers().filter_map(scope_of_v4).chain(swarms.peers().filter_map(scope_of_v6));
        scopes.for_each(|scope| self.scopes.note(scope));
        // Each takes those of its own family.
        let mut restored = self.v4.restore_swarms(store_time(now), elapsed, swarms, context);
        restored += self.v6.restore_swarms(store_time(now), elapsed, swarms, context);
        restored
    }

    /// Call this before peers are restored into [`v4`](Self::v4) or [`v6`](Self::v6) themselves, with any addresses.
    ///
    /// A client does not get addresses of private networks that it is not in itself. As long as no such peers are stored,
    /// replies are not searched for them.
    pub fn expect_any_address(&self) {
        self.scopes.note_all();
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

fn scope_of_v4(peer: [u8; compact::V4]) -> Option<Scope> {
    Scope::of_v4(*compact::to_v4(peer).ip())
}

fn scope_of_v6(peer: [u8; compact::V6]) -> Option<Scope> {
    Scope::of_v6(*compact::to_v6(peer).ip())
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
