//! How a session stands.

use std::fmt;
use std::time::Duration;

/// What a session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun, or has ended.
    #[default]
    Idle,
    /// It looks at what is on the disk.
    Checking,
    /// Pieces are missing.
    Downloading,
    /// Every wanted piece is there.
    Seeding,
    /// `stopped` is announced to the trackers.
    Stopping,
}

/// A moment of a session, in numbers.
///
/// Shown as ctorrent shows its own: `- 1/0/2 [12/48/48] 3MB,0MB | 512,0K/s | 512,0K E:0,1`, which is seeders and
/// leechers connected and peers known; pieces that are there, wanted and available; bytes downloaded and uploaded; their
/// rates now, and on an average of the session; announces that failed and that were answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Wanted pieces that are there and checked.
    pub have: u32,
    /// Wanted pieces; all of them, unless files were chosen.
    pub total: u32,
    /// Pieces that we or connected peers have, of those that are wanted.
    pub available: u32,
    /// Pieces looked at while checking.
    pub checked: u32,
    /// Bytes of wanted pieces that are missing.
    pub left: u64,
    /// Bytes of wanted pieces.
    pub wanted: u64,
    /// Bytes of blocks that came since the start.
    pub downloaded: u64,
    /// Bytes of blocks that went since the start.
    pub uploaded: u64,
    /// Bytes a second that come.
    pub download_rate: u64,
    /// Bytes a second that go.
    pub upload_rate: u64,
    /// Connected peers that have everything.
    pub seeders: usize,
    /// Connected peers that don't.
    pub leechers: usize,
    /// Addresses of peers known.
    pub known: usize,
    /// Announces that were answered.
    pub announced: u32,
    /// Announces that were not.
    pub announce_failures: u32,
    /// Since the session began.
    pub running: Duration,
}

impl Status {
    /// Whether every wanted piece is there; false as long as it is not known.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Seeding
            || (self.total > 0 && self.have == self.total && self.phase != Phase::Checking)
    }

    /// How long the rest takes at the present rate; `None` if nothing comes.
    #[must_use]
    pub fn time_left(&self) -> Option<Duration> {
        self.left.checked_div(self.download_rate).map(Duration::from_secs)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { have, total, available, downloaded, uploaded, .. } = self;
        let seconds = self.running.as_secs().max(1);
        let average = |bytes: u64| (bytes / seconds) >> 10;
        write!(f, "- {}/{}/{} [{have}/{total}/{available}] ", self.seeders, self.leechers, self.known)?;
        write!(f, "{}MB,{}MB | ", downloaded >> 20, uploaded >> 20)?;
        write!(f, "{},{}K/s | ", self.download_rate >> 10, self.upload_rate >> 10)?;
        write!(f, "{},{}K ", average(*downloaded), average(*uploaded))?;
        write!(f, "E:{},{}", self.announce_failures, self.announced)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_shown_as_ctorrent_does() {
        let status = Status {
            have: 12,
            total: 48,
            available: 48,
            seeders: 1,
            known: 2,
            downloaded: 3 << 20,
            download_rate: 512 << 10,
            announced: 1,
            running: Duration::from_secs(6),
            ..Status::default()
        };
        assert_eq!(status.to_string(), "- 1/0/2 [12/48/48] 3MB,0MB | 512,0K/s | 512,0K E:0,1");
    }

    #[test]
    fn time_left_needs_a_rate() {
        let mut status = Status { left: 1000, ..Status::default() };
        assert_eq!(status.time_left(), None);
        status.download_rate = 10;
        assert_eq!(status.time_left(), Some(Duration::from_secs(100)));
    }
}
