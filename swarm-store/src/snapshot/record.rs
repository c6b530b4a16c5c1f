//! A torrent's record: some or all of its peers, with their ages.

use torrent_ids::InfoHash;

use crate::table::MOST_COMPLETED;

/// The most peers of a record.
pub(super) const MOST_PEERS: usize = 1024;
/// The largest age, in units.
pub(super) const MOST_AGE: u16 = (1 << 14) - 1;

/// In a record's shape.
const HAS_COMPLETED: u16 = 1 << 11;
const PEERS: u16 = HAS_COMPLETED - 1;
/// In a peer's state.
const SEEDER: u16 = 1 << 14;
const COMPLETED: u16 = 1 << 15;

/// A peer of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Peer<const N: usize> {
    pub(super) peer: [u8; N],
    /// In units of age.
    pub(super) age: u16,
    pub(super) seeder: bool,
    pub(super) completed: bool,
}

/// A record as it was read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'a, const N: usize> {
    pub(super) torrent: InfoHash,
    pub(super) completed: u32,
    /// For how long there have been no peers, in units of age; 0 if there are some.
    pub(super) empty_for: u16,
    peers: &'a [u8],
}

/// Bytes before the peers.
struct Head {
    torrent: InfoHash,
    completed: u32,
    empty_for: u16,
    peers: usize,
    len: usize,
}

impl Head {
    /// An error says what is wrong.
    fn read(bytes: &[u8]) -> Result<Self, &'static str> {
        const CUT_OFF: &str = "a record is cut off";
        let (torrent, rest) = bytes.split_first_chunk().ok_or(CUT_OFF)?;
        let (shape, mut rest) = rest.split_first_chunk().ok_or(CUT_OFF)?;
        let shape = u16::from_le_bytes(*shape);
        let peers = usize::from(shape & PEERS);
        if shape & !(PEERS | HAS_COMPLETED) != 0 || peers > MOST_PEERS {
            return Err("a record has an unknown shape");
        }
        let (mut completed, mut empty_for) = (0, 0);
        if shape & HAS_COMPLETED != 0 {
            let ([a, b, c], after) = rest.split_first_chunk().ok_or(CUT_OFF)?;
            (completed, rest) = (u32::from_le_bytes([*a, *b, *c, 0]), after);
        }
        if peers == 0 {
            let (age, after) = rest.split_first_chunk().ok_or(CUT_OFF)?;
            (empty_for, rest) = (u16::from_le_bytes(*age), after);
            if empty_for > MOST_AGE {
                return Err("a torrent has been empty for too long");
            }
        }
        Ok(Self { torrent: InfoHash(*torrent), completed, empty_for, peers, len: bytes.len() - rest.len() })
    }
}

impl<'a, const N: usize> Record<'a, N> {
    /// Takes a record from the front of `bytes`. An error says what is wrong.
    pub(super) fn take(bytes: &mut &'a [u8]) -> Result<Self, &'static str> {
        let Head { torrent, completed, empty_for, peers, len } = Head::read(bytes)?;
        let (peers, rest) =
            bytes[len..].split_at_checked(peers * (N + 2)).ok_or("the peers of a record are cut off")?;
        *bytes = rest;
        Ok(Self { torrent, completed, empty_for, peers })
    }

    pub(super) fn len(&self) -> usize {
        self.peers.len() / (N + 2)
    }

    pub(super) fn peers(&self) -> impl Iterator<Item = Peer<N>> + use<'a, N> {
        self.peers.chunks_exact(N + 2).filter_map(|bytes| {
            let (peer, state) = bytes.split_first_chunk()?;
            let state = u16::from_le_bytes(state.try_into().ok()?);
            Some(Peer {
                peer: *peer,
                age: state & MOST_AGE,
                seeder: state & SEEDER != 0,
                completed: state & COMPLETED != 0,
            })
        })
    }
}

/// A record that is written: begun, filled with peers, and ended.
pub(super) struct Draft {
    start: usize,
    peers: u16,
}

impl Draft {
    pub(super) fn begin(torrent: &InfoHash, completed: u32, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        out.extend_from_slice(&torrent.0);
        let shape = if completed > 0 { HAS_COMPLETED } else { 0 };
        out.extend_from_slice(&shape.to_le_bytes());
        if completed > 0 {
            out.extend_from_slice(&completed.min(MOST_COMPLETED).to_le_bytes()[..3]);
        }
        Self { start, peers: 0 }
    }

    /// Adds a peer. There must not be more than [`MOST_PEERS`].
    pub(super) fn push<const N: usize>(&mut self, peer: &Peer<N>, out: &mut Vec<u8>) {
        self.peers += 1;
        let flags = if peer.seeder { SEEDER } else { 0 } | if peer.completed { COMPLETED } else { 0 };
        out.extend_from_slice(&peer.peer);
        out.extend_from_slice(&(peer.age.min(MOST_AGE) | flags).to_le_bytes());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.peers == 0
    }

    /// Ends a record that has peers, and takes back one that has none. Returns the number of peers.
    pub(super) fn end(self, out: &mut Vec<u8>) -> u16 {
        if self.peers == 0 {
            out.truncate(self.start);
        } else if let Some(shape) = out.get_mut(self.start + 20..self.start + 22) {
            // The other bits are zeros, or the flag in the second byte.
            let [low, high] = self.peers.to_le_bytes();
            shape[0] = low;
            shape[1] |= high;
        }
        self.peers
    }

    /// Ends a record of a torrent without peers.
    pub(super) fn end_empty(self, empty_for: u16, out: &mut Vec<u8>) {
        out.extend_from_slice(&empty_for.min(MOST_AGE).to_le_bytes());
    }
}
