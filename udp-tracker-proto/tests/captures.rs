//! Captured exchanges of real clients with a real tracker: they are decoded, compared with values that were read by
//! hand, and encoded again.

mod pcap;

use std::fmt::Debug;
use std::net::Ipv4Addr;

use hex_literal::hex;
use udp_tracker_proto::{
    AnnounceHead, AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Counts,
    Dialect, Event, InfoHash, Options, PeerId, Request, Response, ScrapeEntry, ScrapeRequest, ScrapeResponse,
    TransactionId, compact,
};

type ResponseV4<'a> = Response<'a, { compact::V4 }>;

const TRACKER: u16 = 6969;
const INFO_HASH: [u8; 20] = hex!("e5d5fdac66b48270c93842b333061ea4dd7233e9");
const CONNECTION: ConnectionId = ConnectionId(0x3be0_6a37_3933_e498);
/// Length of the file in the torrent of all three captures.
const FILE_LEN: u64 = 3_000_000;

/// The expected content of a captured datagram.
enum Expected {
    Request(Request<'static>),
    Connect(u32),
    Announce { transaction: u32, interval: u32, leechers: u32, seeders: u32, peers: &'static [[u8; 6]] },
    Scrape(u32, ScrapeEntry),
}
use Expected::{Announce, Connect, Scrape};

fn connect(transaction: u32) -> Expected {
    Expected::Request(Request::Connect(ConnectRequest {
        protocol_id: 0x0000_0417_2710_1980,
        transaction_id: TransactionId(transaction),
    }))
}

fn scrape(transaction: u32) -> Expected {
    Expected::Request(Request::Scrape(ScrapeRequest {
        connection_id: CONNECTION,
        transaction_id: TransactionId(transaction),
        info_hashes: &[INFO_HASH],
    }))
}

/// An announce of the capture's torrent; the rest of its fields are to be filled in.
const ANNOUNCE: AnnounceRequest<'static> = AnnounceRequest {
    dialect: Dialect::Bep15,
    connection_id: CONNECTION,
    transaction_id: TransactionId(0),
    info_hash: InfoHash(INFO_HASH),
    peer_id: PeerId([0; 20]),
    downloaded: 0,
    left: 0,
    uploaded: 0,
    event: Event::None,
    ip: Ipv4Addr::UNSPECIFIED,
    key: 0,
    num_want: 0,
    port: 0,
    options: Options::NONE,
};

fn announce(request: AnnounceRequest<'static>) -> Expected {
    Expected::Request(Request::Announce(request))
}

fn encoded<E: Debug>(encode: impl FnOnce(&mut [u8]) -> Result<usize, E>) -> Vec<u8> {
    let mut out = vec![0; 2048];
    let len = encode(&mut out).unwrap();
    out.truncate(len);
    out
}

fn check(capture: &[u8], expected: &[Expected]) {
    let datagrams = pcap::datagrams(capture);
    assert_eq!(datagrams.len(), expected.len());
    for (datagram, expected) in datagrams.iter().zip(expected) {
        let bytes = &datagram.payload[..];
        match expected {
            Expected::Request(request) => {
                assert_eq!(datagram.destination_port, TRACKER);
                assert_eq!(Request::decode(bytes), Ok(*request));
                let again = match request {
                    Request::Connect(connect) => encoded(|out| connect.encode(out)),
                    Request::Announce(announce) => encoded(|out| announce.encode(out)),
                    Request::Scrape(scrape) => encoded(|out| scrape.encode(out)),
                };
                assert_eq!(again, bytes);
            }
            Connect(transaction) => {
                assert_eq!(datagram.source_port, TRACKER);
                let response = ConnectResponse {
                    transaction_id: TransactionId(*transaction),
                    connection_id: CONNECTION,
                    seen: None,
                };
                assert_eq!(ResponseV4::decode(bytes, 0), Ok(Response::Connect(response)));
                assert_eq!(encoded(|out| response.encode(out)), bytes);
            }
            Announce { transaction, interval, leechers, seeders, peers } => {
                assert_eq!(datagram.source_port, TRACKER);
                let head = AnnounceHead {
                    transaction_id: TransactionId(*transaction),
                    interval: *interval,
                    counts: Some(Counts { leechers: *leechers, seeders: *seeders }),
                };
                let response = AnnounceResponse { head, peers };
                assert_eq!(ResponseV4::decode(bytes, 0), Ok(Response::Announce(response)));
                assert_eq!(encoded(|out| response.encode(out)), bytes);
            }
            Scrape(transaction, entry) => {
                assert_eq!(datagram.source_port, TRACKER);
                let transaction_id = TransactionId(*transaction);
                let response = ScrapeResponse::decode(bytes, 1).unwrap();
                assert_eq!(response.transaction_id, transaction_id);
                assert!(response.entries().eq([(None, *entry)]));
                let again = encoded(|out| ScrapeResponse::encode(transaction_id, [*entry].into_iter(), out));
                assert_eq!(again, bytes);
            }
        }
    }
}

#[test]
fn libtorrent() {
    let seeder = AnnounceRequest {
        peer_id: PeerId(*b"-LT2080-nGKN-~Enk-OO"),
        key: 0x8815_7127,
        port: 6882,
        options: Options::new(b"\x02\x09/announce"),
        ..ANNOUNCE
    };
    let started = AnnounceRequest {
        transaction_id: TransactionId(0x072d_1493),
        event: Event::Started,
        num_want: 200,
        ..seeder
    };
    let stopped = AnnounceRequest {
        transaction_id: TransactionId(0xc245_9291),
        event: Event::Stopped,
        num_want: 0,
        ..seeder
    };
    check(
        include_bytes!("captures/libtorrent.pcap"),
        &[
            connect(0xad7e_85d6),
            Connect(0xad7e_85d6),
            announce(started),
            Announce {
                transaction: 0x072d_1493,
                interval: 0x6fb,
                leechers: 0,
                seeders: 1,
                peers: &[[127, 0, 0, 1, 0x1a, 0xe2]],
            },
            scrape(0xd1d9_5106),
            Scrape(0xd1d9_5106, ScrapeEntry { seeders: 1, completed: 0, leechers: 0 }),
            announce(stopped),
            Announce { transaction: 0xc245_9291, interval: 0x73f, leechers: 0, seeders: 0, peers: &[] },
        ],
    );
}

#[test]
fn aria2() {
    let peer = AnnounceRequest {
        peer_id: PeerId(hex!("41322d312d33362d302d99565c3fd390d0ef2b75")), // A2-1-36-0-..
        port: 6884,
        options: Options::new(&[0, 0]), // its announces are of 100 bytes
        ..ANNOUNCE
    };
    let started = AnnounceRequest {
        transaction_id: TransactionId(0x4c53_fcb4),
        left: FILE_LEN,
        event: Event::Started,
        key: 0x4a8a_9a67,
        num_want: 50,
        ..peer
    };
    let completed = AnnounceRequest {
        transaction_id: TransactionId(0x7bbd_5a53),
        downloaded: FILE_LEN,
        event: Event::Completed,
        key: 0x687c_7581,
        num_want: 50,
        ..peer
    };
    let stopped = AnnounceRequest {
        transaction_id: TransactionId(0xb41c_4647),
        downloaded: FILE_LEN,
        event: Event::Stopped,
        key: 0x54ea_cf2f,
        num_want: 0,
        ..peer
    };
    const BOTH: &[[u8; 6]] = &[[127, 0, 0, 1, 0x1a, 0xe4], [127, 0, 0, 1, 0x1a, 0xe3]];
    check(
        include_bytes!("captures/aria2.pcap"),
        &[
            connect(0xa3ab_67a7),
            Connect(0xa3ab_67a7),
            announce(started),
            Announce { transaction: 0x4c53_fcb4, interval: 0x75c, leechers: 1, seeders: 1, peers: BOTH },
            announce(completed),
            Announce { transaction: 0x7bbd_5a53, interval: 0x7ac, leechers: 0, seeders: 2, peers: BOTH },
            announce(stopped),
            Announce { transaction: 0xb41c_4647, interval: 0x6a4, leechers: 0, seeders: 1, peers: &[] },
        ],
    );
}

#[test]
fn transmission() {
    let peer = AnnounceRequest {
        peer_id: PeerId(*b"-TR3000-7xqond6bhazb"),
        left: FILE_LEN,
        key: 0x0ebc_68db,
        port: 6886,
        ..ANNOUNCE
    };
    let stopped =
        AnnounceRequest { transaction_id: TransactionId(0x9feb_ef47), event: Event::Stopped, ..peer };
    let started = AnnounceRequest {
        transaction_id: TransactionId(0xb29f_ff58),
        event: Event::Started,
        num_want: 80,
        ..peer
    };
    check(
        include_bytes!("captures/transmission.pcap"),
        &[
            connect(0x8c3d_0b34),
            Connect(0x8c3d_0b34),
            announce(stopped),
            Announce { transaction: 0x9feb_ef47, interval: 0x6aa, leechers: 0, seeders: 1, peers: &[] },
            announce(started),
            Announce {
                transaction: 0xb29f_ff58,
                interval: 0x7a0,
                leechers: 1,
                seeders: 1,
                peers: &[[127, 0, 0, 1, 0x1a, 0xe6], [127, 0, 0, 1, 0x1a, 0xe3]],
            },
            scrape(0x6d88_e691),
            Scrape(0x6d88_e691, ScrapeEntry { seeders: 1, completed: 1, leechers: 1 }),
        ],
    );
}
