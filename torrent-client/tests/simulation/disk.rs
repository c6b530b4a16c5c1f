//! A disk in memory. It has the torrent's bytes, and stores only the blocks that differ from them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use peer_wire_proto::{BLOCK_LENGTH, Layout};
use torrent_client::BlockDigest;
use torrent_client::disk::{Done, Job, Verdict};

const RIGHT: BlockDigest = [1; 20];
const WRONG: BlockDigest = [2; 20];

/// The initial data of a disk, and how it reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// It has no data at the start.
    Empty,
    /// It has all data.
    Full,
    /// It claims to have all data, and reads wrong bytes.
    Lies,
}

pub(crate) struct Disk {
    layout: Layout,
    truth: Arc<Vec<u8>>,
    content: Content,
    /// Pieces that were written and whose hash was right.
    pub(crate) good: BTreeSet<u32>,
    /// Whether each written block is right.
    written: BTreeMap<(u32, u32), bool>,
}

impl Disk {
    pub(crate) fn new(layout: Layout, truth: Arc<Vec<u8>>, content: Content) -> Self {
        Self { layout, truth, content, good: BTreeSet::new(), written: BTreeMap::new() }
    }

    /// Does a job at once; the simulation delivers its results later.
    pub(crate) fn work(&mut self, job: Job) -> Vec<Done> {
        match job {
            Job::Check => {
                let good = self.content != Content::Empty;
                (0..self.layout.pieces()).map(|piece| Done::Checked { piece, good }).collect()
            }
            Job::Create => vec![Done::Created],
            Job::Write(block, buffer) => {
                let length = usize::try_from(block.length).unwrap();
                let right = buffer[..length] == *self.truth(block.index, block.begin, length);
                self.written.insert((block.index, block.begin), right);
                vec![Done::Written(buffer)]
            }
            Job::Judge { piece, digests } => {
                let blocks = self.layout.blocks(piece, BLOCK_LENGTH);
                let right: Vec<bool> = blocks.map(|block| self.written[&(piece, block.begin)]).collect();
                let good = right.iter().all(|right| *right);
                if good {
                    self.good.insert(piece);
                }
                let digest = |right: &bool| if *right { RIGHT } else { WRONG };
                let digests = if good && !digests { Vec::new() } else { right.iter().map(digest).collect() };
                vec![Done::Judged(Verdict { piece, good, digests })]
            }
            Job::Read(peer, block, mut buffer) => {
                let length = usize::try_from(block.length).unwrap();
                buffer[..length].copy_from_slice(self.truth(block.index, block.begin, length));
                if self.content == Content::Lies {
                    buffer[0] ^= 1;
                }
                vec![Done::Read(peer, block, buffer)]
            }
            other => panic!("an unknown job: {other:?}"),
        }
    }

    fn truth(&self, piece: u32, begin: u32, length: usize) -> &[u8] {
        let piece_length = self.layout.piece_length(0).unwrap();
        let at = usize::try_from(piece * piece_length + begin).unwrap();
        &self.truth[at..at + length]
    }
}
