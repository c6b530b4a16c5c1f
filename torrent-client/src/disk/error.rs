//! What can go wrong with the files of a torrent.

use std::io;
use std::path::{Path, PathBuf};

/// Why a torrent's files can't be read or written. What was checked before stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file or folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// Something in the download folder leads elsewhere. It is not followed, as it may lead anywhere.
    #[error("{} is a symbolic link, which is not followed: put what it leads to in its place, or choose another folder", path.display())]
    Symlink {
        /// The link.
        path: PathBuf,
    },
    /// Something else is in the place of a file or folder.
    #[error("{} is not a {expected}: move it away, or choose another folder", path.display())]
    NotA {
        /// `file` or `folder`.
        expected: &'static str,
        /// What is in its place.
        path: PathBuf,
    },
    /// A file is longer than the torrent's, and so something else; it is left alone.
    #[error("{} has {got} bytes, the torrent's file only {expected}: move it away, or choose another folder", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes that the torrent says.
        expected: u64,
        /// Bytes there are.
        got: u64,
    },
    /// A file that was complete is gone or shorter now.
    #[error("{} was changed by another program: start again to have it checked", path.display())]
    Changed {
        /// The file.
        path: PathBuf,
    },
}

impl StorageError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}

/// What the user can do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "; free some space and start again, what is there is kept"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
            "; choose a folder that can be written to, or change its permissions"
        }
        _ => "",
    }
}
