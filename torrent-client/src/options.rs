//! What a session is told at its start.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// The port that is listened on if none is given; if it is taken, any other.
pub const USUAL_PORT: u16 = 6881;

/// How long to share what is complete.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seeding {
    /// Not at all: leave once everything is there.
    Never,
    /// Until one of the limits is reached; both `None` = for ever.
    Until {
        /// Time since everything is there.
        time: Option<Duration>,
        /// Octets uploaded, as a multiple of the octets that were wanted.
        ratio: Option<f64>,
    },
}

/// A torrent, where it is, and how to exchange it.
///
/// ```
/// use torrent_client::{Options, Seeding};
///
/// let options = Options {
///     save_to: "/srv/downloads".into(),
///     upload_rate: Some(500 * 1024),
///     seeding: Seeding::Never,
///     ..Options::new("debian.torrent")
/// };
/// assert_eq!(options.max_peers, 100);
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    /// The .torrent file.
    pub metainfo_file: PathBuf,
    /// The folder that the torrent's file or folder is in, or gets into; the current one by default.
    pub save_to: PathBuf,
    /// Whether everything must be there already: files are only read then, and a missing piece is an error. False by
    /// default.
    pub seed_only: bool,
    /// The TCP port to listen on, 0 for any free one; by default [`USUAL_PORT`] or, if it is taken, any.
    pub port: Option<u16>,
    /// The address to listen on and to connect from; by default all, of IPv4 and IPv6.
    pub ip: Option<IpAddr>,
    /// Connections at most, 100 by default.
    pub max_peers: usize,
    /// With fewer connections than this, trackers are asked for more peers ahead of time; 1 by default.
    pub min_peers: usize,
    /// Octets a second to download at most; no limit by default.
    pub download_rate: Option<u64>,
    /// Octets a second to upload at most; no limit by default.
    pub upload_rate: Option<u64>,
    /// What to do once everything is there; by default, to seed for 72 hours.
    pub seeding: Seeding,
    /// Which files to download, counted from 0 as in [`Metainfo::files`](torrent_metainfo::Metainfo::files); all by
    /// default. Of other files, those parts may get written that share a piece with a chosen one.
    pub files: Option<Vec<usize>>,
    /// Peers to connect to besides those that trackers name.
    pub peers: Vec<SocketAddr>,
}

impl Options {
    /// Downloads what is missing of the torrent to the current folder, then seeds it for 72 hours.
    #[must_use]
    pub fn new(metainfo_file: impl Into<PathBuf>) -> Self {
        Self {
            metainfo_file: metainfo_file.into(),
            save_to: ".".into(),
            seed_only: false,
            port: None,
            ip: None,
            max_peers: 100,
            min_peers: 1,
            download_rate: None,
            upload_rate: None,
            seeding: Seeding::Until { time: Some(Duration::from_secs(72 * 3600)), ratio: None },
            files: None,
            peers: Vec::new(),
        }
    }
}
