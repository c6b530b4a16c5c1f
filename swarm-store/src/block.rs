//! Up to some hundred peers in one allocation.
//!
//! | bytes | what |
//! |---|---|
//! | 4 | the length of the whole, written by [`ThinBytes`] |
//! | 2 | number of peers |
//! | 2 | number of seeders among them |
//! | N each | peers in compact form: seeders, then leechers, then free room |
//! | 2 each | their states in the same order, then free room |
//!
//! Each part is in random order: a new peer is inserted at a random place, a removed one is replaced by the last.

use crate::clock::State;
use crate::memory::allocated;
use crate::raw::{ThinBytes, prefetch};
use crate::work;

/// A peer and its state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<const N: usize> {
    pub(crate) peer: [u8; N],
    pub(crate) state: State,
}

#[derive(Debug, Default)]
pub(crate) struct Block<const N: usize> {
    bytes: ThinBytes,
}

const STATE: usize = size_of::<State>();
/// The number of peers and the number of seeders.
const NUMBERS: usize = 4;
/// How many peers `find` compares without a branch.
const LANES: usize = 8;

/// The capacity for `len` peers: an eighth more, and even, because allocators give multiples of 16 bytes less 8.
fn roomy(len: usize) -> usize {
    if len == 0 { 0 } else { (len + len / 8).next_multiple_of(2) }
}

/// A number of peers, at most [`Block::MOST`], as it is stored.
fn narrow(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap_or(u16::MAX).to_le_bytes()
}

impl<const N: usize> Block<N> {
    /// The most peers of one block, so that a search takes bounded time whatever peers there are.
    ///
    /// Without an attack it is not reached. The blocks of a large swarm that are not yet divided have at most 128 peers
    /// on average. With a pseudo-random hash, the number in one of them is binomial: the probability that it exceeds
    /// 320 is below `exp(-(320 ln(320/128) - 320 + 128))`, which is less than 10^-43.
    pub(crate) const MOST: usize = 320;

    /// An empty block with room for `len` peers. `None` if there is no memory.
    pub(crate) fn with_room(len: usize) -> Option<Self> {
        let mut block = Self::default();
        block.resize(roomy(len))?;
        Some(block)
    }

    fn numbers(&self) -> (usize, usize) {
        match self.bytes.get().first_chunk::<NUMBERS>() {
            Some([a, b, c, d]) => (u16::from_le_bytes([*a, *b]).into(), u16::from_le_bytes([*c, *d]).into()),
            None => (0, 0),
        }
    }

    fn set_numbers(&mut self, len: usize, seeders: usize) {
        if let Some(numbers) = self.bytes.get_mut().first_chunk_mut::<NUMBERS>() {
            let ([a, b], [c, d]) = (narrow(len), narrow(seeders));
            *numbers = [a, b, c, d];
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers().0
    }

    pub(crate) fn seeders(&self) -> usize {
        self.numbers().1
    }

    /// The memory of the block.
    pub(crate) fn bytes(&self) -> usize {
        allocated(self.bytes.allocated())
    }

    fn capacity(&self) -> usize {
        self.bytes.get().len().saturating_sub(NUMBERS) / (N + STATE)
    }

    /// The peers and the states, free room included.
    fn lists(&self) -> (&[[u8; N]], &[[u8; STATE]]) {
        let bytes = self.bytes.get().get(NUMBERS..).unwrap_or(&[]);
        let (peers, states) = bytes.split_at(bytes.len() / (N + STATE) * N);
        (peers.as_chunks().0, states.as_chunks().0)
    }

    fn lists_mut(&mut self) -> (&mut [[u8; N]], &mut [[u8; STATE]]) {
        let bytes = self.bytes.get_mut().get_mut(NUMBERS..).unwrap_or(&mut []);
        let (peers, states) = bytes.split_at_mut(bytes.len() / (N + STATE) * N);
        (peers.as_chunks_mut().0, states.as_chunks_mut().0)
    }

    /// Seeders, then leechers.
    pub(crate) fn peers(&self) -> &[[u8; N]] {
        &self.lists().0[..self.len()]
    }

    pub(crate) fn state(&self, at: usize) -> State {
        State(self.lists().1[at])
    }

    pub(crate) fn set_state(&mut self, at: usize, state: State) {
        self.lists_mut().1[at] = state.0;
    }

    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<N>> {
        let (peers, states) = self.lists();
        let entries = peers.iter().zip(states).take(self.len());
        entries.map(|(peer, state)| Entry { peer: *peer, state: State(*state) })
    }

    /// The position of a peer.
    pub(crate) fn find(&self, peer: &[u8; N]) -> Option<usize> {
        let peers = self.peers();
        work::count(peers.len());
        let (groups, _) = peers.as_chunks::<LANES>();
        for (number, group) in groups.iter().enumerate() {
            let mut hits = 0u32;
            for (lane, known) in group.iter().enumerate() {
                hits |= u32::from(known == peer) << lane;
            }
            if hits != 0 {
                return Some(number * LANES + hits.trailing_zeros() as usize);
            }
        }
        let rest = groups.len() * LANES;
        peers[rest..].iter().position(|known| known == peer).map(|at| rest + at)
    }

    /// Inserts a peer that is not in the block, at a position that the random number `chance` selects. Returns the
    /// position, or `None` when the block is full, or when there is no memory.
    pub(crate) fn insert(&mut self, entry: Entry<N>, seeder: bool, chance: u32) -> Option<usize> {
        let (len, seeders) = self.numbers();
        if len >= Self::MOST {
            return None;
        }
        work::count(1);
        if len == self.capacity() {
            self.resize(roomy(len + 1))?;
        }
        self.set_numbers(len + 1, seeders + usize::from(seeder));
        let (peers, states) = self.lists_mut();
        (peers[len], states[len]) = (entry.peer, entry.state.0);
        if seeder {
            // The first leecher moves to the end and makes room for the seeder.
            self.swap(len, seeders);
        }
        let (first, at) = if seeder { (0, seeders) } else { (seeders, len) };
        let chosen = first + scale(chance, at + 1 - first);
        self.swap(at, chosen);
        Some(chosen)
    }

    /// Removes a peer.
    pub(crate) fn remove(&mut self, at: usize) -> Entry<N> {
        let (len, seeders) = self.numbers();
        let entry = Entry { peer: self.peers()[at], state: self.state(at) };
        let mut hole = at;
        let is_seeder = at < seeders;
        if is_seeder {
            self.swap(hole, seeders - 1);
            hole = seeders - 1;
        }
        self.swap(hole, len - 1);
        self.set_numbers(len - 1, seeders - usize::from(is_seeder));
        // Frees memory when a quarter of the block is empty.
        if (len - 1) * 4 <= self.capacity() * 3 && roomy(len - 1) < self.capacity() {
            // Without memory for a smaller block, it stays as it is.
            let _ = self.resize(roomy(len - 1));
        }
        entry
    }

    fn swap(&mut self, a: usize, b: usize) {
        if a != b {
            let (peers, states) = self.lists_mut();
            peers.swap(a, b);
            states.swap(a, b);
        }
    }

    /// Removes the peers for which `expires` is true, and returns their number. It is asked once for each peer.
    pub(crate) fn remove_if(&mut self, mut expires: impl FnMut(&[u8; N], State) -> bool) -> usize {
        let before = self.len();
        work::count(before);
        // Downwards, because a removal fills the position from above.
        for at in (0..before).rev() {
            if expires(&self.peers()[at], self.state(at)) {
                self.remove(at);
            }
        }
        before - self.len()
    }

    /// Moves to an allocation for `capacity` peers, which must be at least their number. `None` if there is no memory; then
    /// nothing has changed.
    fn resize(&mut self, capacity: usize) -> Option<()> {
        let len = self.len();
        debug_assert!(len <= capacity, "{len} peers, room for {capacity}");
        work::count(len);
        let bytes = if capacity == 0 { 0 } else { NUMBERS + capacity * (N + STATE) };
        let mut fresh = Self { bytes: ThinBytes::new(bytes)? };
        if capacity > 0 {
            fresh.set_numbers(len, self.seeders());
            let (peers, states) = self.lists();
            let (to_peers, to_states) = fresh.lists_mut();
            to_peers[..len].copy_from_slice(&peers[..len]);
            to_states[..len].copy_from_slice(&states[..len]);
        }
        *self = fresh;
        Some(())
    }

    /// Prefetches the numbers and the first peers.
    pub(crate) fn prefetch(&self) {
        self.bytes.prefetch();
    }

    /// Prefetches the rest, or much of it. Reads the length of the block.
    pub(crate) fn prefetch_rest(&self) {
        for line in self.bytes.get().chunks(64).take(PREFETCHED_LINES) {
            prefetch(&line[line.len() - 1]);
        }
    }
}

/// Cache lines that are prefetched: fifty IPv4 peers and their states. The processor detects the sequence and loads
/// further lines itself.
const PREFETCHED_LINES: usize = 8;

/// A number below `places`. If `chance` is random, all are equally likely, to within `places` in 2^32.
fn scale(chance: u32, places: usize) -> usize {
    let places = u64::try_from(places).unwrap_or(u64::MAX);
    (u64::from(chance).wrapping_mul(places) >> 32) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Clock;

    fn entry(peer: u16) -> Entry<6> {
        let [a, b] = peer.to_be_bytes();
        let state = State::new(Clock::new(600).stamp(peer.into()), false);
        Entry { peer: [10, 0, 0, 0, a, b], state }
    }

    #[test]
    fn seeders_come_first_and_every_peer_is_found() {
        let mut block = Block::default();
        let mut chance = 1u32;
        for peer in 0..128 {
            chance = chance.wrapping_mul(0x9e37_79b1).wrapping_add(peer.into());
            let at = block.insert(entry(peer), peer % 3 == 0, chance).expect("there is room");
            assert_eq!(block.peers()[at], entry(peer).peer);
            for known in 0..=peer {
                let at = block.find(&entry(known).peer).expect("is there");
                assert_eq!(at < block.seeders(), known % 3 == 0);
                assert_eq!(block.state(at), entry(known).state);
            }
            assert_eq!(block.find(&entry(999).peer), None);
        }
        for peer in 0..128 {
            let at = block.find(&entry(peer).peer).expect("is there");
            assert_eq!(block.remove(at), entry(peer));
            assert_eq!(block.find(&entry(peer).peer), None);
            assert_eq!(block.len(), 127 - usize::from(peer));
        }
        assert_eq!((block.capacity(), block.seeders()), (0, 0));
    }

    #[test]
    fn is_never_much_larger_than_its_peers() {
        let mut block = Block::<18>::default();
        for len in 1..=200 {
            assert!(block.insert(Entry { peer: [len; 18], state: State::default() }, false, 0).is_some());
            let capacity = block.capacity();
            assert!(capacity <= usize::from(len) * 9 / 8 + 2, "{capacity} for {len}");
        }
        for len in (1..200).rev() {
            block.remove(0);
            assert!(block.capacity() <= len * 4 / 3 + 2, "{} for {len}", block.capacity());
        }
    }

    #[test]
    fn refuses_more_peers_than_the_limit() {
        let mut block = Block::default();
        for peer in 0..1000 {
            assert_eq!(block.insert(entry(peer), true, 0).is_some(), usize::from(peer) < Block::<6>::MOST);
        }
        assert_eq!((block.len(), block.seeders()), (Block::<6>::MOST, Block::<6>::MOST));
        assert_eq!(block.find(&entry(999).peer), None);
        block.remove(0);
        assert!(block.insert(entry(999), true, 0).is_some());
    }

    #[test]
    fn positions_are_drawn_from_the_whole_part() {
        assert_eq!((scale(0, 5), scale(u32::MAX, 5), scale(1 << 31, 5)), (0, 4, 2));
    }

    #[test]
    fn removes_expired_peers() {
        let mut block = Block::default();
        for peer in 0..60 {
            assert!(block.insert(entry(peer), peer % 2 == 0, u32::from(peer) << 26).is_some());
        }
        let old = entry(7).state;
        assert_eq!(block.remove_if(|_, state| state == old), 1);
        assert_eq!(block.find(&entry(7).peer), None);
        assert_eq!((block.len(), block.seeders()), (59, 30));
        assert_eq!(block.remove_if(|_, _| true), 59);
        assert_eq!(block.entries().count(), 0);
    }
}
