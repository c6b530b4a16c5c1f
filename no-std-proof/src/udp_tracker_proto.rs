//! `udp-tracker-proto`: an announce and its reply are encoded and decoded, and the error of a malformed scrape is
//! formatted.

use core::hint::black_box;
use core::net::Ipv4Addr;

use ::udp_tracker_proto::{
    AnnounceHead, AnnounceRequest, AnnounceResponse, ConnectionId, Counts, Dialect, ErrorResponse, Event,
    Options, PeerId, Request, RequestError, TransactionId,
};

/// Whether all results are the expected ones.
///
/// `black_box` prevents the compiler from computing the results at build time and removing the code.
pub(crate) fn works() -> bool {
    announces() == Some(true) && refuses() == Some(true)
}

fn announces() -> Option<bool> {
    let request = AnnounceRequest {
        dialect: Dialect::Bep15,
        connection_id: ConnectionId(black_box(7)),
        transaction_id: TransactionId(black_box(8)),
        info_hash: black_box("000102030405060708090a0b0c0d0e0f10111213").parse().ok()?,
        peer_id: PeerId([1; 20]),
        downloaded: 0,
        left: 1,
        uploaded: 0,
        event: Event::Started,
        ip: Ipv4Addr::UNSPECIFIED,
        key: 9,
        num_want: -1,
        port: 6881,
        options: Options::NONE,
    };
    let mut datagram = [0; 98];
    let length = request.encode(&mut datagram).ok()?;
    let Ok(Request::Announce(read)) = Request::decode(black_box(&datagram[..length])) else {
        return None;
    };

    let response = AnnounceResponse {
        head: AnnounceHead {
            transaction_id: read.transaction_id,
            interval: 1800,
            counts: Some(Counts { leechers: 1, seeders: 2 }),
        },
        peers: &[[192, 0, 2, 1, 0x1a, 0xe1]],
    };
    let mut reply = [0; 64];
    let length = response.encode(&mut reply).ok()?;
    Some(read == request && AnnounceResponse::decode(black_box(&reply[..length])) == Ok(response))
}

/// A scrape without an info_hash. The error's text is formatted, so `core::fmt` is part of the proof.
fn refuses() -> Option<bool> {
    let datagram = black_box([0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 2, 0, 0, 0, 8]);
    let Err(RequestError::Sendable { transaction_id, reason, .. }) = Request::decode(&datagram) else {
        return None;
    };
    let mut reply = [0; 64];
    Some(ErrorResponse::encode_display(transaction_id, &reason, &mut reply).ok()? > 8)
}
