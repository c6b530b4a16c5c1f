//! The parameters of a connection: its torrent, limits and timers.

use core::time::Duration;

use torrent_ids::InfoHash;

use crate::block::{BLOCK_LENGTH, MAX_BLOCK_LENGTH};
use crate::layout::Layout;
use crate::reserved::Reserved;

/// Requests that a [`Connection`](super::Connection) holds in each direction by default.
///
/// libtorrent sends up to 500 requests to one peer, and transmission accepts 512 (`reqq`, BEP 10). With a shorter
/// queue, connections to such peers would be closed although they behave normally.
pub const DEFAULT_QUEUE: usize = 512;

/// Time without sending after which a keep-alive is sent.
///
/// "Keepalives are generally sent once every two minutes" (BEP 3). Peers close after those two minutes, so it has to be
/// sent well before: 45 s leaves room for delays in slow networks.
pub const KEEP_ALIVE: Duration = Duration::from_secs(45);

/// Time without receiving after which the connection is closed: two minutes (BEP 3, as for [`KEEP_ALIVE`]).
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(120);

/// The most bytes accepted after a length prefix, by default: 32 KiB.
///
/// The longest messages in use are a block of 16 KiB with 9 bytes before it, and, in the extension protocol, 16 KiB of
/// metadata with a small dictionary (BEP 9). A bitfield may be longer if the torrent has that many pieces.
pub const MAX_MESSAGE: u32 = 32 * 1024;

/// The torrent that a connection is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Torrent {
    /// Its info_hash, which both handshakes must contain.
    pub info_hash: InfoHash,
    /// Its size. Every piece and block that the peer names is checked against it.
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
    /// The extensions to offer in the local handshake. [`Reserved::FAST`] by default: offer the extension protocol only
    /// if you send its bencoded handshake, and the DHT only if you run a node.
    pub reserved: Reserved,
    /// Time without sending after which a keep-alive is sent, [`KEEP_ALIVE`] by default.
    pub keep_alive: Duration,
    /// Time without receiving after which the connection is closed, [`IDLE_TIMEOUT`] by default. Also the time allowed
    /// for the whole handshake.
    pub idle_timeout: Duration,
    /// The longest block that the peer may request, in bytes: [`BLOCK_LENGTH`] by default, [`MAX_BLOCK_LENGTH`] at
    /// most.
    pub max_request: u32,
    /// The most bytes accepted after a length prefix, [`MAX_MESSAGE`] by default. The longest block that can be
    /// requested has 9 bytes less. A bitfield of the torrent's size is accepted even if it is longer than this limit.
    pub max_message: u32,
}

impl Config {
    /// The longest block that the peer may request, in bytes.
    pub(super) fn request_limit(&self) -> u32 {
        self.max_request.min(MAX_BLOCK_LENGTH)
    }

    /// The most bytes after a length prefix, for a torrent of this layout.
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
