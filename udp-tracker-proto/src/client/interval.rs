//! When to announce again.

use core::time::Duration;

/// The shortest time between two announces to a tracker that [`clamp_interval`] gives.
pub const MIN_INTERVAL: Duration = Duration::from_secs(60);

/// The longest time between two announces to a tracker that [`clamp_interval`] gives: trackers forget peers that were
/// silent for longer.
pub const MAX_INTERVAL: Duration = Duration::from_secs(2 * 60 * 60);

/// How long to wait until the next announce, from a reply's interval in seconds: that, but at least [`MIN_INTERVAL`] and
/// at most [`MAX_INTERVAL`].
///
/// The interval is whatever the tracker sent. 0 would make a client announce without a pause, and a large one would keep
/// it silent for years.
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
