//! What can go wrong while a torrent is made.

use std::io;
use std::path::{Path, PathBuf};

use crate::error::{NameFault, ReadError};

/// Why no .torrent file was made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The system refused to read, list or write something.
    #[error("can't {action} {}", path.display())]
    Io {
        /// What was tried: `read`, `write` and the like.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The output is there already, and it was not to be replaced.
    #[error("{} exists already", path.display())]
    Exists {
        /// The output.
        path: PathBuf,
    },
    /// A name is not UTF-8, which BEP 3 wants names to be.
    #[error("the name of {} is not UTF-8", path.display())]
    NotUtf8 {
        /// The file or folder.
        path: PathBuf,
    },
    /// The torrent can't have that name.
    #[error("the torrent's name {name:?} {fault}")]
    BadName {
        /// The name, as given or as the target's path ends.
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// A symbolic link lies in the folder. See [`Builder::skip_symlinks`](crate::Builder::skip_symlinks).
    #[error("{} is a symbolic link", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something that is neither a file nor a folder: a socket, a pipe, a device.
    #[error("{} is neither a file nor a folder", path.display())]
    Special {
        /// The thing.
        path: PathBuf,
    },
    /// There is not one octet to share.
    #[error("{} has no content", path.display())]
    NoContent {
        /// The file or folder.
        path: PathBuf,
    },
    /// The files together are longer than `i64::MAX` octets. Sparse files can be.
    #[error("{} is longer than {limit} octets", path.display(), limit = i64::MAX)]
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
    #[error("a piece length of {got} octets is not a power of two from {min} to {max}")]
    PieceLength {
        /// Octets that were asked for.
        got: u32,
        /// Octets that are allowed at least.
        min: u32,
        /// Octets that are allowed at most.
        max: u32,
    },
    /// So many pieces that readers would refuse the .torrent file for its length.
    #[error("{pieces} pieces are too many: choose a piece length above {piece_length}")]
    TooManyPieces {
        /// Pieces of the torrent.
        pieces: u64,
        /// Octets in a piece.
        piece_length: u32,
    },
    /// An announce URL is empty or only white space.
    #[error("a tracker's URL is empty")]
    EmptyTracker,
    /// The environment variable SOURCE_DATE_EPOCH is not a number of seconds.
    #[error("SOURCE_DATE_EPOCH is {value:?}, not a number of seconds")]
    SourceDateEpoch {
        /// The variable's value.
        value: String,
    },
    /// The system gave not one thread to hash on.
    #[error("can't start a thread")]
    Threads {
        /// The system's reason.
        source: io::Error,
    },
    /// The callback for progress asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// What was made is not what readers accept.
    #[error("the torrent would be refused by readers")]
    Unreadable {
        /// Their reason.
        source: ReadError,
    },
}

impl MakeError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
