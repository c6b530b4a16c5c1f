//! When to announce again.

use core::time::Duration;

/// The shortest interval between two announces that [`clamp_interval`] returns.
pub const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// The longest interval between two announces that [`clamp_interval`] returns: trackers remove peers that don't
/// announce for longer.
pub const MAX_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// The time until the next announce: the interval of a reply in seconds, but at least [`MIN_INTERVAL`] and at most
/// [`MAX_INTERVAL`].
///
/// A tracker can send any interval. With 0 a client would announce without a pause; with a large one it would not
/// announce again for years.
///
/// ```
/// use core::time::Duration;
/// use udp_tracker_proto::client::clamp_interval;
///
/// assert_eq!(clamp_interval(1800), Duration::from_secs(1800));
/// assert_eq!(clamp_interval(0), Duration::from_secs(60));
/// assert_eq!(clamp_interval(u32::MAX), Duration::from_secs(7200));
/// ```
#[must_use]
pub fn clamp_interval(seconds: u32) -> Duration {
    Duration::from_secs(seconds.into()).clamp(MIN_INTERVAL, MAX_INTERVAL)
}
