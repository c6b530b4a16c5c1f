//! One access rule: its subject, its details, and how often it was applied.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

use super::Hits;

/// A rule about a torrent, a network, a kind of client or a passkey.
///
/// Snapshots of the access rules share their rules, so hits are kept when another rule changes. Any thread may read
/// them.
///
/// ```
/// use udp_tracker::{InfoHash, Rule, RuleDetails};
///
/// let mut details = RuleDetails::default();
/// details.reason = Some("removed at the author's request".into());
/// details.until = Some(1_830_000_000);
/// let rule = Rule::with_details(InfoHash([7; 20]), details);
/// assert!(rule.is_in_force(1_800_000_000) && !rule.is_in_force(1_830_000_000));
/// assert_eq!((rule.hits(), rule.last_hit()), (0, None));
/// ```
#[derive(Debug)]
pub struct Rule<T> {
    subject: T,
    // Most rules of a long list have none, and then take no memory for them.
    details: Option<Box<RuleDetails>>,
    hits: AtomicU64,
    /// Seconds since 1970.
    last_hit: AtomicU32,
}

/// What people want to know about a rule. Start from the default, which is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RuleDetails {
    /// A text for the users whose requests are refused. It is cut if it does not fit into the reply.
    pub reason: Option<Box<str>>,
    /// The time from which the rule does not apply any more, in seconds since 1970. `None`: it has no end.
    pub until: Option<u64>,
    /// Who asked for the rule, in any form.
    pub by: Option<Box<str>>,
}

impl<T> Rule<T> {
    /// A rule without details.
    pub fn new(subject: T) -> Self {
        Self { subject, details: None, hits: AtomicU64::new(0), last_hit: AtomicU32::new(0) }
    }

    /// A rule with a reason, an end, or both.
    pub fn with_details(subject: T, details: RuleDetails) -> Self {
        let details = (details != RuleDetails::default()).then(|| Box::new(details));
        Self { details, ..Self::new(subject) }
    }

    /// What the rule is about.
    pub fn subject(&self) -> &T {
        &self.subject
    }

    /// The text for the users whose requests are refused.
    pub fn reason(&self) -> Option<&str> {
        self.details.as_ref()?.reason.as_deref()
    }

    /// The time from which it does not apply any more, in seconds since 1970.
    pub fn until(&self) -> Option<u64> {
        self.details.as_ref()?.until
    }

    /// Who asked for it.
    pub fn by(&self) -> Option<&str> {
        self.details.as_ref()?.by.as_deref()
    }

    /// Whether it applies at `unix`, in seconds since 1970.
    pub fn is_in_force(&self, unix: u64) -> bool {
        self.until().is_none_or(|until| unix < until)
    }

    /// How often it was applied.
    pub fn hits(&self) -> u64 {
        self.hits.load(Relaxed)
    }

    /// When it was last applied, in seconds since 1970.
    pub fn last_hit(&self) -> Option<u64> {
        (self.hits() > 0).then(|| self.last_hit.load(Relaxed).into())
    }

    /// Counts an application.
    ///
    /// Workers may write this cache line at the same time. That is acceptable: ignoring or refusing a request takes
    /// less time than answering it, even so. An announce of a listed torrent locks the torrent's shard of the store
    /// next, whose cache line more announces write than this one. A passkey is used by one user, at a few addresses,
    /// whose datagrams come to few workers. A request to which no rule applies writes nothing.
    pub(crate) fn hit(&self, unix: u64) {
        self.hits.fetch_add(1, Relaxed);
        let seconds = u32::try_from(unix).unwrap_or(u32::MAX);
        if self.last_hit.load(Relaxed) != seconds {
            self.last_hit.store(seconds, Relaxed);
        }
    }

    /// How often it was applied; `None` for never.
    pub(super) fn counted(&self) -> Option<Hits> {
        (self.hits() > 0).then(|| Hits { hits: self.hits(), last: self.last_hit.load(Relaxed) })
    }

    /// Adds what was counted before.
    pub(crate) fn add(&self, before: Hits) {
        self.hits.fetch_add(before.hits, Relaxed);
        self.last_hit.fetch_max(before.last, Relaxed);
    }

    /// Takes over the hits of the rule that this one replaces. Hits that a thread counts at the same time may be lost.
    pub(super) fn inherit(&self, replaced: &Self) {
        self.hits.store(replaced.hits(), Relaxed);
        self.last_hit.store(replaced.last_hit.load(Relaxed), Relaxed);
    }

    /// Whether both have the same reason, end and author.
    pub(super) fn has_details_of(&self, other: &Self) -> bool {
        self.details == other.details
    }

    /// The same rule about another form of its subject.
    pub(super) fn map(self, change: impl FnOnce(T) -> T) -> Self {
        Self { subject: change(self.subject), ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use udp_tracker_proto::InfoHash;

    #[test]
    fn counts_hits_and_the_time_of_the_last() {
        let rule = Rule::new(());
        rule.hit(5);
        rule.hit(7);
        assert_eq!((rule.hits(), rule.last_hit()), (2, Some(7)));
        let next = Rule::new(());
        next.inherit(&rule);
        assert_eq!((next.hits(), next.last_hit()), (2, Some(7)));
    }

    #[test]
    fn applies_until_its_end_and_not_at_it() {
        let details = RuleDetails { until: Some(100), ..RuleDetails::default() };
        let rule = Rule::with_details((), details);
        assert!(rule.is_in_force(99) && !rule.is_in_force(100));
        assert!(Rule::new(()).is_in_force(u64::MAX));
    }

    /// With its reference counts, a rule then fills a block of 64 bytes of the usual allocators.
    #[test]
    fn a_torrent_without_details_takes_40_bytes() {
        assert_eq!(size_of::<Rule<InfoHash>>(), 40);
    }
}
