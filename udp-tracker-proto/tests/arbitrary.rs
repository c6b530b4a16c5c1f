//! Properties of the codec for any message and for arbitrary bytes.

use std::net::Ipv4Addr;

use proptest::collection::vec;
use proptest::prelude::*;
use udp_tracker_proto::{
    AnnounceHead, AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Counts,
    DecodeError, Dialect, ErrorResponse, Event, Options, Request, RequestError, Response, ScrapeEntry,
    ScrapeRequest, ScrapeResponse, TrackerUrl, TransactionId, compact, write_url_data,
};

prop_compose! {
    fn any_announce()(
        old in any::<bool>(),
        (connection, transaction) in any::<(u64, u32)>(),
        (info_hash, peer_id) in any::<([u8; 20], [u8; 20])>(),
        (downloaded, left, uploaded) in any::<(u64, u64, u64)>(),
        (event, ip, key, num_want) in (0..4u32, any::<u32>(), any::<u32>(), any::<i32>()),
        port in 1..=u16::MAX,
        options in vec(any::<u8>(), 0..300),
    ) -> (AnnounceRequest<'static>, Vec<u8>) {
        let request = AnnounceRequest {
            dialect: if old { Dialect::Draft2004 } else { Dialect::Bep15 },
            connection_id: ConnectionId(connection),
            transaction_id: TransactionId(transaction),
            info_hash: info_hash.into(),
            peer_id: peer_id.into(),
            downloaded,
            left,
            uploaded,
            event: Event::try_from(event).unwrap(),
            ip: Ipv4Addr::from_bits(ip),
            key: if old { 0 } else { key },
            num_want,
            port,
            options: Options::NONE,
        };
        (request, if old { Vec::new() } else { options })
    }
}

proptest! {
    #[test]
    fn announces_survive_a_round_trip((request, options) in any_announce()) {
        let request = AnnounceRequest { options: Options::new(&options), ..request };
        let mut out = [0; 512];
        let len = request.encode(&mut out).unwrap();
        prop_assert_eq!(AnnounceRequest::decode(&out[..len]), Ok(request));
        prop_assert_eq!(Request::decode(&out[..len]), Ok(Request::Announce(request)));
        prop_assert!(request.encode(&mut out[..len - 1]).is_err());
        // Truncated before its options it is malformed, except at the length of the other dialect.
        for cut in (0..len.min(AnnounceRequest::LEN)).filter(|cut| *cut != AnnounceRequest::LEN_2004) {
            prop_assert!(AnnounceRequest::decode(&out[..cut]).is_err());
        }
    }

    #[test]
    fn scrapes_survive_a_round_trip(
        (connection, transaction) in any::<(u64, u32)>(),
        info_hashes in vec(any::<[u8; 20]>(), 1..80),
    ) {
        let request = ScrapeRequest {
            connection_id: ConnectionId(connection),
            transaction_id: TransactionId(transaction),
            info_hashes: &info_hashes,
        };
        let mut out = [0; 2048];
        let len = request.encode(&mut out).unwrap();
        prop_assert_eq!(Request::decode(&out[..len]), Ok(Request::Scrape(request)));
        for cut in (0..len).filter(|cut| *cut <= 16 || (cut - 16) % 20 != 0) {
            prop_assert!(ScrapeRequest::decode(&out[..cut]).is_err());
        }
    }

    #[test]
    fn connects_survive_a_round_trip(protocol_id: u64, transaction: u32, connection: u64, seen in any::<Option<(u32, u16)>>()) {
        let transaction_id = TransactionId(transaction);
        let request = ConnectRequest { protocol_id, transaction_id };
        let mut out = [0; 32];
        let len = request.encode(&mut out).unwrap();
        prop_assert_eq!(Request::decode(&out[..len]), Ok(Request::Connect(request)));
        for cut in 0..len {
            prop_assert!(ConnectRequest::decode(&out[..cut]).is_err());
        }

        let seen = seen.filter(|(ip, _)| *ip != 0);
        let seen = seen.map(|(ip, port)| std::net::SocketAddrV4::new(Ipv4Addr::from_bits(ip), port));
        let response = ConnectResponse { transaction_id, connection_id: ConnectionId(connection), seen };
        let len = response.encode(&mut out).unwrap();
        prop_assert_eq!(ConnectResponse::decode(&out[..len]), Ok(response));
        for cut in 0..16 {
            prop_assert!(ConnectResponse::decode(&out[..cut]).is_err());
        }
    }

    #[test]
    fn announce_responses_survive_a_round_trip(
        (transaction, interval) in any::<(u32, u32)>(),
        counts in any::<Option<(u32, u32)>>(),
        v4 in vec(any::<[u8; 6]>(), 0..60),
        v6 in vec(any::<[u8; 18]>(), 0..60),
    ) {
        let counts = counts.map(|(leechers, seeders)| Counts { leechers, seeders });
        let head = AnnounceHead { transaction_id: TransactionId(transaction), interval, counts };
        let dialect = if counts.is_some() { Dialect::Bep15 } else { Dialect::Draft2004 };
        let mut out = [0; 2048];

        let response = AnnounceResponse { head, peers: &v4 };
        let len = response.encode(&mut out).unwrap();
        prop_assert_eq!(AnnounceResponse::decode(&out[..len]), Ok(response));
        prop_assert_eq!(AnnounceResponse::decode_as(dialect, &out[..len]), Ok(response));
        prop_assert!(response.encode(&mut out[..len - 1]).is_err());

        let response = AnnounceResponse { head, peers: &v6 };
        let len = response.encode(&mut out).unwrap();
        prop_assert_eq!(AnnounceResponse::decode_as(dialect, &out[..len]), Ok(response));
    }

    #[test]
    fn scrape_responses_survive_a_round_trip(
        transaction: u32,
        entries in vec(any::<(u32, u32, u32)>(), 1..75),
    ) {
        let transaction_id = TransactionId(transaction);
        let entries = entries.iter().map(|&(seeders, completed, leechers)| ScrapeEntry { seeders, completed, leechers });
        let mut out = [0; 1024];
        let len = ScrapeResponse::encode(transaction_id, entries.clone(), &mut out).unwrap();
        let response = ScrapeResponse::decode(&out[..len], entries.len()).unwrap();
        prop_assert_eq!(response.transaction_id, transaction_id);
        prop_assert!(response.entries().eq(entries.clone().map(|entry| (None, entry))));
        for cut in 0..len {
            prop_assert!(ScrapeResponse::decode(&out[..cut], entries.len()).is_err());
        }
    }

    #[test]
    fn url_data_survives_a_round_trip(path in "[ -~]{0,700}", cut in 0..700usize) {
        let mut out = [0; 1024];
        let len = write_url_data(&path, &mut out).unwrap();
        let read: Vec<u8> = Options::new(&out[..len]).url_data().flatten().copied().collect();
        prop_assert_eq!(read, path.as_bytes());
        // Truncated, it yields whole options or nothing, never another path.
        let cut = cut.min(len);
        let read: Vec<u8> = Options::new(&out[..cut]).url_data().flatten().copied().collect();
        prop_assert!(path.as_bytes().starts_with(&read));
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..2048), action in 0..5u8, asked in 0..80usize) {
        let mut request = bytes.clone();
        for bytes in [&bytes, { if let Some(byte) = request.get_mut(8..12) { byte.copy_from_slice(&[0, 0, 0, action]) }; &request }] {
            match Request::decode(bytes) {
                Ok(Request::Announce(announce)) => {
                    let _ = announce.options.url_data().count();
                }
                Err(RequestError::Sendable { .. }) => prop_assert!(bytes.len() >= 16),
                Err(RequestError::Unsendable(DecodeError::Truncated { needed, got })) => prop_assert!(got < needed),
                _ => {}
            }
        }
        let mut response = bytes;
        if let Some(bytes) = response.get_mut(..4) {
            bytes.copy_from_slice(&[0, 0, 0, action]);
        }
        if let Ok(Response::Error(error)) = Response::<6>::decode(&response, asked) {
            prop_assert!(!error.text().to_string().contains(char::is_control));
        }
        let _ = Response::<18>::decode(&response, asked);
    }

    #[test]
    fn arbitrary_urls_never_panic_and_survive_a_round_trip(text in "(udp://)?.{0,40}") {
        if let Ok(url) = TrackerUrl::parse(&text) {
            prop_assert_ne!(url.port, 0);
            let shown = url.to_string();
            prop_assert_eq!(TrackerUrl::parse(&shown), Ok(url));
        }
    }

    #[test]
    fn endpoints_survive_a_round_trip(v4 in any::<[u8; 6]>(), v6 in any::<[u8; 18]>()) {
        prop_assert_eq!(compact::from_v4(compact::to_v4(v4)), v4);
        prop_assert_eq!(compact::from_v6(compact::to_v6(v6)), v6);
    }
}

/// The text of an error reply is never truncated within a character.
#[test]
fn an_error_is_valid_utf8_in_any_buffer() {
    let mut out = [0; 64];
    for room in 8..out.len() {
        let len = ErrorResponse::encode_display(
            TransactionId(1),
            &"caf\u{e9}s \u{1f980} and more",
            &mut out[..room],
        );
        let error = ErrorResponse::decode(&out[..len.unwrap()]).unwrap();
        assert!(std::str::from_utf8(error.message).is_ok());
    }
}
