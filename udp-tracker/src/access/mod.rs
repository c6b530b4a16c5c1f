//! Who is served: rules about torrents, networks, clients and passkeys.

mod clients;
mod denied;
mod hits;
mod networks;
mod passkey;
mod prefixes;
mod rule;
mod rule_map;
mod shared;

use std::net::IpAddr;
use std::sync::Arc;

use udp_tracker_proto::{AnnounceRequest, InfoHash};

pub use clients::{ClientPrefix, ClientRules, ParseClientPrefixError};
pub use networks::NetworkRules;
pub use passkey::{ParsePasskeyError, Passkey};
pub use rule::{Rule, RuleDetails};
pub use rule_map::RuleMap;

pub(crate) use denied::Denied;
pub(crate) use hits::Hits;
pub(crate) use shared::{AccessView, SharedAccess};

/// Which requests are served.
///
/// A snapshot: [`Service::set_access`](crate::Service::set_access) puts it in force as a whole. To change one rule,
/// clone the rules in force, change the clone, and put that in force. A clone takes microseconds, and a change copies a
/// small part, even of millions of rules. Rules are shared between snapshots, with their hits.
///
/// ```
/// use udp_tracker::{AccessRules, InfoHash, Rule, Service, Settings};
///
/// let service = Service::new(Settings::default())?.with_access(AccessRules::unlisted([InfoHash([7; 20])]));
/// let mut rules = AccessRules::clone(&service.access());
/// rules.torrents.insert(Rule::new(InfoHash([8; 20])));
/// rules.networks.extend([Rule::new("192.0.2.0/24".parse()?)]);
/// service.set_access(rules);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct AccessRules {
    /// What the rules about torrents mean.
    pub mode: Access,
    /// The torrents that are served, or not served.
    pub torrents: RuleMap<InfoHash>,
    /// Networks whose datagrams are ignored, before they are parsed.
    pub networks: NetworkRules,
    /// Clients whose announces are refused.
    pub clients: ClientRules,
    /// The passkeys, one of which an announce must have in its URL data (BEP 41): `/announce/KEY` or `?passkey=KEY`.
    /// `None`: none is needed.
    ///
    /// With passkeys, scrapes are refused: they have no URL data, and the answers to announces contain the counts.
    pub keys: Option<RuleMap<Passkey>>,
}

/// What the rules about torrents mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// All torrents are served; the rules are ignored.
    #[default]
    All,
    /// Only torrents with a rule are served.
    Listed,
    /// Only torrents without a rule are served.
    Unlisted,
}

impl AccessRules {
    /// Everything is served.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these torrents.
    pub fn listed(torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        Self::of_torrents(Access::Listed, torrents)
    }

    /// All torrents but these.
    pub fn unlisted(torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        Self::of_torrents(Access::Unlisted, torrents)
    }

    fn of_torrents(mode: Access, torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        Self { mode, torrents: torrents.into_iter().map(Rule::new).collect(), ..Self::default() }
    }

    /// Whether the torrent is served at `unix`, in seconds since 1970. Counts no hit.
    #[must_use]
    pub fn serves(&self, torrent: &InfoHash, unix: u64) -> bool {
        let has_rule = || self.torrent_rule(torrent, unix).is_some();
        match self.mode {
            Access::All => true,
            Access::Listed => has_rule(),
            Access::Unlisted => !has_rule(),
        }
    }

    /// The same rules, with the hits that `old` has counted: for rules that were read anew from a file. Rules that have
    /// not changed are shared with `old`, and so count on; for rules that have changed, hits that a thread counts at
    /// the same time may be lost.
    #[must_use]
    pub fn keeping_hits_of(mut self, old: &Self) -> Self {
        self.torrents.keep_hits_of(&old.torrents);
        self.networks.keep_hits_of(&old.networks);
        self.clients.keep_hits_of(&old.clients);
        if let (Some(keys), Some(old)) = (&mut self.keys, &old.keys) {
            keys.keep_hits_of(old);
        }
        self
    }

    /// Whether datagrams from this address are to be ignored. Counts the hit.
    pub(crate) fn ignores(&self, source: IpAddr, unix: u64) -> bool {
        let rule = self.networks.find(source, unix);
        rule.inspect(|rule| rule.hit(unix)).is_some()
    }

    /// Whether an announce is let in. Counts the hits.
    pub(crate) fn check(&self, request: &AnnounceRequest<'_>, unix: u64) -> Result<(), Denied<'_>> {
        self.check_torrent(&request.info_hash, unix)?;
        if let Some(rule) = self.clients.find(&request.peer_id, unix) {
            rule.hit(unix);
            return Err(Denied::Client { reason: rule.reason() });
        }
        let Some(keys) = &self.keys else { return Ok(()) };
        passkey::with_passkey(request.options, |key| {
            let rule = keys.get(key.ok_or(Denied::NoPasskey)?).filter(|rule| rule.is_in_force(unix));
            rule.ok_or(Denied::BadPasskey).map(|rule| rule.hit(unix))
        })
    }

    fn check_torrent(&self, torrent: &InfoHash, unix: u64) -> Result<(), Denied<'_>> {
        if self.mode == Access::All {
            return Ok(());
        }
        let rule = self.torrent_rule(torrent, unix).inspect(|rule| rule.hit(unix));
        match (self.mode, rule) {
            (Access::Listed, None) => Err(Denied::Torrent { reason: None }),
            (Access::Unlisted, Some(rule)) => Err(Denied::Torrent { reason: rule.reason() }),
            _ => Ok(()),
        }
    }

    fn torrent_rule(&self, torrent: &InfoHash, unix: u64) -> Option<&Rule<InfoHash>> {
        self.torrents.get(&torrent.0).filter(|rule| rule.is_in_force(unix))
    }
}

/// Replaces a rule by the one that it had before, with its hits, if that one has the same details. Otherwise takes over
/// the hits.
fn keep_hits<T>(rule: &mut Arc<Rule<T>>, old: Option<&Arc<Rule<T>>>) {
    match old {
        Some(same) if same.has_details_of(rule) => *rule = Arc::clone(same),
        Some(changed) => rule.inherit(changed),
        None => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENDED: u64 = 100;

    fn ended<T>(subject: T) -> Rule<T> {
        Rule::with_details(subject, RuleDetails { until: Some(ENDED), ..RuleDetails::default() })
    }

    #[test]
    fn serves_listed_or_unlisted_torrents() {
        let (torrent, other) = (InfoHash([1; 20]), InfoHash([2; 20]));
        let served = |rules: AccessRules| (rules.serves(&torrent, 0), rules.serves(&other, 0));
        assert_eq!(served(AccessRules::listed([torrent])), (true, false));
        assert_eq!(served(AccessRules::unlisted([torrent])), (false, true));
        assert_eq!(served(AccessRules::all()), (true, true));
        let ignored = AccessRules { mode: Access::All, ..AccessRules::unlisted([torrent]) };
        assert_eq!(served(ignored), (true, true));
    }

    #[test]
    fn a_rule_that_has_ended_does_not_apply() {
        let torrent = InfoHash([1; 20]);
        for (mut rules, before) in [(AccessRules::listed([]), true), (AccessRules::unlisted([]), false)] {
            rules.torrents.insert(ended(torrent));
            assert_eq!(rules.serves(&torrent, ENDED - 1), before);
            assert_eq!(rules.serves(&torrent, ENDED), !before);
        }
        let mut rules = AccessRules::all();
        rules.networks.extend([ended("192.0.2.0/24".parse().unwrap())]);
        let source = "192.0.2.1".parse().unwrap();
        assert!(rules.ignores(source, ENDED - 1) && !rules.ignores(source, ENDED));
        assert_eq!(rules.networks.iter().map(Rule::hits).sum::<u64>(), 1);
    }

    #[test]
    fn rules_read_again_keep_the_hits_of_every_kind() {
        let rules = || {
            let mut rules = AccessRules::unlisted([InfoHash([1; 20])]);
            rules.networks.extend([Rule::new("192.0.2.0/24".parse().unwrap())]);
            rules.clients.extend([Rule::new("-XX".parse().unwrap())]);
            rules.keys = Some([Rule::new("key".parse().unwrap())].into_iter().collect());
            rules
        };
        let old = rules();
        let hits = |rules: &AccessRules| {
            let torrents = rules.torrents.iter().map(Rule::hits);
            let keys = rules.keys.iter().flat_map(RuleMap::iter).map(Rule::hits);
            let prefixes = rules.networks.iter().map(Rule::hits).chain(rules.clients.iter().map(Rule::hits));
            torrents.chain(prefixes).chain(keys).collect::<Vec<_>>()
        };
        old.torrents.iter().for_each(|rule| rule.hit(1));
        old.networks.iter().for_each(|rule| rule.hit(1));
        old.clients.iter().for_each(|rule| rule.hit(1));
        old.keys.iter().flat_map(RuleMap::iter).for_each(|rule| rule.hit(1));
        assert_eq!(hits(&rules()), [0; 4]);
        assert_eq!(hits(&rules().keeping_hits_of(&old)), [1; 4]);
    }
}
