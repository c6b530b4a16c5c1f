//! The validated content of a .torrent file.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use torrent_ids::InfoHash;

use crate::files::{FileEntry, FileSlices};

/// A torrent's description: its name, its files, the hashes of its pieces, and its trackers (BEP 3, "metainfo files").
///
/// A value of this type is consistent: there is content, every piece has its hash, every file has a path of its own
/// within one folder, and no path leads out of it. It borrows nothing from the bytes it was read from.
#[derive(Clone, PartialEq, Eq)]
pub struct Metainfo {
    pub(crate) info_hash: InfoHash,
    pub(crate) info: Box<[u8]>,
    pub(crate) pieces: Range<usize>,
    pub(crate) name: String,
    pub(crate) piece_length: u32,
    pub(crate) length: u64,
    pub(crate) files: Vec<FileEntry>,
    pub(crate) is_folder: bool,
    pub(crate) private: bool,
    pub(crate) trackers: Vec<Vec<String>>,
    pub(crate) comment: Option<String>,
    pub(crate) created_by: Option<String>,
    pub(crate) creation_date: Option<i64>,
}

impl Metainfo {
    /// The longest file that [`from_file`](Self::from_file) reads, in bytes (64 MiB). A torrent of 1 TiB in pieces of
    /// 1 MiB needs 20 MiB.
    pub const MAX_FILE_LEN: u64 = 64 << 20;

    /// The longest piece accepted, in bytes (512 MiB); libtorrent has the same limit. A client must keep a whole piece
    /// in memory or read it again to verify it.
    pub const MAX_PIECE_LENGTH: u32 = 512 << 20;

    /// The torrent's info_hash: the SHA-1 of [`info_bytes`](Self::info_bytes).
    #[must_use]
    pub fn info_hash(&self) -> InfoHash {
        self.info_hash
    }

    /// The bytes of the `info` dictionary, unchanged: the info-hash is computed from them, and peers that only know the
    /// hash request them (BEP 9).
    #[must_use]
    pub fn info_bytes(&self) -> &[u8] {
        &self.info
    }

    /// Name of the torrent's folder, or of its only file. One component of a path, never `.` or `..`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the files are in a folder named [`name`](Self::name); otherwise the torrent is one file of that name. A
    /// folder can also contain a single file.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.is_folder
    }

    /// Length of the whole torrent in bytes, padding included; at least 1, at most `i64::MAX`.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Length in bytes of every piece but the last; at least 1, at most [`MAX_PIECE_LENGTH`](Self::MAX_PIECE_LENGTH).
    /// Usually but not necessarily a power of two.
    #[must_use]
    pub fn piece_length(&self) -> u32 {
        self.piece_length
    }

    /// The SHA-1 of each piece, in order.
    #[must_use]
    pub fn piece_hashes(&self) -> &[[u8; 20]] {
        self.info[self.pieces.clone()].as_chunks().0
    }

    /// Number of pieces; at least 1.
    #[must_use]
    pub fn piece_count(&self) -> usize {
        self.piece_hashes().len()
    }

    /// The SHA-1 of the piece `index`, from 0; `None` beyond the last.
    #[must_use]
    pub fn piece_hash(&self, piece: usize) -> Option<&[u8; 20]> {
        self.piece_hashes().get(piece)
    }

    /// The range of the torrent's bytes that is the piece `index`, from 0; `None` beyond the last.
    #[must_use]
    pub fn piece_range(&self, piece: usize) -> Option<Range<u64>> {
        let length = u64::from(self.piece_length);
        let start = u64::try_from(piece).ok()?.checked_mul(length).filter(|start| *start < self.length)?;
        Some(start..self.length.min(start.saturating_add(length)))
    }

    /// The files, in the order of their content.
    #[must_use]
    pub fn files(&self) -> &[FileEntry] {
        &self.files
    }

    /// Path of a file relative to the folder that the torrent is saved in: [`name`](Self::name), and for a folder the
    /// file's [`path`](FileEntry::path) within it. `None` if there is no such index in [`files`](Self::files).
    #[must_use]
    pub fn disk_path(&self, file: usize) -> Option<PathBuf> {
        let file = self.files.get(file)?;
        let below = self.is_folder.then(|| file.components()).into_iter().flatten();
        Some(std::iter::once(self.name.as_str()).chain(below).collect())
    }

    /// Splits a range of the torrent's bytes into slices of files, from which a piece or block is read, or to which it
    /// is written. Files of 0 bytes have no slice; the part beyond the torrent's end is left out. Padding has slices,
    /// see [`FileEntry::is_padding`].
    ///
    /// ```
    /// # use torrent_metainfo::{FileSlice, Metainfo};
    /// # let torrent = Metainfo::from_bytes(b"d4:infod5:filesld6:lengthi10e4:pathl1:aeed6:lengthi90e4:pathl1:beee4:\
    /// #     name1:x12:piece lengthi64e6:pieces40:0123456789012345678901234567890123456789ee")?;
    /// let piece = torrent.piece_range(0).expect("every torrent has a piece");
    /// let slices: Vec<_> = torrent.slices(piece).collect();
    /// assert_eq!(slices, [
    ///     FileSlice { file: 0, offset: 0, length: 10 },
    ///     FileSlice { file: 1, offset: 0, length: 54 },
    /// ]);
    /// # Ok::<(), torrent_metainfo::ReadError>(())
    /// ```
    ///
    /// # Complexity
    ///
    /// O(log n) to find the first of n files.
    #[must_use]
    pub fn slices(&self, range: Range<u64>) -> FileSlices<'_> {
        FileSlices::new(&self.files, range)
    }

    /// The announce URLs in tiers: within a tier in any order, a later tier only if all of an earlier one fail (BEP
    /// 12). No tier and no URL is empty; there may be no tier. The URLs are not validated.
    #[must_use]
    pub fn trackers(&self) -> &[Vec<String>] {
        &self.trackers
    }

    /// Whether peers may only come from the torrent's trackers (BEP 27): `private` is present and not 0.
    #[must_use]
    pub fn is_private(&self) -> bool {
        self.private
    }

    /// The comment of the torrent's author.
    #[must_use]
    pub fn comment(&self) -> Option<&str> {
        self.comment.as_deref()
    }

    /// The program that made the file.
    #[must_use]
    pub fn created_by(&self) -> Option<&str> {
        self.created_by.as_deref()
    }

    /// When the file was made, in seconds since 1970-01-01 00:00 UTC.
    #[must_use]
    pub fn creation_date(&self) -> Option<i64> {
        self.creation_date
    }
}

/// Without the hashes, which would be too long.
impl fmt::Debug for Metainfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metainfo")
            .field("info_hash", &self.info_hash)
            .field("name", &self.name)
            .field("length", &self.length)
            .field("piece_length", &self.piece_length)
            .field("pieces", &self.piece_count())
            .field("files", &self.files.len())
            .field("private", &self.private)
            .field("trackers", &self.trackers)
            .finish_non_exhaustive()
    }
}
