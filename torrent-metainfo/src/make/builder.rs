//! The options of a new torrent, and its making.

use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use super::MakeError;
use super::encode::{self, encode};
use super::hash::{Job, hash_pieces};
use super::source::Content;
use super::walk::walk;
use super::write::{self, Existing, TorrentFile};
use crate::metainfo::Metainfo;
use crate::names::check_name;

/// Makes the .torrent file of a file or a folder.
///
/// The files of a folder are ordered by their paths, component by component and byte by byte, so that the same content
/// always has the same info-hash. Each is read once, from beginning to end. Symbolic links in a folder are never
/// followed, and anything else than files and folders is an error. The target itself may be a symbolic link.
///
/// ```
/// use torrent_metainfo::{Builder, Existing};
///
/// # let folder = tempfile::tempdir()?;
/// # let (song, output) = (folder.path().join("song.ogg"), folder.path().join("song.torrent"));
/// # std::fs::write(&song, "la la la")?;
/// let torrent = Builder::new(&song)
///     .tracker_tier(["udp://tracker.example:6969"])
///     .comment("a song")
///     .make()?;
/// assert_eq!(torrent.metainfo().name(), "song.ogg");
/// torrent.write(&output, Existing::Refuse)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it makes something"]
pub struct Builder {
    target: PathBuf,
    name: Option<String>,
    trackers: Vec<Vec<String>>,
    private: bool,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: CreationDate,
    piece_length: Option<u32>,
    skip_symlinks: bool,
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, Debug)]
enum CreationDate {
    Now,
    At(i64),
    None,
}

/// Progress of the hashing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes hashed so far.
    pub done: u64,
    /// Bytes of all files.
    pub total: u64,
}

impl Builder {
    /// The shortest piece, in bytes (16 KiB): the block length of requests between peers.
    pub const MIN_PIECE_LENGTH: u32 = 16 << 10;

    /// The longest piece, in bytes (16 MiB). Some clients don't read longer ones.
    pub const MAX_PIECE_LENGTH: u32 = 16 << 20;

    /// The automatic piece length makes at most this many pieces: their hashes take 40 KiB.
    const WANTED_PIECES: u64 = 2048;

    /// A torrent of a file or a folder, without trackers, not private, without comment, made now, with automatic piece
    /// length.
    pub fn new(target: impl Into<PathBuf>) -> Self {
        Self {
            target: target.into(),
            name: None,
            trackers: Vec::new(),
            private: false,
            comment: None,
            created_by: None,
            creation_date: CreationDate::Now,
            piece_length: None,
            skip_symlinks: false,
            threads: None,
        }
    }

    /// Sets the torrent's name instead of the last component of the target. The info-hash depends on it.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a tier of trackers: clients use them when all trackers of earlier tiers have failed (BEP 12). The order
    /// within the tier has no meaning. An empty tier is left out.
    pub fn tracker_tier<T: Into<String>>(mut self, urls: impl IntoIterator<Item = T>) -> Self {
        let tier: Vec<String> = urls.into_iter().map(Into::into).collect();
        if !tier.is_empty() {
            self.trackers.push(tier);
        }
        self
    }

    /// Whether peers may only come from the trackers (BEP 27). The info-hash depends on it.
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Sets the comment.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Sets the name of the program that makes the file; none by default.
    pub fn created_by(mut self, program: impl Into<String>) -> Self {
        self.created_by = Some(program.into());
        self
    }

    /// Sets the creation date, in seconds since 1970-01-01 00:00 UTC.
    ///
    /// By default it is the value of the environment variable SOURCE_DATE_EPOCH, for reproducible builds, and if that
    /// is not set, the current time.
    pub fn creation_date(mut self, seconds: i64) -> Self {
        self.creation_date = CreationDate::At(seconds);
        self
    }

    /// Leaves the creation date out.
    pub fn without_creation_date(mut self) -> Self {
        self.creation_date = CreationDate::None;
        self
    }

    /// Sets the piece length, in bytes: a power of two from [`MIN_PIECE_LENGTH`](Self::MIN_PIECE_LENGTH) to
    /// [`MAX_PIECE_LENGTH`](Self::MAX_PIECE_LENGTH).
    ///
    /// By default it is the shortest that makes at most 2048 pieces, or else the longest: 16 KiB up to 32 MiB of
    /// content, 512 KiB for 1 GiB, 8 MiB for 16 GiB, 16 MiB above.
    pub fn piece_length(mut self, bytes: u32) -> Self {
        self.piece_length = Some(bytes);
        self
    }

    /// Whether symbolic links in the folder are left out; by default they are an error, so that nothing is left out
    /// unnoticed.
    pub fn skip_symlinks(mut self, skip: bool) -> Self {
        self.skip_symlinks = skip;
        self
    }

    /// Sets the number of hashing threads; by default the number of cores. Files are read on the caller's thread.
    pub fn threads(mut self, count: NonZeroUsize) -> Self {
        self.threads = Some(count);
        self
    }

    /// Makes the torrent.
    ///
    /// # Errors
    ///
    /// See [`make_with`](Self::make_with).
    pub fn make(&self) -> Result<TorrentFile, MakeError> {
        self.make_with(|_| ControlFlow::Continue(()))
    }

    /// Makes the torrent, and reports progress.
    ///
    /// `on_progress` is called on this thread: before the first byte is read, then after every few pieces, the last
    /// time when everything is done. Reading waits for it, so it should be quick. If it returns `Break`, the work ends.
    ///
    /// # Errors
    ///
    /// [`MakeError`] if a file can't be read or has an unsupported type, if there is no content, if a file changes
    /// while it is read, if an option is out of range, or [`MakeError::Cancelled`] if `on_progress` returned `Break`.
    ///
    /// # Complexity
    ///
    /// Besides the hashes and the list of files, memory for a few buffers: 2 MiB on two cores, at most 96 MiB on any
    /// number of cores.
    pub fn make_with(
        &self,
        mut on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<TorrentFile, MakeError> {
        let name = self.checked_name()?;
        if self.trackers.iter().flatten().any(|url| url.trim().is_empty()) {
            return Err(MakeError::EmptyTracker);
        }
        let creation_date = self.creation_date.seconds(std::env::var_os("SOURCE_DATE_EPOCH"))?;
        let chosen = self.piece_length.map(check_piece_length).transpose()?;

        let found = walk(&self.target, self.skip_symlinks)?;
        let path = || self.target.clone();
        let length = found.length().ok_or_else(|| MakeError::TooLong { path: path() })?;
        if length == 0 {
            return Err(MakeError::NoContent { path: path() });
        }
        let piece_length = chosen.unwrap_or_else(|| automatic_piece_length(length));
        check_piece_count(length, piece_length)?;

        let mut progress = Progress { done: 0, total: length };
        let mut report = |hashed| {
            progress.done += hashed;
            match on_progress(progress) {
                ControlFlow::Continue(()) => Ok(()),
                ControlFlow::Break(()) => Err(MakeError::Cancelled),
            }
        };
        report(0)?;
        let threads =
            self.threads.or_else(|| thread::available_parallelism().ok()).unwrap_or(NonZeroUsize::MIN);
        let mut content = Content::new(&found.files);
        let hashes = hash_pieces(
            Job { length, piece_length, threads },
            |buffer| content.fill(buffer),
            |hashed| if hashed == 0 { Ok(()) } else { report(hashed) },
        )?;

        let bytes = encode(&encode::Content {
            trackers: &self.trackers,
            comment: self.comment.as_deref(),
            created_by: self.created_by.as_deref(),
            creation_date,
            name: &name,
            piece_length,
            hashes: &hashes,
            private: self.private,
            found: &found,
        })
        .expect("the keys are sorted and lists are closed");
        let metainfo = Metainfo::from_bytes(&bytes).map_err(|source| MakeError::Unreadable { source })?;
        Ok(TorrentFile { bytes, metainfo })
    }

    /// Makes the torrent and writes it, as [`TorrentFile::write`] does; but an output that exists and must not be
    /// replaced is an error before anything is hashed.
    ///
    /// # Errors
    ///
    /// Those of [`make_with`](Self::make_with) and of [`TorrentFile::write`].
    pub fn create(
        &self,
        output: impl AsRef<Path>,
        existing: Existing,
        on_progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<TorrentFile, MakeError> {
        write::check(output.as_ref(), existing)?;
        let torrent = self.make_with(on_progress)?;
        torrent.write(output, existing)?;
        Ok(torrent)
    }

    /// The name that was set, or that of the target; for `.` and `..`, that of the real folder.
    fn checked_name(&self) -> Result<String, MakeError> {
        let name = match &self.name {
            Some(name) => name.clone(),
            None => {
                let real;
                let path = if self.target.file_name().is_some() {
                    &self.target
                } else {
                    real = self.target.canonicalize().map_err(MakeError::io("read", &self.target))?;
                    &real
                };
                let name = path.file_name().unwrap_or_default().to_owned();
                name.into_string().map_err(|_| MakeError::NotUtf8 { path: path.clone() })?
            }
        };
        check_name(&name).map_err(|fault| MakeError::BadName { name: name.clone(), fault })?;
        Ok(name)
    }
}

impl CreationDate {
    fn seconds(self, source_date_epoch: Option<OsString>) -> Result<Option<i64>, MakeError> {
        match (self, source_date_epoch) {
            (Self::None, _) => Ok(None),
            (Self::At(seconds), _) => Ok(Some(seconds)),
            (Self::Now, Some(value)) => {
                let seconds =
                    value.to_str().and_then(|value| value.parse().ok()).filter(|seconds| *seconds >= 0);
                let refused = || MakeError::SourceDateEpoch { value: value.to_string_lossy().into_owned() };
                seconds.map(Some).ok_or_else(refused)
            }
            (Self::Now, None) => {
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Ok(i64::try_from(since.as_secs()).ok())
            }
        }
    }
}

fn check_piece_length(bytes: u32) -> Result<u32, MakeError> {
    let (min, max) = (Builder::MIN_PIECE_LENGTH, Builder::MAX_PIECE_LENGTH);
    if bytes.is_power_of_two() && (min..=max).contains(&bytes) {
        Ok(bytes)
    } else {
        Err(MakeError::PieceLength { got: bytes, min, max })
    }
}

fn automatic_piece_length(length: u64) -> u32 {
    let wanted = length.div_ceil(Builder::WANTED_PIECES).checked_next_power_of_two();
    wanted
        .and_then(|bytes| u32::try_from(bytes).ok())
        .unwrap_or(Builder::MAX_PIECE_LENGTH)
        .clamp(Builder::MIN_PIECE_LENGTH, Builder::MAX_PIECE_LENGTH)
}

/// The hashes must fit into the longest file that [`Metainfo::from_file`] reads, with some room.
fn check_piece_count(length: u64, piece_length: u32) -> Result<(), MakeError> {
    let pieces = length.div_ceil(piece_length.into());
    if pieces > Metainfo::MAX_FILE_LEN / 2 / 20 {
        return Err(MakeError::TooManyPieces { pieces, piece_length });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_piece_lengths_are_as_documented() {
        let cases: [(u64, u32); 9] = [
            (1, 16 << 10),
            (32 << 20, 16 << 10),
            ((32 << 20) + 1, 32 << 10),
            (1 << 30, 512 << 10),
            ((1 << 30) + 1, 1 << 20),
            (16 << 30, 8 << 20),
            ((16 << 30) + 1, 16 << 20),
            (1 << 50, 16 << 20),
            (u64::MAX, 16 << 20),
        ];
        for (length, piece_length) in cases {
            assert_eq!(automatic_piece_length(length), piece_length, "{length}");
        }
    }

    #[test]
    fn rejects_other_piece_lengths() {
        for good in [16 << 10, 256 << 10, 16 << 20] {
            assert_eq!(check_piece_length(good).unwrap(), good);
        }
        for bad in [0, 1, 8 << 10, 48 << 10, (16 << 10) + 1, 32 << 20] {
            assert!(matches!(check_piece_length(bad), Err(MakeError::PieceLength { got, .. }) if got == bad));
        }
    }

    #[test]
    fn rejects_too_many_pieces_before_hashing() {
        assert!(check_piece_count(25 << 30, 16 << 10).is_ok());
        assert!(matches!(
            check_piece_count(1 << 40, 16 << 10),
            Err(MakeError::TooManyPieces { pieces: 67_108_864, piece_length: 16_384 })
        ));
    }

    #[test]
    fn the_date_is_set_or_from_the_environment_or_now() {
        let epoch = |text: &str| Some(OsString::from(text));
        assert_eq!(CreationDate::None.seconds(epoch("5")).unwrap(), None);
        assert_eq!(CreationDate::At(-7).seconds(epoch("5")).unwrap(), Some(-7));
        assert_eq!(CreationDate::Now.seconds(epoch("1700000000")).unwrap(), Some(1_700_000_000));
        assert!(CreationDate::Now.seconds(None).unwrap().is_some_and(|now| now > 1_700_000_000));
        for bad in ["", "soon", "-1", "1.5", " 1"] {
            let error = CreationDate::Now.seconds(epoch(bad)).unwrap_err();
            assert!(matches!(error, MakeError::SourceDateEpoch { value } if value == bad));
        }
    }

    #[test]
    fn the_name_is_the_last_component_of_the_path() {
        let name = |target: &str| Builder::new(target).checked_name();
        assert_eq!(name("/a/b").unwrap(), "b");
        assert_eq!(name("a/b/").unwrap(), "b");
        assert_eq!(name("a/b/.").unwrap(), "b");
        let here = std::env::current_dir().unwrap();
        assert_eq!(name(".").unwrap(), here.file_name().unwrap().to_str().unwrap());
        assert_eq!(Builder::new("/").name("x").checked_name().unwrap(), "x");
        assert!(matches!(name("/"), Err(MakeError::BadName { .. })));
        assert!(matches!(Builder::new("a").name("../x").checked_name(), Err(MakeError::BadName { .. })));
    }
}
