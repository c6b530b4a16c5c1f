//! What can be set, and what of it is possible.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use toml::Spanned;

use crate::livesync::LivesyncConfig;
use crate::values;

/// The default port of BitTorrent trackers.
pub const DEFAULT_PORT: u16 = 6969;

/// The default configuration as a TOML file, with every key explained.
pub const DEFAULT_TOML: &str = include_str!("default.toml");

/// What can be set about a tracker. Each field is explained in [`DEFAULT_TOML`], under the same name.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Config {
    /// Where to listen; `None` means all addresses, port 6969, and IPv6 only if the machine has it.
    #[serde(deserialize_with = "values::listen")]
    pub listen: Option<Vec<SocketAddr>>,
    /// Threads that answer; 0 means one for each core.
    #[serde(deserialize_with = "values::number")]
    pub workers: usize,
    /// Octets of each socket's receive buffer; 0 leaves it to the system.
    #[serde(deserialize_with = "values::number")]
    pub receive_buffer_octets: usize,
    /// Seconds that clients should wait between announces.
    #[serde(deserialize_with = "values::number")]
    pub announce_interval: u32,
    /// Seconds that a peer is kept after its last announce.
    #[serde(deserialize_with = "values::number")]
    pub peer_lifetime: u32,
    /// Seconds that a connection id is accepted after it was issued.
    #[serde(deserialize_with = "values::number")]
    pub connection_id_lifetime: u32,
    /// A file with the secret behind the connection ids, as 32 hex digits.
    pub connection_key_file: Option<PathBuf>,
    /// Peers given to who asks for no particular number.
    #[serde(deserialize_with = "values::number")]
    pub default_peers: usize,
    /// Peers given at most.
    #[serde(deserialize_with = "values::number")]
    pub max_peers: usize,
    /// Octets of the longest reply.
    #[serde(deserialize_with = "values::number")]
    pub max_reply_octets: usize,
    /// Whether a connect request may lack the protocol id.
    pub dialect_2004: bool,
    /// Who may name another address than its own in an announce.
    #[serde(deserialize_with = "values::networks")]
    pub trusted_ip_sources: Vec<IpNet>,
    /// Which torrents are served.
    pub access: Access,
    /// A file with the info_hashes that [`Config::access`] speaks of.
    pub access_list: Option<PathBuf>,
    /// Torrents stored at most, for each address family.
    #[serde(deserialize_with = "values::number")]
    pub max_stored_torrents: usize,
    /// Peers stored at most, for each address family.
    #[serde(deserialize_with = "values::number")]
    pub max_stored_peers: usize,
    /// Seconds between two logs of the counters; 0 means never.
    #[serde(deserialize_with = "values::number")]
    pub counters_interval: u64,
    /// Other trackers that share what they hear.
    pub livesync: LivesyncConfig,
}

/// Which torrents are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Every one.
    #[default]
    All,
    /// Those in the list.
    Listed,
    /// Those not in the list.
    Unlisted,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: None,
            workers: 0,
            receive_buffer_octets: 4 << 20,
            announce_interval: 1800,
            peer_lifetime: 2700,
            connection_id_lifetime: 120,
            connection_key_file: None,
            default_peers: 50,
            max_peers: 200,
            max_reply_octets: 1232,
            dialect_2004: true,
            trusted_ip_sources: Vec::new(),
            access: Access::All,
            access_list: None,
            max_stored_torrents: 10_000_000,
            max_stored_peers: 50_000_000,
            counters_interval: 0,
            livesync: LivesyncConfig::default(),
        }
    }
}

/// A value that is well-formed and yet impossible.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {problem}")]
pub struct Impossible {
    /// The field of [`Config`], with its table if it is in one: `livesync.ttl`.
    pub key: &'static str,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Why a text is no configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Not TOML, a key that doesn't exist, or a value of another type. Tells the line.
    #[error("{0}")]
    Syntax(toml::de::Error),
    /// A value that can't be.
    #[error("line {line}: {what}")]
    Value {
        /// The key's line, counted from 1.
        line: usize,
        /// Which, and why.
        what: Impossible,
    },
}

impl Config {
    /// Reads a TOML text; keys that it doesn't have keep their defaults.
    ///
    /// # Errors
    /// Unknown keys and impossible values, with their line.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let config: Self = toml::from_str(text).map_err(ConfigError::Syntax)?;
        config.check().map_err(|what| ConfigError::Value { line: line_of(text, what.key), what })?;
        Ok(config)
    }

    /// Whether this machine is the one that the configuration, read from `text`, is for: whether it has livesync's
    /// interface.
    ///
    /// # Errors
    /// The key and line of what is another machine's.
    pub fn check_machine(&self, text: &str) -> Result<(), ConfigError> {
        let at_line = |what: Impossible| ConfigError::Value { line: line_of(text, what.key), what };
        self.livesync.check_machine().map_err(at_line)
    }

    /// Whether all values are possible, each and together.
    ///
    /// # Errors
    /// The first that isn't.
    pub fn check(&self) -> Result<(), Impossible> {
        let impossible = |key, problem: String| Err(Impossible { key, problem });
        if self.listen.as_ref().is_some_and(Vec::is_empty) {
            return impossible("listen", "at least one address expected, such as \"0.0.0.0:6969\"".into());
        }
        let mut fixed: Vec<_> = self.listen.iter().flatten().filter(|address| address.port() != 0).collect();
        fixed.sort_unstable();
        if let Some(twice) = fixed.windows(2).find(|pair| pair[0] == pair[1]) {
            return impossible("listen", format!("{} stands in it twice", twice[0]));
        }
        between("workers", self.workers, 0, 1024)?;
        // The kernel doubles it, and counts in an int.
        between("receive_buffer_octets", self.receive_buffer_octets, 0, 1 << 30)?;
        // Below 3 a reply could be taken for a request: its interval stands where a request has its action.
        between("announce_interval", self.announce_interval, 3, 86_400 * 7)?;
        between("peer_lifetime", self.peer_lifetime, 4, 86_400 * 30)?;
        let longest_wait = self.longest_interval();
        if self.peer_lifetime <= longest_wait {
            let problem = format!(
                "peers would be forgotten between two announces: more than {longest_wait} expected, which is \
                 announce_interval and 10 %"
            );
            return impossible("peer_lifetime", problem);
        }
        between("connection_id_lifetime", self.connection_id_lifetime, 10, 86_400)?;
        between("max_peers", self.max_peers, 1, 10_000)?;
        if self.default_peers > self.max_peers {
            return impossible("default_peers", format!("at most max_peers = {} expected", self.max_peers));
        }
        // At least an IPv6 reply with one peer, at most what UDP carries.
        between("max_reply_octets", self.max_reply_octets, 38, 65_507)?;
        if self.access != Access::All && self.access_list.is_none() {
            return impossible("access", "needs access_list, a file with one info_hash a line".into());
        }
        between("max_stored_torrents", self.max_stored_torrents, 1, u32::MAX as usize)?;
        between("max_stored_peers", self.max_stored_peers, 1, u32::MAX as usize)?;
        self.livesync.check()?;
        // Where a peer is told of at every announce, and where it is told of every quarter of its life.
        let late = u32::try_from(livesync_proto::MAX_DELAY.as_secs()).unwrap_or(u32::MAX);
        let least = longest_wait.saturating_add(late + 1).max(4 * late);
        if self.livesync.enabled && self.peer_lifetime < least {
            let problem = format!(
                "what other trackers tell may be {late} s old, peers would be forgotten before they are told of again: \
                 at least {least} expected with livesync"
            );
            return impossible("peer_lifetime", problem);
        }
        Ok(())
    }

    /// Where to listen.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.clone().unwrap_or_else(|| {
            vec![(Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into(), (Ipv6Addr::UNSPECIFIED, DEFAULT_PORT).into()]
        })
    }

    /// The most that a client is told to wait, in seconds: the interval with its jitter.
    pub(crate) fn longest_interval(&self) -> u32 {
        self.announce_interval.saturating_add(self.announce_interval / 10)
    }
}

pub(crate) fn between<T: PartialOrd + Copy + std::fmt::Display>(
    key: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), Impossible> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(Impossible { key, problem: format!("{value} is out of range: {least} to {most} expected") })
}

/// Keys whose default can be impossible because of another key's value.
const DEPENDENT: [(&str, &str); 2] = [("peer_lifetime", "announce_interval"), ("default_peers", "max_peers")];

/// The line of a key; without it, that of the key that it depends on, or of its table; without that, the first.
fn line_of(text: &str, key: &str) -> usize {
    type Keys = BTreeMap<Spanned<String>, toml::Value>;
    #[derive(Deserialize)]
    struct Tables {
        livesync: Spanned<Keys>,
    }
    let position = |keys: &Keys, key: &str| {
        keys.keys().find(|known| known.as_ref() == key).map(|known| known.span().start)
    };
    let at = match key.split_once('.') {
        None => toml::from_str(text).ok().and_then(|keys| {
            let other = DEPENDENT.iter().find(|(dependent, _)| *dependent == key).map(|(_, other)| *other);
            position(&keys, key).or_else(|| position(&keys, other?))
        }),
        Some((_, key)) => toml::from_str(text).ok().map(|Tables { livesync }| {
            position(livesync.as_ref(), key).unwrap_or_else(|| livesync.span().start)
        }),
    };
    text[..at.unwrap_or(0)].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documented_default_is_the_default() {
        let documented = Config::from_toml(DEFAULT_TOML).unwrap();
        assert_eq!(documented.listen, Some(Config::default().addresses()));
        assert_eq!(Config { listen: None, ..documented }, Config::default());
        assert_eq!(Config::from_toml(""), Ok(Config::default()));
        assert_eq!(Config::default().check(), Ok(()));
    }

    #[test]
    fn every_key_is_documented() {
        // The commented-out ones are keys too.
        let all = DEFAULT_TOML.replace("\n#connection_key_file", "\nconnection_key_file");
        let all = all.replace("\n#access_list", "\naccess_list");
        let all = all.replace("\n#interface", "\ninterface").replace("\n#key_file", "\nkey_file");
        let config = Config::from_toml(&all).unwrap();
        assert!(config.connection_key_file.is_some() && config.access_list.is_some());
        assert!(config.livesync.interface.is_some() && config.livesync.key_file.is_some());
        let debug = format!("{config:?}");
        let fields = debug.matches(": ").count();
        let table = toml::from_str::<toml::Table>(&all).unwrap();
        let keys = table.len() + table["livesync"].as_table().unwrap().len();
        assert_eq!(fields, keys, "{debug}");
    }

    fn refused(text: &str) -> String {
        Config::from_toml(text).unwrap_err().to_string()
    }

    #[test]
    fn unknown_keys_and_types_are_refused_with_key_and_line() {
        let error = refused("workers = 1\nanounce_interval = 5\n");
        assert!(error.contains("line 2") && error.contains("anounce_interval"), "{error}");
        assert!(error.contains("announce_interval`"), "says what would be right: {error}");
        let error = refused("workers = \"two\"");
        assert!(error.contains("line 1") && error.contains("workers"), "{error}");
        let error = refused("listen = [\"localhost\"]");
        assert!(error.contains("line 1") && error.contains("listen"), "{error}");
        let error = refused("\ntrusted_ip_sources = [\"10.0.0.0/33\"]");
        assert!(error.contains("line 2") && error.contains("trusted_ip_sources"), "{error}");
        let error = refused("access = \"some\"");
        assert!(error.contains("`listed`"), "{error}");
        let error = refused("workers = -1");
        assert!(error.contains("line 1"), "{error}");
        let error = refused("\n[livesync]\nnode = []");
        assert!(error.contains("line 3") && error.contains("`nodes`"), "{error}");
        let error = refused("[livesync]\nnodes = [\"192.0.2.1\", \"tracker.example\"]");
        assert!(error.contains("line 2") && error.contains("IP address"), "{error}");
        let error = refused("[livesync]\ngroup = \"ff02::1\"");
        assert!(error.contains("line 2") && error.contains("an IPv4 multicast group, such as"), "{error}");
    }

    #[test]
    fn values_of_a_wrong_form_are_refused_with_an_example_of_the_right_one() {
        let number = "a whole number, 0 or more, such as 60";
        let listen = "an IP address and a port, such as \"0.0.0.0:6969\" or \"[::]:6969\"";
        let address = "an IP address, such as \"192.0.2.1\"";
        for (text, expected) in [
            ("workers = \"two\"", number),
            ("workers = -1", number),
            ("max_peers = 1.5", number),
            ("announce_interval = 4294967296", number),
            ("listen = [\"localhost\"]", listen),
            ("listen = [\"127.0.0.1\"]", listen),
            ("listen = [6969]", listen),
            ("trusted_ip_sources = [\"10.0.0.0/33\"]", "a network, such as \"192.0.2.0/24\""),
            ("livesync.port = 65536", "a port, 1 to 65535, such as 9696"),
            ("livesync.interface = \"eth0\"", address),
            ("livesync.nodes = [\"tracker.example\"]", address),
            ("livesync.group = \"all\"", "an IPv4 multicast group, such as \"224.0.42.5\""),
        ] {
            let error = refused(text);
            assert!(error.contains(&format!("expected {expected}")), "{text}: {error}");
            assert!(!error.contains("usize") && !error.contains("syntax"), "{text}: {error}");
        }
    }

    #[test]
    fn the_two_nodes_of_the_example_are_possible() {
        let example = DEFAULT_TOML.split_once("# Two nodes").unwrap().1;
        let lines = |text: &str| -> String {
            text.lines()
                .filter_map(|line| line.strip_prefix("#   "))
                .map(|line| format!("{line}\n"))
                .collect()
        };
        let (one_network, two_networks) = example.split_once("# and on").unwrap();
        let first = lines(one_network);
        let config = Config::from_toml(&first).unwrap().livesync;
        assert!(config.enabled && config.group.is_some() && config.nodes.len() == 2, "{config:?}");
        let config = Config::from_toml(&(first + &lines(two_networks))).unwrap().livesync;
        assert!(config.group.is_none() && config.unicast.len() == 2, "{config:?}");
        assert!(config.key_file.is_some());
    }

    #[test]
    fn the_nodes_of_the_readme_are_possible() {
        let blocks = include_str!("../../tracker-bin/README.md").split("```toml\n").skip(1);
        let blocks: Vec<_> = blocks.map(|block| block.split_once("```").unwrap().0).collect();
        let [one_network, two_networks, opentracker] = blocks[..] else { panic!("{blocks:?}") };
        for text in [one_network, &format!("{one_network}{two_networks}"), opentracker] {
            assert!(Config::from_toml(text).unwrap().livesync.enabled, "{text}");
        }
    }

    #[test]
    fn livesync_needs_what_it_cannot_guess() {
        let with = |lines: &str| {
            let text = format!("[livesync]\nenabled = true\n{lines}");
            Config::from_toml(&text).map_or_else(|error| error.to_string(), |_| String::new())
        };
        let good = "interface = \"192.0.2.1\"\nnodes = [\"192.0.2.2\"]\n";
        assert_eq!(with(good), "");
        for (lines, expected) in [
            ("", "line 1: livesync.interface: the address of this machine expected"),
            ("interface = \"0.0.0.0\"", "line 3: livesync.interface: 0.0.0.0 is not the address of one"),
            (
                "interface = \"192.0.2.1\"",
                "line 1: livesync.nodes: the addresses of the other nodes expected",
            ),
            ("interface = \"2001:db8::1\"", "line 1: livesync.group: an IPv6 interface cannot join"),
            ("interface = \"192.0.2.1\"\ngroup = \"\"", "line 1: livesync.unicast: without a group"),
        ] {
            let error = with(lines);
            assert!(error.starts_with(expected), "{lines}: {error}");
        }
        for (line, expected) in [
            ("port = 0", "line 5: livesync.port: 0 is out of range: 1 to 65535"),
            ("ttl = 256", "line 5: livesync.ttl: 256 is out of range: 1 to 255"),
            ("group = \"192.0.2.9\"", "line 5: livesync.group: 192.0.2.9 is not a multicast group"),
            ("unicast = [\"there\"]", "line 5: livesync.unicast: \"there\": host:port expected"),
            ("unicast = [\"a:1\", \"b:0\"]", "line 5: livesync.unicast: \"b:0\": host:port expected"),
            ("unicast = [\":1\"]", "line 5: livesync.unicast: \":1\": host:port expected"),
            (
                "unicast = [\"[::1]:9\"]",
                "line 5: livesync.unicast: \"[::1]:9\": an address of the same family",
            ),
        ] {
            let error = with(&format!("{good}{line}"));
            assert!(error.starts_with(expected), "{line}: {error}");
        }
        let short = "announce_interval = 30\npeer_lifetime = 59\n[livesync]\nenabled = true\n";
        let error = refused(&format!("{short}{good}"));
        assert!(
            error.starts_with("line 2: peer_lifetime: what other trackers tell may be 15 s old"),
            "{error}"
        );
        assert!(error.ends_with("at least 60 expected with livesync"), "{error}");
        // A key of the table in another form.
        let error = refused("workers = 1\nlivesync.ttl = 0");
        assert!(error.starts_with("line 2: livesync.ttl: 0 is out of range"), "{error}");
        let error = refused("\nlivesync = { port = 1, ttl = 0 }");
        assert!(error.starts_with("line 2: livesync.ttl: 0 is out of range"), "{error}");
    }

    #[test]
    fn impossible_values_are_refused_with_key_line_and_what_would_be_right() {
        for (text, expected) in [
            ("listen = []", "line 1: listen: at least one"),
            ("\nworkers = 5000", "line 2: workers: 5000 is out of range: 0 to 1024"),
            ("announce_interval = 2", "line 1: announce_interval: 2 is out of range: 3"),
            ("# x\npeer_lifetime = 1980", "line 2: peer_lifetime: peers would be forgotten"),
            ("\n\n  announce_interval = 2700", "line 3: peer_lifetime: peers would be forgotten"),
            ("listen = [\"127.0.0.1:5\", \"127.0.0.1:5\"]", "line 1: listen: 127.0.0.1:5 stands in it twice"),
            ("connection_id_lifetime = 0", "line 1: connection_id_lifetime: 0 is out of range"),
            ("max_peers = 0", "line 1: max_peers: 0"),
            ("max_peers = 10", "line 1: default_peers: at most max_peers = 10"),
            ("max_reply_octets = 37", "line 1: max_reply_octets: 37"),
            ("access = \"listed\"", "line 1: access: needs access_list"),
            ("max_stored_peers = 0", "line 1: max_stored_peers: 0"),
        ] {
            let error = refused(text);
            assert!(error.starts_with(expected), "{text}: {error}");
        }
    }
}
