//! Which datagrams are dropped when more arrive than can be answered.
//!
//! # What an attacker controls
//! How much arrives, and from which addresses; these can be forged, but not with a valid connection_id. The kernel ties
//! a flow to a worker's socket. When that is full, the kernel drops whatever comes next, of the flooder and of everybody
//! else on this socket alike. So a worker whose sockets overflow answers at most so many datagrams of each network in a
//! window of time, and lowers that number until they no longer overflow: the heaviest networks are shed first, and all
//! others are answered as before. Datagrams with a valid connection_id are counted apart from the others, so a flood
//! with a victim's forged address takes nothing from the victim's announces.
//!
//! Nobody is banned: each network gets at least one answer in some windows, and the counts start again with the next
//! window. They are kept in a table of fixed size, where networks can share cells. The hash has a secret key and differs in each
//! window, so nobody can choose networks that share those of a victim, nor do two share theirs for long. A flood from
//! more networks than there are cells is shed like one network, except for those with a valid connection_id.

mod heavy;

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

pub(crate) use heavy::{HEAVY, Pass};

use crate::network::Network;
use heavy::HeavyNetworks;

/// How a handler's sockets were in a window of time; see [`Handler::end_window`](crate::Handler::end_window).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Load {
    /// At some time, all datagrams had been read.
    Drained,
    /// There always were more to read.
    Queued,
    /// Datagrams were dropped because there were more than fit.
    Overflowed,
}

/// What proves that a datagram's source address is not forged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    None,
    ConnectionId,
}

/// Decides which datagrams are answered.
#[derive(Debug)]
pub(crate) struct Shedder {
    sheds: bool,
    key: [u8; 16],
    /// Its key is that of the window.
    hasher: SipHasher13,
    window: u64,
    unproven: Class,
    proven: Class,
    heavy: HeavyNetworks,
    /// Whether what the kernel should let through has changed.
    heavy_changed: bool,
}

/// Datagrams with the same proof, of all networks.
#[derive(Debug)]
struct Class {
    /// The most that a network gets answered in a window, in parts of a unit.
    limit: u32,
    /// The most that a network has sent in this window, in units.
    most: u32,
    /// What was answered in this window, in units.
    admitted: u32,
    /// What was dropped, in units.
    shed: u32,
    sketch: Box<Sketch>,
}

/// Units of each network in a window: never fewer than there were. Each network has a cell in each row, and the lower
/// one counts.
#[derive(Debug)]
struct Sketch([[u32; CELLS]; 2]);

/// Cells of a row.
const CELLS: usize = 2048;
/// Bytes of an announce: a datagram counts as as many units as it has times as many bytes, at least as one.
const UNIT: usize = 98;
/// About how many datagrams can be received and dropped in the time of an answer.
const WORTH: u32 = 6;
/// A limit can be a part of a unit: then a network gets one answered in some windows only.
const PARTS: u32 = 16;

impl Shedder {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let hasher = SipHasher13::new_with_key(&key);
        let (unproven, proven) = (Class::new(), Class::new());
        let heavy = HeavyNetworks::default();
        Self { sheds: false, key, hasher, window: 0, unproven, proven, heavy, heavy_changed: false }
    }

    /// Whether to answer a datagram of so many bytes.
    pub(crate) fn admits(&mut self, source: IpAddr, proof: Proof, bytes: usize) -> bool {
        if !self.sheds {
            return true;
        }
        let network = Network::site_of(source);
        let hash = network.hash(&self.hasher);
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        match proof {
            Proof::None => self.unproven.admits(hash, units),
            Proof::ConnectionId => {
                let admitted = self.proven.admits(hash, units);
                self.heavy.count((network, source), units, admitted);
                admitted
            }
        }
    }

    /// An address of each network of which the kernel should drop a part, and how much it should let through, if that has
    /// changed since the last call.
    pub(crate) fn changed_passes(&mut self) -> Option<impl Iterator<Item = (IpAddr, Pass)>> {
        std::mem::take(&mut self.heavy_changed).then(|| self.heavy.passes())
    }

    /// Ends a window, and sets the limits of the next one.
    pub(crate) fn end_window(&mut self, load: Load) {
        let Self { unproven, proven, .. } = self;
        match load {
            Load::Overflowed if !self.sheds => self.sheds = true,
            _ if !self.sheds => return,
            Load::Drained => {
                unproven.raise();
                proven.raise();
                let kernel_drops = self.heavy.passes().next().is_some();
                self.sheds = kernel_drops || unproven.is_needed() || proven.is_needed();
                if !self.sheds {
                    (unproven.limit, proven.limit) = (u32::MAX, u32::MAX);
                    self.heavy_changed |= self.heavy.clear();
                }
            }
            // To receive what is dropped takes longer than to answer the rest. To drop more of it would win nothing.
            _ if unproven.admitted.saturating_add(proven.admitted)
                < (unproven.shed.saturating_add(proven.shed)) / WORTH => {}
            // The class that takes more time has to give some back.
            Load::Queued | Load::Overflowed => {
                let larger = if unproven.admitted > proven.admitted { unproven } else { proven };
                larger.lower(if load == Load::Overflowed { 8 } else { 32 });
            }
        }
        self.heavy_changed |= self.heavy.end_window();
        self.window += 1;
        let mut key = self.key;
        for (byte, window) in key.iter_mut().zip(self.window.to_le_bytes()) {
            *byte ^= window;
        }
        self.hasher = SipHasher13::new_with_key(&key);
        self.unproven.clear();
        self.proven.clear();
    }
}

impl Class {
    fn new() -> Self {
        Self { limit: u32::MAX, most: 0, admitted: 0, shed: 0, sketch: Box::new(Sketch([[0; CELLS]; 2])) }
    }

    fn admits(&mut self, hash: u64, units: u32) -> bool {
        let before = self.sketch.add(hash, units);
        self.most = self.most.max(before.saturating_add(units));
        let part = u32::try_from(hash >> 60).unwrap_or_default();
        let admitted = before.saturating_mul(PARTS).saturating_add(part) < self.limit;
        let counted = if admitted { &mut self.admitted } else { &mut self.shed };
        *counted = counted.saturating_add(units);
        admitted
    }

    /// Lowers the limit by this part of what the heaviest network got.
    fn lower(&mut self, part: u32) {
        let heaviest = self.limit.min(self.most.saturating_mul(PARTS));
        self.limit = heaviest.saturating_sub(heaviest.div_ceil(part)).max(1);
    }

    fn raise(&mut self) {
        self.limit = self.limit.saturating_add(self.limit / 16 + 1);
    }

    /// Whether the limit is near what the heaviest network sends.
    fn is_needed(&self) -> bool {
        self.limit / 2 <= self.most.saturating_mul(PARTS)
    }

    fn clear(&mut self) {
        (self.most, self.admitted, self.shed) = (0, 0, 0);
        *self.sketch = Sketch([[0; CELLS]; 2]);
    }
}

impl Sketch {
    /// Adds to a network's count. Returns what it was before.
    fn add(&mut self, hash: u64, units: u32) -> u32 {
        let [first, second] = &mut self.0;
        let index = |bits: u64| usize::try_from(bits).unwrap_or_default() % CELLS;
        let (first, second) = (&mut first[index(hash)], &mut second[index(hash >> 32 & 0xffff)]);
        let before = (*first).min(*second);
        // A cell with more than this network's count needs no more.
        let after = before.saturating_add(units);
        *first = (*first).max(after);
        *second = (*second).max(after);
        before
    }
}

#[cfg(test)]
mod tests;
