//! The steps that must succeed before a session can begin.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Interest, Poll, Registry, Waker};
use peer_wire_proto::PeerId;
use peer_wire_proto::connection::Torrent;
use rand::RngExt;
use torrent_metainfo::{LoadError, Metainfo};
use tracing::debug;

use super::links::Links;
use super::resolver::Resolver;
use super::{Changed, Control, DATAGRAM, ListenError, NoUtp, Session, TRACKERS, UTP, WAKER, sockets};
use crate::disk::StorageError;
use crate::engine::{Config, Engine};
use crate::options::{Options, Source};
use crate::pieces::{PieceSet, layout_of};
use crate::storage::{Access, Disk, Files};

/// Why a session can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The .torrent file is not usable.
    #[error(transparent)]
    Metainfo(#[from] LoadError),
    /// The download folder is not usable.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The port can't be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A chosen file does not exist in the torrent.
    #[error("there is no file {index} in a torrent of {files}, counted from 0")]
    NoSuchFile {
        /// The chosen index.
        index: usize,
        /// The number of files of the torrent.
        files: usize,
    },
    /// The system has no more threads or descriptors.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl Session {
    /// Reads the .torrent file, opens the download folder and the sockets.
    pub(crate) fn new(options: Options, on_change: Option<Arc<Changed>>) -> Result<Self, SetupError> {
        let metainfo = match &options.source {
            Source::File(file) => Arc::new(Metainfo::from_file(file)?),
            Source::Metainfo(metainfo) => Arc::clone(metainfo),
        };
        let wanted = wanted(&metainfo, options.files.as_deref())?;
        let access = if options.seed_only { Access::Read } else { Access::Write };
        let files = Files::new(Arc::clone(&metainfo), &options.save_to, access, options.files)?;

        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let listeners = sockets::listen(options.ip, options.port)?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let no_utp = NoUtp::new(&listeners, poll.registry(), UTP);
        let trackers = tracker_sockets(options.ip, poll.registry())?;
        let supports = |v4: bool| {
            trackers.iter().any(|socket| socket.local_addr().is_ok_and(|address| address.is_ipv4() == v4))
        };

        let torrent = Torrent { info_hash: metainfo.info_hash(), layout: layout_of(&metainfo) };
        let mut rng = rand::rng();
        let port = addresses.first().map_or(0, SocketAddr::port);
        let engine = Engine::new(Config {
            wanted,
            seed_only: options.seed_only,
            trackers: metainfo.trackers().to_vec(),
            peers: options.peers,
            key: rng.random(),
            ipv4: supports(true),
            ipv6: supports(false),
            max_peers: options.max_peers,
            min_peers: options.min_peers,
            download_rate: options.download_rate,
            upload_rate: options.upload_rate,
            seeding: options.seeding,
            ..Config::new(torrent, peer_id(), port, rng.random())
        });
        let disk = Disk::start(files, Arc::clone(&waker))?;
        Ok(Self {
            links: Links::new(options.ip, engine.receive_len()),
            engine,
            start: Instant::now(),
            now: Duration::ZERO,
            poll,
            listeners,
            is_listening: false,
            addresses,
            trackers,
            trackers_readable: false,
            datagram: vec![0; DATAGRAM],
            no_utp,
            resolver: Resolver::new(Arc::clone(&waker)),
            disk,
            control: Arc::new(Control::new(waker, on_change)),
            next_late: Duration::ZERO,
        })
    }
}

/// A tracker socket for each address family of this machine.
fn tracker_sockets(ip: Option<IpAddr>, registry: &Registry) -> io::Result<Vec<UdpSocket>> {
    let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    let local = ip.map_or_else(|| any.to_vec(), |ip| vec![ip]);
    let mut found = Vec::new();
    for (ip, token) in local.into_iter().zip(TRACKERS) {
        match UdpSocket::bind((ip, 0).into()) {
            Ok(mut socket) => {
                registry.register(&mut socket, token, Interest::READABLE)?;
                found.push(socket);
            }
            Err(error) => debug!("no tracker socket on {ip}: {error}"),
        }
    }
    Ok(found)
}

/// The pieces that contain bytes of the chosen files.
fn wanted(metainfo: &Metainfo, chosen: Option<&[usize]>) -> Result<PieceSet, SetupError> {
    let layout = layout_of(metainfo);
    let Some(chosen) = chosen else { return Ok(PieceSet::all(&layout)) };
    let mut wanted = PieceSet::none(&layout);
    let piece_length = u64::from(metainfo.piece_length());
    for &index in chosen {
        let files = metainfo.files().len();
        let file = metainfo.files().get(index).ok_or(SetupError::NoSuchFile { index, files })?;
        if file.length() == 0 || file.is_padding() {
            continue;
        }
        let range = file.range();
        for piece in range.start / piece_length..=(range.end - 1) / piece_length {
            wanted.insert(u32::try_from(piece).unwrap_or(u32::MAX));
        }
    }
    Ok(wanted)
}

/// A new peer_id: client and version in the usual form, then random bytes.
fn peer_id() -> PeerId {
    let mut id = *b"-UT0001-............";
    id[8..].copy_from_slice(&rand::random::<[u8; 12]>());
    PeerId(id)
}
