//! What happens to the tracker when the system fails it: calls that return errors, a process that is stopped, a clock
//! that is set, an interface that vanishes.

mod calls;
mod clock;
mod interface;
mod stopped;

use std::time::Duration;

/// For an answer, also after a lost datagram's first retransmission.
const LIMIT: Duration = Duration::from_secs(40);

/// A torrent.
const INFO_HASH: &str = "0123456789abcdef0123456789abcdef01234567";
