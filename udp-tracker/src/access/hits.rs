//! How often rules were applied, in a form that can be kept over a restart.

use std::fmt::Display;

use super::{AccessRules, Rule};

/// How often a rule was applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hits {
    pub(crate) hits: u64,
    /// When the last time was, in seconds since 1970.
    pub(crate) last: u32,
}

const TORRENT: &str = "torrent";
const NETWORK: &str = "network";
const CLIENT: &str = "client";
const KEY: &str = "key";

impl AccessRules {
    /// Calls `visit` with the kind, the subject and the hits of each rule that has hits. Kinds and subjects have no white
    /// space.
    pub(crate) fn for_each_hit(&self, mut visit: impl FnMut(&'static str, &dyn Display, Hits)) {
        fn all<'a, T: Display + 'a>(
            kind: &'static str,
            rules: impl Iterator<Item = &'a Rule<T>>,
            visit: &mut impl FnMut(&'static str, &dyn Display, Hits),
        ) {
            let with_hits = rules.filter_map(|rule| Some((rule.subject(), rule.counted()?)));
            with_hits.for_each(|(subject, hits)| visit(kind, subject, hits));
        }
        all(TORRENT, self.torrents.iter(), &mut visit);
        all(NETWORK, self.networks.iter(), &mut visit);
        all(CLIENT, self.clients.iter(), &mut visit);
        if let Some(keys) = &self.keys {
            all(KEY, keys.iter(), &mut visit);
        }
    }

    /// Adds hits to a rule. Returns whether there is one with this kind and subject.
    pub(crate) fn add_hits(&self, kind: &str, subject: &str, hits: Hits) -> bool {
        fn add<T>(rule: Option<&Rule<T>>, hits: Hits) -> bool {
            rule.inspect(|rule| rule.add(hits)).is_some()
        }
        match kind {
            TORRENT => {
                let torrent = subject.parse::<udp_tracker_proto::InfoHash>().ok();
                add(torrent.and_then(|torrent| self.torrents.get(&torrent.0)), hits)
            }
            NETWORK => add(subject.parse().ok().and_then(|network| self.networks.get(network)), hits),
            CLIENT => add(subject.parse().ok().and_then(|prefix| self.clients.get(&prefix)), hits),
            KEY => add(self.keys.as_ref().and_then(|keys| keys.get(subject.as_bytes())), hits),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udp_tracker_proto::InfoHash;

    #[test]
    fn hits_of_every_kind_can_be_added_to_the_same_rules() {
        let rules = || {
            let mut rules = AccessRules::unlisted([InfoHash([0xab; 20]), InfoHash([2; 20])]);
            rules
                .networks
                .extend(["192.0.2.0/24", "2001:db8::/32"].map(|text| Rule::new(text.parse().unwrap())));
            rules.clients.extend([Rule::new("-X%23%20".parse().unwrap())]);
            rules.keys = Some([Rule::new("a.key~".parse().unwrap())].into_iter().collect());
            rules
        };
        let old = rules();
        old.torrents.get(&[0xab; 20]).unwrap().hit(5);
        old.networks.iter().for_each(|rule| rule.hit(7));
        old.clients.iter().for_each(|rule| rule.hit(8));
        old.keys.iter().flat_map(crate::access::RuleMap::iter).for_each(|rule| rule.hit(9));
        let mut hits = Vec::new();
        old.for_each_hit(|kind, subject, hit| hits.push((kind, subject.to_string(), hit)));
        assert_eq!(hits.len(), 5, "{hits:?}");
        assert!(hits.iter().all(|(_, subject, _)| !subject.contains(char::is_whitespace)), "{hits:?}");

        let new = rules();
        new.networks.iter().for_each(|rule| rule.hit(100));
        for (kind, subject, hit) in &hits {
            assert!(new.add_hits(kind, subject, *hit), "{kind} {subject}");
            assert!(!AccessRules::all().add_hits(kind, subject, *hit));
        }
        let torrent = new.torrents.get(&[0xab; 20]).unwrap();
        assert_eq!((torrent.hits(), torrent.last_hit()), (1, Some(5)));
        assert!(new.networks.iter().all(|rule| (rule.hits(), rule.last_hit()) == (2, Some(100))));
        let one = Hits { hits: 1, last: 1 };
        for (kind, subject) in [("torrent", "x"), ("network", "1.2.3.4/33"), ("client", ""), ("peer", "x")] {
            assert!(!new.add_hits(kind, subject, one));
        }
    }
}
