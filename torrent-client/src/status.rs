//! The status of a session.

use std::fmt;
use std::time::Duration;

/// What a session is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// It has not begun, or has ended.
    #[default]
    Idle,
    /// It checks the data on the disk.
    Checking,
    /// Pieces are missing.
    Downloading,
    /// All wanted pieces are present.
    Seeding,
    /// It announces `stopped` to the trackers.
    Stopping,
}

/// The state of a session at one moment, in numbers.
///
/// Displayed in the format of ctorrent: `- 1/0/2 [12/48/48] 3MB,0MB | 512,0K/s | 512,0K E:0,1`. The numbers are:
/// connected seeders, connected leechers and known peers; pieces present, wanted and available; bytes downloaded and
/// uploaded; both rates now; both rates on average over the session; announces that failed and announces that were
/// answered.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Wanted pieces that are present and checked.
    pub have: u32,
    /// Wanted pieces: all of them, unless files were chosen.
    pub total: u32,
    /// Wanted pieces that this client or a connected peer has.
    pub available: u32,
    /// Pieces checked so far at the start.
    pub checked: u32,
    /// Bytes of wanted pieces that are missing.
    pub left: u64,
    /// Bytes of wanted pieces.
    pub wanted: u64,
    /// Bytes of blocks received since the start.
    pub downloaded: u64,
    /// Bytes of blocks sent since the start.
    pub uploaded: u64,
    /// Bytes received per second.
    pub download_rate: u64,
    /// Bytes sent per second.
    pub upload_rate: u64,
    /// Connected peers that have all pieces.
    pub seeders: usize,
    /// Connected peers that lack pieces.
    pub leechers: usize,
    /// Known addresses of peers.
    pub known: usize,
    /// Announces that were answered.
    pub announced: u32,
    /// Announces that failed.
    pub announce_failures: u32,
    /// Time since the session began.
    pub running: Duration,
}

impl Status {
    /// Whether all wanted pieces are present; false until the check has finished.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.phase == Phase::Seeding
            || (self.total > 0 && self.have == self.total && self.phase != Phase::Checking)
    }

    /// How long the rest takes at the current rate; `None` if the rate is 0.
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
    fn display_has_the_format_of_ctorrent() {
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
    fn time_left_is_none_without_a_rate() {
        let mut status = Status { left: 1000, ..Status::default() };
        assert_eq!(status.time_left(), None);
        status.download_rate = 10;
        assert_eq!(status.time_left(), Some(Duration::from_secs(100)));
    }
}
