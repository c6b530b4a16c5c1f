//! A client and the literal datagrams of a scripted tracker.

use std::net::SocketAddr;
use std::time::Duration;

use udp_tracker_proto::InfoHash;
use udp_tracker_proto::client::{Announce, BorrowedEvent, OneTracker, Policy, RequestId};

pub(crate) const TORRENT: InfoHash = InfoHash([0xe5; 20]);
pub(crate) const LONG: Duration = Duration::from_secs(86_400);
pub(crate) const ID: [u8; 8] = [0x90, 1, 2, 3, 4, 5, 6, 7];

pub(crate) fn tracker() -> SocketAddr {
    "192.0.2.1:6969".parse().unwrap()
}

pub(crate) fn announce() -> Announce<'static> {
    Announce { num_want: 50, key: 7, ..Announce::new(TORRENT, [1; 20], 6881, 5) }
}

pub(crate) fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Predictable numbers that don't repeat.
pub(crate) fn counting() -> impl FnMut() -> u32 {
    let mut last = 0x1000;
    move || {
        last += 1;
        last
    }
}

pub(crate) type One = OneTracker<'static, Box<dyn FnMut() -> u32>>;

pub(crate) fn one(policy: Policy) -> One {
    OneTracker::new(tracker(), policy, Box::new(counting()))
}

/// The datagrams that a client sends now.
pub(crate) fn sent(client: &mut One, now: u64) -> Vec<Vec<u8>> {
    let mut out = [0; 2048];
    let mut all = Vec::new();
    while let Some(transmit) = client.poll_transmit(at(now), &mut out) {
        assert_eq!(transmit.to, client.tracker());
        all.push(out[..transmit.len].to_vec());
    }
    all
}

/// The only datagram that it sends now.
pub(crate) fn sent_one(client: &mut One, now: u64) -> Vec<u8> {
    let [datagram] = <[_; 1]>::try_from(sent(client, now)).expect("one datagram");
    datagram
}

pub(crate) fn is_connect(datagram: &[u8]) -> bool {
    datagram.len() == 16 && datagram[..12] == [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0]
}

pub(crate) fn is_announce(datagram: &[u8], id: [u8; 8]) -> bool {
    datagram.len() >= 98 && datagram[..8] == id && datagram[8..12] == [0, 0, 0, 1]
}

/// A reply to a request: the action, its transaction_id, and more.
pub(crate) fn reply(action: u8, request: &[u8], more: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, action], &request[12..16], more].concat()
}

pub(crate) const COUNTS: [u8; 12] = [0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2];

/// A client that has just connected, and the announce that it then sent.
pub(crate) fn connected(policy: Policy, now: u64) -> (One, RequestId, Vec<u8>) {
    let mut client = one(policy);
    let id = client.announce(at(now), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, now);
    assert!(is_connect(&connect));
    assert_eq!(client.handle_input(at(now), tracker(), &reply(0, &connect, &ID)), None);
    let request = sent_one(&mut client, now);
    assert!(is_announce(&request, ID));
    (client, id, request)
}

/// The times at which a client sends something, and whether it is a connect, until it gives up.
pub(crate) fn transmissions(client: &mut One, mut now: u64) -> Vec<(u64, bool)> {
    let mut all = Vec::new();
    loop {
        all.extend(sent(client, now).iter().map(|datagram| (now, is_connect(datagram))));
        let due = client.poll_timeout().unwrap();
        assert!(due > at(now));
        now = due.as_secs();
        if let Some(BorrowedEvent::Failed { .. }) = client.handle_timeout(due) {
            return all;
        }
    }
}
