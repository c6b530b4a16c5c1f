//! Errors in a configuration, with the line in its file.

use std::io;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use udp_tracker::{InvalidValue, ServiceError};

use super::file::RENAMED;
use crate::access::AccessError;

/// An error in a configuration.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    /// Not TOML, an unknown key, or a value of a wrong type. The text contains the line.
    #[error("{0}")]
    Toml(toml::de::Error),
    #[error("line {line}: {invalid}")]
    Value { line: usize, invalid: InvalidValue },
    /// An error in a file with a secret key.
    #[error("{key}: {}: {problem}", path.display())]
    Key { key: &'static str, path: PathBuf, problem: String },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Service(#[from] ServiceError),
    #[error("{}: {error}", path.display())]
    InFile { path: PathBuf, error: Box<Self> },
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
    let Ok(table) = DeTable::parse(text) else { return 1 };
    let old = RENAMED.iter().find(|(_, new)| *new == key).map(|(old, _)| *old);
    let other = DEPENDENT.iter().find(|(dependent, _)| *dependent == key).map(|(_, other)| *other);
    let around = key.split_once('.').map(|(table, _)| table);
    let keys = [Some(key), old, other, around].into_iter().flatten();
    let at = keys.filter_map(|key| position(table.get_ref(), key)).next();
    text[..at.unwrap_or(0)].matches('\n').count() + 1
}

/// Where a key is in the text.
fn position(table: &DeTable<'_>, key: &str) -> Option<usize> {
    let (name, rest) = key.split_once('.').map_or((key, None), |(name, rest)| (name, Some(rest)));
    let (known, value) = table.iter().find(|(known, _)| known.get_ref() == name)?;
    match (rest, value.get_ref()) {
        (None, _) => Some(known.span().start),
        (Some(rest), DeValue::Table(table)) => position(table, rest),
        (Some(_), _) => None,
    }
}
