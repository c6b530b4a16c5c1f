//! Errors in a configuration, with the line in its file.

use std::io;
use std::path::{Path, PathBuf};

use udp_tracker::{InvalidValue, ServiceError};

use super::file::RENAMED;
use super::keys::{self, Place};
use crate::access::AccessError;

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not TOML, an unknown key, or a value of a wrong type. The text contains the line.
    #[error("{0}")]
    Toml(toml::de::Error),
    #[error("line {}, column {}: there is no key {key}{}", place.line, place.column, suggestion(near.as_deref()))]
    Unknown { key: String, place: Place, near: Option<String> },
    #[error("line {line}: {invalid}")]
    Value { line: usize, invalid: InvalidValue },
    /// An error in a file with a secret key.
    #[error("{key}: {}: {problem}", path.display())]
    Key { key: &'static str, path: PathBuf, problem: String },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// A value that is invalid together with those that can't change while the tracker runs.
    #[error("{0}")]
    Running(#[from] InvalidValue),
    #[error("{}: {error}", path.display())]
    InFile { path: PathBuf, error: Box<Self> },
}

fn suggestion(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("; is it {near}?"),
        None => "; `tracker-bin config` prints all keys".into(),
    }
}

impl ConfigError {
    pub(super) fn in_file(self, path: &Path) -> Self {
        Self::InFile { path: path.into(), error: Box::new(self) }
    }
}

/// An invalid value, with the line of its key. The library's fields have the same names as the keys.
pub(super) fn at_line(text: &str, invalid: InvalidValue) -> ConfigError {
    ConfigError::Value { line: line_of(text, invalid.field), invalid }
}

/// Keys whose default can be invalid because of another key's value: the key, then the other one.
const DEPENDENT: [(&str, &str); 2] = [("peer_lifetime", "announce_interval"), ("default_peers", "max_peers")];

/// The line of a key, such as `workers` or `livesync.ttl`, counted from 1. If the key is not in the text: the line of
/// its old name, of the key that it depends on, or of its table; otherwise 1.
fn line_of(text: &str, key: &str) -> usize {
    let old = RENAMED.iter().find(|(_, new)| *new == key).map(|(old, _)| *old);
    let other = DEPENDENT.iter().find(|(dependent, _)| *dependent == key).map(|(_, other)| *other);
    let found = [Some(key), old, other].into_iter().flatten().find_map(|key| keys::find(text, key));
    found.map_or(1, |place| place.line)
}
