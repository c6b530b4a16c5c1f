//! The table `[access]`, and the two keys that were there before it.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, IntoDeserializer, MapAccess, Visitor};
use udp_tracker::{Access, InvalidValue};

use crate::access::AccessSettings;

/// The value of the key `access`.
#[derive(Debug)]
pub(super) enum AccessKeys {
    Table(AccessTable),
    /// The old form: a mode, and a list in the key `access_list`.
    Mode(Mode),
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct AccessTable {
    torrents: Mode,
    torrent_list: PathBuf,
    network_list: PathBuf,
    client_list: PathBuf,
    key_list: PathBuf,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Mode {
    #[default]
    All,
    Listed,
    Unlisted,
}

impl Mode {
    fn access(self) -> Access {
        match self {
            Self::All => Access::All,
            Self::Listed => Access::Listed,
            Self::Unlisted => Access::Unlisted,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Listed => "listed",
            Self::Unlisted => "unlisted",
        }
    }
}

impl Default for AccessKeys {
    fn default() -> Self {
        Self::Table(AccessTable::default())
    }
}

impl AccessKeys {
    /// A warning about the old form.
    pub(super) fn warning(&self) -> Option<String> {
        let Self::Mode(mode) = self else { return None };
        let name = mode.name();
        Some(format!(
            "access = {name:?} is torrents = {name:?} in the table [access] now; the old form still works"
        ))
    }

    /// `access_list` is the value of the old key.
    pub(super) fn into_settings(self, access_list: Option<PathBuf>) -> Result<AccessSettings, InvalidValue> {
        let given = |path: PathBuf| Some(path).filter(|path| !path.as_os_str().is_empty());
        let access_list = access_list.and_then(given);
        let (field, settings) = match self {
            Self::Mode(mode) => (
                "access",
                AccessSettings {
                    mode: mode.access(),
                    torrent_list: access_list,
                    ..AccessSettings::default()
                },
            ),
            Self::Table(table) => {
                let torrent_list = given(table.torrent_list);
                if access_list.is_some() && torrent_list.is_some() {
                    let problem =
                        "access.torrent_list, which replaces it, is set too: remove one of them".into();
                    return Err(InvalidValue { field: "access_list", problem });
                }
                let settings = AccessSettings {
                    mode: table.torrents.access(),
                    torrent_list: torrent_list.or(access_list),
                    network_list: given(table.network_list),
                    client_list: given(table.client_list),
                    key_list: given(table.key_list),
                };
                ("access.torrents", settings)
            }
        };
        if settings.mode != Access::All && settings.torrent_list.is_none() {
            let key = if field == "access" { "access_list" } else { "torrent_list" };
            let problem = format!("needs {key}, a file with one info_hash on each line");
            return Err(InvalidValue { field, problem });
        }
        Ok(settings)
    }
}

impl<'de> Deserialize<'de> for AccessKeys {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TableOrMode)
    }
}

struct TableOrMode;

impl<'de> Visitor<'de> for TableOrMode {
    type Value = AccessKeys;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a table [access]")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<AccessKeys, E> {
        Mode::deserialize(text.into_deserializer()).map(AccessKeys::Mode)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AccessKeys, A::Error> {
        AccessTable::deserialize(MapAccessDeserializer::new(map)).map(AccessKeys::Table)
    }
}
