//! What a connection is told once: its limits and its timers.

use core::time::Duration;

use torrent_ids::InfoHash;

use crate::block::{BLOCK_LENGTH, MAX_BLOCK_LENGTH};
use crate::layout::Layout;
use crate::reserved::Reserved;

/// Requests in one direction that a [`Connection`](super::Connection) holds unless told otherwise.
///
/// libtorrent has up to 500 requests out at one peer and transmission says that it takes 512 (`reqq`, BEP 10); a peer
/// that meets a smaller queue would be closed for behaving as usual.
pub const DEFAULT_QUEUE: usize = 512;

/// After how long without sending anything a keep-alive is sent.
///
/// "Keepalives are generally sent once every two minutes" (BEP 3); peers close after those two minutes, so it has to be
/// well before them: 45 s leave room for one that is lost in a slow network's queues.
pub const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// After how long without an octet from the peer the connection is closed: two minutes (BEP 3, as for [`KEEP_ALIVE`]).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The most octets accepted after a message's length, unless told otherwise: 32 KiB.
///
/// The longest messages in use are a block of 16 KiB with 9 octets before it, and, in the extension protocol, 16 KiB of
/// metadata with a small dictionary (BEP 9). A bitfield may be longer where the torrent has that many pieces.
pub const MAX_MESSAGE: u32 = 32 * 1024;

/// What a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Torrent {
    /// Its name, which both handshakes must say.
    pub info_hash: InfoHash,
    /// Its size, against which everything the peer names is checked.
    pub layout: Layout,
}

/// Limits and timers of a connection.
///
/// ```
/// use core::time::Duration;
/// use peer_wire_proto::connection::Config;
/// use peer_wire_proto::Reserved;
///
/// let config = Config {
///     reserved: Reserved::FAST | Reserved::EXTENSION_PROTOCOL,
///     idle_timeout: Duration::from_secs(180),
///     ..Config::default()
/// };
/// assert_eq!(config.keep_alive, Duration::from_secs(45));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// The extensions to offer in our handshake. [`Reserved::FAST`] by default: the extension protocol is for callers
    /// that send its bencoded handshake, the DHT for those that run a node.
    pub reserved: Reserved,
    /// Idle time after which a keep-alive is sent, [`KEEP_ALIVE`] by default.
    pub keep_alive: Duration,
    /// Silence after which the connection is closed, [`IDLE_TIMEOUT`] by default. As long as this, all told, may the
    /// handshake take.
    pub idle_timeout: Duration,
    /// The most octets that the peer may request at once, [`BLOCK_LENGTH`] by default; more than [`MAX_BLOCK_LENGTH`]
    /// counts as that.
    pub max_request: u32,
    /// The most octets accepted after a message's length, [`MAX_MESSAGE`] by default. The blocks that we request are
    /// at most 9 octets shorter. A bitfield of the torrent is accepted at any length.
    pub max_message: u32,
}

impl Config {
    /// The most octets that the peer may request at once.
    pub(super) fn request_limit(&self) -> u32 {
        self.max_request.min(MAX_BLOCK_LENGTH)
    }

    /// The most octets after a message's length, in a torrent of this layout.
    pub(super) fn message_limit(&self, layout: &Layout) -> u32 {
        self.max_message.max(layout.bitfield_length() + 1)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reserved: Reserved::FAST,
            keep_alive: KEEP_ALIVE,
            idle_timeout: IDLE_TIMEOUT,
            max_request: BLOCK_LENGTH,
            max_message: MAX_MESSAGE,
        }
    }
}
