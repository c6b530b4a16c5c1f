//! The client downloads from and seeds to foreign clients a folder with files of various lengths.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use interop::{Aria2, Ctorrent, Libtorrent, Netns, Opentracker, OwnClient, Torrent, Tracker, Transmission};

/// For one complete download; transmission and ctorrent take up to half of it to choose peers.
const DOWNLOAD: Duration = Duration::from_secs(90);
/// Seeds until it is stopped.
const AND_SEED: [&str; 2] = ["--seed-time", "1"];

const fn test_net(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

/// This client seeds to the foreign one, and stops. Then the foreign one seeds to a second instance of this client.
fn there_and_back<T>(
    netns: &Netns,
    torrent: &Torrent,
    start: impl FnOnce() -> T,
    wait_finished: impl FnOnce(&T) -> std::path::PathBuf,
) -> T {
    let seeder = OwnClient::seed(netns, torrent, &torrent.original_dir(), test_net(2));
    seeder.wait_complete(DOWNLOAD);
    let foreign = start();
    let dir = wait_finished(&foreign);
    torrent.assert_bytes_in(&dir);
    seeder.stop();
    let ours = OwnClient::download(netns, torrent, "ours", test_net(4), &[]);
    let dir = ours.dir().to_owned();
    ours.wait_done(DOWNLOAD);
    torrent.assert_complete_in(&dir);
    foreign
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn libtorrent_downloads_and_seeds() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["192.0.2.1:0"]);
    let torrent = Torrent::make_folder(&tracker.url(), 11);
    let dir = torrent.subdir("libtorrent");
    let start = || Libtorrent::start(&netns, "libtorrent", &torrent, &dir, test_net(3).into());
    let finished = |libtorrent: &Libtorrent| {
        libtorrent.wait_finished(DOWNLOAD);
        dir.clone()
    };
    there_and_back(&netns, &torrent, start, finished).stop();
}

#[test]
#[ignore = "needs libtorrent, aria2: run scripts/test"]
fn aria2_downloads_and_seeds() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["192.0.2.1:0"]);
    let torrent = Torrent::make_folder(&tracker.url(), 12);
    let start = || Aria2::start(&netns, &torrent, test_net(3));
    let finished = |aria2: &Aria2| {
        aria2.wait_finished(DOWNLOAD);
        aria2.dir().to_owned()
    };
    there_and_back(&netns, &torrent, start, finished).stop();
}

#[test]
#[ignore = "needs libtorrent, transmission: run scripts/test"]
fn transmission_downloads_and_seeds() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["192.0.2.1:0"]);
    let torrent = Torrent::make_folder(&tracker.url(), 13);
    let start = || Transmission::start(&netns, &torrent, test_net(3));
    let finished = |transmission: &Transmission| {
        transmission.wait_finished(DOWNLOAD);
        transmission.dir().to_owned()
    };
    there_and_back(&netns, &torrent, start, finished).stop();
}

/// ctorrent supports HTTP trackers only. opentracker serves it over HTTP, and this client over UDP, in the same swarm.
#[test]
#[ignore = "needs libtorrent, ctorrent, opentracker: run scripts/test"]
fn ctorrent_downloads_and_seeds() {
    let netns = Netns::new();
    let torrent = Torrent::make_folder("udp://192.0.2.1:6969/announce", 14);
    let tracker = Opentracker::start(&netns, test_net(1), &[torrent.info_hash()]);
    let start = || Ctorrent::start(&netns, &torrent, &tracker.http_url(), test_net(3));
    let finished = |ctorrent: &Ctorrent| {
        ctorrent.wait_finished(DOWNLOAD);
        ctorrent.dir().to_owned()
    };
    there_and_back(&netns, &torrent, start, finished).stop();
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn three_own_clients_download_from_libtorrent_in_one_swarm() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["192.0.2.1:0"]);
    let torrent = Torrent::make_folder(&tracker.url(), 15);
    let ours = [2, 3, 4].map(|host| {
        OwnClient::download(&netns, &torrent, &format!("ours-{host}"), test_net(host), &AND_SEED)
    });
    let seeder = Libtorrent::start(&netns, "seeder", &torrent, &torrent.original_dir(), test_net(5).into());
    for client in ours {
        client.wait_complete(DOWNLOAD);
        torrent.assert_complete_in(client.dir());
        client.stop();
    }
    seeder.stop();
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn downloads_over_ipv6() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["[::1]:0"]);
    let torrent = Torrent::make_folder(&tracker.url(), 16);
    let local = IpAddr::from(Ipv6Addr::LOCALHOST);
    let seeder = Libtorrent::start(&netns, "seeder", &torrent, &torrent.original_dir(), local);
    seeder.wait_announced();
    let ours = OwnClient::download(&netns, &torrent, "ours", local, &[]);
    let dir = ours.dir().to_owned();
    ours.wait_done(DOWNLOAD);
    torrent.assert_complete_in(&dir);
    seeder.stop();
}
