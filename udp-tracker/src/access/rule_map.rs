//! Rules that are found by a whole value: by an info_hash, or by a passkey.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Rule;

/// Parts of a map. A change copies one of them: in a list of a million rules, the pointers to four thousand.
const SHARDS: usize = 256;

/// Rules about single values, such as torrents or passkeys, up to millions of them.
///
/// A clone shares all rules with the original. Clients can't predict the hash function, so nobody can choose values
/// that are slow to look up.
#[derive(Clone)]
pub struct RuleMap<T> {
    shards: Box<[Shard<T>; SHARDS]>,
    hasher: RandomState,
    len: usize,
}

type Shard<T> = Arc<HashTable<Arc<Rule<T>>>>;

impl<T> Default for RuleMap<T> {
    /// No rules.
    fn default() -> Self {
        let empty = Arc::new(HashTable::new());
        let shards = Box::new(std::array::from_fn(|_| Arc::clone(&empty)));
        Self { shards, hasher: RandomState::new(), len: 0 }
    }
}

impl<T: AsRef<[u8]>> RuleMap<T> {
    /// The rule about the value with these bytes, whether it has ended or not.
    #[must_use]
    pub fn get(&self, value: &[u8]) -> Option<&Rule<T>> {
        self.find(value).map(|rule| &**rule)
    }

    fn find(&self, value: &[u8]) -> Option<&Arc<Rule<T>>> {
        let hash = self.hasher.hash_one(value);
        self.shards[shard_of(hash)].find(hash, |rule| rule.subject().as_ref() == value)
    }

    /// Adds a rule. One about the same value is replaced, and its hits are kept.
    pub fn insert(&mut self, rule: Rule<T>) {
        self.insert_shared(Arc::new(rule));
    }

    fn insert_shared(&mut self, rule: Arc<Rule<T>>) {
        let hash = self.hasher.hash_one(rule.subject().as_ref());
        let same = |other: &Arc<Rule<T>>| other.subject().as_ref() == rule.subject().as_ref();
        let rehash = |other: &Arc<Rule<T>>| self.hasher.hash_one(other.subject().as_ref());
        let shard = Arc::make_mut(&mut self.shards[shard_of(hash)]);
        match shard.entry(hash, same, rehash) {
            Entry::Occupied(mut replaced) => {
                rule.inherit(replaced.get());
                *replaced.get_mut() = rule;
            }
            Entry::Vacant(place) => {
                place.insert(rule);
                self.len += 1;
            }
        }
    }

    /// Removes the rule about the value with these bytes. `false` if there was none.
    pub fn remove(&mut self, value: &[u8]) -> bool {
        // Without a rule, nothing is copied.
        if self.find(value).is_none() {
            return false;
        }
        let hash = self.hasher.hash_one(value);
        let shard = Arc::make_mut(&mut self.shards[shard_of(hash)]);
        let found = shard.find_entry(hash, |rule| rule.subject().as_ref() == value);
        let removed = found.map(hashbrown::hash_table::OccupiedEntry::remove).is_ok();
        self.len -= usize::from(removed);
        removed
    }

    /// All rules, also those that have ended, in no particular order; always in the same one for the same snapshot.
    pub fn iter(&self) -> impl Iterator<Item = &Rule<T>> {
        self.shards.iter().flat_map(|shard| shard.iter()).map(|rule| &**rule)
    }

    /// The same without the first `skipped` rules, which are not looked at one by one.
    pub fn iter_after(&self, skipped: usize) -> impl Iterator<Item = &Rule<T>> {
        let mut left = skipped;
        let is_skipped = |shard: &&Shard<T>| {
            let rest = left.checked_sub(shard.len());
            left = rest.unwrap_or(left);
            rest.is_some()
        };
        let at = self.shards.iter().take_while(is_skipped).count();
        self.shards[at..].iter().flat_map(|shard| shard.iter()).skip(left).map(|rule| &**rule)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Shares the rules that `old` has too, and takes over the hits of those that have changed.
    pub(super) fn keep_hits_of(&mut self, old: &Self) {
        if old.is_empty() {
            return;
        }
        for shard in self.shards.iter_mut().filter(|shard| !shard.is_empty()) {
            for rule in Arc::make_mut(shard).iter_mut() {
                super::keep_hits(rule, old.find(rule.subject().as_ref()));
            }
        }
    }
}

/// Bits of the hash that the tables use for nothing else: they take their places from the lowest, and tags from the
/// highest.
fn shard_of(hash: u64) -> usize {
    usize::from(hash.to_be_bytes()[3])
}

impl<T: AsRef<[u8]>> Extend<Rule<T>> for RuleMap<T> {
    fn extend<I: IntoIterator<Item = Rule<T>>>(&mut self, rules: I) {
        rules.into_iter().for_each(|rule| self.insert(rule));
    }
}

impl<T: AsRef<[u8]>> FromIterator<Rule<T>> for RuleMap<T> {
    fn from_iter<I: IntoIterator<Item = Rule<T>>>(rules: I) -> Self {
        let mut map = Self::default();
        map.extend(rules);
        map
    }
}

impl<T> fmt::Debug for RuleMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RuleMap({} rules)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RuleDetails;
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use udp_tracker_proto::InfoHash;

    fn torrent(number: u16) -> InfoHash {
        let mut hash = InfoHash([0; 20]);
        hash.0[..2].copy_from_slice(&number.to_be_bytes());
        hash
    }

    proptest! {
        #[test]
        fn is_a_set_of_subjects(changes in prop::collection::vec((any::<bool>(), 0..40u16), 0..200)) {
            let (mut map, mut model) = (RuleMap::default(), BTreeSet::new());
            let before = map.clone();
            for (add, number) in changes {
                if add {
                    map.insert(Rule::new(torrent(number)));
                    model.insert(torrent(number));
                } else {
                    prop_assert_eq!(map.remove(&torrent(number).0), model.remove(&torrent(number)));
                }
                prop_assert_eq!(map.len(), model.len());
            }
            prop_assert_eq!(map.iter().map(|rule| *rule.subject()).collect::<BTreeSet<_>>(), model.clone());
            for number in 0..40 {
                let found = map.get(&torrent(number).0).map(|rule| *rule.subject());
                prop_assert_eq!(found, model.get(&torrent(number)).copied());
            }
            for skipped in 0..=map.len() + 1 {
                let rest = map.iter().skip(skipped).map(Rule::subject);
                prop_assert!(map.iter_after(skipped).map(Rule::subject).eq(rest));
            }
            prop_assert!(before.is_empty() && before.iter().count() == 0, "a clone does not change");
        }
    }

    #[test]
    fn a_change_copies_one_shard_and_keeps_all_hits() {
        let mut map: RuleMap<InfoHash> = (0..10_000).map(|number| Rule::new(torrent(number))).collect();
        let old = map.clone();
        old.get(&torrent(7).0).unwrap().hit(100);
        map.insert(Rule::new(torrent(60_000)));
        let shared = map.shards.iter().zip(&*old.shards).filter(|(new, old)| Arc::ptr_eq(new, old)).count();
        assert_eq!(shared, SHARDS - 1);
        old.get(&torrent(7).0).unwrap().hit(100);
        assert_eq!(map.get(&torrent(7).0).unwrap().hits(), 2);

        let details = RuleDetails { by: Some("me".into()), ..RuleDetails::default() };
        map.insert(Rule::with_details(torrent(7), details));
        assert_eq!(map.get(&torrent(7).0).unwrap().hits(), 2, "replaced");
        assert_eq!(map.len(), 10_001);
    }

    #[test]
    fn a_map_that_is_read_again_keeps_hits() {
        let old: RuleMap<InfoHash> = (0..3).map(|number| Rule::new(torrent(number))).collect();
        old.iter().for_each(|rule| rule.hit(5));
        let details = RuleDetails { until: Some(9), ..RuleDetails::default() };
        let mut new = RuleMap::from_iter([Rule::new(torrent(1)), Rule::new(torrent(8))]);
        new.insert(Rule::with_details(torrent(2), details));
        new.keep_hits_of(&old);
        let hits = |number| new.get(&torrent(number).0).unwrap().hits();
        assert_eq!((hits(1), hits(2), hits(8)), (1, 1, 0));
        old.get(&torrent(1).0).unwrap().hit(6);
        assert_eq!(new.get(&torrent(1).0).unwrap().hits(), 2, "an unchanged rule is the same one");
        assert_eq!(new.get(&torrent(2).0).unwrap().until(), Some(9));
    }
}
