//! Which datagrams are dropped when more arrive than can be answered.
//!
//! # What an attacker controls
//! How much arrives, and from which addresses; these can be forged, but not with a valid connection_id. The kernel ties
//! a flow to a worker's socket. When that is full, the kernel drops whatever comes next, of the flooder and of everybody
//! else on this socket alike. So a worker whose sockets overflow answers only so many of each round of some thousand
//! datagrams for one network, and lowers that number until they no longer overflow: the heaviest networks are shed
//! first, and all others are answered as before. Datagrams with a valid connection_id are counted apart from the others,
//! so a flood with a victim's forged address takes nothing from the victim's announces.
//!
//! Nobody is banned: each network gets an answer in some rounds at least, and what is counted is forgotten after two. The
//! counts are in a table of fixed size, where networks can share cells. The hash has a secret key and differs in each
//! round, so nobody can choose networks that share those of a victim, nor do two share theirs for long. A flood from
//! more networks than there are cells is shed like one network, except for those with a valid connection_id.

mod heavy;

use std::net::IpAddr;

use siphasher::sip::SipHasher13;

pub(crate) use heavy::{ALL, HEAVY, Pass};

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
    /// Those of this round and of the one before, each with a key of its own.
    hashers: [SipHasher13; 2],
    round: u64,
    /// Units of this round.
    counted: u32,
    /// Datagrams of this window without a reply, for any reason.
    ignored: u32,
    unproven: Class,
    proven: Class,
    heavy: HeavyNetworks,
    /// Whether what the kernel should let through has changed.
    heavy_changed: bool,
}

/// Datagrams with the same proof, of all networks.
#[derive(Debug)]
struct Class {
    /// The most that a network gets answered in a round, in parts of a unit.
    limit: u32,
    /// The most that a network has sent in this round and in the one before, in units.
    most: [u32; 2],
    /// What was answered in this window, in units.
    admitted: u32,
    /// Those of this round and of the one before.
    sketches: [Box<Sketch>; 2],
}

/// Units of each network in a round: never fewer than there were. Each network has a cell in each row, and the lower
/// one counts.
#[derive(Debug)]
struct Sketch([[u32; CELLS]; 2]);

/// Units in a round, of all networks. By their number and not by time, because a worker that had to wait for a processor
/// should then work off what has gathered.
const ROUND: u32 = 4096;
/// Cells of a row.
const CELLS: usize = 2048;
/// Bytes of an announce: a datagram counts as as many units as it has times as many bytes, at least as one.
const UNIT: usize = 98;
/// About how many datagrams can be received and dropped in the time of an answer.
const WORTH: u32 = 6;
/// A limit can be a part of a unit: then a network gets one answered in some rounds only.
const PARTS: u32 = 16;

impl Shedder {
    pub(crate) fn new(key: [u8; 16]) -> Self {
        let hashers = [SipHasher13::new_with_key(&key); 2];
        let (unproven, proven) = (Class::new(), Class::new());
        let heavy = HeavyNetworks::default();
        Self {
            sheds: false,
            key,
            hashers,
            round: 0,
            counted: 0,
            ignored: 0,
            unproven,
            proven,
            heavy,
            heavy_changed: false,
        }
    }

    /// Whether to answer a datagram of so many bytes.
    pub(crate) fn admits(&mut self, source: IpAddr, proof: Proof, bytes: usize) -> bool {
        if !self.sheds {
            return true;
        }
        let network = Network::site_of(source);
        let hashes = self.hashers.each_ref().map(|hasher| network.hash(hasher));
        let units = u32::try_from(bytes / UNIT).unwrap_or(u32::MAX).max(1);
        self.counted = self.counted.saturating_add(units);
        let admitted = match proof {
            Proof::None => self.unproven.admits(hashes, units),
            Proof::ConnectionId => {
                let admitted = self.proven.admits(hashes, units);
                self.heavy.count((network, source), units, admitted);
                admitted
            }
        };
        if self.counted >= ROUND {
            self.begin_round();
        }
        admitted
    }

    /// Counts a datagram that gets no reply, whether it was admitted or not.
    pub(crate) fn count_ignored(&mut self) {
        self.ignored = self.ignored.saturating_add(1);
    }

    fn begin_round(&mut self) {
        self.round += 1;
        let mut key = self.key;
        for (byte, round) in key.iter_mut().zip(self.round.to_le_bytes()) {
            *byte ^= round;
        }
        let [now, _] = self.hashers;
        self.hashers = [SipHasher13::new_with_key(&key), now];
        self.counted = 0;
        self.unproven.begin_round();
        self.proven.begin_round();
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
            _ if unproven.admitted.saturating_add(proven.admitted) < self.ignored / WORTH => {}
            // The class that takes more time has to give some back.
            Load::Queued | Load::Overflowed => {
                let larger = if unproven.admitted > proven.admitted { unproven } else { proven };
                larger.lower(if load == Load::Overflowed { 8 } else { 64 });
            }
        }
        self.heavy_changed |= self.heavy.end_window();
        self.ignored = 0;
        self.unproven.begin_window();
        self.proven.begin_window();
    }
}

impl Class {
    fn new() -> Self {
        let sketches = [(); 2].map(|()| Box::new(Sketch([[0; CELLS]; 2])));
        Self { limit: u32::MAX, most: [0; 2], admitted: 0, sketches }
    }

    fn admits(&mut self, [hash, hash_before]: [u64; 2], units: u32) -> bool {
        let [sketch, sketch_before] = &mut self.sketches;
        let earlier = sketch.add(hash, units);
        let sent = earlier.saturating_add(units);
        let [most, _] = &mut self.most;
        *most = (*most).max(sent);
        let expected = sent.max(sketch_before.get(hash_before)).saturating_mul(PARTS);
        let admitted = expected <= self.limit || {
            // As many of what is expected as the limit allows, evenly spread.
            let share = (u64::from(self.limit) << 32) / u64::from(expected);
            let chance = hash & 0xffff_ffff;
            let nth = u64::from(earlier / units);
            (nth * share + chance) >> 32 != ((nth + 1) * share + chance) >> 32
        };
        self.admitted = self.admitted.saturating_add(if admitted { units } else { 0 });
        admitted
    }

    /// Lowers the limit by this part of what the heaviest network got.
    fn lower(&mut self, part: u32) {
        let heaviest = self.limit.min(self.most());
        self.limit = heaviest.saturating_sub(heaviest.div_ceil(part)).max(1);
    }

    fn raise(&mut self) {
        self.limit = self.limit.saturating_add(self.limit / 8 + 1);
    }

    /// Whether the limit is near what the heaviest network sends.
    fn is_needed(&self) -> bool {
        self.limit / 2 <= self.most()
    }

    /// What the heaviest network sends in a round, in parts of a unit.
    fn most(&self) -> u32 {
        let [now, before] = self.most;
        now.max(before).saturating_mul(PARTS)
    }

    fn begin_window(&mut self) {
        self.admitted = 0;
    }

    fn begin_round(&mut self) {
        let [most, _] = self.most;
        self.most = [0, most];
        self.sketches.swap(0, 1);
        let [sketch, _] = &mut self.sketches;
        **sketch = Sketch([[0; CELLS]; 2]);
    }
}

impl Sketch {
    /// Adds to a network's count. Returns what it was before.
    fn add(&mut self, hash: u64, units: u32) -> u32 {
        let before = self.get(hash);
        // A cell with more than this network's count needs no more.
        let after = before.saturating_add(units);
        for (row, at) in self.0.iter_mut().zip(places(hash)) {
            row[at] = row[at].max(after);
        }
        before
    }

    fn get(&self, hash: u64) -> u32 {
        let [first, second] = places(hash);
        self.0[0][first].min(self.0[1][second])
    }
}

/// A network's cell in each row.
fn places(hash: u64) -> [usize; 2] {
    [hash >> 32, hash >> 48].map(|bits| usize::try_from(bits).unwrap_or_default() % CELLS)
}

#[cfg(test)]
mod tests;
