//! Rules about prefixes: the longest one that applies wins.

use std::sync::Arc;

use super::Rule;

/// Rules about ranges of values, of which any two are nested or apart, as prefixes are. `A` is a value: an address, or
/// a peer_id.
///
/// # Complexity
/// A look-up is a binary search, and then a step for each prefix that contains the nearest one. A change rebuilds the
/// whole.
#[derive(Debug)]
pub(super) struct Prefixes<A, T> {
    /// The first value of each range, ascending; of ranges that begin together the widest first. Kept apart from the
    /// rest, so that the search touches little memory.
    starts: Vec<A>,
    prefixes: Vec<Prefix<A, T>>,
}

#[derive(Debug)]
struct Prefix<A, T> {
    /// The last value of the range.
    end: A,
    /// The narrowest range around this one, which is an earlier one.
    around: Option<u32>,
    rule: Arc<Rule<T>>,
}

impl<A, T> Default for Prefixes<A, T> {
    fn default() -> Self {
        Self { starts: Vec::new(), prefixes: Vec::new() }
    }
}

impl<A: Copy + Ord, T> Prefixes<A, T> {
    /// `range` returns the first and the last value that a rule is about. Of rules about the same range the last one
    /// counts, with the hits of the others.
    pub(super) fn new(rules: impl IntoIterator<Item = Arc<Rule<T>>>, range: impl Fn(&T) -> (A, A)) -> Self {
        let mut rules: Vec<_> = rules.into_iter().map(|rule| (range(rule.subject()), rule)).collect();
        rules.sort_by(|((start, end), _), ((other_start, other_end), _)| {
            start.cmp(other_start).then(other_end.cmp(end))
        });
        rules.dedup_by(|(range, later), (kept_range, kept)| {
            let same = range == kept_range;
            if same {
                later.inherit(kept);
                std::mem::swap(later, kept);
            }
            same
        });
        let (mut starts, mut prefixes) = (Vec::new(), Vec::<Prefix<A, T>>::new());
        // The ranges around the current place, the widest first.
        let mut open: Vec<u32> = Vec::new();
        for (at, ((start, end), rule)) in (0..).zip(rules) {
            while open.last().is_some_and(|around| prefixes[*around as usize].end < start) {
                open.pop();
            }
            prefixes.push(Prefix { end, around: open.last().copied(), rule });
            starts.push(start);
            open.push(at);
        }
        Self { starts, prefixes }
    }

    /// The rule with the longest prefix of `value`, of those that apply at `unix`.
    pub(super) fn longest(&self, value: A, unix: u64) -> Option<&Rule<T>> {
        let mut at = self.starts.partition_point(|start| *start <= value).checked_sub(1);
        // Every range that contains the value is this one or around it: it begins no later, and ranges are nested.
        loop {
            let prefix = &self.prefixes[at?];
            if value <= prefix.end && prefix.rule.is_in_force(unix) {
                return Some(&prefix.rule);
            }
            at = prefix.around.map(|around| around as usize);
        }
    }

    /// All rules, in the order of their values.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Rule<T>>> {
        self.prefixes.iter().map(|prefix| &prefix.rule)
    }

    /// The rule about exactly this range.
    pub(super) fn get(&self, (start, end): (A, A)) -> Option<&Arc<Rule<T>>> {
        let first = self.starts.partition_point(|other| *other < start);
        let same_start = self.starts[first..].iter().take_while(|other| **other == start).count();
        let candidates = &self.prefixes[first..first + same_start];
        candidates.iter().find(|prefix| prefix.end == end).map(|prefix| &prefix.rule)
    }

    pub(super) fn len(&self) -> usize {
        self.prefixes.len()
    }
}
