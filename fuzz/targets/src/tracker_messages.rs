//! Arbitrary datagrams to the codec of the tracker protocol: what is decoded is encoded to the same bytes.

use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, DecodeError, Dialect, Request, RequestError, Response, ScrapeResponse,
    compact,
};

const ROOM: usize = 70_000;

/// Any bytes as a request, and as a response. The first byte is the number of info_hashes that a scrape asked for.
///
/// # Panics
/// If a message that was decoded is encoded to other bytes, or is other than its error says.
pub fn tracker_messages(input: &[u8]) {
    let Some((&asked, datagram)) = input.split_first() else { return };
    let mut out = vec![0; ROOM];
    request(datagram, &mut out);
    response::<{ compact::V4 }>(datagram, asked.into(), &mut out);
    response::<{ compact::V6 }>(datagram, asked.into(), &mut out);
}

fn request(datagram: &[u8], out: &mut [u8]) {
    match Request::decode(datagram) {
        Ok(Request::Connect(connect)) => {
            let len = connect.encode(out).expect("room");
            assert_eq!(out[..len], datagram[..len]);
        }
        Ok(Request::Announce(announce)) => {
            assert_eq!(AnnounceRequest::peek_info_hash(datagram), Some(announce.info_hash));
            let len = announce.encode(out).expect("room");
            assert_eq!(out[..len], *datagram);
            assert!(announce.dialect == Dialect::Bep15 || announce.options.iter().next().is_none());
            let url_data: usize = announce.options.url_data().map(<[u8]>::len).sum();
            assert!(url_data <= datagram.len() - AnnounceRequest::LEN_2004);
        }
        Ok(Request::Scrape(scrape)) => {
            let len = scrape.encode(out).expect("room");
            assert_eq!(out[..len], datagram[..len]);
            assert_eq!(scrape.hashes().len(), scrape.info_hashes.len());
        }
        Err(RequestError::Sendable { transaction_id, reason, .. }) => {
            assert_eq!(transaction_id.0.to_be_bytes(), datagram[12..16]);
            assert!(!reason.to_string().is_empty());
        }
        Err(RequestError::Unsendable(DecodeError::Truncated { needed, got })) => assert!(got < needed),
        Err(_) => {}
    }
}

fn response<const N: usize>(datagram: &[u8], asked: usize, out: &mut [u8]) {
    match Response::<N>::decode(datagram, asked) {
        Ok(Response::Connect(connect)) => {
            let len = connect.encode(out).expect("room");
            assert_eq!(out[..len.min(16)], datagram[..16]);
        }
        Ok(Response::Announce(announce)) => {
            let len = announce.encode(out).expect("room");
            assert_eq!(out[..len], *datagram);
            let dialect = if announce.head.counts.is_some() { Dialect::Bep15 } else { Dialect::Draft2004 };
            assert_eq!(AnnounceResponse::decode_as(dialect, datagram), Ok(announce));
        }
        Ok(Response::Scrape(scrape)) => {
            assert_eq!(scrape.entries().len(), asked);
            if scrape.dialect == Dialect::Bep15 {
                let entries = scrape.entries().map(|(_, entry)| entry);
                let len = ScrapeResponse::encode(scrape.transaction_id, entries, out).expect("room");
                assert_eq!(out[..len], *datagram);
            }
        }
        Ok(Response::Error(error)) => {
            assert!(!error.text().to_string().contains(char::is_control), "what a terminal would obey");
            let len = error.encode(out).expect("room");
            assert_eq!(
                out[4..len],
                datagram[4..len],
                "all but the action, which may be in the wrong byte order"
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
