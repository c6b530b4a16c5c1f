//! Writing a snapshot: stores in, bytes out, a bounded piece at a time.

use torrent_ids::InfoHash;

use super::checksum::{self, Chain};
use super::record::{Draft, MOST_PEERS, Peer};
use super::{END, FRAME_HEAD, HEAD, MAGIC, MOST_CONTENT, Moment, VERSION};
use crate::SwarmStore;
use crate::block::{Block, Entry};
use crate::clock::{Clock, Stamp};
use crate::store::SHARDS;
use crate::swarm::LARGEST_BLOCK;
use crate::table::{MOST as MOST_OF_BUCKET, Slot};
use crate::walk::PeerCursor;

/// A frame's content ends once it has as many bytes: two thousand torrents of one peer, which is a tenth of a
/// millisecond.
const ENOUGH: usize = 1 << 16;
/// The most torrents that are looked at while a shard is locked, if there is nothing to write about them. One more
/// bucket is finished.
const TORRENTS_A_LOCK: usize = 1 << 12;
/// Peers of a large swarm that are looked at while its shard is locked. One more block is finished.
const PEERS_A_LOCK: usize = 512;

const _: () = assert!(PEERS_A_LOCK + Block::<18>::MOST <= MOST_PEERS && LARGEST_BLOCK <= MOST_PEERS);
/// Of a bucket with as many torrents and peers as it can have.
const MOST_BYTES_OF_BUCKET: usize = MOST_OF_BUCKET * (20 + 2 + 3 + LARGEST_BLOCK * (18 + 2));
const _: () = assert!(ENOUGH + MOST_BYTES_OF_BUCKET <= MOST_CONTENT && MOST_CONTENT < 1 << 24);

/// Writes a snapshot of any number of stores, in pieces of less than half a megabyte.
///
/// Call [`begin`](Self::begin) once, [`swarms`](Self::swarms) for each store until it returns `None`, and
/// [`end`](Self::end) once. The bytes that these return, one after the other, are the snapshot.
#[derive(Debug)]
pub struct SnapshotWriter {
    /// The stores' time when it was begun, in seconds.
    now: u32,
    chain: Chain,
    frame: Vec<u8>,
    torrents: u64,
    peers: u64,
}

/// The position of a [`SnapshotWriter`] in one store.
#[derive(Clone, Debug, Default)]
pub struct SnapshotCursor {
    shard: usize,
    /// In the order of hashes, within the shard.
    place: u64,
    /// Large swarms of the part before, of which some peers are not yet written.
    large: Vec<InfoHash>,
    /// In the last of them.
    peers: PeerCursor,
    /// Whether that one has a record.
    has_record: bool,
    /// Its completed count, as last seen.
    completed: u32,
}

impl SnapshotCursor {
    /// The beginning of a store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl SnapshotWriter {
    /// A writer of a snapshot that is begun at `now`, in seconds of the stores' clock.
    #[must_use]
    pub fn new(now: u32) -> Self {
        Self { now, chain: Chain::default(), frame: Vec::new(), torrents: 0, peers: 0 }
    }

    /// The first bytes. `written` is the same moment as `now`.
    pub fn begin(&mut self, written: &Moment) -> &[u8] {
        self.frame.clear();
        self.frame.extend_from_slice(&MAGIC);
        self.frame.extend_from_slice(&VERSION.to_le_bytes());
        self.frame.extend_from_slice(&written.unix.to_le_bytes());
        self.frame.extend_from_slice(&written.boot);
        self.frame.extend_from_slice(&written.since_boot.to_le_bytes());
        debug_assert_eq!(self.frame.len(), HEAD - checksum::LEN);
        self.sealed()
    }

    /// The next bytes: the next part of a store. `None`: all of it was written.
    ///
    /// What is stored all the time from the first call to the last is in the snapshot. What is added or removed in
    /// between may be in it or not. Expired peers are left out.
    ///
    /// # Complexity
    /// Each call locks one shard at a time, for about 64 KiB of what is written or four thousand torrents.
    pub fn swarms<const N: usize>(
        &mut self,
        store: &SwarmStore<N>,
        cursor: &mut SnapshotCursor,
    ) -> Option<&[u8]> {
        self.frame.clear();
        let [kind, ..] = N.to_le_bytes();
        self.frame.extend_from_slice(&[kind, 0, 0, 0]);
        let ages = Ages { clock: store.clock, now: self.now, stamp: store.stamp(self.now) };
        self.frame.extend_from_slice(&ages.clock.tick().to_le_bytes());
        let empty = self.frame.len();
        while self.frame.len() < ENOUGH && (cursor.shard < SHARDS || !cursor.large.is_empty()) {
            match cursor.large.last() {
                Some(torrent) => {
                    let torrent = *torrent;
                    self.large_swarm(store, &torrent, cursor, &ages);
                }
                None => self.shard(store, cursor, &ages),
            }
        }
        if self.frame.len() == empty {
            return None;
        }
        let len = self.frame.len() - FRAME_HEAD;
        debug_assert!(len <= MOST_CONTENT, "{len}");
        self.frame[1..FRAME_HEAD].copy_from_slice(&len.to_le_bytes()[..FRAME_HEAD - 1]);
        Some(self.sealed())
    }

    /// The last bytes.
    pub fn end(&mut self) -> &[u8] {
        self.frame.clear();
        self.frame.extend_from_slice(&[END, 16, 0, 0]);
        self.frame.extend_from_slice(&self.torrents.to_le_bytes());
        self.frame.extend_from_slice(&self.peers.to_le_bytes());
        self.sealed()
    }

    /// Records of torrents, and of peers, so far. A torrent of many peers has several records.
    #[must_use]
    pub fn written(&self) -> (u64, u64) {
        (self.torrents, self.peers)
    }

    fn sealed(&mut self) -> &[u8] {
        let sum = self.chain.next(&self.frame);
        self.frame.extend_from_slice(&sum);
        &self.frame
    }

    /// Locks a shard, and writes its next torrents. Large swarms are left for later.
    fn shard<const N: usize>(&mut self, store: &SwarmStore<N>, cursor: &mut SnapshotCursor, ages: &Ages) {
        let table = store.lock(cursor.shard);
        let mut left = TORRENTS_A_LOCK;
        while self.frame.len() < ENOUGH && left > 0 {
            let (span, slots) = table.span_slots(cursor.place);
            left = left.saturating_sub(slots.len() + 1);
            let is_divided = !span.begins_at(cursor.place);
            for slot in slots {
                // The torrents before the place were written when they had a bucket of their own.
                if is_divided && store.keys.torrents.hash(&slot.torrent.0).reverse_bits() < cursor.place {
                    continue;
                }
                if slot.swarm.large().is_some() {
                    cursor.large.push(slot.torrent);
                } else {
                    self.small_swarm(slot, ages);
                }
            }
            match span.next {
                Some(place) => cursor.place = place,
                None => {
                    cursor.shard += 1;
                    cursor.place = 0;
                    return;
                }
            }
        }
    }

    /// Writes a torrent whose swarm is not large.
    fn small_swarm<const N: usize>(&mut self, slot: &Slot<N>, ages: &Ages) {
        let completed = slot.completed();
        let mut draft = Draft::begin(&slot.torrent, completed, &mut self.frame);
        let mut youngest = None;
        slot.swarm.for_each(|entry, seeder| {
            let age = ages.clock.ticks_since(ages.stamp, entry.state);
            youngest = Some(youngest.map_or(age, |youngest: u16| youngest.min(age)));
            if let Some(peer) = ages.peer(entry, seeder) {
                draft.push(&peer, &mut self.frame);
            }
        });
        let lifetime = ages.clock.lifetime();
        // Since the last peer was removed, or has expired.
        let empty_for = match slot.swarm.empty_since() {
            Some(since) => ages.ticks(ages.now.saturating_sub(since)),
            None => youngest.unwrap_or_default().saturating_sub(lifetime),
        };
        if draft.is_empty() && completed > 0 && empty_for <= lifetime {
            draft.end_empty(empty_for, &mut self.frame);
            self.torrents += 1;
        } else {
            self.count(draft);
        }
    }

    /// Writes the next peers of a large swarm. It may have become small, or been removed.
    fn large_swarm<const N: usize>(
        &mut self,
        store: &SwarmStore<N>,
        torrent: &InfoHash,
        cursor: &mut SnapshotCursor,
        ages: &Ages,
    ) {
        let mut draft = None;
        let more = store.walk_peers(torrent, &mut cursor.peers, PEERS_A_LOCK, |completed, entry, seeder| {
            cursor.completed = completed;
            if let Some(peer) = ages.peer(entry, seeder) {
                let completed = if cursor.has_record { 0 } else { completed };
                let draft = draft.get_or_insert_with(|| Draft::begin(torrent, completed, &mut self.frame));
                draft.push(&peer, &mut self.frame);
            }
        });
        cursor.has_record |= draft.is_some();
        if let Some(draft) = draft {
            self.count(draft);
        }
        if !more {
            if !cursor.has_record && cursor.completed > 0 {
                // All peers have expired, and no sweep has removed them yet.
                Draft::begin(torrent, cursor.completed, &mut self.frame).end_empty(0, &mut self.frame);
                self.torrents += 1;
            }
            cursor.large.pop();
            (cursor.peers, cursor.has_record, cursor.completed) = (PeerCursor::default(), false, 0);
        }
    }

    fn count(&mut self, draft: Draft) {
        let peers = draft.end(&mut self.frame);
        self.torrents += u64::from(peers > 0);
        self.peers += u64::from(peers);
    }
}

/// Ages at the time at which a snapshot is begun.
struct Ages {
    clock: Clock,
    now: u32,
    stamp: Stamp,
}

impl Ages {
    /// `None` if the peer has expired. One that has announced since the snapshot was begun has age 0.
    fn peer<const N: usize>(&self, entry: Entry<N>, seeder: bool) -> Option<Peer<N>> {
        let age = self.clock.ticks_since(self.stamp, entry.state);
        let peer = Peer { peer: entry.peer, age, seeder, completed: entry.state.completed() };
        (age <= self.clock.lifetime()).then_some(peer)
    }

    fn ticks(&self, seconds: u32) -> u16 {
        u16::try_from(seconds / self.clock.tick()).unwrap_or(u16::MAX)
    }
}
