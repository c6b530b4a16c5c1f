//! Properties that hold for any datagram.

use std::net::SocketAddr;

use crate::requests::{Tracker, encoded, leecher, scrape};
use proptest::collection::vec;
use proptest::prelude::*;
use udp_tracker::Settings;
use udp_tracker_proto::{AnnounceRequest, Dialect, Event, InfoHash, Options};

fn any_source() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![
        (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from),
        (any::<[u8; 16]>(), any::<u16>()).prop_map(SocketAddr::from),
    ]
}

/// A tracker whose torrents have small counts, which could be mistaken for actions.
fn small_swarms(dialect_2004: bool) -> Tracker {
    let mut settings = Settings::default();
    settings.dialect_2004 = dialect_2004;
    settings.announce_interval = 3;
    let mut tracker = Tracker::new(settings);
    for torrent in 0..4u8 {
        for port in 1..=u16::from(torrent) {
            let request = AnnounceRequest { info_hash: InfoHash([torrent; 20]), left: 0, ..leecher(port) };
            tracker.announce("192.0.2.1:1".parse().unwrap(), request);
        }
    }
    tracker
}

proptest! {
    #[test]
    fn any_datagram_gets_a_valid_reply_or_none(
        source in any_source(),
        mut datagram in vec(any::<u8>(), 0..=2048),
        action in 0..5u8,
        good_id: bool,
    ) {
        let mut tracker = Tracker::new(Settings::default());
        if let Some(bytes) = datagram.get_mut(8..12) {
            bytes.copy_from_slice(&[0, 0, 0, action]);
        }
        if good_id && source.port() != 0 && datagram.len() >= 8 {
            let id = tracker.connect(source);
            datagram[..8].copy_from_slice(&id.0.to_be_bytes());
        }
        let reply = tracker.ask(source, &datagram);
        prop_assert!(reply.len() <= 1232);
        if !good_id {
            prop_assert!(reply.len() <= datagram.len(), "a reflector");
        }
    }

    /// Two trackers must not answer each other without end: a tracker ignores the replies of another one, even with the
    /// same key and address.
    #[test]
    fn no_reply_is_a_request(
        transaction: [u8; 4],
        source_is_v6: bool,
        dialect_2004: bool,
        old: bool,
        event in 0..4u32,
        torrents in vec(0..4u8, 1..74),
        options in vec(any::<u8>(), 0..20),
        cut in 16..200usize,
    ) {
        let mut tracker = small_swarms(dialect_2004);
        let source: SocketAddr = if source_is_v6 { "[2001:db8::1]:9" } else { "192.0.2.9:9" }.parse().unwrap();
        let connection_id = tracker.connect(source);
        let mut requests = vec![
            vec![0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 0, 0, 0, 0],
            vec![0; 16],
        ];
        for connection_id in [connection_id, udp_tracker_proto::ConnectionId(5)] {
            let request = AnnounceRequest {
                connection_id,
                dialect: if old { Dialect::Draft2004 } else { Dialect::Bep15 },
                info_hash: InfoHash([torrents[0]; 20]),
                event: Event::try_from(event).unwrap(),
                options: Options::new(&options),
                ..leecher(9)
            };
            requests.push(encoded(&request));
            let torrents: Vec<_> = torrents.iter().map(|torrent| InfoHash([*torrent; 20])).collect();
            requests.push(scrape(connection_id, &torrents));
        }
        let cut: Vec<_> = requests.iter().map(|request| request[..cut.min(request.len())].to_vec()).collect();
        for mut request in requests.into_iter().chain(cut) {
            request[12..16].copy_from_slice(&transaction);
            let reply = tracker.ask(source, &request);
            prop_assert_eq!(tracker.ask(source, &reply), [], "{:02x?} to {:02x?}", reply, request);
        }
    }
}
