//! A disk in memory, which does its jobs when the script says so.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use peer_wire_proto::{BLOCK_LENGTH, Block, Layout};
use torrent_client::StorageError;
use torrent_client::disk::{Done, Job, Verdict};

pub(super) struct Disk {
    layout: Layout,
    jobs: VecDeque<Job>,
    good: BTreeSet<u32>,
    /// Whether each written block is right.
    written: BTreeMap<(u32, u32), bool>,
}

/// The torrent's byte at an offset in a block.
fn truth(piece: u32, begin: u32, at: usize) -> u8 {
    let [.., low] = (piece * 31 + (begin >> 14) * 7).to_be_bytes();
    let [.., position] = at.to_be_bytes();
    low ^ position
}

/// The right bytes of a block.
pub(super) fn block_bytes(block: Block) -> Vec<u8> {
    let length = usize::try_from(block.length).expect("a block in memory");
    (0..length).map(|at| truth(block.index, block.begin, at)).collect()
}

impl Disk {
    /// A bit of `good` for each piece that is there at the start.
    pub(super) fn new(layout: Layout, good: u8) -> Self {
        let good = (0..layout.pieces()).filter(|piece| good >> piece & 1 != 0).collect();
        Self { layout, jobs: VecDeque::new(), good, written: BTreeMap::new() }
    }

    pub(super) fn layout(&self) -> &Layout {
        &self.layout
    }

    pub(super) fn has(&self, piece: u32) -> bool {
        self.good.contains(&piece)
    }

    pub(super) fn good(&self) -> u32 {
        u32::try_from(self.good.len()).expect("few pieces")
    }

    pub(super) fn add(&mut self, job: Job) {
        self.jobs.push_back(job);
        // As many as there are buffers, and some without one.
        assert!(self.jobs.len() <= 3000, "jobs without an end");
    }

    /// Does one of the jobs. Those about one piece are done in order.
    pub(super) fn work(&mut self, choice: u8) -> Vec<Done> {
        let first_of_piece =
            |at: usize| !self.jobs.iter().take(at).any(|job| piece_of(job) == piece_of(&self.jobs[at]));
        let possible: Vec<usize> = (0..self.jobs.len().min(64)).filter(|at| first_of_piece(*at)).collect();
        let at = possible.get(usize::from(choice) % possible.len().max(1));
        let Some(job) = at.and_then(|at| self.jobs.remove(*at)) else { return Vec::new() };
        match job {
            Job::Check => (0..self.layout.pieces())
                .map(|piece| Done::Checked { piece, good: self.has(piece) })
                .collect(),
            Job::Create => vec![Done::Created],
            Job::Write(block, buffer) => {
                assert!(!self.has(block.index), "a block of a piece that is there");
                let bytes = block_bytes(block);
                self.written.insert((block.index, block.begin), buffer[..bytes.len()] == *bytes);
                vec![Done::Written(buffer)]
            }
            Job::Judge { piece, digests } => vec![Done::Judged(self.judge(piece, digests))],
            Job::Read(peer, block, mut buffer) => {
                assert!(self.has(block.index), "a block that is not there");
                let bytes = block_bytes(block);
                buffer[..bytes.len()].copy_from_slice(&bytes);
                vec![Done::Read(peer, block, buffer)]
            }
            _ => Vec::new(),
        }
    }

    fn judge(&mut self, piece: u32, digests: bool) -> Verdict {
        let blocks = self.layout.blocks(piece, BLOCK_LENGTH);
        let right: Vec<bool> = blocks
            .map(|block| {
                *self.written.get(&(piece, block.begin)).expect("a written block of a piece to judge")
            })
            .collect();
        let good = right.iter().all(|right| *right);
        if good {
            self.good.insert(piece);
        }
        let digest = |right: &bool| if *right { [1; 20] } else { [2; 20] };
        let digests = if good && !digests { Vec::new() } else { right.iter().map(digest).collect() };
        Verdict { piece, good, digests }
    }

    /// The result of a job that the system refuses.
    pub(super) fn failure(&mut self) -> Option<Done> {
        self.jobs.pop_front()?;
        let source = io::Error::from(io::ErrorKind::StorageFull);
        Some(Done::Failed(StorageError::Io { action: "write", path: "x".into(), source }))
    }
}

fn piece_of(job: &Job) -> Option<u32> {
    match job {
        Job::Write(block, _) | Job::Read(_, block, _) => Some(block.index),
        Job::Judge { piece, .. } => Some(*piece),
        _ => None,
    }
}
