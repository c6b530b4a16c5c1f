//! The blocking client against scripted trackers on real sockets.

use std::net::{SocketAddr, UdpSocket};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use udp_tracker_proto::blocking::{Error, Tracker};
use udp_tracker_proto::client::{Announce, Policy, Schedule};
use udp_tracker_proto::{InfoHash, ScrapeEntry};

/// Far more than any test here takes.
const PATIENCE: Duration = Duration::from_secs(20);

fn announce() -> Announce<'static> {
    Announce::new([7; 20], [1; 20], 6881, 0)
}

/// A tracker that passes each datagram to `answer` and sends back what it returns, until it returns `None`.
fn script(mut answer: impl FnMut(&[u8]) -> Option<Vec<u8>> + Send + 'static) -> (SocketAddr, JoinHandle<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let address = socket.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let mut datagram = [0; 2048];
        loop {
            let (len, from) = socket.recv_from(&mut datagram).unwrap();
            match answer(&datagram[..len]) {
                Some(reply) => socket.send_to(&reply, from).unwrap(),
                None => return,
            };
        }
    });
    (address, thread)
}

fn reply(action: u8, request: &[u8], more: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, action], &request[12..16], more].concat()
}

/// Answers connects, and passes other requests to `rest`.
fn connecting(mut rest: impl FnMut(&[u8]) -> Option<Vec<u8>>) -> impl FnMut(&[u8]) -> Option<Vec<u8>> {
    move |request| if request.len() == 16 { Some(reply(0, request, &[9; 8])) } else { rest(request) }
}

#[test]
fn announces_and_scrapes() {
    let (sender, seen) = mpsc::channel();
    let (address, _) = script(connecting(move |request| {
        sender.send(request.to_vec()).unwrap();
        match request[11] {
            1 => Some(reply(1, request, &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2, 192, 0, 2, 9, 0x1a, 0xe1])),
            _ => Some(reply(2, request, &[0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1])),
        }
    }));
    let mut tracker = Tracker::connect(&format!("udp://{address}/announce")).unwrap().with_timeout(PATIENCE);
    let announced = tracker.announce(&announce()).unwrap();
    assert_eq!((announced.interval, announced.peers), (1800, vec!["192.0.2.9:6881".parse().unwrap()]));
    assert!(seen.recv().unwrap().ends_with(b"\x02\x09/announce"));
    let entries = tracker.scrape(&[InfoHash([7; 20])]).unwrap();
    assert_eq!(entries, [ScrapeEntry { seeders: 3, completed: 2, leechers: 1 }]);
    tracker.disconnect();
}

#[test]
fn errors_distinguish_a_refusal_an_invalid_reply_and_no_reply() {
    let (address, _) = script(connecting(|request| Some(reply(3, request, b"go away"))));
    let mut tracker = Tracker::connect(&address.to_string()).unwrap().with_timeout(PATIENCE);
    let error = tracker.announce(&announce()).unwrap_err();
    assert!(matches!(error, Error::Refused { .. }));
    assert_eq!(error.to_string(), "the tracker refused: go away");

    let (address, _) = script(connecting(|request| Some(reply(1, request, &[1, 2, 3]))));
    let mut tracker = Tracker::connect(&address.to_string()).unwrap().with_timeout(PATIENCE);
    let error = tracker.announce(&announce()).unwrap_err().to_string();
    assert!(error.starts_with("invalid reply: "), "{error}");

    // Bound, and never read.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let mut tracker = Tracker::connect(&url).unwrap().with_timeout(Duration::from_millis(200));
    let error = tracker.announce(&announce()).unwrap_err();
    assert!(matches!(error, Error::Silence { closed: false, .. }), "{error}");
    drop(silent);
    let error = tracker.announce(&announce()).unwrap_err();
    assert!(matches!(error, Error::Silence { closed: true, .. }), "{error}");
    assert!(error.to_string().ends_with("the port is closed"), "{error}");
}

#[test]
fn connect_rejects_invalid_urls_and_unknown_hosts() {
    let error = Tracker::connect("http://127.0.0.1:80").unwrap_err();
    assert!(matches!(error, Error::Url(_)), "{error}");
    let error = Tracker::connect("udp://no-such-host.invalid:80").unwrap_err();
    assert!(matches!(error, Error::NoSuchHost { .. }), "{error}");
    assert!(error.to_string().starts_with("no such host: no-such-host.invalid"), "{error}");
}

#[test]
fn a_request_can_be_cancelled_from_another_thread() {
    let (sender, asked) = mpsc::channel();
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let url = format!("udp://{}", silent.local_addr().unwrap());
    let mut tracker = Tracker::connect(&url).unwrap().with_timeout(PATIENCE);
    let canceller = tracker.canceller();
    let waiting = thread::spawn(move || {
        let error = tracker.announce(&announce()).unwrap_err();
        // The next request is not cancelled.
        let next = tracker.with_timeout(Duration::from_millis(1)).announce(&announce()).unwrap_err();
        sender.send((error, next)).unwrap();
    });
    // The request has been sent.
    silent.recv(&mut [0; 100]).unwrap();
    canceller.cancel();
    let (error, next) = asked.recv_timeout(PATIENCE / 2).unwrap();
    assert!(matches!(error, Error::Cancelled));
    assert!(matches!(next, Error::Silence { .. }), "{next}");
    waiting.join().unwrap();
}

#[test]
fn lost_datagrams_are_sent_again() {
    let mut lost = 0;
    let (address, _) = script(move |request| {
        lost += 1;
        // An empty datagram is not a reply: the first connect and the first announce count as lost.
        match (request.len(), lost) {
            (_, 1 | 3) => Some(Vec::new()),
            (16, _) => Some(reply(0, request, &[9; 8])),
            _ => Some(reply(1, request, &[0; 12])),
        }
    });
    let often = Policy::both(Schedule { first: Duration::from_millis(20), factor: 1, transmissions: 50 });
    let mut tracker =
        Tracker::connect(&address.to_string()).unwrap().with_policy(often).with_timeout(PATIENCE);
    assert_eq!(tracker.announce(&announce()).unwrap().peers, []);
}

#[test]
fn the_timeout_error_counts_datagrams_that_are_not_a_reply() {
    let (address, _) = script(|_| Some(vec![0, 0, 0, 9, 1, 2, 3, 4]));
    let mut tracker =
        Tracker::connect(&address.to_string()).unwrap().with_timeout(Duration::from_millis(300));
    let error = tracker.announce(&announce()).unwrap_err().to_string();
    assert!(error.ends_with(", but 1 datagrams were received that are not its reply"), "{error}");
}
