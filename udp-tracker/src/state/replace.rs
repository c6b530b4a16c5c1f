//! Replacing a file as a whole, and finding it again.

use std::io::{self, Read};

use super::Refused;
use super::SaveError;
use super::disk::Disk;

/// Why a file is not written or read to its end.
pub(super) enum Failed {
    /// The caller wanted that.
    Stopped,
    Io(io::Error),
    /// Its content is not what it should be.
    Content(String),
}

impl Failed {
    /// `None` if there is no such file.
    pub(super) fn reason(self) -> Option<String> {
        match self {
            Self::Stopped => Some("the tracker was stopped".into()),
            Self::Io(error) if error.kind() == io::ErrorKind::NotFound => None,
            Self::Io(error) => Some(format!("it can't be read: {error}")),
            Self::Content(reason) => Some(reason),
        }
    }
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

fn previous(name: &str) -> String {
    format!("{name}.previous")
}

/// Writes a file, and keeps the one before. When it returns, the new file survives a crash; until then, one of the
/// others does.
pub(super) fn replace<D: Disk, T>(
    disk: &D,
    name: &str,
    write: impl FnOnce(&mut D::Writer) -> Result<T, Failed>,
) -> Result<T, SaveError> {
    let new = format!("{name}.new");
    let failed = |doing, of: &str| {
        let path = disk.path(of);
        move |source| SaveError::Disk { doing, path, source }
    };
    let mut file = disk.create(&new).map_err(failed("make", &new))?;
    let written = match write(&mut file) {
        Err(Failed::Io(source)) => Err(failed("write", &new)(source)),
        Err(Failed::Content(reason)) => Err(failed("write", &new)(io::Error::other(reason))),
        Err(Failed::Stopped) => Err(SaveError::Stopped),
        // An error here may be about bytes that were written long before.
        Ok(written) => disk.sync(file).map(|()| written).map_err(failed("bring to the disk", &new)),
    };
    let written = written.inspect_err(|_| {
        // So that it takes no space. If this fails too, the next one empties it.
        let _ = disk.remove(&new);
    })?;
    match disk.rename(name, &previous(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(failed("rename", name)(error));
        }
        _ => {}
    }
    disk.rename(&new, name).map_err(failed("rename", &new))?;
    disk.sync_names().map_err(failed("bring to the disk the new name of", name))?;
    Ok(written)
}

/// The names of a file, and of the one before.
pub(super) fn names(name: &str) -> [String; 2] {
    [name.to_owned(), previous(name)]
}

/// Keeps a file that can't be used for a person to look at.
pub(super) fn put_aside<D: Disk>(disk: &D, name: &str, reason: String) -> Refused {
    let aside = format!("{name}.refused");
    let kept_as = disk.rename(name, &aside).is_ok().then(|| disk.path(&aside));
    Refused { path: disk.path(name), reason, kept_as }
}

/// Calls `use_bytes` with a file's bytes, a part at a time.
pub(super) fn read_all(
    mut file: impl Read,
    buffer: &mut [u8],
    mut use_bytes: impl FnMut(&[u8]) -> Result<(), Failed>,
) -> Result<(), Failed> {
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => use_bytes(&buffer[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error.into()),
        }
    }
}
