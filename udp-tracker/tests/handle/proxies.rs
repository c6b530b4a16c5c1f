//! Clients behind proxies that put a header before each datagram.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::requests::{Tracker, encoded, leecher, scrape};
use proptest::collection::vec;
use proptest::prelude::*;
use udp_tracker::{AccessRules, Count, Family, Rule, Service, Settings};
use udp_tracker_proto::{AnnounceRequest, ConnectResponse, ConnectionId, InfoHash};

const CONNECT: [u8; 16] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];

fn proxy() -> SocketAddr {
    "10.0.0.1:5000".parse().unwrap()
}

fn client() -> SocketAddr {
    "8.8.8.8:6881".parse().unwrap()
}

fn behind_proxies() -> Settings {
    let mut settings = Settings::default();
    settings.proxy_protocol_sources = vec!["10.0.0.0/24".parse().unwrap()];
    settings
}

/// Both headers with the client's address.
fn headers(client: SocketAddr) -> [Vec<u8>; 2] {
    let octets = match client.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    };
    let ports = [client.port().to_be_bytes(), 6969u16.to_be_bytes()].concat();
    let simple = [&[0x56, 0xec][..], &octets, &[7; 16], &ports].concat();
    let head = |family, len| [b"\r\n\r\n\0\r\nQUIT\n\x21".as_slice(), &[family, 0, len]].concat();
    let v2 = match client.ip() {
        IpAddr::V4(ip) => [&head(0x12, 12)[..], &ip.octets(), &[7; 4], &ports].concat(),
        IpAddr::V6(ip) => [&head(0x22, 36)[..], &ip.octets(), &[7; 16], &ports].concat(),
    };
    [simple, v2]
}

/// The reply to a proxied datagram, without the header that it must have.
fn ask(tracker: &mut Tracker, header: &[u8], datagram: &[u8]) -> Vec<u8> {
    let request = [header, datagram].concat();
    let reply = tracker.ask(proxy(), &request);
    if reply.is_empty() || header[0] == b'\r' {
        return reply;
    }
    assert_eq!(reply[..38], header[..38]);
    reply[38..].to_vec()
}

#[test]
fn a_proxied_client_is_served_as_itself() {
    for (client, family) in [(client(), Family::V4), ("[2a00::1]:6881".parse().unwrap(), Family::V6)] {
        for header in headers(client) {
            let service = Arc::new(Service::new(behind_proxies()).unwrap());
            let mut tracker = Tracker::of(&service);
            let reply = ask(&mut tracker, &header, &CONNECT);
            let connection_id = ConnectResponse::decode(&reply).unwrap().connection_id;
            let request = AnnounceRequest { connection_id, ..leecher(6881) };
            assert_eq!(ask(&mut tracker, &header, &encoded(&request))[3], 1);
            // The peer has the client's address.
            let torrent = crate::requests::TORRENT;
            let known = service.stores().some_peers(tracker.now, family, &torrent, 9);
            assert_eq!(known.iter().map(|peer| peer.address).collect::<Vec<_>>(), [client]);
            // The id is the client's, not the proxy's.
            assert!(service.connection_ids().accepts(tracker.now, client.ip(), connection_id));
            assert!(!service.connection_ids().accepts(tracker.now, proxy().ip(), connection_id));
            assert_eq!(service.counters().get(family, Count::Received), 2);
        }
    }
}

#[test]
fn only_listed_networks_may_send_headers() {
    for header in headers(client()) {
        let mut tracker = Tracker::new(behind_proxies());
        let request = [&header[..], &CONNECT].concat();
        for source in ["10.0.1.1:5000", "8.8.8.8:6881", "[::1]:1"] {
            assert_eq!(tracker.ask(source.parse().unwrap(), &request), [], "{source}");
        }
        assert_eq!(tracker.counted(Count::Connects), 0);
        let mut tracker = Tracker::new(Settings::default());
        assert_eq!(tracker.ask(proxy(), &request), []);
    }
}

#[test]
fn a_proxy_without_a_header_is_a_client() {
    let mut tracker = Tracker::new(behind_proxies());
    assert_eq!(tracker.announce(proxy(), leecher(1))[3], 1);
    // A header that names no client.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    assert_eq!(tracker.ask(proxy(), &[&local[..], &CONNECT].concat()).len(), 16);
}

#[test]
fn broken_headers_are_ignored_and_counted() {
    let mut tracker = Tracker::new(behind_proxies());
    for header in headers(client()) {
        assert_eq!(tracker.ask(proxy(), &header[..header.len() - 1]), []);
    }
    assert_eq!((tracker.counted(Count::BadProxyHeader), tracker.counted(Count::Received)), (2, 2));
}

#[test]
fn access_rules_concern_the_client() {
    for (denied, served) in [("8.8.8.0/24", false), ("10.0.0.0/24", true)] {
        let mut rules = AccessRules::all();
        rules.networks.extend([Rule::new(denied.parse().unwrap())]);
        let service = Service::new(behind_proxies()).unwrap().with_access(rules);
        let mut tracker = Tracker::of(&Arc::new(service));
        for header in headers(client()) {
            assert_eq!(!ask(&mut tracker, &header, &CONNECT).is_empty(), served, "{denied}");
        }
    }
}

#[test]
fn a_reply_with_its_header_is_not_longer_than_allowed() {
    let mut settings = behind_proxies();
    settings.max_peers_per_network_and_torrent = 0;
    let mut tracker = Tracker::new(settings);
    for port in 1..=200 {
        tracker.announce("8.8.4.4:1".parse().unwrap(), leecher(port));
    }
    for header in headers(client()) {
        let reply = ask(&mut tracker, &header, &CONNECT);
        let connection_id = ConnectResponse::decode(&reply).unwrap().connection_id;
        let request = AnnounceRequest { connection_id, num_want: 200, ..leecher(6881) };
        let request = [&header[..], &encoded(&request)].concat();
        let reply = tracker.ask(proxy(), &request);
        // 199 or 200 peers, or as many as fit.
        let most = if header[0] == 0x56 { 38 + 20 + 6 * 195 } else { 20 + 6 * 200 };
        assert_eq!(reply.len(), most, "{}", reply.len());
        assert!(reply.len() <= 1232);
    }
}

proptest! {
    #[test]
    fn no_reply_is_longer_than_its_unproven_request(
        kind in 0..2usize,
        v6: bool,
        payload in vec(any::<u8>(), 0..120),
        action in 0..4u8,
        cut in 0..200usize,
    ) {
        let client = if v6 { "[2a00::1]:6881".parse().unwrap() } else { client() };
        let mut payload = payload;
        if let Some(bytes) = payload.get_mut(8..12) {
            bytes.copy_from_slice(&[0, 0, 0, action]);
        }
        let mut request = [&headers(client)[kind][..], &payload].concat();
        request.truncate(cut.max(2));
        let mut tracker = Tracker::new(behind_proxies());
        let reply = tracker.ask(proxy(), &request);
        prop_assert!(reply.len() <= request.len());
        // The reply is no request, neither with its header nor without.
        let bare = reply.strip_prefix(&request[..request.len().min(38)]).unwrap_or(&reply);
        prop_assert_eq!(tracker.ask(proxy(), bare), []);
        prop_assert_eq!(tracker.ask(client, bare), []);
    }
}

#[test]
fn bad_ids_get_errors_not_longer_than_their_requests() {
    let mut tracker = Tracker::new(behind_proxies());
    for header in headers(client()) {
        for datagram in [encoded(&leecher(1)), scrape(ConnectionId(1), &[InfoHash([1; 20])])] {
            let reply = ask(&mut tracker, &header, &datagram);
            assert!(reply[3] == 3 && reply.len() <= datagram.len());
        }
    }
    assert_eq!(tracker.counted(Count::BadConnectionId), 4);
}
