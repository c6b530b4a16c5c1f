//! The tracker client for tokio against this workspace's tracker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use udp_tracker::{ServerSettings, Service, Settings, Tracker};
use udp_tracker_proto::client::{Announce, Announced, PerFamily};
use udp_tracker_proto::tokio::{Client, Error};
use udp_tracker_proto::{Event, InfoHash, ScrapeEntry};

const TORRENT: InfoHash = InfoHash([7; 20]);
const PATIENCE: Duration = Duration::from_secs(20);

fn tracker() -> Tracker {
    let mut server = ServerSettings::default();
    server.listen = Some(vec!["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    server.workers = 1;
    Tracker::start(Arc::new(Service::new(Settings::default()).unwrap()), &server).unwrap()
}

async fn announce(
    client: &Client,
    tracker: PerFamily<SocketAddr>,
    port: u16,
    left: u64,
    event: Event,
) -> [Announced; 2] {
    let announce = Announce { event, key: 7, ..Announce::new(TORRENT, [1; 20], port, left) };
    let results: Vec<Result<Announced, Error>> =
        client.announce_both(tracker, &announce, PATIENCE).await.into_iter().collect();
    let announced: Vec<_> = results.into_iter().map(Result::unwrap).collect();
    announced.try_into().expect("a reply over each family")
}

#[tokio::test]
async fn peers_find_each_other_over_both_families_through_one_socket() {
    let tracker = tracker();
    let addresses: PerFamily<SocketAddr> = tracker.addresses().iter().copied().collect();
    let client = Client::new().unwrap();

    announce(&client, addresses, 6881, 0, Event::Started).await;
    let [v4, v6] = announce(&client, addresses, 6882, 5, Event::Started).await;
    assert_eq!(v4.peers, ["127.0.0.1:6881".parse().unwrap()]);
    assert_eq!(v6.peers, ["[::1]:6881".parse().unwrap()]);

    for address in addresses {
        let entries = client.scrape(address, &[TORRENT], PATIENCE).await.unwrap();
        assert_eq!(entries, [ScrapeEntry { seeders: 1, completed: 0, leechers: 1 }]);
    }
    announce(&client, addresses, 6881, 0, Event::Stopped).await;
    let entries = client.scrape(addresses.v4.unwrap(), &[TORRENT], PATIENCE).await.unwrap();
    assert_eq!(entries, [ScrapeEntry { seeders: 0, completed: 0, leechers: 1 }]);
}
