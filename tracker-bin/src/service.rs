//! What a tracker knows: without a socket, a clock or a thread.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rand::TryRng;
use rand::rngs::SysRng;
use swarm_store::{Limits, SwarmStore, SweepCursor, Swept, Totals};
use udp_tracker_proto::compact;

use crate::access::{AccessList, AccessListError};
use crate::config::{Config, Impossible};
use crate::connection_ids::ConnectionIds;
use crate::counters::Family;

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
}

/// Why a service can't be made of a configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceError {
    /// A value that can't be.
    #[error("configuration: {0}")]
    Config(#[from] Impossible),
    /// The file with the secret of the connection ids.
    #[error("connection_key_file: {path}: {problem}")]
    Key {
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
        let limits = Limits { torrents: config.max_stored_torrents, peers: config.max_stored_peers };
        let key = match &config.connection_key_file {
            Some(path) => read_key(path)
                .map_err(|problem| ServiceError::Key { path: path.clone(), problem: problem.to_string() })?,
            None => random_key()?,
        };
        Ok(Arc::new(Self {
            connection_ids: ConnectionIds::new(key, config.connection_id_lifetime),
            v4: SwarmStore::new(random_key()?, config.peer_lifetime, limits),
            v6: SwarmStore::new(random_key()?, config.peer_lifetime, limits),
            access: Mutex::new(Arc::new(AccessList::load(&config)?)),
            access_version: AtomicU64::new(0),
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

fn random_key() -> Result<[u8; 16], ServiceError> {
    let mut key = [0; 16];
    SysRng.try_fill_bytes(&mut key).map_err(|error| ServiceError::Random(error.to_string()))?;
    Ok(key)
}

fn read_key(path: &Path) -> io::Result<[u8; 16]> {
    let text = fs::read_to_string(path)?;
    let digits = text.trim();
    let no_key = || io::Error::new(io::ErrorKind::InvalidData, "32 hex digits expected");
    if digits.len() != 32 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return Err(no_key());
    }
    u128::from_str_radix(digits, 16).map(u128::to_be_bytes).map_err(|_| no_key())
}
