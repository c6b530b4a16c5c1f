//! Which block to request from which peer.
//!
//! - The first pieces are random, so that there is soon something to give; later ones the rarest.
//! - A piece is left to the peer it was begun with, as long as there are others to begin: its bytes then come in order,
//!   and if they are wrong, it is known which peer sent them.
//! - When every block is there or requested, peers with nothing to do are asked for what others owe: the end game.
//! - A piece that failed and that several peers had a part in is downloaded again from one peer alone.
//!
//! Nothing here knows sockets, clocks or files.

mod begun;
mod blame;
mod rarity;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use peer_wire_proto::{Block, Layout};
use rand::SeedableRng;
use rand::rngs::StdRng;

use self::begun::{Begun, Source};
use self::blame::Blame;
use self::rarity::Rarity;
use crate::pieces::{BlockDigest, PeerKey, PieceSet};

/// Pieces that are picked at random before rarity counts.
pub(crate) const RANDOM_PIECES: u32 = 4;

/// What became of a block that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// It is to be stored.
    New {
        /// Other peers that it was requested from, and that need not send it any more.
        cancel: Vec<PeerKey>,
        /// Whether it was the last one of its piece, which is to be hashed now.
        complete: bool,
    },
    /// It is there already, or not wanted from this peer.
    Useless,
}

/// A torrent's pieces: which are there, which are wanted, which are under way.
#[derive(Debug)]
pub(crate) struct Picker {
    layout: Layout,
    have: PieceSet,
    wanted: PieceSet,
    rarity: Rarity,
    /// Peers that have every piece; they are not counted in `rarity`.
    seeds: usize,
    begun: BTreeMap<u32, Begun>,
    /// Those of `begun` with a block that is not requested.
    open: BTreeSet<u32>,
    /// The piece that each peer was last asked for.
    last: HashMap<PeerKey, u32>,
    blame: Blame,
    /// Bytes of wanted pieces that are not there.
    left: u64,
    /// Pieces completed since the start.
    completed: u32,
    /// See [`Picker::news`].
    news: u64,
    rng: StdRng,
}

impl Picker {
    /// A torrent of which the pieces `have` are there, and the pieces `wanted` are to be got. Both are sets of this
    /// layout. The seed is that of all randomness.
    #[must_use]
    pub(crate) fn new(layout: Layout, have: PieceSet, wanted: PieceSet, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut rarity = Rarity::new(layout.pieces());
        let mut left = 0;
        for piece in wanted.iter().filter(|piece| !have.has(*piece)) {
            rarity.list(piece, &mut rng);
            left += u64::from(layout.piece_length(piece).unwrap_or(0));
        }
        Self {
            layout,
            have,
            wanted,
            rarity,
            seeds: 0,
            begun: BTreeMap::new(),
            open: BTreeSet::new(),
            last: HashMap::new(),
            blame: Blame::default(),
            left,
            completed: 0,
            news: 0,
            rng,
        }
    }

    /// The pieces that are there and checked.
    #[must_use]
    pub(crate) fn have(&self) -> &PieceSet {
        &self.have
    }

    /// A piece was found to be there, before anything was requested.
    pub(crate) fn found(&mut self, piece: u32) {
        self.rarity.unlist(piece);
        self.keep(piece);
    }

    fn keep(&mut self, piece: u32) {
        if self.have.insert(piece) && self.wanted.has(piece) {
            self.left -= u64::from(self.layout.piece_length(piece).unwrap_or(0));
        }
    }

    /// Whether every wanted piece is there.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.rarity.is_empty() && self.begun.is_empty()
    }

    /// Bytes of wanted pieces that are not there.
    #[must_use]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Of the wanted pieces, those that are there, and those that we or connected peers have.
    #[must_use]
    pub(crate) fn counts(&self) -> (u32, u32) {
        let (mut have, mut available) = (0, 0);
        for piece in self.wanted.iter() {
            let here = self.have.has(piece);
            have += u32::from(here);
            available += u32::from(here || self.seeds > 0 || self.rarity.peers(piece) > 0);
        }
        (have, available)
    }

    /// Whether a peer with these pieces has one that is wanted.
    #[must_use]
    pub(crate) fn is_interesting(&self, theirs: &PieceSet) -> bool {
        let bytes = theirs.bytes().iter().zip(self.have.bytes()).zip(self.wanted.bytes());
        bytes.into_iter().any(|((theirs, have), wanted)| theirs & wanted & !have != 0)
    }

    /// A peer has these pieces.
    pub(crate) fn joined(&mut self, theirs: &PieceSet) {
        if theirs.is_full() {
            self.seeds += 1;
        } else {
            theirs.iter().for_each(|piece| self.rarity.gained(piece, &mut self.rng));
        }
    }

    /// A peer that had these pieces is gone, or says that it has others. What it owed is to be reported
    /// [lost](Self::lost) before.
    pub(crate) fn left_with(&mut self, theirs: &PieceSet) {
        if theirs.is_full() {
            self.seeds = self.seeds.saturating_sub(1);
        } else {
            theirs.iter().for_each(|piece| self.rarity.lost(piece, &mut self.rng));
        }
    }

    /// A peer with these pieces, the last one among them, has just got that one.
    pub(crate) fn gained(&mut self, theirs: &PieceSet, piece: u32) {
        if theirs.is_full() {
            // It is counted with the seeds from now on.
            theirs
                .iter()
                .filter(|other| *other != piece)
                .for_each(|other| self.rarity.lost(other, &mut self.rng));
            self.seeds += 1;
        } else {
            self.rarity.gained(piece, &mut self.rng);
        }
    }

    /// The next block to request from a peer with these pieces. `None` if all that it has is requested already.
    pub(crate) fn pick(&mut self, peer: PeerKey, theirs: &PieceSet) -> Option<Block> {
        let piece = self.choose(peer, theirs)?;
        let begun = self.begun.get_mut(&piece)?;
        if let Source::One(one) = begun.source
            && one != Some(peer)
        {
            begun.reset();
            begun.source = Source::One(Some(peer));
        }
        let block = begun.ask(peer);
        if !begun.has_free() {
            self.open.remove(&piece);
            // Perhaps the end game begins.
            self.news += u64::from(self.open.is_empty());
        }
        self.last.insert(peer, piece);
        block
    }

    /// Changes whenever a peer for which there was nothing to pick may be picked something. Only new pieces of that peer
    /// may as well.
    pub(crate) fn news(&self) -> u64 {
        self.news
    }

    /// Whether the piece is wanted and not there.
    pub(crate) fn needs(&self, piece: u32) -> bool {
        self.wanted.has(piece) && !self.have.has(piece)
    }

    fn choose(&mut self, peer: PeerKey, theirs: &PieceSet) -> Option<u32> {
        let own = self.last.get(&peer).filter(|piece| self.may_go_on(peer, **piece));
        if let Some(piece) = own {
            return Some(*piece);
        }
        let deserted = |piece: &&u32| {
            theirs.has(**piece) && self.begun.get(*piece).is_some_and(|begun| !begun.is_asked())
        };
        if let Some(piece) = self.open.iter().find(deserted) {
            return Some(*piece);
        }
        let new = if self.completed < RANDOM_PIECES {
            self.rarity.any(|piece| theirs.has(piece), &mut self.rng)
        } else {
            self.rarity.rarest(|piece| theirs.has(piece))
        };
        if let Some(piece) = new {
            self.rarity.unlist(piece);
            self.begin(piece, Source::Anyone);
            return Some(piece);
        }
        self.open.iter().copied().find(|piece| theirs.has(*piece) && self.may_go_on(peer, *piece))
    }

    fn may_go_on(&self, peer: PeerKey, piece: u32) -> bool {
        self.open.contains(&piece)
            && self.begun.get(&piece).is_some_and(|begun| match begun.source {
                Source::Anyone => true,
                Source::One(one) => one == Some(peer),
            })
    }

    fn begin(&mut self, piece: u32, source: Source) {
        self.begun.insert(piece, Begun::new(&self.layout, piece, source));
        self.open.insert(piece);
    }

    /// Whether every wanted block is there or requested.
    #[must_use]
    pub(crate) fn is_end_game(&self) -> bool {
        self.rarity.is_empty() && self.open.is_empty() && !self.begun.is_empty()
    }

    /// In the end game: a block that others are asked for, to be requested from this peer as well.
    pub(crate) fn pick_again(&mut self, peer: PeerKey, theirs: &PieceSet) -> Option<Block> {
        if !self.is_end_game() {
            return None;
        }
        let theirs = self.begun.iter_mut().filter(|(piece, _)| theirs.has(**piece));
        theirs.filter(|(_, begun)| begun.source == Source::Anyone).find_map(|(_, begun)| begun.ask_too(peer))
    }

    /// A request will not be answered: rejected, taken back, or the peer is gone.
    pub(crate) fn lost(&mut self, peer: PeerKey, block: Block) {
        if let Some(begun) = self.begun.get_mut(&block.index) {
            begun.lost(peer, block);
            self.news += 1;
            if begun.has_free() {
                self.open.insert(block.index);
            }
        }
    }

    /// The peer is gone for good, or will not be asked for long.
    pub(crate) fn forget(&mut self, peer: PeerKey) {
        self.last.remove(&peer);
    }

    /// A block came from a peer.
    pub(crate) fn received(&mut self, peer: PeerKey, block: Block) -> Received {
        let Some(begun) = self.begun.get_mut(&block.index) else { return Received::Useless };
        if !matches!(begun.source, Source::Anyone) && begun.source != Source::One(Some(peer)) {
            begun.lost(peer, block);
            return Received::Useless;
        }
        let Some(cancel) = begun.received(peer, block) else { return Received::Useless };
        let complete = begun.is_complete();
        if !begun.has_free() && self.open.remove(&block.index) {
            self.news += u64::from(self.open.is_empty());
        }
        Received::New { cancel, complete }
    }

    /// Whether [`good`](Self::good) wants the digests of the piece's blocks.
    #[must_use]
    pub(crate) fn wants_digests(&self, piece: u32) -> bool {
        self.blame.suspects(piece)
    }

    /// A complete piece has the right hash. With the digests of its blocks, if they were
    /// [wanted](Self::wants_digests), gives the peers that sent bad ones before.
    pub(crate) fn good(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        self.begun.remove(&piece);
        self.keep(piece);
        self.completed = self.completed.saturating_add(1);
        self.blame.good(piece, digests)
    }

    /// A complete piece has another hash, and is to be downloaded again. Gives the peers that
    /// are known to have sent wrong bytes.
    pub(crate) fn bad(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        let Some(begun) = self.begun.remove(&piece) else { return BTreeSet::new() };
        self.news += 1;
        let liars = self.blame.bad(piece, begun.senders().zip(digests.iter().copied()).collect());
        if liars.is_empty() {
            self.begin(piece, Source::One(None));
        } else {
            self.rarity.list(piece, &mut self.rng);
        }
        liars
    }
}
