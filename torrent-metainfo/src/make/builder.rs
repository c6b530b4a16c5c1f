//! What to make, and how.

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
/// The files of a folder are ordered by their paths, name by name and octet by octet, so that the same content always
/// gets the same info-hash. Each is read once, from beginning to end. Symbolic links in a folder are never followed, and
/// what is neither file nor folder is an error. The target itself may be a symbolic link.
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

/// How far the hashing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Octets that are hashed.
    pub done: u64,
    /// Octets of all files together.
    pub total: u64,
}

impl Builder {
    /// The shortest piece, in octets (16 KiB): a block, what peers ask each other for at once.
    pub const MIN_PIECE_LENGTH: u32 = 16 << 10;

    /// The longest piece, in octets (16 MiB). Some clients don't read longer ones.
    pub const MAX_PIECE_LENGTH: u32 = 16 << 20;

    /// How many pieces the automatic piece length aims below: their hashes make a file of 40 KiB.
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

    /// Calls the torrent something else than the target's last name. It is part of what the info-hash is taken over.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds trackers that are asked when all of those added before have failed (BEP 12). Their order within the tier
    /// means nothing. An empty tier is left out.
    pub fn tracker_tier<T: Into<String>>(mut self, urls: impl IntoIterator<Item = T>) -> Self {
        let tier: Vec<String> = urls.into_iter().map(Into::into).collect();
        if !tier.is_empty() {
            self.trackers.push(tier);
        }
        self
    }

    /// Whether peers may only come from the trackers (BEP 27). It is part of what the info-hash is taken over.
    pub fn private(mut self, private: bool) -> Self {
        self.private = private;
        self
    }

    /// Says something about the torrent.
    pub fn comment(mut self, comment: impl Into<String>) -> Self {
        self.comment = Some(comment.into());
        self
    }

    /// Names the program that makes the file; by default none is named.
    pub fn created_by(mut self, program: impl Into<String>) -> Self {
        self.created_by = Some(program.into());
        self
    }

    /// Sets the creation date, in seconds since 1970-01-01 00:00 UTC.
    ///
    /// By default it is the time that the environment variable SOURCE_DATE_EPOCH gives, for builds that can be repeated;
    /// and if that isn't set, the time at which the file is made.
    pub fn creation_date(mut self, seconds: i64) -> Self {
        self.creation_date = CreationDate::At(seconds);
        self
    }

    /// Leaves the creation date out.
    pub fn without_creation_date(mut self) -> Self {
        self.creation_date = CreationDate::None;
        self
    }

    /// Sets the piece length, in octets: a power of two from [`MIN_PIECE_LENGTH`](Self::MIN_PIECE_LENGTH) to
    /// [`MAX_PIECE_LENGTH`](Self::MAX_PIECE_LENGTH).
    ///
    /// By default it is the shortest of these that makes at most 2048 pieces, or else the longest: 16 KiB up to 32 MiB of
    /// content, 512 KiB for 1 GiB, 8 MiB for 16 GiB, 16 MiB above.
    pub fn piece_length(mut self, octets: u32) -> Self {
        self.piece_length = Some(octets);
        self
    }

    /// Whether symbolic links in the folder are left out; by default they are an error, because what is missing might be
    /// missed.
    pub fn skip_symlinks(mut self, skip: bool) -> Self {
        self.skip_symlinks = skip;
        self
    }

    /// Sets how many threads hash; by default as many as the machine runs at once. Reading happens on the caller's.
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

    /// Makes the torrent, and says how far it is.
    ///
    /// `on_progress` is called on this thread: once before the first octet is read, then after every few pieces, the last
    /// time with everything done. Reading waits for it, so it should be quick. If it breaks, the work ends.
    ///
    /// # Errors
    ///
    /// [`MakeError`] if something can't be read or is not to be shared, if there is no content, if a file changes while
    /// it is read, if an option is out of range, or, with [`MakeError::Cancelled`], if `on_progress` broke.
    ///
    /// # Complexity
    ///
    /// Besides the hashes and the list of files, memory for a few buffers: 2 MiB on two cores, at most 96 MiB on any
    /// number.
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

        let octets = encode(&encode::Content {
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
        let metainfo = Metainfo::from_bytes(&octets).map_err(|source| MakeError::Unreadable { source })?;
        Ok(TorrentFile { octets, metainfo })
    }

    /// Makes the torrent and writes it, as [`TorrentFile::write`] does; but an output that must not be replaced is
    /// noticed before anything is hashed.
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

    /// The name that was given, or the target's; of `.` and the like, the folder's real one.
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

fn check_piece_length(octets: u32) -> Result<u32, MakeError> {
    let (min, max) = (Builder::MIN_PIECE_LENGTH, Builder::MAX_PIECE_LENGTH);
    if octets.is_power_of_two() && (min..=max).contains(&octets) {
        Ok(octets)
    } else {
        Err(MakeError::PieceLength { got: octets, min, max })
    }
}

fn automatic_piece_length(length: u64) -> u32 {
    let wanted = length.div_ceil(Builder::WANTED_PIECES).checked_next_power_of_two();
    wanted
        .and_then(|octets| u32::try_from(octets).ok())
        .unwrap_or(Builder::MAX_PIECE_LENGTH)
        .clamp(Builder::MIN_PIECE_LENGTH, Builder::MAX_PIECE_LENGTH)
}

/// The hashes alone must leave some room in what [`Metainfo::from_file`] reads.
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
    fn other_piece_lengths_are_refused() {
        for good in [16 << 10, 256 << 10, 16 << 20] {
            assert_eq!(check_piece_length(good).unwrap(), good);
        }
        for bad in [0, 1, 8 << 10, 48 << 10, (16 << 10) + 1, 32 << 20] {
            assert!(matches!(check_piece_length(bad), Err(MakeError::PieceLength { got, .. }) if got == bad));
        }
    }

    #[test]
    fn pieces_are_refused_before_they_are_hashed() {
        assert!(check_piece_count(25 << 30, 16 << 10).is_ok());
        assert!(matches!(
            check_piece_count(1 << 40, 16 << 10),
            Err(MakeError::TooManyPieces { pieces: 67_108_864, piece_length: 16_384 })
        ));
    }

    #[test]
    fn the_date_is_given_or_from_the_environment_or_now() {
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
    fn the_name_is_the_last_of_the_path() {
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
