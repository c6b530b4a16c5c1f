//! When to announce, to which tracker, with which event (BEP 3, "trackers"; BEP 12, "multitracker metadata extension").

use std::collections::BTreeSet;
use std::time::Duration;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use udp_tracker_proto::Event;

/// The interval used when a tracker sends 0.
const USUAL_INTERVAL: Duration = Duration::from_secs(1800);
/// The shortest interval used. With an interval of a second, we would flood the tracker.
const LEAST_INTERVAL: Duration = Duration::from_secs(60);
/// The longest interval used. A tracker can send an interval of 136 years, but trackers remove peers after an hour or
/// two.
const LONGEST_INTERVAL: Duration = Duration::from_secs(2 * 3600);
/// With too few peers, a tracker is asked for more ahead of its interval, but not more often than this.
const HASTE: Duration = Duration::from_secs(60);
/// The wait after all trackers have failed; doubled each time, as in BEP 15.
const FIRST_WAIT: Duration = Duration::from_secs(15);
/// The longest such wait.
const LONGEST_WAIT: Duration = Duration::from_secs(240);

/// An announce to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// The tracker's index, counted over all tiers.
    pub(crate) tracker: usize,
    /// The event to announce.
    pub(crate) event: Event,
}

/// Schedules the announces of one torrent.
///
/// Each tier is shuffled at the start. Trackers are tried in order until one answers; that one moves to the front of
/// its tier (BEP 12). The first announce to a tracker has the event `started`. `completed` is announced once, to the
/// tracker in use at that time. `stopped` is announced to all trackers that answered.
#[derive(Debug)]
pub(crate) struct Announcer {
    tiers: Vec<Vec<usize>>,
    /// The position in the tiers of the next announce.
    at: (usize, usize),
    pending: Option<Ask>,
    /// Trackers that have answered.
    known: BTreeSet<usize>,
    completed_owed: bool,
    due: Duration,
    /// When the last reply arrived.
    answered: Option<Duration>,
    /// Rounds through all trackers without a reply.
    failures: u32,
    stopped: bool,
}

impl Announcer {
    /// `tiers` has the number of trackers in each tier; `seed` is the seed of the shuffle.
    #[must_use]
    pub(crate) fn new(tiers: &[usize], seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut trackers = 0..;
        let mut shuffled: Vec<Vec<usize>> =
            tiers.iter().map(|length| trackers.by_ref().take(*length).collect()).collect();
        shuffled.retain(|tier| !tier.is_empty());
        shuffled.iter_mut().for_each(|tier| tier.shuffle(&mut rng));
        Self {
            tiers: shuffled,
            at: (0, 0),
            pending: None,
            known: BTreeSet::new(),
            completed_owed: false,
            due: Duration::ZERO,
            answered: None,
            failures: 0,
            stopped: false,
        }
    }

    /// The announce that is due, if any. It is in progress until [`answered`](Self::answered) or
    /// [`failed`](Self::failed).
    pub(crate) fn next(&mut self, now: Duration) -> Option<Ask> {
        if self.pending.is_some() || self.stopped || now < self.due {
            return None;
        }
        let tracker = *self.tiers.get(self.at.0)?.get(self.at.1)?;
        let event = match (self.known.contains(&tracker), self.completed_owed) {
            (false, _) => Event::Started,
            (true, true) => Event::Completed,
            (true, false) => Event::None,
        };
        self.pending = Some(Ask { tracker, event });
        self.pending
    }

    /// When the next announce is due; `None` if there is none.
    #[must_use]
    pub(crate) fn poll_timeout(&self) -> Option<Duration> {
        (self.pending.is_none() && !self.stopped && !self.tiers.is_empty()).then_some(self.due)
    }

    /// The tracker has replied, with the interval until the next announce.
    pub(crate) fn answered(&mut self, now: Duration, interval: Duration) {
        let Some(Ask { tracker, event }) = self.pending.take() else { return };
        self.known.insert(tracker);
        self.completed_owed &= event != Event::Completed;
        self.failures = 0;
        self.answered = Some(now);
        let (tier, place) = self.at;
        self.tiers[tier][..=place].rotate_right(1);
        self.at = (0, 0);
        let interval = if interval.is_zero() {
            USUAL_INTERVAL
        } else {
            interval.clamp(LEAST_INTERVAL, LONGEST_INTERVAL)
        };
        // `completed` follows at once if the download ended before the tracker answered `started`.
        self.due = if self.completed_owed { now } else { now + interval };
    }

    /// The tracker has refused the announce or has not answered.
    pub(crate) fn failed(&mut self, now: Duration) {
        if self.pending.take().is_none() {
            return;
        }
        let (tier, place) = self.at;
        self.at = if place + 1 < self.tiers[tier].len() { (tier, place + 1) } else { (tier + 1, 0) };
        self.due = now;
        if self.at.0 == self.tiers.len() {
            self.at = (0, 0);
            self.due = now + (FIRST_WAIT * 2_u32.pow(self.failures.min(10))).min(LONGEST_WAIT);
            self.failures += 1;
        }
    }

    /// All wanted pieces were completed in this session.
    pub(crate) fn completed(&mut self, now: Duration) {
        self.completed_owed = true;
        if self.failures == 0 {
            self.due = self.due.min(now);
        }
    }

    /// Whether `completed` is still to be announced.
    #[must_use]
    pub(crate) fn owes_completed(&self) -> bool {
        self.completed_owed && !self.tiers.is_empty()
    }

    /// There are too few peers: announce sooner.
    pub(crate) fn want_peers(&mut self, now: Duration) {
        if let Some(answered) = self.answered
            && self.failures == 0
        {
            self.due = self.due.min((answered + HASTE).max(now));
        }
    }

    /// Ends the schedule, and returns the announces of `stopped`. There are no other announces after it.
    pub(crate) fn stop(&mut self) -> Vec<Ask> {
        self.stopped = true;
        // An announce in progress may have reached its tracker.
        self.known.extend(self.pending.take().map(|ask| ask.tracker));
        self.known.iter().map(|tracker| Ask { tracker: *tracker, event: Event::Stopped }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn event(announcer: &mut Announcer, now: Duration) -> Option<Event> {
        announcer.next(now).map(|ask| ask.event)
    }

    #[test]
    fn announces_started_once_then_at_the_interval() {
        let mut announcer = Announcer::new(&[1], 1);
        assert_eq!(announcer.next(seconds(0)), Some(Ask { tracker: 0, event: Event::Started }));
        assert_eq!(announcer.next(seconds(0)), None);
        announcer.answered(seconds(1), seconds(1800));
        assert_eq!(announcer.poll_timeout(), Some(seconds(1801)));
        assert_eq!(announcer.next(seconds(1800)), None);
        assert_eq!(event(&mut announcer, seconds(1801)), Some(Event::None));
    }

    #[test]
    fn announces_completed_once() {
        let mut announcer = Announcer::new(&[1], 1);
        announcer.next(seconds(0));
        announcer.answered(seconds(0), HOUR);
        announcer.completed(seconds(5));
        assert_eq!(event(&mut announcer, seconds(5)), Some(Event::Completed));
        announcer.failed(seconds(6));
        assert!(announcer.owes_completed());
        assert_eq!(event(&mut announcer, seconds(21)), Some(Event::Completed));
        announcer.answered(seconds(22), HOUR);
        assert!(!announcer.owes_completed());
        assert_eq!(event(&mut announcer, seconds(22) + HOUR), Some(Event::None));
    }

    #[test]
    fn announces_completed_after_started_is_answered() {
        let mut announcer = Announcer::new(&[1], 1);
        assert_eq!(event(&mut announcer, seconds(0)), Some(Event::Started));
        announcer.completed(seconds(1));
        announcer.answered(seconds(2), HOUR);
        assert_eq!(event(&mut announcer, seconds(2)), Some(Event::Completed));
    }

    #[test]
    fn a_tracker_that_answers_moves_to_the_front_of_its_tier() {
        let mut announcer = Announcer::new(&[3, 1], 1);
        let tried: Vec<_> = (0..4)
            .map(|_| {
                let tracker = announcer.next(seconds(0)).unwrap().tracker;
                if tracker != 3 {
                    announcer.failed(seconds(0));
                }
                tracker
            })
            .collect();
        assert_eq!(tried.iter().collect::<BTreeSet<_>>().len(), 4, "each once");
        assert_eq!(tried[3], 3, "the second tier last");
        announcer.answered(seconds(0), HOUR);
        // The first tier is preferred again.
        assert_eq!(announcer.next(HOUR).unwrap().tracker, tried[0]);
        announcer.failed(HOUR);
        assert_eq!(announcer.next(HOUR).unwrap().tracker, tried[1]);
        announcer.answered(HOUR, HOUR);
        assert_eq!(announcer.next(HOUR * 2).unwrap().tracker, tried[1]);
    }

    #[test]
    fn tiers_are_shuffled() {
        let firsts: BTreeSet<_> =
            (0..40).map(|seed| Announcer::new(&[4], seed).next(seconds(0)).unwrap().tracker).collect();
        assert_eq!(firsts.len(), 4);
    }

    #[test]
    fn the_wait_doubles_while_no_tracker_answers() {
        let mut announcer = Announcer::new(&[1], 1);
        let mut now = seconds(0);
        for wait in [15, 30, 60, 120, 240, 240] {
            assert_eq!(event(&mut announcer, now), Some(Event::Started));
            announcer.failed(now);
            assert_eq!(announcer.poll_timeout(), Some(now + seconds(wait)));
            now += seconds(wait);
        }
        announcer.next(now);
        announcer.answered(now, HOUR);
        assert_eq!(announcer.poll_timeout(), Some(now + HOUR));
    }

    #[test]
    fn asks_for_more_peers_once_a_minute_at_most() {
        let mut announcer = Announcer::new(&[1], 1);
        announcer.next(seconds(0));
        announcer.answered(seconds(1), HOUR);
        announcer.want_peers(seconds(2));
        assert_eq!(announcer.poll_timeout(), Some(seconds(61)));
        announcer.want_peers(seconds(100));
        assert_eq!(announcer.poll_timeout(), Some(seconds(61)));
    }

    #[test]
    fn announces_stopped_to_all_trackers_that_answered() {
        let mut announcer = Announcer::new(&[1, 1], 1);
        announcer.next(seconds(0));
        announcer.failed(seconds(0));
        announcer.next(seconds(0));
        announcer.answered(seconds(0), HOUR);
        assert_eq!(announcer.stop(), [Ask { tracker: 1, event: Event::Stopped }]);
        assert_eq!(announcer.next(HOUR * 2), None);
        assert_eq!(announcer.poll_timeout(), None);
        assert!(Announcer::new(&[1], 1).stop().is_empty());
    }

    #[test]
    fn an_interval_is_clamped() {
        for (named, kept) in
            [(0, 1800), (1, 60), (60, 60), (7200, 7200), (7201, 7200), (u64::from(u32::MAX), 7200)]
        {
            let mut announcer = Announcer::new(&[1], 1);
            announcer.next(seconds(0));
            announcer.answered(seconds(10), seconds(named));
            assert_eq!(announcer.poll_timeout(), Some(seconds(10 + kept)), "{named}");
        }
    }

    #[test]
    fn makes_no_announce_without_trackers() {
        let mut announcer = Announcer::new(&[0], 1);
        assert_eq!(announcer.next(seconds(0)), None);
        assert_eq!(announcer.poll_timeout(), None);
    }
}
