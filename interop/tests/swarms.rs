//! Swarms of foreign clients that find each other through the tracker only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use interop::client::{self, Counts};
use interop::{Aria2, Libtorrent, Netns, Signal, Torrent, Tracker, Transmission};

/// For one complete download; transmission alone takes up to half of it to choose peers.
const DOWNLOAD: Duration = Duration::from_secs(45);
/// For an announce that a client is about to send.
const REPORT: Duration = Duration::from_secs(10);
/// Bytes: not a multiple of the piece length, so that the last piece is a short one.
const LENGTH: usize = 3_000_001;

const fn test_net(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(192, 0, 2, host)
}

#[test]
#[ignore = "needs libtorrent, aria2, transmission: run scripts/test"]
fn aria2_and_transmission_find_a_libtorrent_seeder() {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &["192.0.2.1:0"]);
    let torrent = Torrent::make(&tracker.url(), LENGTH, 2);
    let expect = |seeders, completed, leechers| {
        let counts = Counts { seeders, completed, leechers };
        client::wait_for_counts(&netns, &tracker.url(), torrent.info_hash(), counts, REPORT);
    };
    expect(0, 0, 0);

    let mut seeder =
        Libtorrent::start(&netns, "seeder", &torrent, &torrent.original_dir(), test_net(2).into());
    seeder.wait_announced();
    expect(1, 0, 0);

    let aria2 = Aria2::start(&netns, &torrent, test_net(3));
    let transmission = Transmission::start(&netns, &torrent, test_net(4));
    aria2.wait_finished(DOWNLOAD);
    transmission.wait_finished(DOWNLOAD);
    torrent.assert_complete_in(aria2.dir());
    torrent.assert_complete_in(transmission.dir());

    // Two downloads were completed; the first seeder was one from the start.
    expect(3, 2, 0);
    assert_eq!(seeder.scrape(), (3, 0), "seeders and leechers, as libtorrent sees them");

    aria2.stop();
    expect(2, 2, 0);
    transmission.stop();
    expect(1, 2, 0);
    seeder.stop();
    expect(0, 2, 0);
    tracker.stop(Signal::SIGTERM);
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn libtorrent_finds_libtorrent_over_ipv4() {
    libtorrent_finds_libtorrent("127.0.0.1:0", Ipv4Addr::LOCALHOST.into());
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn libtorrent_finds_libtorrent_over_ipv6() {
    libtorrent_finds_libtorrent("[::1]:0", Ipv6Addr::LOCALHOST.into());
}

/// Tracker and both peers have the same address, and differ only in their ports.
fn libtorrent_finds_libtorrent(listen: &str, ip: IpAddr) {
    let netns = Netns::new();
    let tracker = Tracker::start(&netns, &[listen]);
    let torrent = Torrent::make(&tracker.url(), LENGTH, 3);
    let expect = |seeders, completed, leechers| {
        let counts = Counts { seeders, completed, leechers };
        client::wait_for_counts(&netns, &tracker.url(), torrent.info_hash(), counts, REPORT);
    };

    let mut seeder = Libtorrent::start(&netns, "seeder", &torrent, &torrent.original_dir(), ip);
    seeder.wait_announced();
    expect(1, 0, 0);

    let dir = torrent.subdir("leecher");
    let mut leecher = Libtorrent::start(&netns, "leecher", &torrent, &dir, ip);
    leecher.wait_finished(DOWNLOAD);
    torrent.assert_complete_in(&dir);
    expect(2, 1, 0);
    assert_eq!(seeder.scrape(), (2, 0), "seeders and leechers, as libtorrent sees them");
    assert_eq!(leecher.scrape(), (2, 0), "seeders and leechers, as libtorrent sees them");

    leecher.stop();
    seeder.stop();
    expect(0, 1, 0);
    tracker.stop(Signal::SIGINT);
}
