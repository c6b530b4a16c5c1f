//! The client for tokio against scripted trackers on real sockets.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::runtime::Builder;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::timeout;
use udp_tracker_proto::client::{self, Announce, PerFamily, Policy, Schedule};
use udp_tracker_proto::tokio::{Client, Error, resolve};
use udp_tracker_proto::{InfoHash, ScrapeEntry, TrackerUrl};

/// Far more than any test here takes.
const PATIENCE: Duration = Duration::from_secs(20);
/// A timeout that no request of the tests reaches.
const LONG: Duration = Duration::from_secs(3600);
const OFTEN: Policy =
    Policy::both(Schedule { first: Duration::from_millis(20), factor: 1, transmissions: u32::MAX });

fn announce(torrent: u8) -> Announce<'static> {
    Announce::new([torrent; 20], [1; 20], 6881, 5)
}

fn reply(action: u8, request: &[u8], more: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, action], &request[12..16], more].concat()
}

fn is_connect(request: &[u8]) -> bool {
    request.len() == 16
}

/// The reply of a tracker whose swarm for torrent T has one peer, 192.0.2.T.
fn answer(request: &[u8]) -> Vec<u8> {
    match request[11] {
        0 => reply(0, request, &[9; 8]),
        1 => reply(1, request, &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 192, 0, 2, request[16], 0x1a, 0xe1]),
        _ => reply(2, request, &[0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1]),
    }
}

/// The peer in the reply that `answer` makes for a torrent.
fn peer_of(torrent: u8) -> SocketAddr {
    ([192, 0, 2, torrent], 6881).into()
}

/// A tracker whose replies the test sends.
struct Tracker {
    socket: UdpSocket,
    address: SocketAddr,
}

impl Tracker {
    async fn bind(address: &str) -> Self {
        let socket = UdpSocket::bind(address).await.unwrap();
        let address = socket.local_addr().unwrap();
        Self { socket, address }
    }

    async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut datagram = vec![0; 2048];
        let (len, source) = within(self.socket.recv_from(&mut datagram)).await.unwrap();
        datagram.truncate(len);
        (datagram, source)
    }

    async fn send(&self, datagram: &[u8], to: SocketAddr) {
        self.socket.send_to(datagram, to).await.unwrap();
    }

    /// Replies to every request in the background, and reports it.
    fn answer_all(self) -> mpsc::UnboundedReceiver<(Vec<u8>, SocketAddr)> {
        let (sender, seen) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            loop {
                let (request, source) = self.receive().await;
                self.send(&answer(&request), source).await;
                if sender.send((request, source)).is_err() {
                    return;
                }
            }
        });
        seen
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("the time limit of the tests is not reached")
}

async fn often() -> Client {
    Client::with_socket(UdpSocket::bind("127.0.0.1:0").await.unwrap(), OFTEN).unwrap()
}

#[tokio::test]
async fn announces_and_scrapes() {
    let tracker = Tracker::bind("127.0.0.1:0").await;
    let address = tracker.address;
    let _seen = tracker.answer_all();
    let client = Client::new().unwrap();
    let announced = within(client.announce(address, &announce(7), LONG)).await.unwrap();
    assert_eq!((announced.interval, announced.peers), (1800, vec![peer_of(7)]));
    let entries = within(client.scrape(address, &[InfoHash([7; 20])], LONG)).await.unwrap();
    assert_eq!(entries, [ScrapeEntry { seeders: 3, completed: 2, leechers: 1 }]);
    assert_eq!(within(client.scrape(address, &[], LONG)).await.unwrap(), []);
}

#[tokio::test]
async fn many_requests_to_many_trackers_share_a_socket_and_a_connect() {
    let client = Client::new().unwrap();
    let mut requests = JoinSet::new();
    let mut seen = Vec::new();
    for _ in 0..5 {
        let tracker = Tracker::bind("127.0.0.1:0").await;
        let address = tracker.address;
        seen.push(tracker.answer_all());
        for torrent in 0..40 {
            let client = client.clone();
            requests.spawn(async move {
                let announced = client.announce(address, &announce(torrent), LONG).await.unwrap();
                assert_eq!(announced.peers, [peer_of(torrent)]);
            });
        }
    }
    while let Some(request) = within(requests.join_next()).await {
        request.unwrap();
    }
    let mut sources = BTreeSet::new();
    for mut seen in seen {
        let mut connects = 0;
        while let Ok((request, source)) = seen.try_recv() {
            connects += usize::from(is_connect(&request));
            sources.insert(source);
        }
        assert_eq!(connects, 1);
    }
    assert_eq!(sources.len(), 1);
    assert_eq!(sources.first().map(SocketAddr::port), client.local_addr().ok().map(|local| local.port()));
}

#[tokio::test]
async fn sends_lost_datagrams_again() {
    let tracker = Tracker::bind("127.0.0.1:0").await;
    let client = often().await;
    let request = tokio::spawn({
        let (client, address) = (client.clone(), tracker.address);
        async move { client.announce(address, &announce(7), LONG).await }
    });
    // Two of each are lost.
    let mut lost = [0; 2];
    loop {
        let (datagram, source) = tracker.receive().await;
        let lost = &mut lost[usize::from(is_connect(&datagram))];
        *lost += 1;
        if *lost > 2 {
            tracker.send(&answer(&datagram), source).await;
            if !is_connect(&datagram) {
                break;
            }
        }
    }
    assert_eq!(within(request).await.unwrap().unwrap().peers, [peer_of(7)]);
}

#[tokio::test]
async fn dropping_a_future_cancels_its_request() {
    let tracker = Tracker::bind("127.0.0.1:0").await;
    let client = often().await;
    let (first, second) = (announce(1), announce(2));
    let dropped = client.announce(tracker.address, &first, LONG);
    let kept = client.announce(tracker.address, &second, LONG);
    tokio::pin!(kept);
    let (datagram, source) = {
        tokio::pin!(dropped);
        // Both requests have begun when the first connect is received.
        tokio::select! {
            biased;
            _ = &mut dropped => panic!("no reply was sent"),
            _ = &mut kept => panic!("no reply was sent"),
            received = tracker.receive() => received,
        }
    };
    tracker.send(&answer(&datagram), source).await;
    // Every announce received belongs to the request that was kept.
    let served = async {
        loop {
            let (datagram, source) = tracker.receive().await;
            assert!(is_connect(&datagram) || datagram[16] == 2, "the dropped one is announced");
            tracker.send(&answer(&datagram), source).await;
        }
    };
    tokio::select! {
        announced = kept => assert_eq!(announced.unwrap().peers, [peer_of(2)]),
        () = served => {}
    }
}

#[tokio::test]
async fn a_refusal_has_the_trackers_text_escaped() {
    let tracker = Tracker::bind("127.0.0.1:0").await;
    let address = tracker.address;
    tokio::spawn(async move {
        loop {
            let (request, source) = tracker.receive().await;
            let datagram =
                if is_connect(&request) { answer(&request) } else { reply(3, &request, b"go\x1b away") };
            tracker.send(&datagram, source).await;
        }
    });
    let error = within(Client::new().unwrap().announce(address, &announce(7), LONG)).await.unwrap_err();
    assert!(matches!(&error, Error::Request(client::Error::Refused { text }) if text == "go\\u{1b} away"));
    assert_eq!(error.to_string(), "the tracker refused: go\\u{1b} away");
}

#[tokio::test]
async fn a_silent_tracker_times_out() {
    let tracker = Tracker::bind("127.0.0.1:0").await;
    let client = Client::new().unwrap();
    let result = within(client.announce(tracker.address, &announce(7), Duration::from_millis(50))).await;
    assert!(matches!(result, Err(Error::Request(client::Error::TimedOut))), "{result:?}");
}

#[tokio::test]
async fn requests_that_cannot_be_sent_fail_at_once() {
    let path = "p".repeat(70_000);
    let long = Announce { path_and_query: &path, ..announce(7) };
    let client = often().await;
    let result = within(client.announce("127.0.0.1:9".parse().unwrap(), &long, LONG)).await;
    assert!(matches!(result, Err(Error::Request(client::Error::TooLong(_)))), "{result:?}");

    // The client has an IPv4 socket.
    let address = "[::1]:9".parse().unwrap();
    let result = within(client.announce(address, &announce(7), LONG)).await;
    assert!(matches!(result, Err(Error::Send { address: to, .. }) if to == address), "{result:?}");
    let result = within(client.scrape(address, &[InfoHash([7; 20])], LONG)).await;
    assert!(matches!(result, Err(Error::Send { .. })), "{result:?}");
}

#[tokio::test]
async fn both_families_are_announced_to_with_one_key() {
    let trackers = [Tracker::bind("127.0.0.1:0").await, Tracker::bind("[::1]:0").await];
    let [v4, v6] = [trackers[0].address, trackers[1].address];
    let client = Client::new().unwrap();
    let announced = Announce { key: 0x0102_0304, ..announce(7) };
    let both = [v4, v6].into_iter().collect::<PerFamily<_>>();
    let mut keys = Vec::new();
    let served = async {
        for tracker in &trackers {
            let (connect, source) = tracker.receive().await;
            tracker.send(&answer(&connect), source).await;
            let (request, source) = tracker.receive().await;
            keys.push(request[88..92].to_vec());
            // No peers, in either family's form.
            tracker.send(&reply(1, &request, &[0; 12]), source).await;
        }
    };
    let (results, ()) = tokio::join!(within(client.announce_both(both, &announced, LONG)), served);
    assert!(matches!(results, PerFamily { v4: Some(Ok(_)), v6: Some(Ok(_)) }), "{results:?}");
    assert_eq!(keys, [[1, 2, 3, 4], [1, 2, 3, 4]]);

    let only_v4 = PerFamily { v4: Some(v4), v6: None };
    let results = client.announce_both(only_v4, &announced, Duration::ZERO).await;
    assert!(matches!(results, PerFamily { v4: Some(Err(_)), v6: None }), "{results:?}");
}

#[tokio::test]
async fn resolves_addresses_in_urls() {
    let url = TrackerUrl::parse("udp://127.0.0.1:6969/announce").unwrap();
    let v4 = Some("127.0.0.1:6969".parse().unwrap());
    assert_eq!(resolve(&url).await.unwrap(), PerFamily { v4, v6: None });
    let url = TrackerUrl::parse("udp://[::1]:6969/announce").unwrap();
    let v6 = Some((Ipv6Addr::LOCALHOST, 6969).into());
    assert_eq!(resolve(&url).await.unwrap(), PerFamily { v4: None, v6 });
}

#[tokio::test]
async fn dropping_the_last_clone_ends_the_task() {
    let client = Client::new().unwrap();
    let clone = client.clone();
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    drop(client);
    tokio::task::yield_now().await;
    assert_eq!(alive(), 1);
    drop(clone);
    within(async {
        while alive() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn requests_end_when_the_clients_runtime_has_shut_down() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (of_client, other) = (runtime(), runtime());
    let client = of_client.block_on(async { Client::new().unwrap() });
    other.block_on(async {
        let tracker = Tracker::bind("127.0.0.1:0").await;
        let request = tokio::spawn({
            let (client, address) = (client.clone(), tracker.address);
            async move { client.announce(address, &announce(7), LONG).await }
        });
        tokio::task::yield_now().await;
        of_client.shutdown_background();
        let result = within(request).await.unwrap();
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
        let result = within(client.scrape(tracker.address, &[InfoHash([7; 20])], LONG)).await;
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
    });
}
