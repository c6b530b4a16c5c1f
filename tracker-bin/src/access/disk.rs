//! A text file that is replaced as a whole: whoever reads it gets the old text or the new one, also after a crash.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};

use tracing::warn;

/// A file as it was read.
#[derive(Debug)]
pub(super) struct TextFile {
    /// Without symbolic links: those stay, and the file that they lead to is replaced.
    path: PathBuf,
    text: String,
    version: Version,
}

/// Changes when anybody replaces the file or writes to it.
#[derive(Debug, PartialEq, Eq)]
struct Version {
    file: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

impl TextFile {
    /// Reads a regular file. Others, such as a pipe, could block forever.
    pub(super) fn read(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut file = File::open(&path)?;
        let version = Version::of(&file.metadata()?);
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        Ok(Self { path, text, version })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Replaces the text, and keeps mode and owner. When it returns, the new text survives a crash of the machine.
    /// `false`: somebody has changed the file since it was read, and nothing is done.
    pub(super) fn replace(&self, text: &str) -> io::Result<bool> {
        let (Some(dir), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::Error::other("it has no directory"));
        };
        let mut temporary = OsString::from(".");
        temporary.push(name);
        temporary.push(".new");
        let temporary = dir.join(temporary);
        // What a crash may have left.
        let _ = fs::remove_file(&temporary);
        let replaced = self.write(&temporary, text).and_then(|()| self.put_in_place(&temporary));
        if !matches!(replaced, Ok(true)) {
            let _ = fs::remove_file(&temporary);
            return replaced;
        }
        if let Err(error) = File::open(dir).and_then(|dir| dir.sync_all()) {
            warn!("{} is written, but may be lost if the machine crashes now: {error}", self.path.display());
        }
        Ok(true)
    }

    fn write(&self, temporary: &Path, text: &str) -> io::Result<()> {
        let original = fs::metadata(&self.path)?;
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temporary)?;
        file.write_all(text.as_bytes())?;
        // Only root may give files away. Without the owner, the group may still be possible.
        if fchown(&file, Some(original.uid()), Some(original.gid())).is_err() {
            let _ = fchown(&file, None, Some(original.gid()));
        }
        file.set_permissions(original.permissions())?;
        file.sync_all()
    }

    fn put_in_place(&self, temporary: &Path) -> io::Result<bool> {
        if Version::of(&fs::metadata(&self.path)?) != self.version {
            return Ok(false);
        }
        fs::rename(temporary, &self.path)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn keeps_mode_and_links_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let (path, link) = (dir.path().join("list"), dir.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        symlink(&path, &link).unwrap();
        fs::write(dir.path().join(".list.new"), "left by a crash").unwrap();

        let file = TextFile::read(&link).unwrap();
        assert_eq!(file.text(), "old");
        assert!(file.replace("new").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o640);
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn does_not_replace_what_somebody_else_has_changed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("list");
        fs::write(&path, "old").unwrap();
        let file = TextFile::read(&path).unwrap();
        fs::write(&path, "by a person").unwrap();
        assert!(!file.replace("new").unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), "by a person");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn reads_regular_files_only() {
        let error = TextFile::read(Path::new("/dev/zero")).unwrap_err();
        assert_eq!(error.to_string(), "it is not a regular file");
    }
}
