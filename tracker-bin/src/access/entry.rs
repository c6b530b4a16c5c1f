//! What a rule is about, as text.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use udp_tracker::{ClientPrefix, InfoHash, IpNet, NetworkRules, Passkey};

/// A torrent, a network, a kind of client, or a passkey.
///
/// As text: `INFO_HASH`, `NETWORK`, `client:PREFIX`, `key:KEY`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Entry {
    Torrent(InfoHash),
    /// In the form of [`NetworkRules::canonical`].
    Network(IpNet),
    Client(ClientPrefix),
    Key(Passkey),
}

/// The list that an entry is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Torrent,
    Network,
    Client,
    Key,
}

/// A text that is no entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an info_hash of 40 hex digits, a network such as 192.0.2.0/24 or 2001:db8::/32, or the beginning of a \
     peer_id such as client:-XX0001-"
)]
pub(crate) struct ParseEntryError;

impl Kind {
    pub(crate) const ALL: [Self; 4] = [Self::Torrent, Self::Network, Self::Client, Self::Key];

    /// The key in the configuration's table `[access]` that names the file.
    pub(crate) fn file_key(self) -> &'static str {
        match self {
            Self::Torrent => "torrent_list",
            Self::Network => "network_list",
            Self::Client => "client_list",
            Self::Key => "key_list",
        }
    }

    /// Such as `torrent`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Torrent => "torrent",
            Self::Network => "network",
            Self::Client => "client",
            Self::Key => "passkey",
        }
    }

    /// Reads the first word of a line in the file of this kind.
    pub(crate) fn parse(self, word: &str) -> Option<Entry> {
        match self {
            Self::Torrent => word.parse().ok().map(Entry::Torrent),
            Self::Network => network(word).map(Entry::Network),
            Self::Client => word.parse().ok().map(Entry::Client),
            Self::Key => word.parse().ok().map(Entry::Key),
        }
    }

    /// What the first word of a line in the file of this kind must be.
    pub(crate) fn expected(self) -> &'static str {
        match self {
            Self::Torrent => "an info_hash of 40 hex digits",
            Self::Network => "a network such as 192.0.2.0/24 or 2001:db8::/32, or an address",
            Self::Client => {
                "the first 1 to 20 bytes of a peer_id, such as -XX0001-, others than printable ASCII as %00"
            }
            Self::Key => "a passkey of 1 to 64 letters, digits, or - . _ ~",
        }
    }
}

/// A network, or an address, which is a network of one.
fn network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok().map(NetworkRules::canonical)
}

impl Entry {
    pub(crate) fn kind(&self) -> Kind {
        match self {
            Self::Torrent(_) => Kind::Torrent,
            Self::Network(_) => Kind::Network,
            Self::Client(_) => Kind::Client,
            Self::Key(_) => Kind::Key,
        }
    }

    /// The text form without the kind: the first word of its line.
    pub(crate) fn value(&self) -> String {
        match self {
            Self::Torrent(info_hash) => info_hash.to_string(),
            Self::Network(network) => network.to_string(),
            Self::Client(prefix) => prefix.to_string(),
            Self::Key(key) => key.to_string(),
        }
    }
}

impl FromStr for Entry {
    type Err = ParseEntryError;

    fn from_str(text: &str) -> Result<Self, ParseEntryError> {
        let (kinds, value) = match text.split_once(':') {
            Some(("client", prefix)) => (&[Kind::Client][..], prefix),
            Some(("key", key)) => (&[Kind::Key][..], key),
            _ => (&[Kind::Torrent, Kind::Network][..], text),
        };
        kinds.iter().find_map(|kind| kind.parse(value)).ok_or(ParseEntryError)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(prefix) => write!(f, "client:{prefix}"),
            Self::Key(key) => write!(f, "key:{key}"),
            _ => f.write_str(&self.value()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_displays_each_kind() {
        for (text, kind, shown) in [
            (
                "E5d5fdac66b48270c93842b333061ea4dd7233e9",
                Kind::Torrent,
                "e5d5fdac66b48270c93842b333061ea4dd7233e9",
            ),
            ("192.0.2.7/24", Kind::Network, "192.0.2.0/24"),
            ("192.0.2.7", Kind::Network, "192.0.2.7/32"),
            ("::ffff:192.0.2.7", Kind::Network, "192.0.2.7/32"),
            ("2001:DB8::/32", Kind::Network, "2001:db8::/32"),
            ("::1", Kind::Network, "::1/128"),
            ("client:-XX", Kind::Client, "client:-XX"),
            ("client:a:b", Kind::Client, "client:a:b"),
            ("key:s3cret", Kind::Key, "key:s3cret"),
        ] {
            let entry: Entry = text.parse().unwrap();
            assert_eq!((entry.kind(), entry.to_string().as_str()), (kind, shown), "{text}");
            assert_eq!(shown.parse(), Ok(entry));
        }
    }

    #[test]
    fn refuses_other_texts() {
        for text in [
            "",
            "e5d5",
            "192.0.2.0/33",
            "example.org",
            "client:",
            "client:a b",
            "key:",
            "key:a/b",
            "-XX",
            "s3cret",
        ] {
            assert_eq!(text.parse::<Entry>(), Err(ParseEntryError), "{text:?}");
        }
    }
}
