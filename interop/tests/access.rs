//! What the users of foreign clients see when the tracker refuses them.

use std::io::Write;
use std::net::Ipv4Addr;
use std::time::Duration;

use interop::client;
use interop::{Aria2, Libtorrent, Netns, Signal, Torrent, Tracker};
use tempfile::NamedTempFile;

/// For an announce that a client is about to send.
const REPORT: Duration = Duration::from_secs(20);
const LENGTH: usize = 100_000;

fn list(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    writeln!(file, "{text}").unwrap();
    file
}

#[test]
#[ignore = "needs aria2: run scripts/test"]
fn aria2_prints_the_reason() {
    let netns = Netns::new();
    let torrent = Torrent::make("udp://192.0.2.1:6969/announce", LENGTH, 21);
    let denied = list(&format!("{} by=me # removed at the author's request", torrent.info_hash()));
    let config = format!("[access]\ntorrents = \"unlisted\"\ntorrent_list = {:?}\n", denied.path());
    let tracker = Tracker::start_with(&netns, "192.0.2.1:6969", &config);
    let aria2 = Aria2::start(&netns, &torrent, Ipv4Addr::new(192, 0, 2, 3));
    aria2.wait_logged("this torrent is not served: removed at the author's request", REPORT);
    aria2.stop();
    tracker.stop(Signal::SIGTERM);
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn libtorrent_announces_with_a_passkey_in_its_url() {
    let netns = Netns::new();
    let keys = list("s3cret # bob");
    let config = format!("[access]\nkey_list = {:?}\n", keys.path());
    let tracker = Tracker::start_with(&netns, "192.0.2.1:0", &config);
    let torrent = Torrent::make(&format!("{}/s3cret", tracker.url()), LENGTH, 22);
    let ip = Ipv4Addr::new(192, 0, 2, 2).into();
    let seeder = Libtorrent::start(&netns, "seeder", &torrent, &torrent.original_dir(), ip);
    seeder.wait_announced();
    let url = format!("{}/s3cret", tracker.url());
    let leecher = ["--port", "7001", "--left", "5"];
    let announced = client::announce(&netns, &url, torrent.info_hash(), &leecher).unwrap();
    assert_eq!(announced.seeders, 1);
    let refused = client::announce(&netns, &tracker.url(), torrent.info_hash(), &leecher).unwrap_err();
    assert!(refused.stderr.contains("a passkey is needed"), "{refused:?}");
    seeder.stop();
    tracker.stop(Signal::SIGTERM);
}
