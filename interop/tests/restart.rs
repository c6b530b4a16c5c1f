//! A client that keeps its connection_id while the tracker is restarted or replaced.

use std::net::Ipv4Addr;

use interop::{Libtorrent, Netns, Signal, Torrent, Tracker};

/// libtorrent keeps an id for a minute, by the tracker's address, and does not ask for another one after an error.
#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn libtorrent_goes_on_with_its_connection_id_after_a_restart() {
    let (netns, state) = (Netns::new(), tempfile::tempdir().expect("a temporary folder"));
    let config = format!("state_dir = {:?}\n", state.path());
    let tracker = Tracker::start_with(&netns, "192.0.2.1:6969", &config);
    let torrent = Torrent::make(&tracker.url(), 100_000, 2);
    let mut seeder = Libtorrent::start(
        &netns,
        "seeder",
        &torrent,
        &torrent.original_dir(),
        Ipv4Addr::new(192, 0, 2, 2).into(),
    );
    seeder.wait_announced();
    tracker.stop(Signal::SIGTERM);
    let restarted = Tracker::start_with(&netns, "192.0.2.1:6969", &config);
    assert_eq!(seeder.scrape(), (1, 0), "seeders and leechers, with the id of before");
    seeder.stop();
    restarted.stop(Signal::SIGTERM);
}
