//! A finished .torrent file, and how it is written: completely or not at all.

use std::io::{self, Write};
use std::path::Path;

use super::MakeError;
use crate::metainfo::Metainfo;

/// A new .torrent file, in memory.
#[derive(Clone, Debug)]
pub struct TorrentFile {
    pub(super) bytes: Vec<u8>,
    pub(super) metainfo: Metainfo,
}

impl TorrentFile {
    /// The file's content.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Its metainfo.
    #[must_use]
    pub fn metainfo(&self) -> &Metainfo {
        &self.metainfo
    }

    /// Returns the metainfo, without the bytes of the file.
    #[must_use]
    pub fn into_metainfo(self) -> Metainfo {
        self.metainfo
    }

    /// Writes the file, completely or not at all: first under another name in the same folder, then renamed. A failure
    /// leaves no file.
    ///
    /// # Errors
    ///
    /// [`MakeError::Exists`] if the output exists and `existing` is [`Existing::Refuse`]; [`MakeError::Io`] if the file
    /// can't be written.
    pub fn write(&self, output: impl AsRef<Path>, existing: Existing) -> Result<(), MakeError> {
        write(output.as_ref(), &self.bytes, existing)
    }
}

/// What to do if the output exists already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Existing {
    /// Keep it, and fail with [`MakeError::Exists`].
    #[default]
    Refuse,
    /// Replace it atomically. If it is a symbolic link, the link is replaced, not its target.
    Replace,
}

/// Fails early if [`write()`] would fail later.
pub(super) fn check(output: &Path, existing: Existing) -> Result<(), MakeError> {
    if existing == Existing::Refuse && output.symlink_metadata().is_ok() {
        return Err(MakeError::Exists { path: output.to_owned() });
    }
    Ok(())
}

/// Writes to a new file in the same folder, then renames it to the output. A program that opens the output finds no
/// file, or the old one, or the complete new one; and if two programs write at once and neither may replace, one fails.
fn write(output: &Path, bytes: &[u8], existing: Existing) -> Result<(), MakeError> {
    let io = || MakeError::io("write", output);
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if output.file_name().is_none() {
        return Err(io()(io::ErrorKind::InvalidInput.into()));
    }
    let mut builder = tempfile::Builder::new();
    builder.prefix(".torrent-").suffix(".tmp");
    // Not the private mode of temporary files, but that of any new file, which the umask restricts.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = builder.tempfile_in(folder).map_err(io())?;
    file.write_all(bytes).and_then(|()| file.as_file().sync_all()).map_err(io())?;
    let renamed = match existing {
        Existing::Refuse => file.persist_noclobber(output),
        Existing::Replace => file.persist(output),
    };
    match renamed {
        Ok(_) => Ok(()),
        Err(failed)
            if failed.error.kind() == io::ErrorKind::AlreadyExists && existing == Existing::Refuse =>
        {
            Err(MakeError::Exists { path: output.to_owned() })
        }
        Err(failed) => Err(io()(failed.error)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn writes_a_new_file_and_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("x.torrent");
        write(&output, b"one", Existing::Refuse).unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"one");
        assert_eq!(names(folder.path()), ["x.torrent"]);
    }

    #[test]
    fn replaces_an_old_file_only_if_allowed() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("x.torrent");
        fs::write(&output, "old").unwrap();
        assert!(matches!(check(&output, Existing::Refuse), Err(MakeError::Exists { .. })));
        assert!(check(&output, Existing::Replace).is_ok());
        let error = write(&output, b"new", Existing::Refuse).unwrap_err();
        assert!(matches!(error, MakeError::Exists { path } if path == output));
        assert_eq!(fs::read(&output).unwrap(), b"old");
        write(&output, b"new", Existing::Replace).unwrap();
        assert_eq!(fs::read(&output).unwrap(), b"new");
        assert_eq!(names(folder.path()), ["x.torrent"]);
    }

    #[test]
    fn a_failure_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("taken");
        fs::create_dir(&output).unwrap();
        assert!(matches!(write(&output, b"x", Existing::Replace), Err(MakeError::Io { .. })));
        assert!(matches!(write(&output, b"x", Existing::Refuse), Err(MakeError::Exists { .. })));
        assert!(matches!(
            write(&folder.path().join(".."), b"x", Existing::Replace),
            Err(MakeError::Io { .. })
        ));
        let error = write(&folder.path().join("no/x"), b"x", Existing::Refuse).unwrap_err();
        assert!(matches!(error, MakeError::Io { action: "write", .. }));
        assert_eq!(names(folder.path()), ["taken"]);
    }

    #[test]
    #[cfg(unix)]
    fn a_dangling_link_exists_too() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("x.torrent");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &output).unwrap();
        assert!(matches!(check(&output, Existing::Refuse), Err(MakeError::Exists { .. })));
        assert!(matches!(write(&output, b"x", Existing::Refuse), Err(MakeError::Exists { .. })));
        assert_eq!(names(folder.path()), ["x.torrent"]);
    }

    #[test]
    #[cfg(unix)]
    fn the_umask_decides_the_mode() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
        write(&folder.path().join("ours"), b"x", Existing::Refuse).unwrap();
        fs::write(folder.path().join("usual"), "x").unwrap();
        assert_eq!(mode("ours"), mode("usual"));
    }
}
