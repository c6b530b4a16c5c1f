//! This workspace's client against a foreign tracker.

use std::net::{Ipv4Addr, SocketAddr};

use interop::client::{self, Counts};
use interop::{Netns, Opentracker};

const LISTED: &str = "d0d14c926e6e99761a2fdcff27b403d96376eff6";
const ALSO_LISTED: &str = "00112233445566778899aabbccddeeff00112233";
const UNLISTED: &str = "ffffffffffffffffffffffffffffffffffffffff";

#[test]
#[ignore = "needs opentracker: run scripts/test"]
fn returns_announced_peers_and_counts_them() {
    let netns = Netns::new();
    let tracker = Opentracker::start(&netns, Ipv4Addr::LOCALHOST, &[LISTED, ALSO_LISTED]);
    let url = tracker.url();

    let first =
        client::announce(&netns, &url, LISTED, &["--port", "7001", "--left", "0", "--event", "started"]);
    let first = first.unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!((first.seeders, first.leechers), (1, 0));

    let second = client::announce(&netns, &url, LISTED, &["--port", "7002", "--left", "1000"]);
    let second = second.unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!((second.seeders, second.leechers), (1, 1));
    // opentracker chooses from 1620 to 1979 s.
    assert!((1500..2100).contains(&second.interval), "{second:?}");
    let seeder = SocketAddr::from((Ipv4Addr::LOCALHOST, 7001));
    assert!(second.peers.contains(&seeder), "{second:?}");

    let scraped =
        client::scrape(&netns, &url, &[LISTED, ALSO_LISTED]).unwrap_or_else(|failed| panic!("{failed}"));
    let hashes: Vec<_> = scraped.iter().map(|torrent| torrent.info_hash.as_str()).collect();
    assert_eq!(hashes, [LISTED, ALSO_LISTED]);
    assert_eq!(scraped[0].counts(), Counts { seeders: 1, completed: 0, leechers: 1 });
    assert_eq!(scraped[1].counts(), Counts { seeders: 0, completed: 0, leechers: 0 });

    let options = ["--port", "7002", "--left", "0", "--event", "completed"];
    client::announce(&netns, &url, LISTED, &options).unwrap_or_else(|failed| panic!("{failed}"));
    let scraped = client::scrape(&netns, &url, &[LISTED]).unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(scraped[0].counts(), Counts { seeders: 2, completed: 1, leechers: 0 });

    for port in ["7001", "7002"] {
        let options = ["--port", port, "--left", "0", "--event", "stopped"];
        client::announce(&netns, &url, LISTED, &options).unwrap_or_else(|failed| panic!("{failed}"));
    }
    let scraped = client::scrape(&netns, &url, &[LISTED]).unwrap_or_else(|failed| panic!("{failed}"));
    assert_eq!(scraped[0].counts(), Counts { seeders: 0, completed: 1, leechers: 0 });
}

#[test]
#[ignore = "needs opentracker: run scripts/test"]
fn refuses_a_torrent_that_is_not_listed() {
    let netns = Netns::new();
    let tracker = Opentracker::start(&netns, Ipv4Addr::LOCALHOST, &[LISTED]);
    let refused = client::announce(&netns, &tracker.url(), UNLISTED, &["--port", "7001", "--left", "0"]);
    let failed = refused.expect_err("opentracker serves only listed torrents");
    assert_eq!(failed.code, Some(1), "{failed}");
    assert!(!failed.stderr.trim().is_empty(), "the reason must be on standard error");
}
