//! Replay protection: accepts each authenticated packet once, and only while it is fresh.

use core::time::Duration;

use crate::{Sequence, TrackerId};

/// How far apart the nodes' clocks may be: five minutes, as among Kerberos's hosts (RFC 4120,
/// section 8.2, "Acceptable clock skew").
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(300);

/// The recent sequences of one sender, by which a repeated one is recognised.
///
/// Keeps the largest [`WIDTH`](Self::WIDTH) sequences that were accepted, and refuses all that are not larger than
/// every sequence it has forgotten. So no sequence is ever accepted twice, and a packet that was overtaken by at most
/// `WIDTH` others is still accepted. Sequences are times with gaps of any size between them, so they are kept as
/// they are, not as a bitmap behind the largest.
///
/// # Complexity
/// 536 bytes; a binary search and a move of at most 504 bytes per sequence.
#[derive(Clone, Debug)]
pub struct ReplayWindow {
    /// Ascending.
    seen: [Sequence; Self::WIDTH],
    len: usize,
    forgotten: Option<Sequence>,
}

/// The [`ReplayWindow`]s of up to `SENDERS` senders, and the check of a packet's age.
///
/// An authenticated packet is accepted once, if by this node's clock it was sent
/// - at most `tolerance` ago: this bounds how long a sender must be remembered;
/// - at most `tolerance` in the future: otherwise a clock that runs ahead would prevent packets from being accepted
///   after the clock is corrected;
/// - not before this guard was made: after a restart nothing is remembered, so all that might have been accepted before
///   is refused. A node whose clock runs behind by some seconds loses its packets of that many seconds, once. The
///   moment when the guard was made is computed back from the current clock, so a clock that was wrong then and is
///   corrected since does no harm.
///
/// So the nodes' clocks must agree to within `tolerance`. One attack remains for a host that recorded packets: a node
/// that has just restarted accepts old packets again from nodes whose clocks run ahead of its own, for as long as they
/// run ahead.
///
/// Senders are distinguished by tracker id, which the MAC covers. A source address can be forged: with a window for
/// each address, a packet of one node could be replayed under the address of another. A node that restarts has a new
/// id; its old one is dropped when all its packets are stale. When there is no room, new senders are refused; only
/// holders of the key can cause that.
///
/// ```
/// use core::time::Duration;
/// use livesync_proto::{CLOCK_TOLERANCE, NotFresh, ReplayGuard, Sequence, TrackerId};
///
/// let started = Duration::ZERO;
/// let mut guard = ReplayGuard::<16>::new(started, CLOCK_TOLERANCE);
///
/// // Eight seconds later: a packet that was sent one second ago.
/// let now = started + Duration::from_secs(8);
/// let unix = Duration::from_secs(1_750_000_000);
/// let id = TrackerId([1, 2, 3, 4]);
/// let sequence = Sequence::from_unix_time(unix - Duration::from_secs(1));
/// assert_eq!(guard.admit(now, unix, id, sequence), Ok(()));
/// assert_eq!(guard.admit(now, unix, id, sequence), Err(NotFresh::Replayed));
/// ```
#[derive(Clone, Debug)]
pub struct ReplayGuard<const SENDERS: usize> {
    senders: [Option<(TrackerId, ReplayWindow)>; SENDERS],
    tolerance: Duration,
    /// When it was made, by the monotonic clock.
    made: Duration,
    /// The largest sequence of all senders that are no longer remembered.
    forgotten: Option<Sequence>,
}

/// Why an authenticated packet is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum NotFresh {
    /// Older than the tolerance. Many of these from one node mean that its clock or this node's is wrong.
    #[error("sent {} s ago", .age.as_secs())]
    Stale {
        /// How long ago, by this node's clock, it was sent.
        age: Duration,
    },
    /// Sent further in the future than the tolerance: a clock is wrong.
    #[error("sent {} s in the future", .ahead.as_secs())]
    Early {
        /// How far its sender's clock is ahead of this node's, at least.
        ahead: Duration,
    },
    /// Sent before the guard was made, or before the last packet of a sender that is no longer remembered. It may have
    /// been accepted before.
    #[error("sent before this node began to remember packets")]
    BeforeMemory,
    /// Accepted before, or overtaken by so many packets that this can no longer be checked.
    #[error("already received")]
    Replayed,
    /// As many senders as can be remembered have sent packets recently.
    #[error("more senders than can be remembered")]
    TooManySenders,
}

impl ReplayWindow {
    /// How many sequences are remembered: a packet may be overtaken by this many others and is still accepted.
    ///
    /// On a local network, reordering affects a handful of packets of a burst; over the Internet, to a list of nodes,
    /// it may affect some dozens.
    pub const WIDTH: usize = 64;

    /// The window of a sender that has sent nothing yet.
    pub const fn new() -> Self {
        Self { seen: [Sequence(0); Self::WIDTH], len: 0, forgotten: None }
    }

    /// The largest accepted sequence.
    pub fn newest(&self) -> Option<Sequence> {
        self.seen[..self.len].last().copied()
    }

    /// Accepts `sequence` if it is new; returns whether it was.
    #[must_use]
    pub fn check_and_set(&mut self, sequence: Sequence) -> bool {
        if self.forgotten.is_some_and(|forgotten| sequence <= forgotten) {
            return false;
        }
        let Err(at) = self.seen[..self.len].binary_search(&sequence) else { return false };
        if self.len < Self::WIDTH {
            self.seen.copy_within(at..self.len, at + 1);
            self.seen[at] = sequence;
            self.len += 1;
        } else if at == 0 {
            // Smaller than all remembered ones and larger than all forgotten ones: `sequence` itself is the one to
            // forget.
            self.forgotten = Some(sequence);
        } else {
            self.forgotten = Some(self.seen[0]);
            self.seen.copy_within(1..at, 0);
            self.seen[at - 1] = sequence;
        }
        true
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

impl<const SENDERS: usize> ReplayGuard<SENDERS> {
    /// A guard that remembers no sender, made at `now`, for clocks that agree to within `tolerance`.
    ///
    /// Keep it until the node ends, also when the configuration changes.
    pub fn new(now: Duration, tolerance: Duration) -> Self {
        Self { senders: [const { None }; SENDERS], tolerance, made: now, forgotten: None }
    }

    /// Accepts the packet that `id` authenticated with `sequence` if it is fresh and was not received before. `now` is
    /// the time of a monotonic clock, the same as in [`new`](Self::new); `unix` is the time since 1970 by the system's
    /// clock, which may have been set in between. Call it only for packets whose MAC was verified.
    ///
    /// # Errors
    /// Why the packet must be dropped.
    ///
    /// # Complexity
    /// Linear in the number of senders.
    pub fn admit(
        &mut self,
        now: Duration,
        unix: Duration,
        id: TrackerId,
        sequence: Sequence,
    ) -> Result<(), NotFresh> {
        let sent = sequence.unix_time();
        let age = unix.saturating_sub(sent);
        if age > self.tolerance {
            return Err(NotFresh::Stale { age });
        }
        let ahead = sent.saturating_sub(unix);
        if ahead > self.tolerance {
            return Err(NotFresh::Early { ahead });
        }
        let made = unix.saturating_sub(now.saturating_sub(self.made));
        if sequence < Sequence::from_unix_time(made)
            || self.forgotten.is_some_and(|forgotten| sequence <= forgotten)
        {
            return Err(NotFresh::BeforeMemory);
        }
        let window = self.window(unix, id).ok_or(NotFresh::TooManySenders)?;
        if window.check_and_set(sequence) { Ok(()) } else { Err(NotFresh::Replayed) }
    }

    /// The window of `id`: its own, a free one, or that of a sender whose packets are all stale.
    fn window(&mut self, unix: Duration, id: TrackerId) -> Option<&mut ReplayWindow> {
        let known = |sender: &Option<(TrackerId, _)>| sender.as_ref().is_some_and(|(known, _)| *known == id);
        let at = match self.senders.iter().position(known) {
            Some(at) => at,
            None => {
                let at = self.senders.iter().position(|sender| self.is_past(unix, sender.as_ref()))?;
                if let Some(newest) = self.senders[at].as_ref().and_then(|(_, window)| window.newest()) {
                    // By now the clock alone refuses all of that sender's packets; this refuses them also when the
                    // clock is set back.
                    self.forgotten = self.forgotten.max(Some(newest));
                }
                self.senders[at] = None;
                at
            }
        };
        Some(&mut self.senders[at].get_or_insert_with(|| (id, ReplayWindow::new())).1)
    }

    /// Whether the place is free, or all packets received from its sender would now be refused as stale.
    fn is_past(&self, unix: Duration, sender: Option<&(TrackerId, ReplayWindow)>) -> bool {
        sender
            .and_then(|(_, window)| window.newest())
            .is_none_or(|newest| unix.saturating_sub(newest.unix_time()) > self.tolerance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED: Duration = Duration::from_secs(1_750_000_000);
    const SECOND: Duration = Duration::from_secs(1);
    const A: TrackerId = TrackerId(*b"aaaa");
    const B: TrackerId = TrackerId(*b"bbbb");
    const C: TrackerId = TrackerId(*b"cccc");

    fn guard() -> ReplayGuard<2> {
        ReplayGuard::new(Duration::ZERO, 300 * SECOND)
    }

    fn sent(seconds: u32) -> Sequence {
        Sequence::from_unix_time(STARTED + seconds * SECOND)
    }

    /// Admits at this many seconds after the start, by a clock that was never set.
    fn admit(
        guard: &mut ReplayGuard<2>,
        seconds: u32,
        id: TrackerId,
        sequence: Sequence,
    ) -> Result<(), NotFresh> {
        guard.admit(seconds * SECOND, STARTED + seconds * SECOND, id, sequence)
    }

    #[test]
    fn the_window_accepts_each_sequence_once_in_any_order() {
        let mut window = ReplayWindow::new();
        for sequence in [5, 3, 9, 4, 0, u64::MAX] {
            assert!(window.check_and_set(Sequence(sequence)));
            assert!(!window.check_and_set(Sequence(sequence)));
        }
        assert_eq!(window.newest(), Some(Sequence(u64::MAX)));
    }

    #[test]
    fn a_full_window_forgets_the_smallest() {
        let mut window = ReplayWindow::new();
        for sequence in (100..164).rev() {
            assert!(window.check_and_set(Sequence(sequence)));
        }
        // Below all 64 but never seen; then below the forgotten one.
        assert!(window.check_and_set(Sequence(50)));
        assert!(!window.check_and_set(Sequence(50)));
        assert!(!window.check_and_set(Sequence(49)));
        assert!(window.check_and_set(Sequence(51)));
        // A newer one removes 100, and all up to 100 are refused.
        assert!(window.check_and_set(Sequence(200)));
        assert!(!window.check_and_set(Sequence(99)));
        assert!(!window.check_and_set(Sequence(100)));
        assert!(!window.check_and_set(Sequence(101)));
    }

    #[test]
    fn a_packet_is_fresh_for_the_tolerance() {
        let mut guard = guard();
        assert_eq!(admit(&mut guard, 400, A, sent(100)), Ok(()));
        assert_eq!(admit(&mut guard, 400, A, sent(700)), Ok(()));
        assert_eq!(admit(&mut guard, 400, A, sent(99)), Err(NotFresh::Stale { age: 301 * SECOND }));
        assert_eq!(admit(&mut guard, 400, A, sent(701)), Err(NotFresh::Early { ahead: 301 * SECOND }));
        assert_eq!(
            admit(&mut guard, 400, A, Sequence(u64::MAX))
                .map_err(|why| matches!(why, NotFresh::Early { .. })),
            Err(true)
        );
    }

    #[test]
    fn after_a_restart_older_packets_are_refused() {
        let mut before = guard();
        assert_eq!(admit(&mut before, 10, A, sent(9)), Ok(()));
        let mut after = ReplayGuard::<2>::new(20 * SECOND, 300 * SECOND);
        assert_eq!(admit(&mut after, 20, A, sent(9)), Err(NotFresh::BeforeMemory));
        assert_eq!(admit(&mut after, 20, A, sent(20)), Ok(()));
    }

    #[test]
    fn a_clock_that_was_ahead_at_the_start_and_is_corrected_refuses_no_new_packet() {
        let mut guard = guard();
        let ahead = STARTED + 600 * SECOND;
        assert_eq!(guard.admit(10 * SECOND, ahead, A, sent(10)), Err(NotFresh::Stale { age: 590 * SECOND }));
        assert_eq!(admit(&mut guard, 20, A, sent(20)), Ok(()));
        assert_eq!(admit(&mut guard, 20, A, sent(20)), Err(NotFresh::Replayed));
    }

    #[test]
    fn a_clock_that_was_behind_at_the_start_and_is_corrected_accepts_no_older_packet() {
        let mut guard = guard();
        let behind = STARTED - 200 * SECOND;
        assert_eq!(guard.admit(Duration::ZERO, behind, A, sent(0)), Ok(()));
        // Sent before the guard was made, by the correct clock.
        let before = Sequence::from_unix_time(STARTED - SECOND);
        assert_eq!(admit(&mut guard, 10, A, before), Err(NotFresh::BeforeMemory));
        assert_eq!(admit(&mut guard, 10, A, sent(10)), Ok(()));
    }

    #[test]
    fn packets_of_one_sender_do_not_block_those_of_another() {
        let mut guard = guard();
        assert_eq!(admit(&mut guard, 10, A, sent(200)), Ok(()));
        assert_eq!(admit(&mut guard, 10, B, sent(9)), Ok(()));
        assert_eq!(admit(&mut guard, 10, A, sent(200)), Err(NotFresh::Replayed));
    }

    #[test]
    fn a_place_is_free_again_when_its_sender_is_stale() {
        let mut guard = guard();
        assert_eq!(admit(&mut guard, 0, A, sent(0)), Ok(()));
        assert_eq!(admit(&mut guard, 200, B, sent(200)), Ok(()));
        assert_eq!(admit(&mut guard, 300, C, sent(299)), Err(NotFresh::TooManySenders));
        assert_eq!(admit(&mut guard, 301, C, sent(299)), Ok(()));
        // The clock is set back: A's packets stay refused.
        let back = STARTED + 100 * SECOND;
        assert_eq!(guard.admit(302 * SECOND, back, A, sent(0)), Err(NotFresh::BeforeMemory));
        assert_eq!(admit(&mut guard, 301, B, sent(200)), Err(NotFresh::Replayed));
    }

    #[test]
    fn a_guard_without_room_for_senders_refuses_all() {
        let mut guard = ReplayGuard::<0>::new(Duration::ZERO, 300 * SECOND);
        assert_eq!(guard.admit(Duration::ZERO, STARTED, A, sent(0)), Err(NotFresh::TooManySenders));
    }
}
