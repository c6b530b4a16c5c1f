//! Networks whose datagrams are ignored.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::{IpNet, Ipv4Net};

use super::Rule;
use super::prefixes::Prefixes;

/// Rules about networks of both address families, up to hundreds of thousands of them. For an address, the rule with
/// the longest prefix applies; if that one has ended, the next longest. A clone shares the rules with the original.
///
/// ```
/// use udp_tracker::{NetworkRules, Rule};
///
/// let rules: NetworkRules = [Rule::new("192.0.2.0/24".parse()?)].into_iter().collect();
/// assert!(rules.find("192.0.2.7".parse()?, 1_800_000_000).is_some());
/// assert!(rules.find("198.51.100.7".parse()?, 1_800_000_000).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct NetworkRules(Arc<Families>);

#[derive(Debug, Default)]
struct Families {
    v4: Prefixes<u32, IpNet>,
    v6: Prefixes<u128, IpNet>,
}

impl NetworkRules {
    /// The form in which a network is stored: without host bits, and IPv4 networks mapped to IPv6 as IPv4 networks.
    #[must_use]
    pub fn canonical(network: IpNet) -> IpNet {
        const MAPPED_LEN: u8 = 96;
        if let IpNet::V6(v6) = network
            && let Some(len) = v6.prefix_len().checked_sub(MAPPED_LEN)
            && let Some(address) = v6.addr().to_ipv4_mapped()
            && let Ok(v4) = Ipv4Net::new(address, len)
        {
            return IpNet::V4(v4.trunc());
        }
        network.trunc()
    }

    /// The rule that applies to an address at `unix`, in seconds since 1970.
    #[must_use]
    pub fn find(&self, address: IpAddr, unix: u64) -> Option<&Rule<IpNet>> {
        match address.to_canonical() {
            IpAddr::V4(address) => self.0.v4.longest(address.to_bits(), unix),
            IpAddr::V6(address) => self.0.v6.longest(address.to_bits(), unix),
        }
    }

    /// The rule about exactly this network, whether it has ended or not.
    #[must_use]
    pub fn get(&self, network: IpNet) -> Option<&Rule<IpNet>> {
        let rule = match Self::canonical(network) {
            v4 @ IpNet::V4(_) => self.0.v4.get(range_v4(&v4)),
            v6 @ IpNet::V6(_) => self.0.v6.get(range_v6(&v6)),
        };
        rule.map(|rule| &**rule)
    }

    /// Removes the rule about exactly this network. `false` if there was none.
    pub fn remove(&mut self, network: IpNet) -> bool {
        let network = Self::canonical(network);
        let before = self.len();
        self.rebuild(|rules| rules.retain(|rule| *rule.subject() != network));
        self.len() < before
    }

    /// All rules, also those that have ended: IPv4 first, in the order of their addresses.
    pub fn iter(&self) -> impl Iterator<Item = &Rule<IpNet>> {
        self.shared().map(|rule| &**rule)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.v4.len() + self.0.v6.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shared(&self) -> impl Iterator<Item = &Arc<Rule<IpNet>>> {
        self.0.v4.iter().chain(self.0.v6.iter())
    }

    fn rebuild(&mut self, change: impl FnOnce(&mut Vec<Arc<Rule<IpNet>>>)) {
        let mut rules = self.shared().cloned().collect();
        change(&mut rules);
        let (v4, v6): (Vec<_>, Vec<_>) =
            rules.into_iter().partition(|rule| matches!(rule.subject(), IpNet::V4(_)));
        self.0 = Arc::new(Families { v4: Prefixes::new(v4, range_v4), v6: Prefixes::new(v6, range_v6) });
    }

    /// Shares the rules that `old` has too, and takes over the hits of those that have changed.
    pub(super) fn keep_hits_of(&mut self, old: &Self) {
        self.rebuild(|rules| {
            for rule in rules {
                let other = match rule.subject() {
                    v4 @ IpNet::V4(_) => old.0.v4.get(range_v4(v4)),
                    v6 @ IpNet::V6(_) => old.0.v6.get(range_v6(v6)),
                };
                super::keep_hits(rule, other);
            }
        });
    }
}

/// The first and the last address; only for IPv4 networks.
fn range_v4(network: &IpNet) -> (u32, u32) {
    match network {
        IpNet::V4(network) => (network.network().to_bits(), network.broadcast().to_bits()),
        IpNet::V6(_) => (0, 0),
    }
}

/// The same for IPv6 networks.
fn range_v6(network: &IpNet) -> (u128, u128) {
    match network {
        IpNet::V4(_) => (0, 0),
        IpNet::V6(network) => (network.network().to_bits(), network.broadcast().to_bits()),
    }
}

impl Extend<Rule<IpNet>> for NetworkRules {
    /// Adds rules, all at once. Those about the same networks are replaced, and their hits are kept.
    fn extend<I: IntoIterator<Item = Rule<IpNet>>>(&mut self, rules: I) {
        let new = rules.into_iter().map(|rule| Arc::new(rule.map(Self::canonical)));
        self.rebuild(|all| all.extend(new));
    }
}

impl FromIterator<Rule<IpNet>> for NetworkRules {
    fn from_iter<I: IntoIterator<Item = Rule<IpNet>>>(rules: I) -> Self {
        let mut all = Self::default();
        all.extend(rules);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::super::RuleDetails;
    use super::*;
    use proptest::prelude::*;

    const NOW: u64 = 1_000;

    fn rule(network: IpNet, ended: bool) -> Rule<IpNet> {
        let details = RuleDetails { until: ended.then_some(NOW), ..RuleDetails::default() };
        Rule::with_details(network, details)
    }

    /// Few addresses, so that networks and addresses often meet.
    fn any_address() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            (0..4u8, 0..4u8).prop_map(|(high, low)| IpAddr::from([10, high << 6, 0, low])),
            (0..4u8, 0..4u8).prop_map(|(high, low)| {
                let mut bytes = [0; 16];
                (bytes[0], bytes[7], bytes[15]) = (0x20, high << 6, low);
                IpAddr::from(bytes)
            }),
        ]
    }

    fn any_network() -> impl Strategy<Value = IpNet> {
        (any_address(), 0..=128u8).prop_map(|(address, len)| {
            let most = if address.is_ipv4() { 32 } else { 128 };
            IpNet::new(address, len.min(most)).unwrap().trunc()
        })
    }

    proptest! {
        #[test]
        fn finds_the_longest_prefix_that_a_scan_finds(
            rules in prop::collection::vec((any_network(), any::<bool>()), 0..40),
            removed in prop::collection::vec(any_network(), 0..10),
            addresses in prop::collection::vec(any_address(), 1..30),
        ) {
            let mut networks = NetworkRules::default();
            let mut model: Vec<(IpNet, bool)> = Vec::new();
            for (network, ended) in &rules {
                networks.extend([rule(*network, *ended)]);
                model.retain(|(other, _)| other != network);
                model.push((*network, *ended));
            }
            let at_once: NetworkRules = rules.iter().map(|(network, ended)| rule(*network, *ended)).collect();
            for network in removed.iter().chain(rules.first().map(|(network, _)| network)) {
                prop_assert!(at_once.get(*network).is_some() == rules.iter().any(|(other, _)| other == network));
                prop_assert_eq!(networks.remove(*network), model.iter().any(|(other, _)| other == network));
                model.retain(|(other, _)| other != network);
            }
            prop_assert_eq!(networks.len(), model.len());
            for address in addresses {
                let longest = |rules: &[(IpNet, bool)]| {
                    let matching = rules.iter().filter(|(network, ended)| !ended && network.contains(&address));
                    matching.map(|(network, _)| *network).max_by_key(IpNet::prefix_len)
                };
                prop_assert_eq!(networks.find(address, NOW).map(|rule| *rule.subject()), longest(&model));
                // Of rules about the same network, the last one counts.
                let last: Vec<_> = (0..rules.len())
                    .filter(|at| rules[at + 1..].iter().all(|(later, _)| *later != rules[*at].0))
                    .map(|at| rules[at])
                    .collect();
                prop_assert_eq!(at_once.find(address, NOW).map(|rule| *rule.subject()), longest(&last));
            }
        }
    }

    #[test]
    fn mapped_addresses_and_networks_are_ipv4() {
        let networks: NetworkRules = ["::ffff:192.0.2.9/120", "2001:db8::1/32"]
            .iter()
            .map(|net| rule(net.parse().unwrap(), false))
            .collect();
        let subjects: Vec<String> = networks.iter().map(|rule| rule.subject().to_string()).collect();
        assert_eq!(subjects, ["192.0.2.0/24", "2001:db8::/32"]);
        for denied in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1::"] {
            assert!(networks.find(denied.parse().unwrap(), NOW).is_some(), "{denied}");
        }
        assert!(networks.find("::1".parse().unwrap(), NOW).is_none());
        assert_eq!(NetworkRules::canonical("::ffff:0:0/95".parse().unwrap()).to_string(), "::fffe:0:0/95");
    }

    #[test]
    fn changes_and_reloads_keep_hits() {
        let network: IpNet = "192.0.2.0/24".parse().unwrap();
        let mut networks = NetworkRules::from_iter([rule(network, false)]);
        let old = networks.clone();
        old.get(network).unwrap().hit(NOW);
        networks.extend([rule("192.0.2.128/25".parse().unwrap(), false), rule(network, true)]);
        assert_eq!(networks.get(network).unwrap().hits(), 1);
        let mut read_again = NetworkRules::from_iter([rule(network, false)]);
        read_again.keep_hits_of(&old);
        old.get(network).unwrap().hit(NOW);
        assert_eq!(read_again.get(network).unwrap().hits(), 2);
    }
}
