//! What is kept over a restart: files in a folder of the tracker's own.
//!
//! | file | content |
//! |---|---|
//! | `lock` | locked by the one tracker that uses the folder; its process id |
//! | `swarms.snapshot` | peers, completed counts and their ages; see [`swarm_store::SnapshotWriter`] |
//! | `access.hits` | how often the access rules were applied |
//! | `*.previous` | the one before, which is loaded when the newer one can't be |
//! | `*.new` | one that is being written, or was when the machine crashed; never loaded |
//! | `*.refused` | one that could not be loaded, for a person to look at |
//!
//! # A crash at any moment
//! A file is written under another name, brought to the disk (`fsync`), and then renamed. So after a crash there is the
//! old file or the new one, never a part of one. Between two renames the file has only its older name, and is found by
//! that.
//!
//! # What an attacker controls
//! Whoever can write to the folder controls what is stored and counted, so nobody else should be able to: files have
//! mode 0600. Remote hosts control the content of snapshots only by what they announce. A file of any content is read
//! with bounded memory, checked as a whole before anything of it is used, and put aside if it is not what was written.

mod disk;
mod hits;
mod moment;
mod replace;
#[cfg(test)]
mod simulated;
mod swarms;
#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::service::Service;
use disk::Folder;

pub use swarms::{Loaded, Saved};

/// The folder of what a tracker keeps over a restart. As long as this value exists, no other tracker can use it.
#[derive(Debug)]
pub struct StateDir {
    folder: Folder,
    /// Locked.
    _lock: File,
}

/// Why the folder can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StateDirError {
    /// It can't be made or written to.
    #[error("cannot {doing} {path}: {source}; the tracker needs a folder of its own that it can write to")]
    Unusable {
        /// What was being done.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("{path} is used by another tracker{process}: stop that one, or choose another folder")]
    InUse {
        /// The folder.
        path: PathBuf,
        /// Such as ` (process 123)`; empty if unknown.
        process: String,
    },
}

/// Why something could not be saved. What was saved before is still there.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SaveError {
    /// The disk is full, broken, or can't be written to.
    #[error("cannot {doing} {path}: {source}; what was saved before is kept")]
    Disk {
        /// What was being done.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The caller wanted to stop.
    #[error("stopped before it was complete; what was saved before is kept")]
    Stopped,
}

/// A file that could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refused {
    /// What it was.
    pub path: PathBuf,
    /// Why: the end of a sentence that begins with the file.
    pub reason: String,
    /// Where it is now; `None` if it could not be renamed.
    pub kept_as: Option<PathBuf>,
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} is not loaded: {}", self.path.display(), self.reason)?;
        match &self.kept_as {
            Some(path) => write!(f, "; it is kept as {}", path.display()),
            None => write!(f, "; it could not be renamed, and the next but one that is written replaces it"),
        }
    }
}

impl StateDir {
    /// Takes the folder, and makes it if there is none. Its parent must exist.
    ///
    /// # Errors
    /// It can't be made or written to, or another tracker uses it.
    pub fn open(path: &Path) -> Result<Self, StateDirError> {
        let unusable = |doing| {
            let path = path.into();
            move |source| StateDirError::Unusable { doing, path, source }
        };
        if !path.is_dir() {
            DirBuilder::new().mode(0o700).create(path).map_err(unusable("make the folder"))?;
        }
        // Relative paths must stay the same when the process changes its folder.
        let path = &fs::canonicalize(path).map_err(unusable("find"))?;
        let name = path.join("lock");
        let mut options = OpenOptions::new();
        let lock = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&name);
        let mut lock = lock.map_err(unusable("write to the folder"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let id = fs::read_to_string(&name).unwrap_or_default();
                let id: String = id.trim().chars().filter(char::is_ascii_digit).take(10).collect();
                let process = if id.is_empty() { id } else { format!(" (process {id})") };
                return Err(StateDirError::InUse { path: path.into(), process });
            }
            Err(TryLockError::Error(source)) => return Err(unusable("lock")(source)),
        }
        // Only for the message above.
        let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
        Ok(Self { folder: Folder::new(path.into()), _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Writes a snapshot of all swarms, in steps that hold up nobody. `now` is the stores' time in seconds. `go_on` is
    /// called between two steps, each of a fraction of a millisecond; it may wait, and ends the writing with `false`.
    ///
    /// # Errors
    /// It can't be written. Then the snapshot before is still the current one.
    pub fn save_swarms(
        &self,
        service: &Service,
        now: u64,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Saved, SaveError> {
        swarms::save(&self.folder, service, (now, moment::now()), go_on)
    }

    /// Loads the last complete snapshot, beside threads that announce. What has announced since is not changed. `now`
    /// and `go_on` are as for [`save_swarms`](Self::save_swarms).
    ///
    /// A file that can't be read, is damaged, of another version, or written in the future, is put aside, and the one
    /// before is loaded. Each file is checked as a whole before anything of it is loaded.
    pub fn load_swarms(&self, service: &Service, now: u64, go_on: &mut dyn FnMut() -> bool) -> Loaded {
        swarms::load(&self.folder, service, (now, moment::now()), go_on)
    }

    /// Writes how often the access rules were applied. Returns the number of rules that were.
    ///
    /// # Errors
    /// It can't be written. Then what was written before is still there.
    pub fn save_hits(&self, service: &Service) -> Result<u64, SaveError> {
        hits::save(&self.folder, &service.access())
    }

    /// Adds what [`save_hits`](Self::save_hits) wrote to the access rules in force. Rules that are no longer there are
    /// left out. Returns the number of rules that were found, and the files that were put aside.
    pub fn load_hits(&self, service: &Service) -> (u64, Vec<Refused>) {
        hits::load(&self.folder, &service.access())
    }
}
