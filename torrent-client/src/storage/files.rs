//! The files of a torrent below the download folder. Nothing else is accessed.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, mkdirat, openat, statat};
use rustix::io::Errno;
use torrent_metainfo::Metainfo;

use crate::disk::StorageError;

/// The most files held open. Systems allow at least 1024, and connections to peers need some.
const OPEN_FILES: usize = 128;

/// How the files are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Files are neither changed nor created.
    Read,
    /// Missing files are created, with their folders.
    Write,
}

/// A torrent's files, opened as they are needed.
///
/// Each component of a path is opened relative to the folder before it, and no symbolic link is followed. So nothing
/// outside the download folder is reached, even if names and links are exchanged in the meantime.
#[derive(Debug)]
pub(crate) struct Files {
    metainfo: Arc<Metainfo>,
    folder: PathBuf,
    root: OwnedFd,
    access: Access,
    /// The files to download; all if `None`.
    chosen: Option<Vec<usize>>,
    /// Open files; the last one was used most recently.
    open: Mutex<VecDeque<(usize, Arc<File>)>>,
}

impl Files {
    /// The files of a torrent below `folder`. With [`Access::Write`], the folder is created if necessary.
    ///
    /// # Errors
    /// When the folder can't be created or opened.
    pub(crate) fn new(
        metainfo: Arc<Metainfo>,
        folder: &Path,
        access: Access,
        chosen: Option<Vec<usize>>,
    ) -> Result<Self, StorageError> {
        if access == Access::Write {
            std::fs::create_dir_all(folder).map_err(StorageError::io("create", folder))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(folder, flags, Mode::empty())
            .map_err(|error| StorageError::io("open", folder)(error.into()))?;
        Ok(Self { metainfo, folder: folder.to_owned(), root, access, chosen, open: Mutex::default() })
    }

    /// The torrent.
    #[must_use]
    pub(crate) fn metainfo(&self) -> &Arc<Metainfo> {
        &self.metainfo
    }

    /// Creates the chosen files at their full length, without taking up space. Refuses files that are longer than the
    /// torrent's.
    ///
    /// # Errors
    /// When something else is in their place, or when the system refuses.
    pub(crate) fn create(&self) -> Result<(), StorageError> {
        for (index, entry) in self.metainfo.files().iter().enumerate() {
            let chosen = self.chosen.as_ref().is_none_or(|chosen| chosen.contains(&index));
            if entry.is_padding() || !chosen {
                continue;
            }
            let path = self.path(index);
            let file = self.open(index, true)?.ok_or_else(|| StorageError::Changed { path: path.clone() })?;
            let got = file.metadata().map_err(StorageError::io("look at", &path))?.len();
            let expected = entry.length();
            if got > expected {
                return Err(StorageError::TooLong { path, expected, got });
            }
            if got < expected {
                file.set_len(expected).map_err(StorageError::io("enlarge", &path))?;
            }
        }
        Ok(())
    }

    /// Reads bytes of the torrent from `offset` on. False if a file is missing or too short.
    ///
    /// # Errors
    /// When the system refuses, or something else is in a file's place.
    pub(crate) fn read(&self, offset: u64, mut out: &mut [u8]) -> Result<bool, StorageError> {
        for slice in self.metainfo.slices(offset..offset.saturating_add(bytes(out.len()))) {
            let (here, rest) = out.split_at_mut(usize::try_from(slice.length).unwrap_or(usize::MAX));
            out = rest;
            if self.metainfo.files()[slice.file].is_padding() {
                here.fill(0);
                continue;
            }
            let Some(file) = self.open(slice.file, false)? else { return Ok(false) };
            match file.read_exact_at(here, slice.offset) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
                Err(error) => return Err(StorageError::io("read", &self.path(slice.file))(error)),
            }
        }
        Ok(true)
    }

    /// Writes bytes of the torrent from `offset` on; padding is left out.
    ///
    /// # Errors
    /// When the system refuses, or something else is in a file's place.
    pub(crate) fn write(&self, offset: u64, mut data: &[u8]) -> Result<(), StorageError> {
        for slice in self.metainfo.slices(offset..offset.saturating_add(bytes(data.len()))) {
            let (here, rest) = data.split_at(usize::try_from(slice.length).unwrap_or(usize::MAX));
            data = rest;
            if self.metainfo.files()[slice.file].is_padding() {
                continue;
            }
            let path = || self.path(slice.file);
            let file = self.open(slice.file, true)?.ok_or_else(|| StorageError::Changed { path: path() })?;
            file.write_all_at(here, slice.offset)
                .map_err(|error| StorageError::io("write", &path())(error))?;
        }
        Ok(())
    }

    /// The error for a [read](Self::read) of a complete piece that returned too few bytes. It names the first file of
    /// that range that is missing or too short.
    #[must_use]
    pub(crate) fn changed(&self, offset: u64, length: u64) -> StorageError {
        let mut slices = self.metainfo.slices(offset..offset.saturating_add(length));
        let is_short = |file: usize| match self.open(file, false) {
            Ok(Some(open)) => {
                !open.metadata().is_ok_and(|data| data.len() >= self.metainfo.files()[file].length())
            }
            _ => true,
        };
        let culprit = slices.clone().find(|slice| is_short(slice.file)).or_else(|| slices.next());
        let path = culprit.map_or_else(|| self.folder.clone(), |slice| self.path(slice.file));
        StorageError::Changed { path }
    }

    /// The path of a file, for messages.
    fn path(&self, file: usize) -> PathBuf {
        self.folder.join(self.metainfo.disk_path(file).unwrap_or_default())
    }

    /// An open file; `None` if it does not exist and `create` is false.
    fn open(&self, index: usize, create: bool) -> Result<Option<Arc<File>>, StorageError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = open.iter().rposition(|(other, _)| *other == index) {
            let file = Arc::clone(&open[at].1);
            // An entry is moved only when it may soon be closed. Most torrents have too few files for that.
            if at < OPEN_FILES / 2 && open.len() > OPEN_FILES / 2 {
                let entry = open.remove(at);
                open.extend(entry);
            }
            return Ok(Some(file));
        }
        let Some(file) = self.walk(index, create && self.access == Access::Write)?.map(Arc::new) else {
            return Ok(None);
        };
        if open.len() >= OPEN_FILES {
            open.pop_front();
        }
        open.push_back((index, Arc::clone(&file)));
        Ok(Some(file))
    }

    /// Opens a file, one component of its path after the other.
    fn walk(&self, index: usize, create: bool) -> Result<Option<File>, StorageError> {
        let relative = self.metainfo.disk_path(index).unwrap_or_default();
        let mut steps = relative.iter();
        let name = steps.next_back().unwrap_or_default();
        let mut path = self.folder.clone();
        let mut folder: Option<OwnedFd> = None;
        for step in steps {
            path.push(step);
            let parent = folder.as_ref().unwrap_or(&self.root);
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let mut opened = openat(parent, step, flags, Mode::empty());
            if create && matches!(opened, Err(Errno::NOENT)) {
                match mkdirat(parent, step, Mode::from_raw_mode(0o777)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(StorageError::io("create", &path)(error.into())),
                }
                opened = openat(parent, step, flags, Mode::empty());
            }
            folder = match opened {
                Ok(opened) => Some(opened),
                Err(Errno::NOENT) => return Ok(None),
                Err(error) => return Err(refusal(parent, step, path, "folder", error)),
            };
        }
        path.push(name);
        let parent = folder.as_ref().unwrap_or(&self.root);
        let access = match self.access {
            Access::Read => OFlags::RDONLY,
            Access::Write => OFlags::RDWR,
        };
        let creation = if create { OFlags::CREATE } else { OFlags::empty() };
        // `NONBLOCK` keeps the open from waiting if it is a pipe.
        let flags = access | creation | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match openat(parent, name, flags, Mode::from_raw_mode(0o666)) {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(error) => return Err(refusal(parent, name, path, "file", error)),
        };
        if file.metadata().map_err(StorageError::io("look at", &path))?.is_file() {
            Ok(Some(file))
        } else {
            Err(StorageError::NotA { expected: "file", path })
        }
    }
}

/// The error for a component that could not be opened.
fn refusal(
    parent: &OwnedFd,
    step: &std::ffi::OsStr,
    path: PathBuf,
    expected: &'static str,
    error: Errno,
) -> StorageError {
    let kind =
        statat(parent, step, AtFlags::SYMLINK_NOFOLLOW).map(|stat| FileType::from_raw_mode(stat.st_mode));
    match kind {
        Ok(FileType::Symlink) => StorageError::Symlink { path },
        Ok(kind) if (kind == FileType::Directory) != (expected == "folder") => {
            StorageError::NotA { expected, path }
        }
        _ => StorageError::io("open", &path)(error.into()),
    }
}

fn bytes(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
