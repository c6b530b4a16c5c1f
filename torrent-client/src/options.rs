//! The settings of an app.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use torrent_metainfo::Metainfo;

/// The port to listen on if none is given; if it is taken, any other.
pub const USUAL_PORT: u16 = 6881;

/// How long to seed a complete torrent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seeding {
    /// Not at all: the app ends when all wanted pieces are present.
    Never,
    /// Until one of the limits is reached; without end if both are `None`.
    Until {
        /// Time since all wanted pieces are present.
        time: Option<Duration>,
        /// Bytes uploaded, as a multiple of the bytes that were wanted.
        ratio: Option<f64>,
    },
}

/// Where the metainfo of a torrent comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// A .torrent file.
    File(PathBuf),
    /// Metainfo that is in memory already.
    Metainfo(Arc<Metainfo>),
}

impl<P: AsRef<Path> + ?Sized> From<&P> for Source {
    fn from(file: &P) -> Self {
        Self::File(file.as_ref().to_owned())
    }
}

impl From<PathBuf> for Source {
    fn from(file: PathBuf) -> Self {
        Self::File(file)
    }
}

impl From<Metainfo> for Source {
    fn from(metainfo: Metainfo) -> Self {
        Self::Metainfo(Arc::new(metainfo))
    }
}

impl From<Arc<Metainfo>> for Source {
    fn from(metainfo: Arc<Metainfo>) -> Self {
        Self::Metainfo(metainfo)
    }
}

/// A torrent, its place on the disk, and how to exchange it.
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
    /// The torrent.
    pub source: Source,
    /// The folder that contains, or will contain, the torrent's file or folder; the current one by default.
    pub save_to: PathBuf,
    /// Whether all pieces must be present already. Files are only read then, and a missing piece is an error. False by
    /// default.
    pub seed_only: bool,
    /// The TCP port to listen on, 0 for any free one. By default [`USUAL_PORT`], or any port if that one is taken.
    pub port: Option<u16>,
    /// The address to listen on and to connect from; by default all addresses, of IPv4 and IPv6.
    pub ip: Option<IpAddr>,
    /// The most connections; 100 by default.
    pub max_peers: usize,
    /// With fewer connections than this, it asks trackers for more peers ahead of time; 1 by default.
    pub min_peers: usize,
    /// The most bytes to download per second; no limit by default.
    pub download_rate: Option<u64>,
    /// The most bytes to upload per second; no limit by default.
    pub upload_rate: Option<u64>,
    /// What to do when all wanted pieces are present; by default, seed for 72 hours.
    pub seeding: Seeding,
    /// Which files to download, counted from 0 as in [`Metainfo::files`](torrent_metainfo::Metainfo::files); all by
    /// default. Parts of other files are written if they share a piece with a chosen file.
    pub files: Option<Vec<usize>>,
    /// Peers to connect to in addition to those from trackers.
    pub peers: Vec<SocketAddr>,
}

impl Options {
    /// Downloads the missing pieces to the current folder, then seeds for 72 hours. `torrent` is the path of a .torrent
    /// file, or a [`Metainfo`].
    #[must_use]
    pub fn new(torrent: impl Into<Source>) -> Self {
        Self {
            source: torrent.into(),
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
