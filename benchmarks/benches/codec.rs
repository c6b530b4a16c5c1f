//! The codec against the crate `aquatic_udp_protocol`: reading an announce, and writing a reply of 50 peers.
//!
//! Before measuring, the results of both are asserted to be equal. Reading includes the conversion to host order of the
//! fields that a tracker needs, because aquatic converts a field only when it is read.

use std::hint::black_box;
use std::io::Cursor;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::num::NonZeroU16;

use aquatic_udp_protocol as aquatic;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use udp_tracker_proto as own;
use udp_tracker_proto::compact;

const PEERS: u8 = 50;

/// The fields of an announce that a tracker needs.
#[derive(Debug, PartialEq)]
struct Needed {
    connection_id: u64,
    transaction_id: u32,
    info_hash: [u8; 20],
    left: u64,
    event: u32,
    num_want: i32,
    port: u16,
}

fn announce() -> Vec<u8> {
    let mut datagram = vec![0; 98];
    let request = own::AnnounceRequest {
        dialect: own::Dialect::Bep15,
        connection_id: own::ConnectionId(0x0102_0304_0506_0708),
        transaction_id: own::TransactionId(0x1112_1314),
        info_hash: own::InfoHash(std::array::from_fn(|at| u8::try_from(at).unwrap_or(0))),
        peer_id: own::PeerId(*b"-LT2080-nGKN-~Enk-OO"),
        downloaded: 1,
        left: 2,
        uploaded: 3,
        event: own::Event::Started,
        ip: Ipv4Addr::UNSPECIFIED,
        key: 4,
        num_want: 50,
        port: 6881,
        options: own::Options::NONE,
    };
    assert_eq!(request.encode(&mut datagram), Ok(98));
    datagram
}

fn own_decode(datagram: &[u8]) -> Option<Needed> {
    let Ok(own::Request::Announce(request)) = own::Request::decode(datagram) else { return None };
    Some(Needed {
        connection_id: request.connection_id.0,
        transaction_id: request.transaction_id.0,
        info_hash: request.info_hash.0,
        left: request.left,
        event: request.event as u32,
        num_want: request.num_want,
        port: request.port,
    })
}

fn aquatic_decode(datagram: &[u8]) -> Option<Needed> {
    let Ok(aquatic::Request::Announce(request)) = aquatic::Request::parse_bytes(datagram, 70) else {
        return None;
    };
    let event = match aquatic::AnnounceEvent::from(request.event) {
        aquatic::AnnounceEvent::None => 0,
        aquatic::AnnounceEvent::Completed => 1,
        aquatic::AnnounceEvent::Started => 2,
        aquatic::AnnounceEvent::Stopped => 3,
    };
    Some(Needed {
        connection_id: request.connection_id.0.get().cast_unsigned(),
        transaction_id: request.transaction_id.0.get().cast_unsigned(),
        info_hash: request.info_hash.0,
        left: request.bytes_left.0.get().cast_unsigned(),
        event,
        num_want: request.peers_wanted.0.get(),
        port: request.port.0.get(),
    })
}

fn decode(criterion: &mut Criterion) {
    let datagram = announce();
    let needed = own_decode(&datagram);
    assert!(needed.is_some());
    assert_eq!(needed, aquatic_decode(&datagram));
    let mut group = criterion.benchmark_group("decode an announce");
    group.throughput(Throughput::Elements(1));
    group.bench_function("own", |bencher| bencher.iter(|| own_decode(black_box(&datagram))));
    group.bench_function("aquatic", |bencher| bencher.iter(|| aquatic_decode(black_box(&datagram))));
    group.finish();
}

fn own_encode(response: &own::AnnounceResponse<'_, { compact::V4 }>, out: &mut [u8]) -> usize {
    response.encode(out).unwrap_or(0)
}

fn aquatic_encode(response: &aquatic::Response, out: &mut [u8]) -> usize {
    let mut out = Cursor::new(out);
    response.write_bytes(&mut out).map_or(0, |()| usize::try_from(out.position()).unwrap_or(0))
}

fn encode(criterion: &mut Criterion) {
    let addresses: Vec<_> =
        (1..=PEERS).map(|nth| SocketAddrV4::new([192, 0, 2, nth].into(), 6000 + u16::from(nth))).collect();
    let peers: Vec<_> = addresses.iter().copied().map(compact::from_v4).collect();
    let response = aquatic::Response::AnnounceIpv4(aquatic::AnnounceResponse {
        fixed: aquatic::AnnounceResponseFixedData {
            transaction_id: aquatic::TransactionId::new(7),
            announce_interval: aquatic::AnnounceInterval::new(1800),
            leechers: aquatic::NumberOfPeers::new(40),
            seeders: aquatic::NumberOfPeers::new(11),
        },
        peers: addresses
            .iter()
            .filter_map(|peer| {
                let port = aquatic::Port::new(NonZeroU16::new(peer.port())?);
                Some(aquatic::ResponsePeer { ip_address: (*peer.ip()).into(), port })
            })
            .collect(),
    });
    let head = own::AnnounceHead {
        transaction_id: own::TransactionId(7),
        interval: 1800,
        counts: Some(own::Counts { leechers: 40, seeders: 11 }),
    };
    let own_response = own::AnnounceResponse { head, peers: &peers };
    let (mut one, mut other) = ([0; 2048], [0; 2048]);
    let (own_len, aquatic_len) = (own_encode(&own_response, &mut one), aquatic_encode(&response, &mut other));
    assert_eq!(own_len, 20 + 6 * usize::from(PEERS));
    assert_eq!(one[..own_len], other[..aquatic_len]);
    let mut group = criterion.benchmark_group("encode a reply of 50 peers");
    group.throughput(Throughput::Elements(1));
    group.bench_function("own", |bencher| {
        bencher.iter(|| own_encode(black_box(&own_response), black_box(&mut one)));
    });
    group.bench_function("aquatic", |bencher| {
        bencher.iter(|| aquatic_encode(black_box(&response), black_box(&mut other)));
    });
    group.finish();
}

criterion_group!(benches, decode, encode);
criterion_main!(benches);
