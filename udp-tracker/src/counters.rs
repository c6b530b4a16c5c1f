//! What a tracker counts, by address family.

use std::fmt;
use std::ops::AddAssign;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Something that is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Count {
    /// Datagrams received.
    Received,
    /// Connect requests answered.
    Connects,
    /// Of those, the ones without the protocol id, of the 2004 dialect.
    Connects2004,
    /// Announces answered.
    Announces,
    /// Of those, the ones of the 2004 dialect.
    Announces2004,
    /// Scrapes answered.
    Scrapes,
    /// Downloads completed.
    Completed,
    /// Answered with an error: a connection_id that is unknown or expired.
    BadConnectionId,
    /// Answered with an error: malformed, with a good connection_id.
    Malformed,
    /// Answered with an error: a torrent that is not served.
    NotServed,
    /// Announces that were answered, of peers that found no room in the store.
    NotStored,
    /// Dropped: shorter than any request, or longer than any.
    BadLength,
    /// Dropped: no request's action, or action 0 of something that is no connect.
    NoRequest,
    /// Dropped: a tracker's reply, sent here by mistake or by a forger.
    LooksLikeReply,
    /// Dropped: from port 0, where nothing can be sent.
    SourcePortZero,
    /// Replies sent.
    Sent,
    /// Replies that the system did not take.
    NotSent,
    /// Errors on receiving.
    NotReceived,
    /// Datagrams that the kernel dropped because a socket's receive buffer was full.
    DroppedByKernel,
    /// Announces that livesync was given, to tell other trackers.
    LivesyncTold,
    /// Announces that it should have been given, but its queue was full.
    LivesyncOverflow,
    /// Livesync packets made, each once for all that it goes to.
    LivesyncPacketsSent,
    /// Records in them.
    LivesyncRecordsSent,
    /// Livesync packets that the system did not take, for each that they should have gone to.
    LivesyncNotSent,
    /// Livesync packets received, but for our own that came back.
    LivesyncPacketsReceived,
    /// Records in those that were taken.
    LivesyncRecordsReceived,
    /// Records applied.
    LivesyncApplied,
    /// Livesync packets dropped: from an address that is not among the nodes, or from our own under another's id.
    LivesyncStranger,
    /// Dropped: no more than a header, or longer than any packet.
    LivesyncBadLength,
    /// Dropped: of a type that is not known.
    LivesyncUnknownType,
    /// Dropped: not signed, while we have a key.
    LivesyncUnsigned,
    /// Dropped: not signed with our key.
    LivesyncBadMac,
    /// Dropped: signed too long ago, or in the future, or before we began to listen.
    LivesyncBadTime,
    /// Dropped: taken before.
    LivesyncReplayed,
    /// Dropped: signed by more senders than can be remembered.
    LivesyncTooManySenders,
    /// Dropped: under our own id.
    LivesyncOwnId,
    /// Records dropped: of a peer without a port, or with an address that is nobody's.
    LivesyncBadPeer,
    /// Records dropped: of a torrent that is not served.
    LivesyncNotServed,
    /// Records dropped: no room in the store.
    LivesyncNotStored,
    /// Errors on receiving livesync packets.
    LivesyncNotReceived,
}

impl Count {
    /// All that is counted, in the order of the log.
    pub const ALL: [Self; 40] = [
        Self::Received,
        Self::Connects,
        Self::Connects2004,
        Self::Announces,
        Self::Announces2004,
        Self::Scrapes,
        Self::Completed,
        Self::BadConnectionId,
        Self::Malformed,
        Self::NotServed,
        Self::NotStored,
        Self::BadLength,
        Self::NoRequest,
        Self::LooksLikeReply,
        Self::SourcePortZero,
        Self::Sent,
        Self::NotSent,
        Self::NotReceived,
        Self::DroppedByKernel,
        Self::LivesyncTold,
        Self::LivesyncOverflow,
        Self::LivesyncPacketsSent,
        Self::LivesyncRecordsSent,
        Self::LivesyncNotSent,
        Self::LivesyncPacketsReceived,
        Self::LivesyncRecordsReceived,
        Self::LivesyncApplied,
        Self::LivesyncStranger,
        Self::LivesyncBadLength,
        Self::LivesyncUnknownType,
        Self::LivesyncUnsigned,
        Self::LivesyncBadMac,
        Self::LivesyncBadTime,
        Self::LivesyncReplayed,
        Self::LivesyncTooManySenders,
        Self::LivesyncOwnId,
        Self::LivesyncBadPeer,
        Self::LivesyncNotServed,
        Self::LivesyncNotStored,
        Self::LivesyncNotReceived,
    ];

    /// Its name in the log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Connects => "connects",
            Self::Connects2004 => "connects_2004",
            Self::Announces => "announces",
            Self::Announces2004 => "announces_2004",
            Self::Scrapes => "scrapes",
            Self::Completed => "completed",
            Self::BadConnectionId => "bad_connection_id",
            Self::Malformed => "malformed",
            Self::NotServed => "not_served",
            Self::NotStored => "not_stored",
            Self::BadLength => "bad_length",
            Self::NoRequest => "no_request",
            Self::LooksLikeReply => "looks_like_reply",
            Self::SourcePortZero => "source_port_zero",
            Self::Sent => "sent",
            Self::NotSent => "not_sent",
            Self::NotReceived => "not_received",
            Self::DroppedByKernel => "dropped_by_kernel",
            Self::LivesyncTold => "livesync_told",
            Self::LivesyncOverflow => "livesync_overflow",
            Self::LivesyncPacketsSent => "livesync_packets_sent",
            Self::LivesyncRecordsSent => "livesync_records_sent",
            Self::LivesyncNotSent => "livesync_not_sent",
            Self::LivesyncPacketsReceived => "livesync_packets_received",
            Self::LivesyncRecordsReceived => "livesync_records_received",
            Self::LivesyncApplied => "livesync_applied",
            Self::LivesyncStranger => "livesync_stranger",
            Self::LivesyncBadLength => "livesync_bad_length",
            Self::LivesyncUnknownType => "livesync_unknown_type",
            Self::LivesyncUnsigned => "livesync_unsigned",
            Self::LivesyncBadMac => "livesync_bad_mac",
            Self::LivesyncBadTime => "livesync_bad_time",
            Self::LivesyncReplayed => "livesync_replayed",
            Self::LivesyncTooManySenders => "livesync_too_many_senders",
            Self::LivesyncOwnId => "livesync_own_id",
            Self::LivesyncBadPeer => "livesync_bad_peer",
            Self::LivesyncNotServed => "livesync_not_served",
            Self::LivesyncNotStored => "livesync_not_stored",
            Self::LivesyncNotReceived => "livesync_not_received",
        }
    }
}

/// An address family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4, and IPv4 in IPv6 form.
    V4,
    /// IPv6.
    V6,
}

/// The counters of one thread: only it writes them, anybody may read.
///
/// On cache lines of their own (two, because some processors fetch pairs), so that threads don't slow each other down.
#[derive(Debug)]
#[repr(align(128))]
pub struct Counters {
    cells: [[AtomicU64; Count::ALL.len()]; 2],
}

impl Default for Counters {
    /// All zero.
    fn default() -> Self {
        Self { cells: [const { [const { AtomicU64::new(0) }; Count::ALL.len()] }; 2] }
    }
}

impl Counters {
    /// Adds to a counter. Not to be called by two threads at once: one's addition could be lost.
    pub(crate) fn add(&self, family: Family, count: Count, n: u64) {
        let cell = &self.cells[family as usize][count as usize];
        cell.store(cell.load(Relaxed) + n, Relaxed);
    }

    /// The values at this moment.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            values: self.cells.each_ref().map(|cells| cells.each_ref().map(|cell| cell.load(Relaxed))),
        }
    }
}

/// The values of counters at a moment; those of several workers can be added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snapshot {
    values: [[u64; Count::ALL.len()]; 2],
}

impl Default for Snapshot {
    /// All zero.
    fn default() -> Self {
        Self { values: [[0; Count::ALL.len()]; 2] }
    }
}

impl Snapshot {
    /// A counter's value for one family.
    #[must_use]
    pub const fn get(&self, family: Family, count: Count) -> u64 {
        self.values[family as usize][count as usize]
    }

    /// A counter's value for both families together.
    #[must_use]
    pub const fn total(&self, count: Count) -> u64 {
        self.get(Family::V4, count) + self.get(Family::V6, count)
    }
}

impl AddAssign for Snapshot {
    fn add_assign(&mut self, other: Self) {
        for (own, other) in self.values.as_flattened_mut().iter_mut().zip(other.values.as_flattened()) {
            *own += other;
        }
    }
}

/// One line: `received=12/3 connects=4/1 ..`, IPv4 before IPv6; what is zero in both is left out.
impl fmt::Display for Snapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counted = Count::ALL.into_iter().filter(|count| self.total(*count) > 0);
        for (at, count) in counted.enumerate() {
            let space = if at > 0 { " " } else { "" };
            let (v4, v6) = (self.get(Family::V4, count), self.get(Family::V6, count));
            write!(f, "{space}{}={v4}/{v6}", count.name())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_own_cell() {
        let counters = Counters::default();
        for (at, count) in (1..).zip(Count::ALL) {
            counters.add(Family::V4, count, at);
            counters.add(Family::V6, count, 100 * at);
        }
        let mut sum = counters.snapshot();
        sum += counters.snapshot();
        for (at, count) in (1..).zip(Count::ALL) {
            assert_eq!((sum.get(Family::V4, count), sum.get(Family::V6, count)), (2 * at, 200 * at));
            assert_eq!(sum.total(count), 202 * at);
        }
    }

    #[test]
    fn one_line() {
        let counters = Counters::default();
        counters.add(Family::V4, Count::Received, 2);
        counters.add(Family::V6, Count::Scrapes, 1);
        assert_eq!(counters.snapshot().to_string(), "received=2/0 scrapes=0/1");
    }
}
