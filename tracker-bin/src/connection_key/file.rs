//! The file with the keys: only its owner can read it, and whoever reads it gets all of the old text or of the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use tracing::warn;
use udp_tracker::ConnectionKeys;

/// The file's name in `state_dir`.
pub(crate) const NAME: &str = "connection_key";

/// More bytes than all keys and comments have.
const MOST_BYTES: u64 = 4096;

const COMMENT: &str = "# The secret keys of connection_ids, which tracker-bin replaces every day: the time of the first \
                       use, in seconds\n# since 1970, and 32 hex digits. Whoever knows a key can announce for any address.\n";

/// What is wrong with the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeyFileError {
    #[error("state_dir: cannot {doing} {}: {source}{}", path.display(), advice(source))]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(
        "state_dir: other users can read or change the secret keys in {} (mode {mode:03o}); remove the file, so that \
         the tracker makes new keys",
        path.display()
    )]
    Open { path: PathBuf, mode: u32 },
    #[error(
        "state_dir: {} has no connection keys: {problem}; remove the file, so that the tracker makes new keys",
        path.display()
    )]
    Content { path: PathBuf, problem: String },
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => {
            "; make the folder: install -d -m 700 -o USER DIR, with the tracker's user"
        }
        io::ErrorKind::PermissionDenied => {
            "; the tracker's user must own the folder and the file: chown USER"
        }
        io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull => "; choose a folder on another disk",
        _ => "",
    }
}

pub(super) struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    pub(super) fn new(dir: &Path) -> Self {
        Self { path: dir.join(NAME) }
    }

    pub(super) fn error(&self, doing: &'static str, source: io::Error) -> KeyFileError {
        KeyFileError::Io { doing, path: self.path.clone(), source }
    }

    /// Reads the keys.
    pub(super) fn read(&self) -> Result<ConnectionKeys, KeyFileError> {
        let error = |source| self.error("read", source);
        let no_link = i32::try_from((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(no_link).open(&self.path).map_err(error)?;
        let metadata = file.metadata().map_err(error)?;
        if !metadata.is_file() {
            return Err(error(io::Error::other("it is not a regular file")));
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyFileError::Open { path: self.path.clone(), mode });
        }
        let content = |problem| KeyFileError::Content { path: self.path.clone(), problem };
        let mut text = String::new();
        match file.take(MOST_BYTES).read_to_string(&mut text) {
            Err(source) if source.kind() == io::ErrorKind::InvalidData => Err(content("no text".into())),
            Err(source) => Err(error(source)),
            Ok(_) => text
                .parse()
                .map_err(|error: udp_tracker::ParseConnectionKeysError| content(error.to_string())),
        }
    }

    /// Reads the keys; if there is no file, makes it. Of several trackers that do so at the same time, one makes it.
    pub(super) fn read_or_create(
        &self,
        first: impl FnOnce() -> io::Result<ConnectionKeys>,
    ) -> Result<ConnectionKeys, KeyFileError> {
        match self.read() {
            Err(KeyFileError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
            done => return done,
        }
        let create = || self.write(&first()?, |temporary| fs::hard_link(temporary, &self.path));
        match create() {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => Err(self.error("make", source)),
            _ => self.read(),
        }
    }

    /// Puts other keys in the place of those in the file.
    pub(super) fn replace(&self, keys: &ConnectionKeys) -> Result<(), KeyFileError> {
        let put = |temporary: &Path| fs::rename(temporary, &self.path);
        self.write(keys, put).map_err(|source| self.error("replace", source))
    }

    /// Writes the keys to a temporary file, which `put` gives its name.
    fn write(&self, keys: &ConnectionKeys, put: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
        // Two processes must not write to the same one.
        let temporary = self.path.with_file_name(format!(".{NAME}.{}", std::process::id()));
        // What a crash may have left.
        let _ = fs::remove_file(&temporary);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        let written = file.write_all(format!("{COMMENT}{keys}").as_bytes()).and_then(|()| file.sync_all());
        let put = written.and_then(|()| put(&temporary));
        let _ = fs::remove_file(&temporary);
        put?;
        let dir = self.path.parent().unwrap_or(Path::new("."));
        if let Err(error) = File::open(dir).and_then(|dir| dir.sync_all()) {
            warn!("{} is written, but may be lost if the machine crashes now: {error}", self.path.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::symlink;

    struct Fixture {
        dir: tempfile::TempDir,
        file: KeyFile,
    }

    impl Fixture {
        fn new(text: &str, mode: u32) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let file = KeyFile::new(dir.path());
            fs::write(&file.path, text).unwrap();
            fs::set_permissions(&file.path, Permissions::from_mode(mode)).unwrap();
            Self { dir, file }
        }

        fn refused(&self) -> String {
            let error = self.file.read_or_create(|| unreachable!("there is a file")).unwrap_err().to_string();
            error.replace(&self.dir.path().display().to_string(), "DIR")
        }
    }

    const KEY: &str = "1800000000 00112233445566778899aabbccddeeff\n";

    #[test]
    fn the_first_of_several_makes_the_file_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::new(dir.path());
        let (one, other) = (ConnectionKeys::new(5, [1; 16]), ConnectionKeys::new(6, [2; 16]));
        let made = file.read_or_create(|| {
            // Another tracker is faster.
            assert_eq!(KeyFile::new(dir.path()).read_or_create(|| Ok(other.clone())).unwrap(), other);
            Ok(one.clone())
        });
        assert_eq!(made.unwrap(), other);
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        file.replace(&one).unwrap();
        assert_eq!(file.read().unwrap(), one);
        assert_eq!(fs::metadata(&file.path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing is left behind");
    }

    #[test]
    fn a_file_that_others_can_read_is_refused() {
        for mode in [0o640, 0o604, 0o602, 0o620] {
            let expected = format!(
                "state_dir: other users can read or change the secret keys in DIR/connection_key (mode {mode:03o}); \
                 remove the file, so that the tracker makes new keys"
            );
            assert_eq!(Fixture::new(KEY, mode).refused(), expected);
        }
        assert!(Fixture::new(KEY, 0o400).file.read().is_ok());
    }

    #[test]
    fn a_file_without_keys_is_refused_and_kept() {
        for (text, problem) in [
            ("", "line 1: there is no key"),
            ("0011\n", "line 1: a time in seconds and 32 hex digits expected"),
        ] {
            let fixture = Fixture::new(text, 0o600);
            let expected = format!(
                "state_dir: DIR/connection_key has no connection keys: {problem}; remove the file, so that the tracker \
                 makes new keys"
            );
            assert_eq!(fixture.refused(), expected);
            assert_eq!(fs::read_to_string(&fixture.file.path).unwrap(), text);
        }
        let binary = Fixture::new("", 0o600);
        fs::write(&binary.file.path, [0xff; 5000]).unwrap();
        assert!(binary.refused().contains("has no connection keys: no text"), "{}", binary.refused());
    }

    #[test]
    fn a_missing_folder_and_a_link_are_errors_with_advice() {
        let dir = tempfile::tempdir().unwrap();
        let missing = KeyFile::new(&dir.path().join("missing"));
        let error = missing.read_or_create(|| Ok([1; 16].into())).unwrap_err().to_string();
        assert!(error.starts_with("state_dir: cannot make ") && error.contains("make the folder"), "{error}");

        let fixture = Fixture::new(KEY, 0o600);
        let link = KeyFile::new(dir.path());
        symlink(&fixture.file.path, &link.path).unwrap();
        let error = link.read().unwrap_err().to_string();
        assert!(error.starts_with("state_dir: cannot read "), "{error}");
    }
}
