//! What a tracker knows: without a socket, a clock or a thread.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use livesync_proto::TrackerId;
use rand::TryRng;
use rand::rngs::SysRng;
use swarm_store::{Limits, SwarmStore, SweepCursor, Swept, Totals};
use udp_tracker_proto::compact;

use crate::access::{AccessList, AccessListError};
use crate::config::{Config, Impossible};
use crate::connection_ids::ConnectionIds;
use crate::counters::Family;
use crate::livesync::{self, Beginning, Teller};

/// A tracker's swarms, secrets and lists, shared by its [`Handler`](crate::Handler)s.
#[derive(Debug)]
pub struct Service {
    config: Config,
    pub(crate) connection_ids: ConnectionIds,
    pub(crate) v4: SwarmStore<{ compact::V4 }>,
    pub(crate) v6: SwarmStore<{ compact::V6 }>,
    access: Mutex<Arc<AccessList>>,
    /// Changes whenever the list does, so that handlers look only then.
    access_version: AtomicU64,
    teller: Option<Teller>,
    livesync: Mutex<Option<Beginning>>,
}

/// Why a service can't be made of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A value that can't be.
    #[error("configuration: {0}")]
    Config(#[from] Impossible),
    /// A file with a secret.
    #[error("{key}: {path}: {problem}")]
    Key {
        /// The configuration's key.
        key: &'static str,
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The list of torrents.
    #[error(transparent)]
    AccessList(#[from] AccessListError),
    /// The system's random source.
    #[error("no random octets from the system: {0}")]
    Random(String),
}

impl Service {
    /// A tracker that knows nobody yet. Reads the files that the configuration names.
    ///
    /// # Errors
    /// See [`ServiceError`].
    pub fn new(config: Config) -> Result<Arc<Self>, ServiceError> {
        config.check()?;
        let limits = Limits::new(config.max_stored_torrents, config.max_stored_peers);
        let key = match &config.connection_key_file {
            Some(path) => read_key("connection_key_file", path, |digits| {
                let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
                let key = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex);
                key.map(u128::to_be_bytes).ok_or("32 hex digits expected")
            })?,
            None => random_octets()?,
        };
        let (teller, livesync) = begin_livesync(&config)?.unzip();
        Ok(Arc::new(Self {
            connection_ids: ConnectionIds::new(key, config.connection_id_lifetime),
            v4: SwarmStore::new(random_octets()?, config.peer_lifetime, limits),
            v6: SwarmStore::new(random_octets()?, config.peer_lifetime, limits),
            access: Mutex::new(Arc::new(AccessList::load(&config)?)),
            access_version: AtomicU64::new(0),
            teller,
            livesync: Mutex::new(livesync),
            config,
        }))
    }

    /// What it was made of.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Reads the list of torrents again; on an error the old one stays.
    ///
    /// # Errors
    /// See [`AccessListError`].
    pub fn reload(&self) -> Result<(), AccessListError> {
        let fresh = Arc::new(AccessList::load(&self.config)?);
        let mut list = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        *list = fresh;
        self.access_version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// The list of torrents, and its version.
    pub(crate) fn access(&self) -> (Arc<AccessList>, u64) {
        let list = self.access.lock().unwrap_or_else(PoisonError::into_inner);
        (Arc::clone(&list), self.access_version())
    }

    pub(crate) fn access_version(&self) -> u64 {
        self.access_version.load(Ordering::Acquire)
    }

    /// What tells livesync, if it is enabled.
    pub(crate) fn teller(&self) -> Option<&Teller> {
        self.teller.as_ref()
    }

    /// What livesync begins with, if it is enabled: once.
    pub(crate) fn begin_livesync(&self) -> Option<Beginning> {
        self.livesync.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// How much is stored, by family.
    #[must_use]
    pub fn totals(&self, family: Family) -> Totals {
        match family {
            Family::V4 => self.v4.totals(),
            Family::V6 => self.v6.totals(),
        }
    }

    /// Removes what has expired, a step of about `budget` torrents and peers at a time; `now` is in seconds.
    pub fn sweep(&self, now: u64, family: Family, cursor: &mut SweepCursor, budget: usize) -> Swept {
        match family {
            Family::V4 => self.v4.sweep(store_time(now), cursor, budget),
            Family::V6 => self.v6.sweep(store_time(now), cursor, budget),
        }
    }
}

/// The store counts seconds in 32 bits: until 2106.
pub(crate) fn store_time(now: u64) -> u32 {
    u32::try_from(now).unwrap_or(u32::MAX)
}

/// Octets from the system's random source.
pub(crate) fn random_octets<const N: usize>() -> Result<[u8; N], ServiceError> {
    let mut octets = [0; N];
    SysRng.try_fill_bytes(&mut octets).map_err(|error| ServiceError::Random(error.to_string()))?;
    Ok(octets)
}

fn begin_livesync(config: &Config) -> Result<Option<(Teller, Beginning)>, ServiceError> {
    if !config.livesync.enabled {
        return Ok(None);
    }
    let read = |path: &PathBuf| {
        read_key("livesync.key_file", path, |digits| digits.parse().map_err(|_| "64 hex digits expected"))
    };
    let key = config.livesync.key_file.as_ref().map(read).transpose()?;
    let (teller, told) = livesync::queue(config.peer_lifetime);
    Ok(Some((teller, Beginning { id: TrackerId(random_octets()?), key, told })))
}

/// What `parse` makes of a file without the white space around.
fn read_key<T>(
    key: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, ServiceError> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| parse(text.trim()).map_err(Into::into));
    parsed.map_err(|problem| ServiceError::Key { key, path: path.into(), problem })
}
