//! What happens at the same time.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use interop::client::{self, Counts, Load};
use interop::{Aria2, Libtorrent, Netns, OwnClient, Torrent, Transmission};

/// For one load.
const LOAD: Duration = Duration::from_secs(120);
/// Between two loads: the generator never sleeps, and would take a whole core from everybody else.
const REST: Duration = Duration::from_secs(6);
/// For one complete download on a busy machine.
const DOWNLOAD: Duration = Duration::from_secs(180);
/// A record of livesync waits up to 15 s for a packet to fill.
const SYNC: Duration = Duration::from_secs(40);

/// How often each activity was done.
#[derive(Default)]
pub(crate) struct Done {
    loads: AtomicUsize,
    answers: AtomicUsize,
    downloads: AtomicUsize,
}

impl Done {
    pub(crate) fn assert_all_happened(&self) {
        let Self { loads, answers, downloads } = self;
        assert!([loads, answers, downloads].iter().all(|count| count.load(Relaxed) > 0), "{self}");
    }
}

impl fmt::Display for Done {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [loads, answers, downloads] =
            [&self.loads, &self.answers, &self.downloads].map(|count| count.load(Relaxed));
        write!(f, "{loads} loads, {answers} answers, {downloads} downloads")
    }
}

/// Loads of ever new torrents and peers at a fixed rate, of which every answer is checked.
pub(crate) fn load(netns: &Netns, tracker: SocketAddr, seed: u64, stop: &AtomicBool, done: &Done) {
    for round in seed.. {
        let options =
            format!("--mix 2:8:1:1 --rate 4000 --seconds 2 --torrents 2000 --peers 10000 --seed {round}");
        let options: Vec<_> = options.split(' ').collect();
        let loaded = Load::start(netns, &format!("udp://{tracker}"), &options).wait_done(LOAD);
        assert_eq!(loaded.lost, 0, "{loaded:?}");
        let answers: u64 = loaded.by_kind.values().map(|kind| kind.answers).sum();
        done.answers.fetch_add(usize::try_from(answers).expect("few answers"), Relaxed);
        done.loads.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            return;
        }
        thread::sleep(REST);
    }
}

/// Swarms in which a seeder announces to one node, and a client of another kind in each round to the other node.
pub(crate) fn swarms(netns: &Netns, [first, second]: &[String; 2], stop: &AtomicBool, done: &Done) {
    for round in 0u64.. {
        let [torrent, same] = [first, second].map(|url| Torrent::make_folder(url, round));
        let seeder = OwnClient::seed(netns, &torrent, &torrent.original_dir(), Ipv4Addr::new(192, 0, 2, 2));
        let counts = Counts { seeders: 1, completed: 0, leechers: 0 };
        client::wait_for_counts(netns, second, torrent.info_hash(), counts, SYNC);
        let at = Ipv4Addr::new(192, 0, 2, 3);
        match round % 4 {
            0 => {
                let own = OwnClient::download(netns, &same, "own", at, &["--seed-time", "0"]);
                let dir = own.dir().to_owned();
                own.wait_done(DOWNLOAD);
                same.assert_complete_in(&dir);
            }
            1 => {
                let aria2 = Aria2::start(netns, &same, at);
                aria2.wait_finished(DOWNLOAD);
                same.assert_complete_in(aria2.dir());
                aria2.stop();
            }
            2 => {
                let dir = same.subdir("libtorrent");
                let libtorrent = Libtorrent::start(netns, "libtorrent", &same, &dir, at.into());
                libtorrent.wait_finished(DOWNLOAD);
                same.assert_complete_in(&dir);
                libtorrent.stop();
            }
            _ => {
                let transmission = Transmission::start(netns, &same, at);
                transmission.wait_finished(DOWNLOAD);
                same.assert_bytes_in(transmission.dir());
                transmission.stop();
            }
        }
        seeder.stop();
        done.downloads.fetch_add(1, Relaxed);
        if stop.load(Relaxed) {
            return;
        }
    }
}
