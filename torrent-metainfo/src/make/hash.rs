//! Hashes pieces on several threads while one reads.
//!
//! Buffers circulate: the reader, which is the caller's thread, fills one with whole pieces and passes it on; a free
//! hasher takes it, and returns it with the hashes. There is a fixed number of buffers, so neither side gets far ahead
//! of the other, and memory is bounded.

use std::num::NonZeroUsize;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Mutex, PoisonError};
use std::thread;

use sha1::{Digest, Sha1};

use super::MakeError;

/// Minimum size of a buffer in bytes: large enough that passing it on costs little compared with hashing it, and small
/// enough that it is still in a cache when it is hashed.
const BATCH: usize = 512 << 10;

/// Bytes in all buffers together, unless two pieces need more.
const MEMORY: usize = 96 << 20;

/// The content to be hashed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    /// Bytes in all pieces together, at least 1.
    pub(super) length: u64,
    /// Bytes in a piece.
    pub(super) piece_length: u32,
    /// Threads that hash, besides the one that reads.
    pub(super) threads: NonZeroUsize,
}

/// The hashes of all pieces, one after the other.
///
/// `fill` must fill the buffer it is given, unless the content ends. `on_hashed` is called with the number of bytes
/// hashed since the last call. Both are called on this thread, and an error of either ends the work.
pub(super) fn hash_pieces(
    job: Job,
    mut fill: impl FnMut(&mut [u8]) -> Result<usize, MakeError>,
    mut on_hashed: impl FnMut(u64) -> Result<(), MakeError>,
) -> Result<Vec<u8>, MakeError> {
    let plan = Plan::new(job);
    let (to_hashers, batches) = mpsc::sync_channel(plan.buffers);
    let (to_reader, done) = mpsc::sync_channel(plan.buffers);
    let batches = Mutex::new(batches);
    for _ in 0..plan.buffers {
        // There is room for all of them.
        let _ = to_reader.send(Batch::default());
    }
    thread::scope(|scope| {
        for number in 0..plan.threads {
            let (batches, to_reader) = (&batches, to_reader.clone());
            let work = move || hash_batches(batches, &to_reader, job.piece_length);
            match thread::Builder::new().name("piece-hasher".to_owned()).spawn_scoped(scope, work) {
                Ok(_) => {}
                // Fewer threads do the same work, only slower.
                Err(_) if number > 0 => break,
                Err(source) => return Err(MakeError::Threads { source }),
            }
        }
        // So that `done` ends with the last hasher.
        drop(to_reader);

        let mut hashes = Vec::new();
        for number in 0..plan.batches {
            let Ok(mut batch) = done.recv() else {
                break; // A hasher panicked; the scope passes the panic on.
            };
            on_hashed(batch.hand_over(&mut hashes))?;
            batch.number = number;
            batch.bytes.resize(plan.batch, 0);
            batch.filled = fill(&mut batch.bytes)?;
            let _ = to_hashers.send(batch);
        }
        drop(to_hashers);
        for mut batch in done {
            on_hashed(batch.hand_over(&mut hashes))?;
        }
        hashes.sort_unstable_by_key(|(number, _)| *number);
        Ok(hashes.into_iter().flat_map(|(_, hashes)| hashes).collect())
    })
}

/// How the work is divided.
#[derive(Debug, PartialEq, Eq)]
struct Plan {
    /// Bytes in a buffer: whole pieces.
    batch: usize,
    /// How often a buffer is filled.
    batches: u64,
    /// Number of buffers.
    buffers: usize,
    threads: usize,
}

impl Plan {
    fn new(job: Job) -> Self {
        let piece_length = usize::try_from(job.piece_length).unwrap_or(usize::MAX);
        let batch = (BATCH / piece_length).max(1).saturating_mul(piece_length);
        let batches = job.length.div_ceil(u64::try_from(batch).unwrap_or(u64::MAX));
        let useful = usize::try_from(batches).unwrap_or(usize::MAX);
        let threads = job.threads.get().min(useful);
        // One for each hasher, one that is being filled, one that waits; fewer if that were too much memory.
        let buffers = threads.saturating_add(2).min((MEMORY / batch).max(2)).min(useful);
        // A small torrent needs no whole buffer.
        let batch = usize::try_from(job.length).map_or(batch, |length| length.min(batch));
        Self { batch, batches, buffers, threads: threads.min(buffers) }
    }
}

/// A circulating buffer.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    /// Bytes to be hashed, from the start of the buffer.
    filled: usize,
    /// Number of the current batch.
    number: u64,
    hashes: Vec<u8>,
}

impl Batch {
    /// Stores the hashes under the number of their batch, and returns the number of bytes hashed.
    fn hand_over(&mut self, hashes: &mut Vec<(u64, Vec<u8>)>) -> u64 {
        if self.filled > 0 {
            hashes.push((self.number, std::mem::take(&mut self.hashes)));
        }
        u64::try_from(std::mem::take(&mut self.filled)).unwrap_or(u64::MAX)
    }
}

/// A hasher: takes batches until a channel is closed.
fn hash_batches(batches: &Mutex<Receiver<Batch>>, to_reader: &SyncSender<Batch>, piece_length: u32) {
    let piece_length = usize::try_from(piece_length).unwrap_or(usize::MAX);
    loop {
        let next = batches.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut batch) = next else { return };
        for piece in batch.bytes[..batch.filled].chunks(piece_length) {
            batch.hashes.extend_from_slice(&Sha1::digest(piece));
        }
        if to_reader.send(batch).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threads(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    fn content(length: usize) -> Vec<u8> {
        (0..length).map(|at| at.wrapping_mul(31).to_le_bytes()[0] ^ at.to_le_bytes()[1]).collect()
    }

    fn hash(content: &[u8], piece_length: u32, count: usize) -> (Vec<u8>, Vec<u64>) {
        let mut left = content;
        let fill = |buffer: &mut [u8]| {
            let (now, later) = left.split_at(left.len().min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            left = later;
            Ok(now.len())
        };
        let mut steps = Vec::new();
        let on_hashed = |bytes| {
            steps.push(bytes);
            Ok(())
        };
        let length = content.len().try_into().unwrap();
        let hashes =
            hash_pieces(Job { length, piece_length, threads: threads(count) }, fill, on_hashed).unwrap();
        (hashes, steps)
    }

    #[test]
    fn hashes_the_pieces_in_order() {
        let content = content(3 * BATCH + 5);
        for piece_length in [1_u32 << 14, 1 << 16, 1 << 19, 1 << 20, 1 << 24] {
            let naive: Vec<u8> = content
                .chunks(1 << piece_length.ilog2())
                .flat_map(|piece| Sha1::digest(piece).to_vec())
                .collect();
            for count in [1, 2, 7] {
                let (hashes, steps) = hash(&content, piece_length, count);
                assert!(hashes == naive, "{piece_length} bytes, {count} threads");
                assert_eq!(steps.iter().sum::<u64>(), content.len().try_into().unwrap());
            }
        }
    }

    #[test]
    fn an_error_of_either_callback_ends_the_work() {
        let job = Job { length: 1 << 40, piece_length: 1 << 14, threads: threads(3) };
        let result = hash_pieces(job, |_| Err(MakeError::EmptyTracker), |_| Ok(()));
        assert!(matches!(result, Err(MakeError::EmptyTracker)));
        let mut calls = 0;
        let stop = |_| {
            calls += 1;
            if calls > 9 { Err(MakeError::Cancelled) } else { Ok(()) }
        };
        let result = hash_pieces(job, |buffer| Ok(buffer.len()), stop);
        assert!(matches!(result, Err(MakeError::Cancelled)));
    }

    #[test]
    fn memory_is_bounded() {
        let plan =
            |length, piece_length, count| Plan::new(Job { length, piece_length, threads: threads(count) });
        let tiny = Plan { batch: 5, batches: 1, buffers: 1, threads: 1 };
        assert_eq!(plan(5, 1 << 14, 64), tiny);
        let usual = Plan { batch: BATCH, batches: 2048, buffers: 4, threads: 2 };
        assert_eq!(plan(1 << 30, 1 << 18, 2), usual);
        let large = Plan { batch: 16 << 20, batches: 64, buffers: 6, threads: 6 };
        assert_eq!(plan(1 << 30, 16 << 20, 64), large);
    }
}
