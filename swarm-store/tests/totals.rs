//! The totals against what is there: the memory against the allocations that the store makes, and the numbers against a
//! walk through all torrents. Now and then the allocator has no memory for a while: then the store refuses what it would
//! need memory for, and stays consistent.
#![allow(unsafe_code)] // To implement an allocator is unsafe.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use proptest::collection::vec;
use proptest::prelude::*;
use swarm_store::{
    Announce, InfoHash, Limits, Memory, PeerStatus, StoredPeer, SwarmStore, SweepCursor, ThreadContext,
    TorrentCursor,
};

const LIFETIME: u32 = 600;

/// Counts what a thread allocates and frees while it is in [`counting`].
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

thread_local! {
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
    static HELD: Cell<usize> = const { Cell::new(0) };
    /// Whether the store gets no memory.
    static IS_STARVED: Cell<bool> = const { Cell::new(false) };
}

/// What glibc's malloc takes: 8 bytes before the allocated ones, all in multiples of 16, and at least two of these.
fn taken(layout: Layout) -> usize {
    (layout.size() + 8).div_ceil(16).max(2) * 16
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.get() {
            if IS_STARVED.get() {
                return std::ptr::null_mut();
            }
            HELD.set(HELD.get().wrapping_add(taken(layout)));
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, start: *mut u8, layout: Layout) {
        if IS_COUNTING.get() {
            HELD.set(HELD.get().wrapping_sub(taken(layout)));
        }
        // SAFETY: the caller's promises are the same.
        unsafe { System.dealloc(start, layout) }
    }
}

fn counting<T>(work: impl FnOnce() -> T) -> T {
    IS_COUNTING.set(true);
    let result = work();
    IS_COUNTING.set(false);
    result
}

#[derive(Clone, Debug)]
enum Step {
    /// Many peers of one torrent.
    Peers {
        torrent: u32,
        first: u32,
        len: u32,
        status: PeerStatus,
    },
    /// One peer of many torrents.
    Torrents {
        first: u32,
        len: u32,
        status: PeerStatus,
    },
    Restore {
        torrent: u32,
        first: u32,
        len: u32,
        seeder: bool,
    },
    SetCompleted {
        torrent: u32,
        completed: u32,
    },
    Remove {
        torrent: u32,
    },
    Wait {
        seconds: u32,
    },
    Sweep {
        budget: usize,
    },
    /// From now on, or until now, the store gets no memory.
    Starve {
        starved: bool,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    let status = || {
        prop_oneof![
            3 => Just(PeerStatus::Leecher),
            2 => Just(PeerStatus::Seeder),
            1 => Just(PeerStatus::Completed),
            4 => Just(PeerStatus::Stopped),
        ]
    };
    let len = || prop_oneof![1..5u32, 1..150u32, 1..1500u32];
    prop_oneof![
        20 => (0..3u32, 0..1000u32, len(), status())
            .prop_map(|(torrent, first, len, status)| Step::Peers { torrent, first, len, status }),
        3 => (0..30_000u32, prop_oneof![1..100u32, 1..30_000u32], status())
            .prop_map(|(first, len, status)| Step::Torrents { first, len, status }),
        3 => (0..3u32, 0..1000u32, len(), any::<bool>())
            .prop_map(|(torrent, first, len, seeder)| Step::Restore { torrent, first, len, seeder }),
        2 => (0..6u32, 0..2u32).prop_map(|(torrent, completed)| Step::SetCompleted { torrent, completed }),
        1 => (0..6u32).prop_map(|torrent| Step::Remove { torrent }),
        2 => (0..LIFETIME).prop_map(|seconds| Step::Wait { seconds }),
        4 => prop_oneof![1..3000usize, Just(100_000)].prop_map(|budget| Step::Sweep { budget }),
        6 => prop_oneof![1 => Just(true), 2 => Just(false)].prop_map(|starved| Step::Starve { starved }),
    ]
}

struct Fixture<const N: usize> {
    store: SwarmStore<N>,
    memory: Memory,
    context: ThreadContext,
    cursor: SweepCursor,
    now: u32,
}

fn info_hash(torrent: u32) -> InfoHash {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&torrent.to_be_bytes());
    InfoHash(bytes)
}

fn address<const N: usize>(number: u32) -> [u8; N] {
    let mut address = [0; N];
    address[..4].copy_from_slice(&number.to_be_bytes());
    address
}

impl<const N: usize> Fixture<N> {
    fn new() -> Self {
        HELD.set(0);
        IS_STARVED.set(false);
        let (limits, memory) = (Limits::new(25_000, 30_000), Memory::unlimited());
        let store = counting(|| SwarmStore::with_memory([3; 16], LIFETIME, limits, &memory));
        Self { store, memory, context: ThreadContext::new(1), cursor: SweepCursor::new(0, 1), now: 1_000_000 }
    }

    fn apply(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match *step {
            Step::Peers { torrent, first, len, status } => {
                for number in first..first + len {
                    self.announce(torrent, number, status)?;
                }
            }
            Step::Torrents { first, len, status } => {
                for torrent in first..first + len {
                    self.announce(torrent, 1, status)?;
                }
            }
            Step::Restore { torrent, first, len, seeder } => {
                for number in first..first + len {
                    let idle = number % LIFETIME;
                    let peer = StoredPeer { peer: address(number), seeder, completed: false, idle };
                    counting(|| self.store.restore(self.now, &info_hash(torrent), &peer, &mut self.context));
                    self.check_memory()?;
                }
            }
            Step::SetCompleted { torrent, completed } => {
                counting(|| self.store.set_completed(self.now, &info_hash(torrent), completed));
            }
            Step::Remove { torrent } => drop(counting(|| self.store.remove_torrent(&info_hash(torrent)))),
            Step::Wait { seconds } => self.now += seconds,
            Step::Starve { starved } => IS_STARVED.set(starved),
            Step::Sweep { budget } => {
                counting(|| self.store.sweep(self.now, &mut self.cursor, budget));
            }
        }
        self.check_memory()?;
        self.check_numbers()
    }

    fn announce(&mut self, torrent: u32, number: u32, status: PeerStatus) -> Result<(), TestCaseError> {
        let Self { store, context, now, .. } = self;
        let announce = Announce { info_hash: info_hash(torrent), peer: address(number), status };
        counting(|| store.announce(*now, &announce, &mut [[0; N]; 10], context));
        self.check_memory()
    }

    fn check_memory(&self) -> Result<(), TestCaseError> {
        // And a 24th for gaps between allocations.
        prop_assert_eq!(self.store.totals().bytes, HELD.get() + HELD.get() / 24);
        prop_assert_eq!(self.memory.used(), self.store.totals().bytes);
        Ok(())
    }

    fn check_numbers(&self) -> Result<(), TestCaseError> {
        let (mut torrents, mut peers, mut seeders) = (0, 0, 0);
        while self.store.for_each_torrent(&mut TorrentCursor::new(), usize::MAX, |_, counts| {
            torrents += 1;
            peers += (counts.seeders + counts.leechers) as usize;
            seeders += counts.seeders as usize;
        }) {}
        let totals = self.store.totals();
        prop_assert_eq!((totals.torrents, totals.peers, totals.seeders), (torrents, peers, seeders));
        Ok(())
    }

    /// Waits until all peers and completed counts have expired, and sweeps.
    fn clear(&mut self) {
        for _ in 0..3 {
            self.now += 2 * LIFETIME;
            while !counting(|| self.store.sweep(self.now, &mut self.cursor, 1000)).finished_round {}
        }
    }
}

fn totals_are_right<const N: usize>(steps: &[Step]) -> Result<(), TestCaseError> {
    let mut fixture = Fixture::<N>::new();
    let empty = fixture.store.totals();
    fixture.check_memory()?;
    for step in steps {
        fixture.apply(step)?;
    }
    IS_STARVED.set(false);
    fixture.clear();
    fixture.check_memory()?;
    prop_assert_eq!(fixture.store.totals(), empty);
    counting(|| drop(fixture.store));
    prop_assert_eq!((HELD.get(), fixture.memory.used()), (0, 0));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn totals_are_what_the_store_holds(steps in vec(any_step(), 1..60)) {
        totals_are_right::<6>(&steps)?;
        totals_are_right::<18>(&steps)?;
    }
}
