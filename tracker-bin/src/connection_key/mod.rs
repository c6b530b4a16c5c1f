//! The keys of connection ids in `state_dir`: made at the first start, replaced every day.
//!
//! They are read again regularly, because another tracker may have replaced them: the one that takes over from this one.
//! Whoever can read the file can make connection ids for any address, and so announce and ask in its name.

mod file;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tracing::{error, info};
use udp_tracker::{ConnectionKeys, Service};

use file::KeyFile;
pub(crate) use file::{KeyFileError, NAME};

/// How often to read the file and to see whether a key is due. New keys are published ten minutes before their first use.
const PAUSE: Duration = Duration::from_secs(30);

/// Keys that are replaced as long as the tracker runs.
pub(crate) struct RotatingKeys {
    file: KeyFile,
    /// Seconds that a connection_id is accepted.
    id_lifetime: u32,
}

impl RotatingKeys {
    /// The keys in the folder. If there are none, makes the first one.
    ///
    /// # Errors
    /// The file can't be read or made, others can read it, or it has no keys.
    pub(crate) fn open(state_dir: &Path, id_lifetime: u32) -> Result<(Self, ConnectionKeys), KeyFileError> {
        let rotating = Self { file: KeyFile::new(state_dir), id_lifetime };
        rotating.file.read_or_create(|| Ok(ConnectionKeys::new(unix_seconds(), random_key()?)))?;
        // A key may have become due while no tracker ran.
        let keys = rotating.refresh(unix_seconds())?;
        Ok((rotating, keys))
    }

    /// The keys in the file, after those that are due have been replaced there.
    fn refresh(&self, now: u64) -> Result<ConnectionKeys, KeyFileError> {
        let keys = self.file.read()?;
        let fresh = random_key().map_err(|source| self.file.error("make a new key for", source))?;
        let Some(rotated) = keys.rotated(now, self.id_lifetime, fresh) else { return Ok(keys) };
        self.file.replace(&rotated)?;
        Ok(rotated)
    }

    /// Keeps a service's keys up to date, on a thread of its own, because a disk may hang. After an error the service
    /// goes on with the keys that it has.
    pub(crate) fn keep(self, keys: ConnectionKeys, service: Arc<Service>) -> std::io::Result<()> {
        let run = move || {
            let (mut keys, mut failed) = (keys, false);
            loop {
                thread::sleep(PAUSE);
                match self.refresh(unix_seconds()) {
                    Ok(newest) => {
                        failed = false;
                        if newest != keys {
                            service.set_connection_keys(&newest);
                            keys = newest;
                            info!("the keys of connection ids have changed");
                        }
                    }
                    Err(error) if !failed => {
                        failed = true;
                        error!("the keys of connection ids stay as they are: {error}");
                    }
                    Err(_) => {}
                }
            }
        };
        thread::Builder::new().name("connection-keys".into()).spawn(run)?;
        Ok(())
    }
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

fn random_key() -> std::io::Result<[u8; 16]> {
    let mut key = [0; 16];
    let filled = rustix::rand::getrandom(&mut key, rustix::rand::GetRandomFlags::empty())?;
    // Up to 256 bytes are never returned in part.
    if filled == key.len() { Ok(key) } else { Err(std::io::Error::other("too few random bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    /// Two trackers of one folder, one of which looks some seconds after the other, in simulated time.
    #[test]
    fn trackers_of_one_folder_have_the_same_keys_before_they_are_used() {
        let dir = tempfile::tempdir().unwrap();
        let (one, first) = RotatingKeys::open(dir.path(), 120).unwrap();
        let (other, same) = RotatingKeys::open(dir.path(), 120).unwrap();
        assert_eq!(first, same);
        let start = unix_seconds();
        let mut published = Vec::new();
        for now in (start..start + 3 * DAY).step_by(30) {
            let keys = one.refresh(now).unwrap();
            assert_eq!(other.refresh(now + 17).unwrap(), keys, "at {}", now - start);
            if published.last() != Some(&keys) {
                published.push(keys);
            }
        }
        // Each day a new key appears, and later an old one goes. The third day's key is published before that day is over.
        assert_eq!(published.len(), 1 + 2 + 2 + 1, "{published:?}");
    }

    #[test]
    fn goes_on_with_its_keys_when_the_folder_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let (keys, _) = RotatingKeys::open(dir.path(), 120).unwrap();
        dir.close().unwrap();
        let error = keys.refresh(unix_seconds()).unwrap_err().to_string();
        assert!(error.contains("cannot read") && error.contains("connection_key"), "{error}");
    }
}
