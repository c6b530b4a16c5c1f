//! The settings of livesync, and their valid values.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use livesync_proto::Key;

use crate::settings::{InvalidValue, Settings, in_range};

/// The group in opentracker's documentation. Its code uses 224.0.23.5.
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 42, 5);
/// opentracker's port.
const PORT: u16 = 9696;
/// The number of senders of authenticated packets that can be remembered.
const MAX_NODES: usize = super::node::SENDERS;

/// The settings of livesync. Errors name the fields as in `livesync.ttl`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LivesyncSettings {
    /// This node's own address, which it sends from.
    pub interface: IpAddr,
    /// The IPv4 multicast group of the nodes, if any. 224.0.42.5 by default.
    pub group: Option<Ipv4Addr>,
    /// The UDP port of the group and of the node. 9696 by default.
    pub port: u16,
    /// The time to live of packets to the group: 1, the default, is this network only; each router takes one. 1 to 255.
    pub ttl: u32,
    /// Addresses of the nodes whose packets are accepted, up to 64. This node's own may be in the list.
    pub nodes: Vec<IpAddr>,
    /// Nodes to send packets to in addition to the group, each as `host:port`. This node may be in the list. None by
    /// default.
    pub unicast: Vec<String>,
    /// The key that authenticates packets. With `None`, the default, only a packet's source address is checked.
    pub key: Option<Key>,
}

impl LivesyncSettings {
    /// The settings of a node that reaches the others by multicast.
    #[must_use]
    pub fn new(interface: IpAddr, nodes: Vec<IpAddr>) -> Self {
        Self { interface, group: Some(GROUP), port: PORT, ttl: 1, nodes, unicast: Vec::new(), key: None }
    }

    /// Checks each value, and the values that depend on each other and on the tracker's settings.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self, settings: &Settings) -> Result<(), InvalidValue> {
        let invalid = |field, problem: String| Err(InvalidValue { field, problem });
        in_range("livesync.port", self.port, 1, u16::MAX)?;
        in_range("livesync.ttl", self.ttl, 1, 255)?;
        if let Some(group) = self.group.filter(|group| !group.is_multicast()) {
            let problem = format!("{group} is not a multicast group, 224.0.0.0 to 239.255.255.255 expected");
            return invalid("livesync.group", problem);
        }
        if self.interface.is_unspecified() || self.interface.is_multicast() {
            let problem = format!("{} is not the address of one interface", self.interface);
            return invalid("livesync.interface", problem);
        }
        if self.group.is_some() && self.interface.is_ipv6() {
            let problem =
                "an IPv6 interface cannot join an IPv4 group: no group expected, and nodes in unicast";
            return invalid("livesync.group", problem.into());
        }
        if self.group.is_none() && self.unicast.is_empty() {
            return invalid("livesync.unicast", "without a group, at least one node expected".into());
        }
        if self.nodes.is_empty() {
            return invalid("livesync.nodes", "the addresses of the other nodes expected".into());
        }
        if self.nodes.len() > MAX_NODES {
            let problem =
                format!("{} nodes are out of range: at most {MAX_NODES} expected", self.nodes.len());
            return invalid("livesync.nodes", problem);
        }
        let mut unicast = self.unicast.iter();
        if let Some((node, problem)) = unicast.find_map(|node| Some((node, self.problem_with(node)?))) {
            return invalid("livesync.unicast", format!("{node:?}: {problem}"));
        }
        check_lifetime(settings)
    }

    /// Why packets can't be sent to a node of this name, if they can't.
    fn problem_with(&self, node: &str) -> Option<String> {
        let port = node.rsplit_once(':').filter(|(host, _)| !host.is_empty());
        if port.and_then(|(_, port)| port.parse::<u16>().ok()).is_none_or(|port| port == 0) {
            return Some("host:port expected, such as \"192.0.2.1:9696\"".into());
        }
        let interface = self.interface;
        let address = node.parse::<SocketAddr>().ok()?;
        let other_family = address.is_ipv4() != interface.is_ipv4();
        other_family.then(|| format!("an address of the same family as interface = {interface} expected"))
    }
}

/// Records may be late, of a peer that is published at every announce as well as of one that is published every quarter
/// of its lifetime.
fn check_lifetime(settings: &Settings) -> Result<(), InvalidValue> {
    let late = u32::try_from(livesync_proto::MAX_DELAY.as_secs()).unwrap_or(u32::MAX);
    let least = settings.longest_interval().saturating_add(late + 1).max(4 * late);
    if settings.peer_lifetime >= least {
        return Ok(());
    }
    let problem = format!(
        "peers of other trackers arrive up to {late} s late and would expire before the next packet about them: at least \
         {least} expected with livesync"
    );
    Err(InvalidValue { field: "peer_lifetime", problem })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> LivesyncSettings {
        LivesyncSettings::new([192, 0, 2, 1].into(), vec![[192, 0, 2, 2].into()])
    }

    fn refused(change: impl FnOnce(&mut LivesyncSettings)) -> String {
        let mut livesync = valid();
        change(&mut livesync);
        livesync.check(&Settings::default()).unwrap_err().to_string()
    }

    #[test]
    fn accepts_the_default() {
        assert_eq!(valid().check(&Settings::default()), Ok(()));
    }

    #[test]
    fn rejects_invalid_values_with_the_field() {
        assert_eq!(refused(|it| it.port = 0), "livesync.port: 0 is out of range: 1 to 65535 expected");
        assert_eq!(refused(|it| it.ttl = 256), "livesync.ttl: 256 is out of range: 1 to 255 expected");
        let error = refused(|it| it.group = Some([192, 0, 2, 9].into()));
        assert!(error.starts_with("livesync.group: 192.0.2.9 is not a multicast group"), "{error}");
        let error = refused(|it| it.interface = Ipv4Addr::UNSPECIFIED.into());
        assert!(error.starts_with("livesync.interface: 0.0.0.0 is not the address of one"), "{error}");
        let error = refused(|it| it.interface = "2001:db8::1".parse().unwrap());
        assert!(error.starts_with("livesync.group: an IPv6 interface cannot join"), "{error}");
        let error = refused(|it| it.group = None);
        assert!(error.starts_with("livesync.unicast: without a group"), "{error}");
        let error = refused(|it| it.nodes.clear());
        assert!(error.starts_with("livesync.nodes: the addresses of the other nodes expected"), "{error}");
        let error = refused(|it| it.nodes = vec![[192, 0, 2, 2].into(); 65]);
        assert!(error.starts_with("livesync.nodes: 65 nodes are out of range"), "{error}");
        for node in ["there", ":1", "b:0", "b:65536"] {
            let error = refused(|it| it.unicast = vec!["a:1".into(), node.into()]);
            assert!(error.starts_with(&format!("livesync.unicast: {node:?}: host:port expected")), "{error}");
        }
        let error = refused(|it| it.unicast = vec!["[::1]:9".into()]);
        assert!(error.starts_with("livesync.unicast: \"[::1]:9\": an address of the same family"), "{error}");
    }

    #[test]
    fn rejects_a_lifetime_that_late_records_would_outlast() {
        let mut settings = Settings::default();
        (settings.announce_interval, settings.peer_lifetime) = (30, 59);
        assert_eq!(settings.check(), Ok(()));
        let error = valid().check(&settings).unwrap_err().to_string();
        assert!(
            error.starts_with("peer_lifetime: peers of other trackers arrive up to 15 s late"),
            "{error}"
        );
        assert!(error.ends_with("at least 60 expected with livesync"), "{error}");
    }
}
