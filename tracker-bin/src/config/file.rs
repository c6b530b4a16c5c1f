//! The keys of a configuration file.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use serde::Deserialize;
use toml::Spanned;
use udp_tracker::{InvalidValue, IpNet, LivesyncSettings, ServerSettings, Settings};

use super::access::AccessKeys;
use super::{Config, values};

/// The default configuration, with an explanation of every key.
pub(crate) const DEFAULT_TOML: &str = include_str!("../default.toml");

/// Where the page, the metrics and the API are, if the file doesn't set it.
const ADMIN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 6970);

/// Renamed keys: the old name, which still works, and the new one.
pub(super) const RENAMED: [(&str, &str); 3] = [
    ("access_list", "access.torrent_list"),
    ("max_reply_octets", "max_reply_bytes"),
    ("receive_buffer_octets", "receive_buffer_bytes"),
];

/// The keys and their values; [`DEFAULT_TOML`] explains each.
#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct File {
    #[serde(deserialize_with = "values::listen")]
    listen: Option<Vec<SocketAddr>>,
    #[serde(deserialize_with = "values::number")]
    workers: usize,
    #[serde(alias = "receive_buffer_octets", deserialize_with = "values::number")]
    receive_buffer_bytes: usize,
    #[serde(deserialize_with = "values::number")]
    gather_microseconds: u32,
    #[serde(deserialize_with = "values::number")]
    announce_interval: u32,
    #[serde(deserialize_with = "values::number")]
    peer_lifetime: u32,
    #[serde(deserialize_with = "values::number")]
    connection_id_lifetime: u32,
    #[serde(deserialize_with = "values::number")]
    connection_id_ipv6_prefix: u8,
    connection_key_file: Option<PathBuf>,
    #[serde(deserialize_with = "values::number")]
    default_peers: usize,
    #[serde(deserialize_with = "values::number")]
    max_peers: usize,
    #[serde(alias = "max_reply_octets", deserialize_with = "values::number")]
    max_reply_bytes: usize,
    dialect_2004: bool,
    #[serde(deserialize_with = "values::networks")]
    trusted_ip_sources: Vec<IpNet>,
    #[serde(deserialize_with = "values::networks")]
    proxy_protocol_sources: Vec<IpNet>,
    #[serde(deserialize_with = "values::number")]
    min_peer_port: u16,
    #[serde(deserialize_with = "values::number")]
    requests_per_second_per_network: u32,
    access: AccessKeys,
    access_list: Option<PathBuf>,
    #[serde(deserialize_with = "values::number")]
    max_stored_torrents: usize,
    #[serde(deserialize_with = "values::number")]
    max_stored_peers: usize,
    #[serde(deserialize_with = "values::optional_number")]
    max_store_bytes: Option<usize>,
    #[serde(deserialize_with = "values::number")]
    max_torrents_per_network: usize,
    #[serde(deserialize_with = "values::number")]
    max_peers_per_network_and_torrent: usize,
    #[serde(deserialize_with = "values::number")]
    counters_interval: u64,
    log_format: LogFormat,
    #[serde(deserialize_with = "values::path")]
    state_dir: Option<PathBuf>,
    #[serde(deserialize_with = "values::number")]
    snapshot_interval: u64,
    user: String,
    sandbox: bool,
    admin: Admin,
    livesync: Livesync,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// An object in each line.
    Json,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Admin {
    #[serde(deserialize_with = "values::admin_address")]
    listen: Option<Option<SocketAddr>>,
    #[serde(deserialize_with = "values::path")]
    token_file: Option<PathBuf>,
}

#[derive(Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Livesync {
    enabled: bool,
    #[serde(deserialize_with = "values::address")]
    interface: Option<IpAddr>,
    #[serde(deserialize_with = "values::group")]
    group: Option<Ipv4Addr>,
    #[serde(deserialize_with = "values::port")]
    port: u16,
    #[serde(deserialize_with = "values::number")]
    ttl: u32,
    #[serde(deserialize_with = "values::addresses")]
    nodes: Vec<IpAddr>,
    unicast: Vec<String>,
    key_file: Option<PathBuf>,
}

impl Default for File {
    fn default() -> Self {
        let (settings, server) = (Settings::default(), ServerSettings::default());
        Self {
            listen: None,
            workers: server.workers,
            receive_buffer_bytes: server.receive_buffer_bytes,
            gather_microseconds: server.gather_microseconds,
            announce_interval: settings.announce_interval,
            peer_lifetime: settings.peer_lifetime,
            connection_id_lifetime: settings.connection_id_lifetime,
            connection_id_ipv6_prefix: settings.connection_id_ipv6_prefix,
            connection_key_file: None,
            default_peers: settings.default_peers,
            max_peers: settings.max_peers,
            max_reply_bytes: settings.max_reply_bytes,
            dialect_2004: settings.dialect_2004,
            trusted_ip_sources: settings.trusted_ip_sources,
            proxy_protocol_sources: settings.proxy_protocol_sources,
            min_peer_port: settings.min_peer_port,
            requests_per_second_per_network: settings.requests_per_second_per_network,
            access: AccessKeys::default(),
            access_list: None,
            max_stored_torrents: settings.max_stored_torrents,
            max_stored_peers: settings.max_stored_peers,
            max_store_bytes: None,
            max_torrents_per_network: settings.max_torrents_per_network,
            max_peers_per_network_and_torrent: settings.max_peers_per_network_and_torrent,
            counters_interval: 0,
            log_format: LogFormat::default(),
            state_dir: None,
            snapshot_interval: 300,
            user: String::new(),
            sandbox: true,
            admin: Admin::default(),
            livesync: Livesync::default(),
        }
    }
}

impl Default for Livesync {
    fn default() -> Self {
        let LivesyncSettings { group, port, ttl, .. } = placeholder();
        Self {
            enabled: false,
            interface: None,
            group,
            port,
            ttl,
            nodes: Vec::new(),
            unicast: Vec::new(),
            key_file: None,
        }
    }
}

/// Settings of a node whose only purpose is to provide the defaults.
fn placeholder() -> LivesyncSettings {
    LivesyncSettings::new(Ipv4Addr::LOCALHOST.into(), vec![Ipv4Addr::LOCALHOST.into()])
}

impl File {
    /// Converts to the library's settings. Not all of them may be valid.
    pub(super) fn into_config(self, mut warnings: Vec<String>) -> Result<Config, InvalidValue> {
        let mut settings = Settings::default();
        settings.announce_interval = self.announce_interval;
        settings.peer_lifetime = self.peer_lifetime;
        settings.connection_id_lifetime = self.connection_id_lifetime;
        settings.connection_id_ipv6_prefix = self.connection_id_ipv6_prefix;
        settings.default_peers = self.default_peers;
        settings.max_peers = self.max_peers;
        settings.max_reply_bytes = self.max_reply_bytes;
        settings.dialect_2004 = self.dialect_2004;
        settings.trusted_ip_sources = self.trusted_ip_sources;
        settings.proxy_protocol_sources = self.proxy_protocol_sources;
        settings.min_peer_port = self.min_peer_port;
        settings.requests_per_second_per_network = self.requests_per_second_per_network;
        settings.max_stored_torrents = self.max_stored_torrents;
        settings.max_stored_peers = self.max_stored_peers;
        settings.max_store_bytes = self.max_store_bytes.unwrap_or(settings.max_store_bytes);
        settings.max_torrents_per_network = self.max_torrents_per_network;
        settings.max_peers_per_network_and_torrent = self.max_peers_per_network_and_torrent;
        let livesync_key_file = self.livesync.key_file.clone();
        let mut server = ServerSettings::default();
        server.listen = self.listen;
        server.workers = self.workers;
        server.receive_buffer_bytes = self.receive_buffer_bytes;
        server.gather_microseconds = self.gather_microseconds;
        server.livesync = self.livesync.into_settings(&settings)?;
        warnings.extend(self.access.warning());
        let access = self.access.into_settings(self.access_list)?;
        Ok(Config {
            settings,
            server,
            access,
            has_store_ceiling: self.max_store_bytes.is_some(),
            connection_key_file: self.connection_key_file,
            livesync_key_file,
            counters_interval: self.counters_interval,
            log_format: self.log_format,
            state_dir: self.state_dir,
            snapshot_interval: self.snapshot_interval,
            user: Some(self.user).filter(|user| !user.is_empty()),
            sandbox: self.sandbox,
            admin: super::Admin {
                listen: self.admin.listen.unwrap_or(Some(ADMIN)),
                is_set: self.admin.listen.is_some(),
                token_file: self.admin.token_file,
            },
            keys: BTreeMap::new(),
            warnings,
        })
    }
}

impl Livesync {
    fn into_settings(self, settings: &Settings) -> Result<Option<LivesyncSettings>, InvalidValue> {
        let mut livesync = placeholder();
        livesync.group = self.group;
        livesync.port = self.port;
        livesync.ttl = self.ttl;
        if !self.enabled {
            // Keys that can be checked without the others.
            let alone = ["livesync.group", "livesync.port", "livesync.ttl"];
            return match livesync.check(settings) {
                Err(invalid) if alone.contains(&invalid.field) => Err(invalid),
                _ => Ok(None),
            };
        }
        let Some(interface) = self.interface else {
            let problem = "the address of this machine expected, as in the other nodes' lists".into();
            return Err(InvalidValue { field: "livesync.interface", problem });
        };
        livesync.interface = interface;
        livesync.nodes = self.nodes;
        livesync.unicast = self.unicast;
        Ok(Some(livesync))
    }
}

/// A warning for each key that was renamed.
pub(super) fn renamed_keys(text: &str) -> Vec<String> {
    let keys: BTreeMap<Spanned<String>, toml::Value> = toml::from_str(text).unwrap_or_default();
    let renamed = keys.keys().filter_map(|key| RENAMED.iter().find(|(old, _)| old == key.as_ref()));
    renamed.map(|(old, new)| format!("{old} is called {new} now; the old name still works")).collect()
}
