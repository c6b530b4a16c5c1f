//! Access: the lists of torrents, networks, clients and passkeys, as files that people edit and the tracker changes.

mod date;
mod disk;
mod entry;
mod error;
mod files;
#[cfg(feature = "fuzzing")]
mod fuzzing;
mod line;
mod list;
mod nft;

#[cfg(test)]
mod tests;

use udp_tracker::{AccessRules, Rule, RuleMap};

pub(crate) use date::{parse as parse_date, text as date_text, time_text};
pub(crate) use entry::{Entry, Kind, ParseEntryError};
pub(crate) use error::AccessError;
pub(crate) use files::{AccessFiles, AccessSettings};
#[cfg(feature = "fuzzing")]
pub use fuzzing::{access_lists, access_texts};
pub(crate) use nft::table as nft_table;

/// An entry with what is known about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed<'a> {
    pub(crate) entry: Entry,
    pub(crate) reason: Option<&'a str>,
    /// Seconds since 1970.
    pub(crate) until: Option<u64>,
    pub(crate) by: Option<&'a str>,
    pub(crate) hits: u64,
    /// Seconds since 1970.
    pub(crate) last_hit: Option<u64>,
}

/// All entries: networks, clients, passkeys, torrents, without the first `skipped` ones. The order is the same whenever
/// the same snapshot is listed, so a long list can be returned in parts.
pub(crate) fn list(rules: &AccessRules, skipped: usize) -> impl Iterator<Item = Listed<'_>> {
    let networks = rules.networks.iter().map(|rule| listed(Entry::Network(*rule.subject()), rule));
    let clients = rules.clients.iter().map(|rule| listed(Entry::Client(*rule.subject()), rule));
    let few = rules.networks.len() + rules.clients.len();
    let (skipped_keys, keys) = (skipped.saturating_sub(few), rules.keys.as_ref());
    let skipped_torrents = skipped_keys.saturating_sub(keys.map_or(0, RuleMap::len));
    let keys = keys.into_iter().flat_map(move |keys| keys.iter_after(skipped_keys));
    let keys = keys.map(|rule| listed(Entry::Key(rule.subject().clone()), rule));
    let torrents = rules.torrents.iter_after(skipped_torrents);
    let torrents = torrents.map(|rule| listed(Entry::Torrent(*rule.subject()), rule));
    networks.chain(clients).skip(skipped).chain(keys).chain(torrents)
}

fn listed<T>(entry: Entry, rule: &Rule<T>) -> Listed<'_> {
    Listed {
        entry,
        reason: rule.reason(),
        until: rule.until(),
        by: rule.by(),
        hits: rule.hits(),
        last_hit: rule.last_hit(),
    }
}

/// Such as `3 torrents, 0 networks, 1 client`.
pub(crate) fn summary(rules: &AccessRules) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let mut parts = vec![
        count(rules.torrents.len(), "torrent"),
        count(rules.networks.len(), "network"),
        count(rules.clients.len(), "client"),
    ];
    parts.extend(rules.keys.as_ref().map(|keys| count(keys.len(), "passkey")));
    parts.join(", ")
}
