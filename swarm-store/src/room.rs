//! What is stored when the store is full, and what is removed for it.
//!
//! # What an attacker sees and controls
//! It chooses info_hashes, ports and how often it announces, from the networks that it has ([`networks`](crate::networks)).
//! It sees whether its own peers are returned. It wants the store full of torrents that nobody needs, so that those of
//! others are not stored: first by filling the store, then by keeping it full. It knows these rules.
//!
//! # The rules
//! A store with room stores everything. A full one compares the network of the new peer with the networks of stored
//! peers. Who is stored for a network that holds more than twice as much gives way. So a network, or a thousand
//! networks, can fill the store only as long as nobody else comes: whose network holds less than half of what each of
//! the attacker's networks holds always finds room, and loses nothing. An attacker with `A` networks can hold no more than
//! `A` equal shares, and to push out others, its networks must hold less than theirs.
//!
//! What gives way is found by a hand that goes round the buckets of the shard, one bucket at each announce, and takes what
//! has the least merit there:
//! 1. torrents without peers, which are kept only for their completed count;
//! 2. torrents with one peer: nobody else has asked for them. Whose network holds most goes first;
//! 3. single peers of larger swarms, if their network holds four times as much as would be enough for 2.
//!
//! The hand looks at about twenty torrents, each of another network if the store is full of many. Because torrents are
//! in the order of a keyed hash, that is a random sample: what fills a large part of the store is in it. What doesn't,
//! must be kept from filling the rest in another way: very large swarms, of which there are few, get no more peers when
//! the store is seven eighths full. They have plenty.
//!
//! Half of a share as the limit, and not a whole one, leaves a margin for networks that share a counter, and ends the
//! exchange among equals: refusing one of two peers of equal merit loses no more than removing the other.

use rand::{Rng, RngExt};
use torrent_ids::InfoHash;

use crate::block::Entry;
use crate::sample::Place;
use crate::store::SwarmStore;
use crate::swarm::{LARGEST_BLOCK, Swarm};
use crate::table::{Location, Slot, Table};
use crate::work;
use crate::{Change, Totals};

/// The most torrents that the hand looks at.
const LOOKED_AT: usize = 24;
/// The most buckets that the hand passes for one announce because they are empty.
const EMPTY_BUCKETS: usize = 4;
/// The most that is removed for one new peer.
const REMOVED: usize = 2;
/// Peers that it looks at in a swarm.
const SAMPLED: usize = 2;
/// By how much a peer of a larger swarm counts less than the peer of a torrent that nobody else has asked for.
const FOUNDED: u32 = 4;
/// A network with fewer peers than this is never pushed out.
const FREE: u32 = 16;

/// How much of a limit is in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fill {
    Low,
    /// Seven eighths.
    High,
    Full,
    /// By a 64th more, which bytes can be: an allocation is not always as large as what was freed for it.
    Over,
}

impl Fill {
    fn of(used: usize, most: usize) -> Self {
        match () {
            () if used < most - most / 8 => Self::Low,
            () if used < most => Self::High,
            () if used - most < most / 64 => Self::Full,
            () => Self::Over,
        }
    }
}

/// What may give way.
struct Candidate {
    location: Location,
    /// Only this peer of the torrent.
    peer: Option<Place>,
    /// How many peers the network holds, or what counts as that.
    held: u32,
}

impl<const N: usize> SwarmStore<N> {
    /// Whether a new torrent, with this peer, may be stored. Removes others for it if the store is full, and adds their
    /// number to `evicted`.
    pub(crate) fn admit_torrent(
        &self,
        now: u32,
        table: &mut Table<N>,
        (torrent, peer): (&InfoHash, &[u8; N]),
        rng: &mut impl Rng,
        evicted: &mut u32,
    ) -> Result<(), Change> {
        let most = self.limits.torrents_per_network;
        if most > 0 && self.networks.held(peer) as usize >= most {
            return Err(Change::TooManyTorrentsOfNetwork);
        }
        if self.fill(true) < Fill::Full || self.make_room(now, table, (torrent, peer), true, rng, evicted) {
            Ok(())
        } else {
            Err(Change::StoreFull)
        }
    }

    /// The same for a peer of a torrent that is stored. The torrent's location changes when others are removed.
    pub(crate) fn admit_peer(
        &self,
        now: u32,
        table: &mut Table<N>,
        location: Location,
        peer: &[u8; N],
        rng: &mut impl Rng,
        evicted: &mut u32,
    ) -> Result<(), Change> {
        let slot = table.slot(location);
        let most = self.limits.peers_per_network_and_torrent;
        if most > 0 && !slot.swarm.may_add(peer, most) {
            return Err(Change::TooManyPeersOfNetwork);
        }
        let fill = self.fill(false);
        if fill == Fill::Low || fill == Fill::High && slot.swarm.len() <= LARGEST_BLOCK {
            return Ok(());
        }
        let torrent = slot.torrent;
        let is_large = slot.swarm.len() > LARGEST_BLOCK;
        if is_large || !self.make_room(now, table, (&torrent, peer), false, rng, evicted) {
            return Err(Change::StoreFull);
        }
        Ok(())
    }

    /// Whether there is room for a peer, without removing anything.
    pub(crate) fn has_room(&self) -> bool {
        self.room_for_peers() > 0
    }

    /// For how many peers there is room, without removing anything.
    pub(crate) fn room_for_peers(&self) -> usize {
        let has_memory = self.bytes() < Fill::Full;
        if has_memory { self.limits.peers.saturating_sub(self.held.totals().peers) } else { 0 }
    }

    /// Whether there is room for a torrent without peers.
    pub(crate) fn has_room_for_torrent(&self) -> bool {
        self.bytes() < Fill::Full && self.held.totals().torrents < self.limits.torrents
    }

    /// The limit of which most is in use. Torrents count if there is to be a new one.
    fn fill(&self, new_torrent: bool) -> Fill {
        let Totals { torrents, peers, .. } = self.held.totals();
        let peers = Fill::of(peers, self.limits.peers);
        let torrents = if new_torrent { Fill::of(torrents, self.limits.torrents) } else { Fill::Low };
        // A number may reach its limit, but not exceed it.
        let number = |fill: Fill| if fill >= Fill::Full { Fill::Over } else { fill };
        self.bytes().max(number(peers)).max(number(torrents))
    }

    fn bytes(&self) -> Fill {
        let memory = &self.held.memory;
        let own = Fill::of(self.held.totals().bytes, memory.ceiling_of_one());
        own.max(Fill::of(memory.used(), memory.ceiling()))
    }

    /// Removes what has less merit than this peer. Returns whether there is room then.
    fn make_room(
        &self,
        now: u32,
        table: &mut Table<N>,
        (torrent, peer): (&InfoHash, &[u8; N]),
        new_torrent: bool,
        rng: &mut impl Rng,
        evicted: &mut u32,
    ) -> bool {
        let Totals { torrents, peers, .. } = self.held.totals();
        // What a network may hold so that this peer is stored instead.
        let enough = self.networks.held(peer).saturating_mul(2).saturating_add(FREE);
        if enough as usize > peers {
            return false;
        }
        let needs_torrent = new_torrent && torrents >= self.limits.torrents;
        for _ in 0..REMOVED {
            let found = self.least_merit(table, torrent, needs_torrent, rng);
            let Some(candidate) = found.filter(|candidate| candidate.held > enough) else { return false };
            *evicted += self.evict(now, table, &candidate);
            if self.fill(new_torrent) < Fill::Over {
                return true;
            }
        }
        false
    }

    /// What has the least merit where the hand is. Moves the hand on.
    fn least_merit(
        &self,
        table: &mut Table<N>,
        except: &InfoHash,
        whole: bool,
        rng: &mut impl Rng,
    ) -> Option<Candidate> {
        let bucket = (0..EMPTY_BUCKETS).find_map(|_| {
            let bucket = table.next_bucket();
            (!table.slots_of(bucket).is_empty()).then_some(bucket)
        })?;
        let slots = table.slots_of(bucket);
        work::count(slots.len());
        // From another place each time, if there are more than are looked at.
        let start = rng.random_range(0..slots.len());
        let mut least: Option<Candidate> = None;
        for at in (0..slots.len().min(LOOKED_AT)).map(|step| (start + step) % slots.len()) {
            let slot = &slots[at];
            if slot.torrent == *except {
                continue;
            }
            if let Some((held, peer)) = self.merit(slot, whole, rng)
                && least.as_ref().is_none_or(|least| held > least.held)
            {
                least = Some(Candidate { location: Location { bucket, slot: at }, peer, held });
            }
        }
        least
    }

    /// How many peers the network holds that has a torrent, or a peer of it; the more, the less merit. `whole`: only
    /// torrents.
    fn merit(&self, slot: &Slot<N>, whole: bool, rng: &mut impl Rng) -> Option<(u32, Option<Place>)> {
        let held = |entry: Entry<N>| self.networks.held(&entry.peer);
        match &slot.swarm {
            Swarm::Empty { .. } => Some((u32::MAX, None)),
            Swarm::One { entry, .. } => Some((held(*entry), None)),
            // All of its peers give way only if all that are looked at may.
            Swarm::Block(_) if whole => {
                let peers = (0..2 * SAMPLED).filter_map(|_| slot.swarm.random(rng));
                peers.map(|(_, entry)| (held(entry) / FOUNDED, None)).min_by_key(|(held, _)| *held)
            }
            Swarm::Large(_) if whole => None,
            Swarm::Block(_) | Swarm::Large(_) => {
                let peers = (0..SAMPLED).filter_map(|_| slot.swarm.random(rng));
                peers.map(|(place, entry)| (held(entry) / FOUNDED, Some(place))).max_by_key(|(held, _)| *held)
            }
        }
    }

    /// Removes a torrent, or one peer of it. Returns how many peers were removed.
    fn evict(&self, now: u32, table: &mut Table<N>, candidate: &Candidate) -> u32 {
        let slot = table.slot(candidate.location);
        if let Some(place) = candidate.peer {
            self.remove_peer(&mut slot.swarm, place, now);
            self.forget(table, now, candidate.location);
            return 1;
        }
        let removed = self.remove_at(table, candidate.location);
        let peers = removed.swarm.len();
        self.release(&removed.swarm);
        u32::try_from(peers).unwrap_or(u32::MAX)
    }
}
