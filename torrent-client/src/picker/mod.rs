//! Which block to request from which peer.
//!
//! - The first pieces are random, so that there is soon something to upload; later ones are the rarest.
//! - A piece is requested from one peer only, while there are other pieces to begin. Its blocks then arrive in order,
//!   and if they are wrong, the sender is known.
//! - When all blocks are received or requested, idle peers are asked for blocks requested from others: the end game.
//! - A piece that failed and that several peers sent blocks of is downloaded again from one peer alone.
//!
//! This module uses no sockets, clocks or files.

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

/// The number of pieces picked at random before rarity counts.
pub(crate) const RANDOM_PIECES: u32 = 4;

/// What to do with a received block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Received {
    /// Store it.
    New {
        /// Other peers that it was requested from; cancel those requests.
        cancel: Vec<PeerKey>,
        /// Whether it was the last block of its piece, which must be hashed now.
        complete: bool,
    },
    /// Discard it: it was received before, or is not wanted from this peer.
    Useless,
}

/// A torrent's pieces: which are present, wanted, or in progress.
#[derive(Debug)]
pub(crate) struct Picker {
    layout: Layout,
    have: PieceSet,
    wanted: PieceSet,
    rarity: Rarity,
    /// Peers that have all pieces; they are not counted in `rarity`.
    seeds: usize,
    begun: BTreeMap<u32, Begun>,
    /// The pieces of `begun` with a block that is not requested.
    open: BTreeSet<u32>,
    /// The piece of the last request to each peer.
    last: HashMap<PeerKey, u32>,
    blame: Blame,
    /// Bytes of wanted pieces that are missing.
    left: u64,
    /// Pieces completed since the start.
    completed: u32,
    /// See [`Picker::news`].
    news: u64,
    rng: StdRng,
}

impl Picker {
    /// A picker for a torrent. `have` are the pieces that are present, `wanted` those to download; both are sets of
    /// this layout. `seed` is the seed of all randomness.
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

    /// The pieces that are present and checked.
    #[must_use]
    pub(crate) fn have(&self) -> &PieceSet {
        &self.have
    }

    /// A piece was found on the disk, before anything was requested.
    pub(crate) fn found(&mut self, piece: u32) {
        self.rarity.unlist(piece);
        self.keep(piece);
    }

    fn keep(&mut self, piece: u32) {
        if self.have.insert(piece) && self.wanted.has(piece) {
            self.left -= u64::from(self.layout.piece_length(piece).unwrap_or(0));
        }
    }

    /// Whether all wanted pieces are present.
    #[must_use]
    pub(crate) fn is_done(&self) -> bool {
        self.rarity.is_empty() && self.begun.is_empty()
    }

    /// Bytes of wanted pieces that are missing.
    #[must_use]
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// How many of the wanted pieces are present, and how many are present here or at a connected peer.
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

    /// Whether a peer with these pieces has one that we want and lack.
    #[must_use]
    pub(crate) fn is_interesting(&self, theirs: &PieceSet) -> bool {
        let bytes = theirs.bytes().iter().zip(self.have.bytes()).zip(self.wanted.bytes());
        bytes.into_iter().any(|((theirs, have), wanted)| theirs & wanted & !have != 0)
    }

    /// A peer announced its first pieces.
    pub(crate) fn joined(&mut self, theirs: &PieceSet) {
        if theirs.is_full() {
            self.seeds += 1;
        } else {
            theirs.iter().for_each(|piece| self.rarity.gained(piece, &mut self.rng));
        }
    }

    /// A peer with these pieces has disconnected. Report its outstanding requests as [lost](Self::lost) before.
    pub(crate) fn left_with(&mut self, theirs: &PieceSet) {
        if theirs.is_full() {
            self.seeds = self.seeds.saturating_sub(1);
        } else {
            theirs.iter().for_each(|piece| self.rarity.lost(piece, &mut self.rng));
        }
    }

    /// A peer got `piece`; `theirs` are all its pieces, including that one.
    pub(crate) fn gained(&mut self, theirs: &PieceSet, piece: u32) {
        if theirs.is_full() {
            // It counts as a seeder from now on.
            theirs
                .iter()
                .filter(|other| *other != piece)
                .for_each(|other| self.rarity.lost(other, &mut self.rng));
            self.seeds += 1;
        } else {
            self.rarity.gained(piece, &mut self.rng);
        }
    }

    /// The next block to request from a peer with these pieces. `None` if all its wanted blocks are requested already.
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
            // The end game may begin.
            self.news += u64::from(self.open.is_empty());
        }
        self.last.insert(peer, piece);
        block
    }

    /// A number that changes when a peer that `pick` or `pick_again` returned no block for may get one now. The only
    /// other reason is a new piece of that peer.
    pub(crate) fn news(&self) -> u64 {
        self.news
    }

    /// Whether the piece is wanted and missing.
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

    /// Whether all wanted blocks are received or requested.
    #[must_use]
    pub(crate) fn is_end_game(&self) -> bool {
        self.rarity.is_empty() && self.open.is_empty() && !self.begun.is_empty()
    }

    /// In the end game: a block that is requested from other peers, to request from this peer too.
    pub(crate) fn pick_again(&mut self, peer: PeerKey, theirs: &PieceSet) -> Option<Block> {
        if !self.is_end_game() {
            return None;
        }
        let theirs = self.begun.iter_mut().filter(|(piece, _)| theirs.has(**piece));
        theirs.filter(|(_, begun)| begun.source == Source::Anyone).find_map(|(_, begun)| begun.ask_too(peer))
    }

    /// A request will not be answered: it was rejected or cancelled, or the peer has disconnected.
    pub(crate) fn lost(&mut self, peer: PeerKey, block: Block) {
        if let Some(begun) = self.begun.get_mut(&block.index) {
            begun.lost(peer, block);
            self.news += 1;
            if begun.has_free() {
                self.open.insert(block.index);
            }
        }
    }

    /// The peer has disconnected, or gets no requests for a long time.
    pub(crate) fn forget(&mut self, peer: PeerKey) {
        self.last.remove(&peer);
    }

    /// A block arrived from a peer.
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

    /// A complete piece has the right hash. Takes the digests of its blocks if they were [wanted](Self::wants_digests),
    /// and returns the peers that sent bad blocks before.
    pub(crate) fn good(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        self.begun.remove(&piece);
        self.keep(piece);
        self.completed = self.completed.saturating_add(1);
        self.blame.good(piece, digests)
    }

    /// A complete piece has the wrong hash and must be downloaded again. Returns the peers that are known to have sent
    /// wrong blocks.
    pub(crate) fn bad(&mut self, piece: u32, digests: &[BlockDigest]) -> BTreeSet<PeerKey> {
        let Some(begun) = self.begun.remove(&piece) else { return BTreeSet::new() };
        self.news += 1;
        let culprits = self.blame.bad(piece, begun.senders().zip(digests.iter().copied()).collect());
        if culprits.is_empty() {
            self.begin(piece, Source::One(None));
        } else {
            self.rarity.list(piece, &mut self.rng);
        }
        culprits
    }
}
