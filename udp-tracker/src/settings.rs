//! The settings of request handling, and their valid values.

use std::fmt::Display;
use std::net::IpAddr;

use ipnet::IpNet;
use swarm_store::Limits;

use crate::rate_limit;

/// The settings of request handling. Start from the default and change what should differ:
///
/// ```
/// let mut settings = udp_tracker::Settings::default();
/// settings.announce_interval = 900;
/// settings.peer_lifetime = 1350;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// Seconds that clients should wait between announces. Each gets up to 10 % more, which spreads them out. 1800 by
    /// default.
    pub announce_interval: u32,
    /// Seconds that a peer is kept after its last announce. Must be more than `announce_interval` and 10 %. 2700 by
    /// default.
    pub peer_lifetime: u32,
    /// Seconds that a connection_id is accepted after it was issued. 120 by default, as in BEP 15.
    pub connection_id_lifetime: u32,
    /// The first bits of an IPv6 address that a connection_id is bound to, 32 to 128. 64 by default: a client with
    /// several addresses of one network may present a connection_id that it obtained by another of them.
    pub connection_id_ipv6_prefix: u8,
    /// Peers in the reply to an announce whose num_want is -1. At most `max_peers`; 50 by default.
    pub default_peers: usize,
    /// The most peers in any reply to an announce. 200 by default.
    pub max_peers: usize,
    /// Bytes of the longest reply. By default 1232, which fits into IPv6's smallest packet.
    pub max_reply_bytes: usize,
    /// Whether a connect request may lack the protocol id, as before 2005. `true` by default.
    pub dialect_2004: bool,
    /// Networks whose announces may set another IPv4 address than their own in the `ip` field. None by default.
    pub trusted_ip_sources: Vec<IpNet>,
    /// Networks of proxies that put a header with the client's address before each datagram: Simple Proxy Protocol for
    /// UDP, or PROXY protocol version 2. A datagram of theirs without a header is the proxy's own. None by default.
    pub proxy_protocol_sources: Vec<IpNet>,
    /// The lowest port of a peer. Clients that announce a lower one get peers, but are not stored. 1 by default; with
    /// 1024, the tracker sends nobody to the ports of well-known services.
    pub min_peer_port: u16,
    /// Announces and scrapes of each network (an IPv4 /24 or an IPv6 /64) that are answered in a second; 0, the default,
    /// is any number. A network that was quiet may send ten seconds' worth at once, and an IPv6 /48 may send 16 times as
    /// much. What is over that gets some errors, and then no reply. Only requests with a valid connection_id count, and
    /// none of `trusted_ip_sources`.
    pub requests_per_second_per_network: u32,
    /// The most torrents in the store, for each address family. 10 million by default.
    pub max_stored_torrents: usize,
    /// The most peers in the store, for each address family. 50 million by default.
    pub max_stored_peers: usize,
    /// The most bytes of memory that both families' stores take together, as [`Totals::bytes`](crate::Totals::bytes)
    /// counts them; 0, the default, for no ceiling.
    pub max_store_bytes: usize,
    /// Torrents that one network may hold, whether the store is full or not: see
    /// [`Limits::torrents_per_network`](swarm_store::Limits::torrents_per_network). 0, the default, for no limit.
    pub max_torrents_per_network: usize,
    /// Peers of one torrent that one network may hold, or an eighth of the torrent's peers if that is more: see
    /// [`Limits::peers_per_network_and_torrent`](swarm_store::Limits::peers_per_network_and_torrent). 0 for no limit; 32
    /// by default.
    pub max_peers_per_network_and_torrent: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            announce_interval: 1800,
            peer_lifetime: 2700,
            connection_id_lifetime: 120,
            connection_id_ipv6_prefix: 64,
            default_peers: 50,
            max_peers: 200,
            max_reply_bytes: 1232,
            dialect_2004: true,
            trusted_ip_sources: Vec::new(),
            proxy_protocol_sources: Vec::new(),
            min_peer_port: 1,
            requests_per_second_per_network: 0,
            max_stored_torrents: 10_000_000,
            max_stored_peers: 50_000_000,
            max_store_bytes: 0,
            max_torrents_per_network: 0,
            max_peers_per_network_and_torrent: 32,
        }
    }
}

/// A setting with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {problem}")]
pub struct InvalidValue {
    /// The field, such as `max_peers` of [`Settings`] or `livesync.ttl` of
    /// [`LivesyncSettings`](crate::LivesyncSettings).
    pub field: &'static str,
    /// What is wrong with the value, and which value is expected.
    pub problem: String,
}

impl Settings {
    /// Checks each value, and the values that depend on each other.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), InvalidValue> {
        // Below 3 a reply could be taken for a request: its interval is where a request has its action.
        in_range("announce_interval", self.announce_interval, 3, 86_400 * 7)?;
        in_range("peer_lifetime", self.peer_lifetime, 4, 86_400 * 30)?;
        let longest_interval = self.longest_interval();
        if self.peer_lifetime <= longest_interval {
            let problem = format!(
                "peers would expire between two announces: more than {longest_interval} expected, which is \
                 announce_interval and 10 %"
            );
            return Err(InvalidValue { field: "peer_lifetime", problem });
        }
        in_range("connection_id_lifetime", self.connection_id_lifetime, 10, 86_400)?;
        // With fewer bits, one id would be accepted from all addresses of a provider.
        in_range("connection_id_ipv6_prefix", self.connection_id_ipv6_prefix, 32, 128)?;
        in_range("max_peers", self.max_peers, 1, 10_000)?;
        if self.default_peers > self.max_peers {
            let problem = format!(
                "{} is out of range: at most max_peers = {} expected",
                self.default_peers, self.max_peers
            );
            return Err(InvalidValue { field: "default_peers", problem });
        }
        // At least an IPv6 reply with one peer, and at most what UDP permits.
        in_range("max_reply_bytes", self.max_reply_bytes, 38, 65_507)?;
        in_range("min_peer_port", self.min_peer_port, 1, u16::MAX)?;
        let rate = self.requests_per_second_per_network;
        in_range("requests_per_second_per_network", rate, 0, rate_limit::MOST_PER_SECOND)?;
        in_range("max_stored_torrents", self.max_stored_torrents, 1, u32::MAX as usize)?;
        in_range("max_stored_peers", self.max_stored_peers, 1, u32::MAX as usize)?;
        if self.max_store_bytes > 0 {
            // Less would be full from the start: the empty stores have counters and locks.
            in_range("max_store_bytes", self.max_store_bytes, 16 << 20, usize::MAX)?;
        }
        Ok(())
    }

    /// The limits of each store.
    pub(crate) fn limits(&self) -> Limits {
        let mut limits = Limits::new(self.max_stored_torrents, self.max_stored_peers);
        limits.torrents_per_network = self.max_torrents_per_network;
        limits.peers_per_network_and_torrent = self.max_peers_per_network_and_torrent;
        limits
    }

    /// Whether announces from this address may set the `ip` field.
    pub(crate) fn is_trusted(&self, ip: IpAddr) -> bool {
        self.trusted_ip_sources.iter().any(|network| network.contains(&ip))
    }

    /// Whether datagrams from this address may have a proxy's header.
    pub(crate) fn is_proxy(&self, ip: IpAddr) -> bool {
        self.proxy_protocol_sources.iter().any(|network| network.contains(&ip))
    }

    /// The longest interval that a client gets, in seconds: `announce_interval` and 10 %.
    #[must_use]
    pub fn longest_interval(&self) -> u32 {
        self.announce_interval.saturating_add(self.announce_interval / 10)
    }
}

pub(crate) fn in_range<T: PartialOrd + Display + Copy>(
    field: &'static str,
    value: T,
    least: T,
    most: T,
) -> Result<(), InvalidValue> {
    if value >= least && value <= most {
        return Ok(());
    }
    Err(InvalidValue { field, problem: format!("{value} is out of range: {least} to {most} expected") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut Settings)) -> String {
        let mut settings = Settings::default();
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn accepts_the_default() {
        assert_eq!(Settings::default().check(), Ok(()));
    }

    #[test]
    fn rejects_values_out_of_range_with_the_field_and_the_range() {
        assert_eq!(
            refused(|settings| settings.announce_interval = 2),
            "announce_interval: 2 is out of range: 3 to 604800 expected"
        );
        assert_eq!(
            refused(|settings| settings.connection_id_lifetime = 0),
            "connection_id_lifetime: 0 is out of range: 10 to 86400 expected"
        );
        for prefix in [0, 31, 129] {
            assert_eq!(
                refused(|settings| settings.connection_id_ipv6_prefix = prefix),
                format!("connection_id_ipv6_prefix: {prefix} is out of range: 32 to 128 expected")
            );
        }
        assert_eq!(
            refused(|settings| settings.max_reply_bytes = 37),
            "max_reply_bytes: 37 is out of range: 38 to 65507 expected"
        );
        assert_eq!(
            refused(|settings| settings.requests_per_second_per_network = 1_000_001),
            "requests_per_second_per_network: 1000001 is out of range: 0 to 1000000 expected"
        );
        for field in ["max_peers", "min_peer_port", "max_stored_torrents", "max_stored_peers"] {
            let error = refused(|settings| match field {
                "max_peers" => settings.max_peers = 0,
                "min_peer_port" => settings.min_peer_port = 0,
                "max_stored_torrents" => settings.max_stored_torrents = 0,
                _ => settings.max_stored_peers = 0,
            });
            assert!(error.starts_with(&format!("{field}: 0 is out of range: 1 to ")), "{error}");
        }
    }

    #[test]
    fn a_ceiling_leaves_room_for_an_empty_store() {
        assert_eq!(
            refused(|settings| settings.max_store_bytes = 1 << 20),
            format!("max_store_bytes: 1048576 is out of range: 16777216 to {} expected", usize::MAX)
        );
    }

    #[test]
    fn rejects_values_that_contradict_each_other() {
        assert_eq!(
            refused(|settings| settings.peer_lifetime = 1980),
            "peer_lifetime: peers would expire between two announces: more than 1980 expected, which is \
             announce_interval and 10 %"
        );
        assert_eq!(
            refused(|settings| settings.max_peers = 10),
            "default_peers: 50 is out of range: at most max_peers = 10 expected"
        );
    }
}
