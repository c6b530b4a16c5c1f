//! A torrent to exchange, and apps that exchange it.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;
use torrent_client::{App, Completion, Options, Seeding};
use torrent_metainfo::{Builder, Existing, Metainfo};
use udp_tracker::{Family, ServerSettings, Service, Settings, Tracker};

/// The limit of every wait; everything here is much faster.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const PIECE: usize = 32 << 10;

/// A folder with files of special lengths: empty, less than a piece, up to the end of a piece, over several pieces.
pub(crate) struct Content {
    dir: TempDir,
    pub(crate) metainfo: Metainfo,
}

impl Content {
    pub(crate) fn new(trackers: &[String]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let album = dir.path().join("original/album");
        fs::create_dir_all(album.join("sub/deep")).unwrap();
        let mut rng = StdRng::seed_from_u64(5);
        let files =
            [("a", 1000), ("b", PIECE - 1000), ("empty", 0), ("sub/c", 40 * PIECE + 17), ("sub/deep/d", 3)];
        for (path, length) in files {
            let mut bytes = vec![0; length];
            rng.fill_bytes(&mut bytes);
            fs::write(album.join(path), bytes).unwrap();
        }
        let mut builder = Builder::new(&album).piece_length(u32::try_from(PIECE).unwrap());
        for tracker in trackers {
            builder = builder.tracker_tier([tracker]);
        }
        let output = dir.path().join("album.torrent");
        let metainfo =
            builder.create(&output, Existing::Refuse, |_| std::ops::ControlFlow::Continue(())).unwrap();
        Self { dir, metainfo: metainfo.into_metainfo() }
    }

    pub(crate) fn torrent(&self) -> PathBuf {
        self.dir.path().join("album.torrent")
    }

    pub(crate) fn original(&self) -> PathBuf {
        self.dir.path().join("original")
    }

    /// A folder of that name; creates it if it does not exist.
    pub(crate) fn folder(&self, name: &str) -> PathBuf {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    /// Options for 127.0.0.1 and any port.
    pub(crate) fn options(&self, folder: &Path) -> Options {
        Options {
            save_to: folder.to_owned(),
            ip: Some([127, 0, 0, 1].into()),
            port: Some(0),
            seeding: Seeding::Until { time: None, ratio: None },
            ..Options::new(self.torrent())
        }
    }

    /// A seeder of the original.
    pub(crate) fn seed(&self, change: impl FnOnce(&mut Options)) -> App {
        let mut options = Options { seed_only: true, ..self.options(&self.original()) };
        change(&mut options);
        start(options)
    }

    /// Downloads to the folder of that name.
    pub(crate) fn download(&self, name: &str, change: impl FnOnce(&mut Options)) -> App {
        let mut options = self.options(&self.folder(name));
        change(&mut options);
        start(options)
    }

    pub(crate) fn assert_complete(&self, folder: &str) {
        for index in 0..self.metainfo.files().len() {
            self.assert_file(folder, index);
        }
    }

    pub(crate) fn assert_file(&self, folder: &str, index: usize) {
        let path = self.metainfo.disk_path(index).unwrap();
        let copy = fs::read(self.folder(folder).join(&path)).unwrap();
        assert!(copy == fs::read(self.original().join(&path)).unwrap(), "{} differs", path.display());
    }
}

pub(crate) fn start(options: Options) -> App {
    let app = App::new(options);
    app.start().unwrap();
    app
}

/// Waits for the end of the download.
pub(crate) fn finish(app: &App) {
    let completion = app.wait_completion(PATIENCE).unwrap();
    assert!(matches!(completion, Completion::Done(_)), "{completion:?}");
}

pub(crate) fn address(app: &App) -> SocketAddr {
    app.addresses()[0]
}

pub(crate) fn tracker(listen: &str) -> Tracker {
    let mut server = ServerSettings::default();
    server.listen = Some(vec![listen.parse().unwrap()]);
    server.workers = 1;
    Tracker::start(Arc::new(Service::new(Settings::default()).unwrap()), &server).unwrap()
}

/// The number of IPv4 peers of a tracker.
pub(crate) fn known_peers(tracker: &Tracker) -> usize {
    tracker.service().stores().totals(Family::V4).peers
}

pub(crate) fn url(tracker: &Tracker) -> String {
    format!("udp://{}/announce", tracker.addresses()[0])
}

/// Checks repeatedly until the condition is true.
pub(crate) fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !is_so() {
        assert!(std::time::Instant::now() < deadline, "timed out waiting for {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
