//! The keys in a configuration's text: where each stands, which are unknown, and which differ from the default.

use std::collections::BTreeMap;

use toml::de::{DeTable, DeValue};

use super::file::{DEFAULT_TOML, RENAMED};

/// A place in a text, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// Values by their keys; those of a table by the table's name, a point and the key.
pub(crate) type Values = BTreeMap<String, toml::Value>;

/// All keys of a text with their values, and the defaults of those that it doesn't contain. A key that was renamed has
/// its new name.
pub(super) fn values(text: &str) -> Values {
    let mut values = flat(DEFAULT_TOML);
    values.extend(flat(text));
    values
}

fn flat(text: &str) -> Values {
    let table: toml::Table = toml::from_str(text).unwrap_or_default();
    let entries = table.into_iter().flat_map(|(key, value)| match value {
        toml::Value::Table(inner) => {
            inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)).collect::<Vec<_>>()
        }
        value => vec![(
            RENAMED.iter().find(|(old, _)| *old == key).map_or(key, |(_, new)| (*new).to_owned()),
            value,
        )],
    });
    entries.collect()
}

/// Where each key and each table of a text stands, in their order.
fn places(text: &str) -> Vec<(String, Place)> {
    let Ok(table) = DeTable::parse(text) else { return Vec::new() };
    let mut offsets = Vec::new();
    for (key, value) in table.get_ref() {
        offsets.push((key.get_ref().to_string(), key.span().start));
        if let DeValue::Table(inner) = value.get_ref() {
            let names =
                inner.keys().map(|name| (format!("{}.{}", key.get_ref(), name.get_ref()), name.span().start));
            offsets.extend(names);
        }
    }
    offsets.sort_by_key(|(_, offset)| *offset);
    offsets.into_iter().map(|(key, offset)| (key, place(text, offset))).collect()
}

fn place(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

/// Where a key stands; if it is not in the text, its table.
pub(super) fn find(text: &str, key: &str) -> Option<Place> {
    let places = places(text);
    let at = |key: &str| places.iter().find(|(known, _)| known == key).map(|(_, place)| *place);
    at(key).or_else(|| at(key.split_once('.')?.0))
}

/// The first key that doesn't exist, its place, and the most similar one that does.
pub(super) fn first_unknown(text: &str) -> Option<(String, Place, Option<String>)> {
    let known = known();
    let is_known = |key: &str| {
        known.iter().any(|known| known == key || known.split_once('.').is_some_and(|(table, _)| table == key))
            || RENAMED.iter().any(|(old, _)| *old == key)
    };
    let (key, place) = places(text).into_iter().find(|(key, _)| !is_known(key))?;
    let similar = known.into_iter().map(|known| (strsim::damerau_levenshtein(&known, &key), known)).min();
    let near = similar.filter(|(distance, _)| *distance <= key.len().div_ceil(3)).map(|(_, known)| known);
    Some((key, place, near))
}

/// All keys of the documented default, those in comments too.
fn known() -> Vec<String> {
    let mut table = String::new();
    let mut keys = Vec::new();
    for line in DEFAULT_TOML.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = format!("{name}.");
        } else if let Some((key, _)) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        {
            keys.push(format!("{table}{key}"));
        }
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_keys_and_tables_by_line_and_column() {
        let text = "# é\nworkers = 1\n\n[livesync]\n  port = 2\n";
        let at = |key| find(text, key).map(|place| (place.line, place.column));
        assert_eq!((at("workers"), at("livesync.port")), (Some((2, 1)), Some((5, 3))));
        assert_eq!((at("livesync.ttl"), at("listen")), (Some((4, 2)), None));
        let inline = "x = 1\nlivesync = { port = 2, ttl = 3 }";
        let at = |key| find(inline, key).map(|place| (place.line, place.column));
        assert_eq!((at("livesync.ttl"), at("livesync.group")), (Some((2, 24)), Some((2, 1))));
    }

    #[test]
    fn suggests_a_similar_key_for_an_unknown_one() {
        let unknown = |text| first_unknown(text).map(|(key, place, near)| (key, place.line, near));
        let expected =
            |key: &str, line, near: Option<&str>| Some((key.to_owned(), line, near.map(str::to_owned)));
        assert_eq!(
            unknown("workers = 1\nanounce_intervall = 5"),
            expected("anounce_intervall", 2, Some("announce_interval"))
        );
        assert_eq!(unknown("[livesync]\nnode = []"), expected("livesync.node", 2, Some("livesync.nodes")));
        assert_eq!(unknown("[livesink]\nnodes = []"), expected("livesink", 1, None));
        assert_eq!(unknown("colour = 1"), expected("colour", 1, None));
        assert_eq!(unknown(DEFAULT_TOML), None);
        assert_eq!(unknown("max_reply_octets = 500"), None);
    }

    #[test]
    fn values_are_those_of_the_text_and_else_the_default() {
        let changed = values("announce_interval = 5\nmax_reply_octets = 500\n[livesync]\nport = 7\n");
        let integer = |key: &str| changed.get(key).and_then(toml::Value::as_integer);
        assert_eq!(integer("announce_interval"), Some(5));
        assert_eq!(integer("max_reply_bytes"), Some(500));
        assert_eq!((integer("livesync.port"), integer("livesync.ttl")), (Some(7), Some(1)));
        assert!(!changed.contains_key("max_reply_octets"));
    }
}
