//! Errors of a torrent's files.

use std::io;
use std::path::{Path, PathBuf};

/// Why a torrent's files can't be read or written. Data that was checked before stays as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageError {
    /// The system refused.
    #[error("cannot {action} {}: {source}{}", path.display(), advice(source))]
    Io {
        /// The operation.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A symbolic link is in the download folder. It is not followed, because it may lead out of the folder.
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
    /// A file is longer than the torrent's file, so it is probably another file. It is not changed.
    #[error("{} has {got} bytes, the torrent's file only {expected}: move it away, or choose another folder", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
        /// Bytes of the torrent's file.
        expected: u64,
        /// Bytes of the file on the disk.
        got: u64,
    },
    /// A complete file was removed or shortened.
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
