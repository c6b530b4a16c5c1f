//! What can be changed while the tracker runs, by SIGHUP or over HTTP.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use tracing::info;
use udp_tracker::{RuleDetails, Service};

use crate::access::{AccessError, AccessFiles, Entry, Kind, summary};
use crate::command::Serve;
use crate::config::{Config, ConfigError, Values};

/// A tracker's service, and the configuration that it runs with.
pub(crate) struct Operations {
    arguments: Serve,
    service: Arc<Service>,
    /// Held during a change, so that two changes never mix. A change waits for the disk.
    running: Mutex<Running>,
    /// Apart, so that the thread that handles signals never waits for a change over HTTP.
    counters_interval: AtomicU64,
}

/// The part of the configuration in force that reloading needs.
struct Running {
    access: AccessFiles,
    /// As it was last read.
    config: Config,
    /// The values in force: of keys that need a restart, those of the start.
    keys: Values,
}

/// How an access list changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// The entry is added to its list, or replaced there.
    Put,
    /// The entry is removed from its list.
    Remove,
    /// The entry is added or removed, so that it is not served.
    Deny,
    /// The entry is added or removed, so that it is served.
    Allow,
}

impl Change {
    /// Without the entry, which may be a passkey.
    fn text(self, kind: Kind) -> String {
        let what = match self {
            Self::Put => "added",
            Self::Remove => "removed",
            Self::Deny => "denied",
            Self::Allow => "allowed",
        };
        format!("{} {what}", kind.name())
    }
}

/// Which keys of the configuration have changed.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Reloaded {
    /// In force now.
    pub(crate) changed: BTreeSet<String>,
    /// In force after a restart.
    pub(crate) needs_restart: BTreeSet<String>,
}

/// Keys that can change while the tracker runs; those of a table by the table's name and a point.
const LIVE: [&str; 13] = [
    "access",
    "access.",
    "access_list",
    "announce_interval",
    "connection_key_file",
    "counters_interval",
    "default_peers",
    "dialect_2004",
    "max_peers",
    "min_peer_port",
    "proxy_protocol_sources",
    "requests_per_second_per_network",
    "trusted_ip_sources",
];

impl Operations {
    pub(crate) fn new(arguments: Serve, config: Config, access: AccessFiles, service: Arc<Service>) -> Self {
        let counters_interval = config.counters_interval.into();
        let running = Running { access, keys: config.keys.clone(), config };
        Self { arguments, service, running: Mutex::new(running), counters_interval }
    }

    /// Reads the configuration and the files that it names again, and puts in force what can change.
    ///
    /// # Errors
    /// The configuration or a file is broken. Then nothing has changed.
    pub(crate) fn reload(&self) -> Result<Reloaded, ConfigError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let config = self.arguments.configuration()?;
        self.service.check_settings(&config.settings)?;
        let connection_keys = config.connection_keys()?;
        let rules = running.access.load_with(config.access.clone())?;
        self.service.set_settings(&config.settings)?;
        let access = summary(&rules);
        self.service.set_access(rules);
        if let Some(keys) = connection_keys {
            self.service.set_connection_keys(&keys);
        }
        let reloaded = Reloaded::between(&running.keys, &config.keys);
        info!("read the configuration and the access lists again: {access}{reloaded}");
        // The other keys keep their values, so that the next call names them again.
        running.keys.retain(|key, _| !is_live(key));
        running.keys.extend(config.keys.clone().into_iter().filter(|(key, _)| is_live(key)));
        self.counters_interval.store(config.counters_interval, Relaxed);
        running.config = config;
        Ok(reloaded)
    }

    /// Changes an access list in its file, and puts the change in force.
    ///
    /// # Errors
    /// There is no such list, or it can't be changed. Then nothing has changed.
    pub(crate) fn change_access(
        &self,
        change: Change,
        entry: &Entry,
        details: &RuleDetails,
    ) -> Result<(), AccessError> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = match change {
            Change::Put => running.access.put(entry, details),
            Change::Remove => running.access.remove(entry),
            Change::Deny => running.access.deny(entry, details),
            Change::Allow => running.access.allow(entry, details),
        }?;
        self.service.set_access(rules);
        info!("an access list was changed: {}", change.text(entry.kind()));
        Ok(())
    }

    /// The configuration as it was last read.
    pub(crate) fn config(&self) -> Config {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).config.clone()
    }

    /// Seconds between two logs of the counters; 0 is never.
    pub(crate) fn counters_interval(&self) -> u64 {
        self.counters_interval.load(Relaxed)
    }
}

impl Reloaded {
    fn between(before: &Values, after: &Values) -> Self {
        let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
        let differing = keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned();
        let (changed, needs_restart) = differing.partition(|key| is_live(key));
        Self { changed, needs_restart }
    }
}

fn is_live(key: &str) -> bool {
    LIVE.iter().any(|live| *live == key || live.ends_with('.') && key.starts_with(live))
}

/// Continues a sentence.
impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |keys: &BTreeSet<String>| keys.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        if !self.changed.is_empty() {
            write!(f, "; changed: {}", list(&self.changed))?;
        }
        if !self.needs_restart.is_empty() {
            write!(f, "; needs a restart: {}", list(&self.needs_restart))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distinguishes_what_changes_now_from_what_needs_a_restart() {
        let keys = |pairs: &[(&str, i64)]| {
            pairs.iter().map(|(key, value)| ((*key).to_owned(), toml::Value::Integer(*value))).collect()
        };
        let before = keys(&[("announce_interval", 1), ("workers", 1), ("same", 1), ("livesync.port", 1)]);
        let after = keys(&[("announce_interval", 2), ("workers", 2), ("same", 1), ("access.torrents", 1)]);
        let reloaded = Reloaded::between(&before, &after);
        let set = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect::<BTreeSet<_>>();
        assert_eq!(reloaded.changed, set(&["access.torrents", "announce_interval"]));
        assert_eq!(reloaded.needs_restart, set(&["livesync.port", "workers"]));
        assert_eq!(
            reloaded.to_string(),
            "; changed: access.torrents, announce_interval; needs a restart: livesync.port, workers"
        );
        assert_eq!(Reloaded::default().to_string(), "");
    }
}
