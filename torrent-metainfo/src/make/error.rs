//! Errors of making a torrent.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{NameFault, ReadError};

/// Why a .torrent file could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// A file or folder could not be read, listed or written.
    #[error("can't {action} {}", path.display())]
    Io {
        /// The failed action: `read`, `write` and the like.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The error of the system.
        source: io::Error,
    },
    /// The output exists already and must not be replaced.
    #[error("{} exists already", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// A name is not UTF-8, as BEP 3 requires.
    #[error("the name of {} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file or folder.
        path: PathBuf,
    },
    /// The torrent's name is invalid.
    #[error("the torrent's name {name:?} {fault}")]
    BadName {
        /// The name that was set, or the last component of the target.
        name: String,
        /// The fault of the name.
        fault: NameFault,
    },
    /// A symbolic link is in the folder. See [`Builder::skip_symlinks`](crate::Builder::skip_symlinks).
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something that is neither a file nor a folder: a socket, a pipe, a device.
    #[error("{} is neither a file nor a folder", path.display())]
    Special {
        /// Its path.
        path: PathBuf,
    },
    /// The files have 0 bytes together.
    #[error("{} has no content", path.display())]
    NoContent {
        /// The file or folder.
        path: PathBuf,
    },
    /// The files together are longer than `i64::MAX` bytes. Sparse files may be.
    #[error("{} is longer than {limit} bytes", path.display(), limit = i64::MAX)]
    TooLong {
        /// The file or folder.
        path: PathBuf,
    },
    /// A file was written to, replaced or removed while it was read.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
    /// The piece length is not a power of two from 16 KiB to 16 MiB.
    #[error("a piece length of {got} bytes is not a power of two from {min} to {max}")]
    PieceLength {
        /// The piece length in bytes.
        got: u32,
        /// The shortest allowed, in bytes.
        min: u32,
        /// The longest allowed, in bytes.
        max: u32,
    },
    /// The torrent has so many pieces that the .torrent file would be too long for readers.
    #[error("{pieces} pieces are too many: choose a piece length above {piece_length}")]
    TooManyPieces {
        /// Number of pieces.
        pieces: u64,
        /// The piece length in bytes.
        piece_length: u32,
    },
    /// An announce URL is empty or only white space.
    #[error("a tracker's URL is empty")]
    EmptyTracker,
    /// The environment variable SOURCE_DATE_EPOCH is not a number of seconds.
    #[error("SOURCE_DATE_EPOCH is {value:?}, not a number of seconds")]
    SourceDateEpoch {
        /// Value of the variable.
        value: String,
    },
    /// The system could not start any thread for hashing.
    #[error("can't start a thread")]
    Threads {
        /// The error of the system.
        source: io::Error,
    },
    /// The callback for progress returned `Break`.
    #[error("cancelled")]
    Cancelled,
    /// The torrent would be rejected by readers.
    #[error("the torrent would be rejected by readers")]
    Unreadable {
        /// The reason.
        source: ReadError,
    },
}

impl MakeError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
