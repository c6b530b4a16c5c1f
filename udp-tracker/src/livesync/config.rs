//! What can be set about livesync, and what of it is possible.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use serde::Deserialize;

use crate::config::{Impossible, between};
use crate::values;

/// The group that opentracker's documentation names. Its code has 224.0.23.5.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 42, 5);
/// opentracker's port.
const PORT: u16 = 9696;
/// As many as can be remembered to have signed packets lately.
const MAX_NODES: usize = super::node::SENDERS;

/// What can be set about livesync. Each field is explained in [`DEFAULT_TOML`](crate::DEFAULT_TOML), under the same name
/// in the table `livesync`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct LivesyncConfig {
    /// Whether to tell other trackers what is heard, and to hear from them.
    pub enabled: bool,
    /// The node's own address, from which it sends.
    #[serde(deserialize_with = "values::address")]
    pub interface: Option<IpAddr>,
    /// The multicast group; `None`, `""` in the file, for none.
    #[serde(deserialize_with = "values::group")]
    pub group: Option<Ipv4Addr>,
    /// The UDP port, of the group and of the node.
    #[serde(deserialize_with = "values::port")]
    pub port: u16,
    /// Routers that packets to the group may pass, and one.
    #[serde(deserialize_with = "values::number")]
    pub ttl: u32,
    /// Who may speak.
    #[serde(deserialize_with = "values::addresses")]
    pub nodes: Vec<IpAddr>,
    /// Who is told besides the group, as `host:port`.
    pub unicast: Vec<String>,
    /// A file with the key that nodes share, as 64 hex digits.
    pub key_file: Option<PathBuf>,
}

impl Default for LivesyncConfig {
    fn default() -> Self {
        Self {
            enabled: false,
            interface: None,
            group: Some(GROUP),
            port: PORT,
            ttl: 1,
            nodes: Vec::new(),
            unicast: Vec::new(),
            key_file: None,
        }
    }
}

impl LivesyncConfig {
    /// Whether all values are possible, each and together.
    pub(crate) fn check(&self) -> Result<(), Impossible> {
        let impossible = |key, problem: String| Err(Impossible { key, problem });
        between("livesync.port", self.port, 1, u16::MAX)?;
        between("livesync.ttl", self.ttl, 1, 255)?;
        if let Some(group) = self.group.filter(|group| !group.is_multicast()) {
            let problem = format!("{group} is not a multicast group, 224.0.0.0 to 239.255.255.255 expected");
            return impossible("livesync.group", problem);
        }
        if !self.enabled {
            return Ok(());
        }
        let Some(interface) = self.interface else {
            let problem = "the address of this machine expected that the other nodes know it by";
            return impossible("livesync.interface", problem.into());
        };
        if interface.is_unspecified() || interface.is_multicast() {
            let problem = format!("{interface} is not the address of one interface");
            return impossible("livesync.interface", problem);
        }
        if self.group.is_some() && interface.is_ipv6() {
            let problem = "an IPv6 interface cannot join an IPv4 group: \"\" expected, and nodes in unicast";
            return impossible("livesync.group", problem.into());
        }
        if self.group.is_none() && self.unicast.is_empty() {
            return impossible("livesync.unicast", "without a group, at least one node expected".into());
        }
        if self.nodes.is_empty() {
            return impossible("livesync.nodes", "the addresses of the other nodes expected".into());
        }
        if self.nodes.len() > MAX_NODES {
            return impossible(
                "livesync.nodes",
                format!("{}: at most {MAX_NODES} expected", self.nodes.len()),
            );
        }
        let unreachable = self.unicast.iter().find_map(|node| Some((node, problem_with(node, interface)?)));
        if let Some((node, problem)) = unreachable {
            return impossible("livesync.unicast", format!("{node:?}: {problem}"));
        }
        Ok(())
    }

    /// Whether the interface is an address of this machine.
    pub(crate) fn check_machine(&self) -> Result<(), Impossible> {
        let Some(interface) = self.interface.filter(|_| self.enabled) else { return Ok(()) };
        // Any port: the one that is set may be in use by the tracker that runs.
        match UdpSocket::bind((interface, 0)) {
            Ok(_) => Ok(()),
            Err(error) => Err(Impossible {
                key: "livesync.interface",
                problem: format!("{interface}: an address of this machine expected ({error})"),
            }),
        }
    }
}

/// Why a text can't be a node to be told from an interface.
fn problem_with(node: &str, interface: IpAddr) -> Option<String> {
    let port = node.rsplit_once(':').filter(|(host, _)| !host.is_empty());
    if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
        return Some("host:port expected".into());
    }
    let address = node.parse::<SocketAddr>().ok()?;
    let other_family = address.is_ipv4() != interface.is_ipv4();
    other_family.then(|| format!("an address of the same family as interface = {interface} expected"))
}
