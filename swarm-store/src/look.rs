//! Looking at a torrent without announcing to it.

use torrent_ids::InfoHash;

use crate::{Counts, SwarmStore, ThreadContext};

impl<const N: usize> SwarmStore<N> {
    /// Writes a sample of a torrent's peers into `peers`, as for an announce that is not stored: as many as there is
    /// room for, or as many as may be returned, whichever is less. There are seeders in it only `with_seeders`. Returns
    /// the torrent's counts, and how many peers were written. `now` is in seconds.
    ///
    /// # Complexity
    /// Constant, except for copying the peers.
    pub fn sample(
        &self,
        now: u32,
        torrent: &InfoHash,
        with_seeders: bool,
        peers: &mut [[u8; N]],
        context: &mut ThreadContext,
    ) -> (Counts, usize) {
        let (mut table, found) = self.find(torrent);
        let Some(location) = found else { return (Counts::default(), 0) };
        let slot = table.slot(location);
        self.expire_if_small(now, slot);
        let written = slot.swarm.sample(None, with_seeders, peers, &mut context.rng);
        (slot.counts(), written)
    }
}
