//! Finds the files of a torrent, and sorts them.

use std::fs::{self, Metadata};
use std::path::{Path, PathBuf};

use super::MakeError;

/// A file to be hashed.
#[derive(Debug)]
pub(super) struct SourceFile {
    /// Its path on disk.
    pub(super) disk: PathBuf,
    /// Its path in the torrent: folders, then the file name. Empty if the torrent is this single file.
    pub(super) components: Vec<String>,
    /// Its length in bytes when it was found.
    pub(super) length: u64,
    pub(super) identity: Identity,
}

/// Identifies a file, so that a replaced one is noticed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    #[cfg(unix)]
    device_and_inode: (u64, u64),
}

impl Identity {
    #[cfg(unix)]
    pub(super) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt;

        Self { device_and_inode: (metadata.dev(), metadata.ino()) }
    }

    #[cfg(not(unix))]
    pub(super) fn of(_: &Metadata) -> Self {
        Self {}
    }
}

/// The files of a target, ordered by their paths: component by component, byte by byte.
///
/// If the target itself is a symbolic link, it is followed, since the caller named it. Links within a folder are
/// rejected or skipped, never followed, so nothing outside of the folder is included and no loop is possible.
pub(super) fn walk(target: &Path, skip_symlinks: bool) -> Result<Found, MakeError> {
    let metadata = fs::metadata(target).map_err(MakeError::io("read", target))?;
    if metadata.is_file() {
        let only = SourceFile {
            disk: target.to_owned(),
            components: Vec::new(),
            length: metadata.len(),
            identity: Identity::of(&metadata),
        };
        return Ok(Found { files: vec![only], is_folder: false });
    }
    if !metadata.is_dir() {
        return Err(MakeError::Special { path: target.to_owned() });
    }

    let mut files = Vec::new();
    let mut folders = vec![(target.to_owned(), Vec::new())];
    while let Some((folder, components)) = folders.pop() {
        let list = || MakeError::io("list", &folder);
        for entry in fs::read_dir(&folder).map_err(list())? {
            let entry = entry.map_err(list())?;
            let disk = entry.path();
            let metadata = entry.metadata().map_err(MakeError::io("read", &disk))?;
            if metadata.is_symlink() {
                if skip_symlinks {
                    continue;
                }
                return Err(MakeError::Symlink { path: disk });
            }
            let Ok(name) = entry.file_name().into_string() else {
                return Err(MakeError::NotUtf8 { path: disk });
            };
            let components = components.iter().cloned().chain([name]).collect();
            if metadata.is_dir() {
                folders.push((disk, components));
            } else if metadata.is_file() {
                let (length, identity) = (metadata.len(), Identity::of(&metadata));
                files.push(SourceFile { disk, components, length, identity });
            } else {
                return Err(MakeError::Special { path: disk });
            }
        }
    }
    files.sort_by(|a, b| a.components.cmp(&b.components));
    Ok(Found { files, is_folder: true })
}

/// The files of a torrent.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) files: Vec<SourceFile>,
    pub(super) is_folder: bool,
}

impl Found {
    /// Bytes of all files; `None` above `i64::MAX`.
    pub(super) fn length(&self) -> Option<u64> {
        let sum = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.length))?;
        i64::try_from(sum).is_ok().then_some(sum)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, file).unwrap();
        }
        folder
    }

    #[test]
    fn files_are_sorted_by_components_and_bytes() {
        let folder = folder(&["b", "a/z", "a/é", "a!", "a.b", "B", "a/b/c"]);
        let found = walk(folder.path(), false).unwrap();
        let paths: Vec<_> = found.files.iter().map(|file| file.components.join("/")).collect();
        assert_eq!(paths, ["B", "a/b/c", "a/z", "a/é", "a!", "a.b", "b"]);
        assert_eq!(found.length(), Some(19));
    }

    #[test]
    fn reports_a_missing_target() {
        let error = walk(Path::new("/nonexistent/x"), false).unwrap_err();
        assert_eq!(error.to_string(), "can't read /nonexistent/x");
    }

    #[test]
    #[cfg(unix)]
    fn rejects_or_skips_links() {
        let folder = folder(&["a"]);
        let link = folder.path().join("loop");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(matches!(walk(folder.path(), false), Err(MakeError::Symlink { path }) if path == link));
        assert_eq!(walk(folder.path(), true).unwrap().files.len(), 1);
        // The target itself may be a link.
        assert_eq!(walk(&link, true).unwrap().files.len(), 1);
    }

    #[test]
    #[cfg(unix)]
    fn rejects_other_than_files_and_folders() {
        let folder = folder(&["a"]);
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        assert!(matches!(walk(folder.path(), true), Err(MakeError::Special { path }) if path == socket));
        assert!(matches!(walk(Path::new("/dev/null"), true), Err(MakeError::Special { .. })));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn names_must_be_utf8() {
        use std::os::unix::ffi::OsStrExt;

        let folder = folder(&["a"]);
        let path = folder.path().join(std::ffi::OsStr::from_bytes(b"\xe9.txt"));
        fs::write(&path, "x").unwrap();
        assert!(
            matches!(walk(folder.path(), false), Err(MakeError::NotUtf8 { path: named }) if named == path)
        );
    }
}
