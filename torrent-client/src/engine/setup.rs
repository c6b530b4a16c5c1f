//! Everything that has to succeed before a session can begin.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Poll, Waker};
use peer_wire_proto::PeerId;
use peer_wire_proto::connection::Torrent;
use torrent_metainfo::{LoadError, Metainfo};

use super::{
    Book, Choker, Control, DOWNLOAD_BUFFERS, Disk, Ended, FIRST_PEER, ListenError, NoUtp, Options, Phase,
    Picker, Pool, READ, RateLimiter, Session, Speed, StorageError, TRACKERS, Trackers, UPLOAD_BUFFERS, UTP,
    WAKER, sockets,
};
use crate::layout_of;
use crate::picker::{PieceSet, no_pieces};
use crate::storage::{Access, Files};

/// Why a session can't begin.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The .torrent file.
    #[error(transparent)]
    Metainfo(#[from] LoadError),
    /// The download folder.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A file that is to be downloaded is not in the torrent.
    #[error("there is no file {index} in a torrent of {files}, counted from 0")]
    NoSuchFile {
        /// As chosen.
        index: usize,
        /// Files of the torrent.
        files: usize,
    },
    /// Threads, or what they wait with.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
}

impl Session {
    /// Reads the .torrent file, opens the download folder, listens.
    pub(crate) fn new(options: Options) -> Result<Self, SetupError> {
        let metainfo = Arc::new(Metainfo::from_file(&options.metainfo_file)?);
        let layout = layout_of(&metainfo);
        let wanted = wanted(&metainfo, options.files.as_deref())?;
        let access = if options.seed_only { Access::Read } else { Access::Write };
        let files = Files::new(Arc::clone(&metainfo), &options.save_to, access)?;

        let picker = Picker::new(layout, no_pieces(&layout), wanted.clone(), rand::random());

        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let listeners = sockets::listen(options.ip, options.port)?;
        let addresses: Vec<SocketAddr> =
            listeners.iter().filter_map(|listener| listener.local_addr().ok()).collect();
        let no_utp = NoUtp::new(&listeners, poll.registry(), UTP);
        let trackers =
            Trackers::new(metainfo.trackers(), options.ip, poll.registry(), TRACKERS, Arc::clone(&waker))?;
        let disk = Disk::start(files, Arc::clone(&waker))?;

        Ok(Self {
            torrent: Torrent { info_hash: metainfo.info_hash(), layout },
            layout,
            peer_id: peer_id(),
            key: rand::random(),
            addresses,
            start: Instant::now(),
            now: Duration::ZERO,
            poll,
            listeners,
            no_utp,
            trackers,
            disk,
            control: Arc::new(Control::new(waker)),
            phase: Phase::Checking,
            checked: 0,
            wanted_octets: picker.left(),
            picker,
            wanted,
            book: Book::default(),
            choker: Choker::default(),
            peers: BTreeMap::new(),
            next_key: FIRST_PEER,
            active: std::collections::BTreeSet::new(),
            again: false,
            senders: BTreeMap::new(),
            scratch: vec![0; READ],
            down_buffers: Pool::new(DOWNLOAD_BUFFERS),
            up_buffers: Pool::new(UPLOAD_BUFFERS),
            down_limit: RateLimiter::new(options.download_rate),
            up_limit: RateLimiter::new(options.upload_rate),
            down: Speed::default(),
            up: Speed::default(),
            rechoke: false,
            next_fill: Duration::ZERO,
            next_round: Duration::ZERO,
            next_tick: Duration::ZERO,
            seeding_since: Duration::ZERO,
            leave_by: Duration::ZERO,
            outcome: Ok(Ended::Stopped),
            options,
        })
    }
}

/// The pieces that chosen files have a part in.
fn wanted(metainfo: &Metainfo, chosen: Option<&[usize]>) -> Result<PieceSet, SetupError> {
    let mut wanted = no_pieces(&layout_of(metainfo));
    let Some(chosen) = chosen else {
        wanted.fill();
        return Ok(wanted);
    };
    let piece_length = u64::from(metainfo.piece_length());
    for &index in chosen {
        let files = metainfo.files().len();
        let file = metainfo.files().get(index).ok_or(SetupError::NoSuchFile { index, files })?;
        if file.length() == 0 || file.is_padding() {
            continue;
        }
        let range = file.range();
        for piece in range.start / piece_length..=(range.end - 1) / piece_length {
            wanted.set(u32::try_from(piece).unwrap_or(u32::MAX));
        }
    }
    Ok(wanted)
}

/// A new name: what we are in the form that is in use, and chance.
fn peer_id() -> PeerId {
    let mut id = *b"-UT0001-............";
    id[8..].copy_from_slice(&rand::random::<[u8; 12]>());
    PeerId(id)
}
