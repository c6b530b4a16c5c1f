//! Checks the data on the disk against the torrent's hashes.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use sha1::{Digest, Sha1};
use torrent_metainfo::Metainfo;

use super::files::{Access, Files};
use crate::disk::StorageError;
use crate::pieces::{LayoutExt, PieceSet, layout_of};

/// Bytes read at once: few enough to stay in the processor's cache until they are hashed.
const CHUNK: usize = 256 << 10;

/// Progress of [`verify`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Bytes checked.
    pub done: u64,
    /// Bytes of the torrent.
    pub total: u64,
}

/// The result of [`verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// The pieces that are present and correct.
    pub have: PieceSet,
    /// Bytes of pieces that are missing or wrong.
    pub left: u64,
}

/// Hashes all data on the disk, on all cores. Nothing is changed; missing data counts as wrong. `on_progress` is called
/// on this thread with the bytes checked so far. If it breaks, the result so far is returned.
///
/// # Errors
/// When the folder does not exist, when a file can't be read, or when something else is in a file's place.
pub fn verify(
    metainfo: &Arc<Metainfo>,
    folder: &Path,
    mut on_progress: impl FnMut(VerifyProgress) -> ControlFlow<()>,
) -> Result<Verified, StorageError> {
    let files = Files::new(Arc::clone(metainfo), folder, Access::Read, None)?;
    let layout = layout_of(metainfo);
    let mut have = PieceSet::none(&layout);
    let (next, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let mut left = metainfo.length();
    let mut progress = VerifyProgress { done: 0, total: metainfo.length() };
    thread::scope(|scope| {
        // The number of waiting results is bounded, so that the threads wait for a slow callback.
        let threads = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let (sender, results) = mpsc::sync_channel(threads);
        for _ in 0..threads {
            let (sender, files, next, stop) = (sender.clone(), &files, &next, &stop);
            scope.spawn(move || {
                let mut checker = Checker::new();
                while !stop.load(Ordering::Relaxed) {
                    let piece = next.fetch_add(1, Ordering::Relaxed);
                    let Some(checked) = checker.check(files, piece).transpose() else { break };
                    if sender.send((piece, checked)).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        for (piece, checked) in results {
            let length = layout.length_of(piece);
            if checked.inspect_err(|_| stop.store(true, Ordering::Relaxed))? {
                have.insert(u32::try_from(piece).unwrap_or(u32::MAX));
                left -= length;
            }
            progress.done += length;
            if on_progress(progress).is_break() {
                stop.store(true, Ordering::Relaxed);
                break;
            }
        }
        Ok(Verified { have, left })
    })
}

/// Checks pieces, reusing one buffer.
#[derive(Debug)]
pub(crate) struct Checker {
    buffer: Vec<u8>,
}

impl Checker {
    pub(crate) fn new() -> Self {
        Self { buffer: vec![0; CHUNK] }
    }

    /// Whether the piece on the disk has the torrent's hash; `None` if there is no such piece.
    pub(crate) fn check(&mut self, files: &Files, piece: usize) -> Result<Option<bool>, StorageError> {
        let metainfo = files.metainfo();
        let (Some(range), Some(hash)) = (metainfo.piece_range(piece), metainfo.piece_hash(piece)) else {
            return Ok(None);
        };
        let mut sha1 = Sha1::new();
        let whole = self.hash(files, range, &mut sha1)?;
        Ok(Some(whole && sha1.finalize()[..] == hash[..]))
    }

    /// Hashes bytes of the torrent; false if some of them are missing.
    pub(crate) fn hash(
        &mut self,
        files: &Files,
        mut range: std::ops::Range<u64>,
        sha1: &mut Sha1,
    ) -> Result<bool, StorageError> {
        while !range.is_empty() {
            let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).min(CHUNK);
            let chunk = &mut self.buffer[..length];
            if !files.read(range.start, chunk)? {
                return Ok(false);
            }
            sha1.update(&*chunk);
            range.start += u64::try_from(length).unwrap_or(u64::MAX);
        }
        Ok(true)
    }
}
