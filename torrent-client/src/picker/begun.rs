//! A piece in progress: its blocks, and the peers that they were requested from.

use peer_wire_proto::{BLOCK_LENGTH, Block, Layout};

use crate::pieces::PeerKey;

/// The peers that a piece may be requested from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// Every peer that has it.
    Anyone,
    /// Only one peer, to find out which peer sends wrong blocks; `None` until one is chosen.
    One(Option<PeerKey>),
}

/// The state of one block.
#[derive(Clone, Debug, Default)]
struct Slot {
    sender: Option<PeerKey>,
    asked: Vec<PeerKey>,
}

impl Slot {
    fn is_free(&self) -> bool {
        self.sender.is_none() && self.asked.is_empty()
    }
}

/// A piece between its first request and its hash check.
#[derive(Debug)]
pub(super) struct Begun {
    piece: u32,
    length: u32,
    slots: Vec<Slot>,
    /// No slot before this one is free.
    first_free: usize,
    free: usize,
    missing: usize,
    pub(super) source: Source,
}

impl Begun {
    pub(super) fn new(layout: &Layout, piece: u32, source: Source) -> Self {
        let length = layout.piece_length(piece).unwrap_or(0);
        let blocks = usize::try_from(length.div_ceil(BLOCK_LENGTH)).unwrap_or(usize::MAX);
        Self {
            piece,
            length,
            slots: vec![Slot::default(); blocks],
            first_free: 0,
            free: blocks,
            missing: blocks,
            source,
        }
    }

    /// Whether a block is neither received nor requested.
    pub(super) fn has_free(&self) -> bool {
        self.free > 0
    }

    /// Whether all blocks have arrived.
    pub(super) fn is_complete(&self) -> bool {
        self.missing == 0
    }

    /// Whether a block is requested and has not arrived.
    pub(super) fn is_asked(&self) -> bool {
        self.free < self.missing
    }

    /// The peer that sent each block; has fewer items than blocks unless [complete](Self::is_complete).
    pub(super) fn senders(&self) -> impl Iterator<Item = PeerKey> {
        self.slots.iter().filter_map(|slot| slot.sender)
    }

    /// Requests the first free block from the peer.
    pub(super) fn ask(&mut self, peer: PeerKey) -> Option<Block> {
        let at = self.first_free + self.slots[self.first_free..].iter().position(Slot::is_free)?;
        self.slots[at].asked.push(peer);
        self.first_free = at + 1;
        self.free -= 1;
        self.block(at)
    }

    /// Requests a block from the peer that is already requested from others: the one with the fewest requests.
    pub(super) fn ask_too(&mut self, peer: PeerKey) -> Option<Block> {
        let asked = |slot: &&Slot| slot.sender.is_none() && !slot.asked.contains(&peer);
        let (at, _) = self
            .slots
            .iter()
            .enumerate()
            .filter(|(_, slot)| asked(slot))
            .min_by_key(|(_, slot)| slot.asked.len())?;
        if self.slots[at].is_free() {
            self.free -= 1;
        }
        self.slots[at].asked.push(peer);
        self.block(at)
    }

    /// The peer will not answer the request.
    pub(super) fn lost(&mut self, peer: PeerKey, block: Block) {
        let Some(at) = self.place(block) else { return };
        let slot = &mut self.slots[at];
        let before = slot.asked.len();
        slot.asked.retain(|asked| *asked != peer);
        if slot.asked.len() < before && slot.is_free() {
            self.free += 1;
            self.first_free = self.first_free.min(at);
        }
    }

    /// A block arrived. Returns the other peers that it was requested from; `None` if it had arrived already.
    pub(super) fn received(&mut self, peer: PeerKey, block: Block) -> Option<Vec<PeerKey>> {
        let at = self.place(block)?;
        let slot = &mut self.slots[at];
        if slot.sender.is_some() {
            return None;
        }
        if slot.is_free() {
            self.free -= 1;
        }
        slot.sender = Some(peer);
        self.missing -= 1;
        let mut others = std::mem::take(&mut slot.asked);
        others.retain(|asked| *asked != peer);
        Some(others)
    }

    /// Discards the received blocks; no request may be outstanding.
    pub(super) fn reset(&mut self) {
        self.slots.fill(Slot::default());
        self.first_free = 0;
        self.free = self.slots.len();
        self.missing = self.slots.len();
    }

    fn block(&self, at: usize) -> Option<Block> {
        let begin = u32::try_from(at).ok()?.checked_mul(BLOCK_LENGTH)?;
        let length = self.length.checked_sub(begin)?.min(BLOCK_LENGTH);
        Some(Block { index: self.piece, begin, length })
    }

    fn place(&self, block: Block) -> Option<usize> {
        let at = usize::try_from(block.begin / BLOCK_LENGTH).ok()?;
        (self.block(at)? == block).then_some(at)
    }
}
