//! Which peers to upload to.
//!
//! It uploads to a few peers at a time, so that each gets a useful rate. These are the peers that send most, or, when
//! nothing is left to download, those that receive fastest. One more is chosen in turn, the optimistic unchoke: new
//! peers get pieces to share, and better partners are found (BEP 3, "choking").

use std::collections::BTreeSet;
use std::time::Duration;

use crate::pieces::PeerKey;

/// Peers that are uploaded to at once, the optimistic one included.
pub(crate) const SLOTS: usize = 4;
/// Time between two rounds. With shorter rounds, TCP would not reach its full rate (BEP 3).
pub(crate) const ROUND: Duration = Duration::from_secs(10);
/// Time that the optimistic unchoke lasts: three rounds (BEP 3).
pub(crate) const OPTIMISTIC: Duration = Duration::from_secs(30);

/// A peer that may be uploaded to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    /// The peer.
    pub(crate) peer: PeerKey,
    /// Whether it is interested in our pieces.
    pub(crate) interested: bool,
    /// Bytes a second: from the peer while downloading, to it while seeding.
    pub(crate) rate: u64,
}

/// Remembers which peer has the optimistic unchoke.
#[derive(Debug, Default)]
pub(crate) struct Choker {
    optimistic: Option<(PeerKey, Duration)>,
    /// The peer that was chosen last. The next one is the waiting peer with the next greater key.
    turn: Option<PeerKey>,
}

impl Choker {
    /// The peers to unchoke from now on; all others are choked. Call it once per [`ROUND`], and when a peer becomes
    /// interested while a slot is free.
    pub(crate) fn round(&mut self, now: Duration, candidates: &[Candidate]) -> BTreeSet<PeerKey> {
        let mut interested: Vec<_> = candidates.iter().filter(|peer| peer.interested).collect();
        if interested.len() <= SLOTS {
            return interested.iter().map(|candidate| candidate.peer).collect();
        }
        interested.sort_by_key(|candidate| (std::cmp::Reverse(candidate.rate), candidate.peer));
        let optimistic = self.optimistic(now, &interested);
        let best = interested.iter().map(|candidate| candidate.peer).filter(|peer| *peer != optimistic);
        best.take(SLOTS - 1).chain([optimistic]).collect()
    }

    /// The current optimistic peer while its time lasts, or else the next in turn behind the fastest.
    fn optimistic(&mut self, now: Duration, by_rate: &[&Candidate]) -> PeerKey {
        let there = |peer: PeerKey| by_rate.iter().any(|candidate| candidate.peer == peer);
        if let Some((peer, since)) = self.optimistic
            && now.saturating_sub(since) < OPTIMISTIC
            && there(peer)
        {
            return peer;
        }
        let waiting = by_rate[SLOTS - 1..].iter().map(|candidate| candidate.peer);
        let next = waiting.clone().filter(|peer| Some(*peer) > self.turn).min();
        let next = next.or_else(|| waiting.min()).unwrap_or(by_rate[0].peer);
        self.turn = Some(next);
        self.optimistic = Some((next, now));
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(rates: &[u64]) -> Vec<Candidate> {
        let candidate =
            |(key, rate): (usize, &u64)| Candidate { peer: PeerKey(key), interested: true, rate: *rate };
        rates.iter().enumerate().map(candidate).collect()
    }

    fn keys(keys: &[usize]) -> BTreeSet<PeerKey> {
        keys.iter().map(|key| PeerKey(*key)).collect()
    }

    #[test]
    fn unchokes_all_when_few_are_interested() {
        let mut few = candidates(&[0, 5, 0]);
        few[1].interested = false;
        assert_eq!(Choker::default().round(Duration::ZERO, &few), keys(&[0, 2]));
    }

    #[test]
    fn unchokes_the_fastest_and_one_in_turn() {
        let many = candidates(&[9, 0, 8, 0, 7, 0]);
        let mut choker = Choker::default();
        let at = |choker: &mut Choker, seconds| choker.round(Duration::from_secs(seconds), &many);
        assert_eq!(at(&mut choker, 0), keys(&[0, 2, 4, 1]));
        assert_eq!(at(&mut choker, 10), keys(&[0, 2, 4, 1]));
        assert_eq!(at(&mut choker, 30), keys(&[0, 2, 4, 3]));
        assert_eq!(at(&mut choker, 60), keys(&[0, 2, 4, 5]));
        assert_eq!(at(&mut choker, 90), keys(&[0, 2, 4, 1]));
    }

    #[test]
    fn a_new_peer_that_uploads_keeps_its_slot() {
        let mut many = candidates(&[9, 0, 8, 0, 7, 0]);
        let mut choker = Choker::default();
        choker.round(Duration::ZERO, &many);
        many[1].rate = 10;
        assert_eq!(choker.round(Duration::from_secs(30), &many), keys(&[0, 1, 2, 3]));
    }

    #[test]
    fn the_next_peer_gets_its_turn_when_the_optimistic_one_leaves() {
        let mut many = candidates(&[9, 0, 8, 0, 7, 0]);
        let mut choker = Choker::default();
        choker.round(Duration::ZERO, &many);
        many.remove(1);
        assert_eq!(choker.round(Duration::from_secs(1), &many), keys(&[0, 2, 4, 3]));
    }
}
