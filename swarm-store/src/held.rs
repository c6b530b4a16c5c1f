//! How much the whole store holds.

use crate::Totals;
use crate::memory::{Memory, with_gaps};
use crate::swarm::Swarm;
use crate::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Separate from the data that every call reads, because every new peer changes it.
#[derive(Debug)]
#[repr(align(128))]
pub(crate) struct Held {
    torrents: AtomicUsize,
    peers: AtomicUsize,
    seeders: AtomicUsize,
    bytes: AtomicUsize,
    pub(crate) memory: Memory,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.add(self.bytes.load(Relaxed).wrapping_neg());
    }
}

impl Held {
    /// No torrents, in `bytes` of memory.
    pub(crate) fn new(bytes: usize, memory: &Memory) -> Self {
        let [torrents, peers, seeders] = [0; 3].map(AtomicUsize::new);
        memory.add(bytes);
        Self { torrents, peers, seeders, bytes: AtomicUsize::new(bytes), memory: memory.clone() }
    }

    pub(crate) fn totals(&self) -> Totals {
        Totals {
            torrents: self.torrents.load(Relaxed),
            peers: self.peers.load(Relaxed),
            seeders: self.seeders.load(Relaxed),
            bytes: with_gaps(self.bytes.load(Relaxed)),
        }
    }

    /// Records that a part of the store held `before`, and now holds `after`. Writes nothing if that is the same.
    pub(crate) fn count(&self, before: Totals, after: Totals) {
        let add = |held: &AtomicUsize, before: usize, after: usize| {
            if after != before {
                held.fetch_add(after.wrapping_sub(before), Relaxed);
            }
        };
        add(&self.torrents, before.torrents, after.torrents);
        add(&self.peers, before.peers, after.peers);
        add(&self.seeders, before.seeders, after.seeders);
        add(&self.bytes, before.bytes, after.bytes);
        if after.bytes != before.bytes {
            self.memory.add(after.bytes.wrapping_sub(before.bytes));
        }
    }

    /// Changes a swarm of the store, and records how much more or less it holds.
    pub(crate) fn change<const N: usize, T>(
        &self,
        swarm: &mut Swarm<N>,
        change: impl FnOnce(&mut Swarm<N>) -> T,
    ) -> T {
        let before = swarm.totals();
        let result = change(swarm);
        self.count(before, swarm.totals());
        result
    }
}
