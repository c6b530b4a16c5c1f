//! Tests with packets of a real opentracker: data/livesync-opentracker.pcap, and data/livesync-opentracker.txt, which
//! has the contents that tshark shows.

#![allow(clippy::unwrap_used)] // in what reads the fixtures, as in the tests themselves

use std::time::Duration;

use livesync_proto::{Flags, Key, MAX_PACKET_LEN, Record, Refused, Sender, TrackerId, receive};

const PCAP: &[u8] = include_bytes!("data/livesync-opentracker.pcap");
const TEXT: &str = include_str!("data/livesync-opentracker.txt");
const STRANGER: TrackerId = TrackerId([0; 4]);

/// The UDP payloads in a pcap file of Ethernet frames that hold IPv4.
fn payloads(pcap: &[u8]) -> Vec<&[u8]> {
    let u32_at = |bytes: &[u8], at| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let (head, mut rest) = pcap.split_at(24);
    assert_eq!(u32_at(head, 0), 0xa1b2_c3d4, "little-endian, microseconds");
    assert_eq!(u32_at(head, 20), 1, "LINKTYPE_ETHERNET");

    let mut payloads = Vec::new();
    while !rest.is_empty() {
        let (head, frames) = rest.split_at(16);
        let (frame, others) = frames.split_at(usize::try_from(u32_at(head, 8)).unwrap());
        rest = others;
        let (ethernet, ip) = frame.split_at(14);
        assert_eq!(ethernet[12..], [8, 0], "IPv4");
        assert_eq!(ip[9], 17, "UDP");
        let udp = &ip[usize::from(ip[0] & 0x0f) * 4..];
        let len = usize::from(u16::from_be_bytes([udp[4], udp[5]]));
        payloads.push(&udp[8..len]);
    }
    payloads
}

struct Described {
    id: [u8; 4],
    records: Vec<Record>,
}

/// The packets that the text describes.
fn described() -> Vec<Described> {
    let mut packets: Vec<Described> = Vec::new();
    for line in TEXT.lines().filter(|line| !line.starts_with('#')) {
        let fields: Vec<_> = line.split(' ').collect();
        match fields[..] {
            ["packet", id, "00000000"] => {
                let id = u32::from_str_radix(id, 16).unwrap().to_be_bytes();
                packets.push(Described { id, records: Vec::new() });
            }
            [info_hash, ip, port, flags, "00"] => {
                let ip = u32::from_str_radix(ip, 16).unwrap().to_be_bytes();
                let port = u16::from_str_radix(port, 16).unwrap();
                let flags = match flags {
                    "00" => Flags::NONE,
                    "80" => Flags::SEEDING,
                    "a0" => Flags::SEEDING | Flags::STOPPED,
                    "c0" => Flags::SEEDING | Flags::COMPLETED,
                    other => panic!("flags {other}"),
                };
                let info_hash = info_hash.parse().unwrap();
                packets.last_mut().unwrap().records.push(Record {
                    info_hash,
                    peer: (ip, port).into(),
                    flags,
                });
            }
            _ => panic!("{line}"),
        }
    }
    packets
}

#[test]
fn the_text_describes_the_recorded_announces() {
    let packets = described();
    assert_eq!(packets.iter().map(|packet| packet.records.len()).collect::<Vec<_>>(), [52, 10]);

    // 60 peers of 60 torrents, every other one a seeder; then the eighth completes and the ninth leaves.
    let records: Vec<_> = packets.into_iter().flat_map(|packet| packet.records).collect();
    for (at, record) in (0..60).zip(&records) {
        let flags = if at % 2 == 0 { Flags::SEEDING } else { Flags::NONE };
        let peer = ([127, 0, 0, 9], 6881 + u16::from(at)).into();
        assert_eq!(*record, Record { info_hash: [at; 20].into(), peer, flags });
    }
    let peer = |port| ([127, 0, 0, 9], port).into();
    let completed = Flags::SEEDING | Flags::COMPLETED;
    assert_eq!(records[60], Record { info_hash: [7; 20].into(), peer: peer(6888), flags: completed });
    let stopped = Flags::SEEDING | Flags::STOPPED;
    assert_eq!(records[61], Record { info_hash: [8; 20].into(), peer: peer(6889), flags: stopped });
}

#[test]
fn decodes_record_for_record() {
    let payloads = payloads(PCAP);
    assert_eq!(payloads.iter().map(|payload| payload.len()).collect::<Vec<_>>(), [1464, 288]);
    for (payload, described) in payloads.into_iter().zip(described()) {
        let packet = receive(payload, STRANGER, None).unwrap();
        assert_eq!(packet.id.0, described.id);
        assert_eq!(packet.records.collect::<Vec<_>>(), described.records);
    }
}

#[test]
fn the_sender_encodes_the_same_bytes() {
    let [full, timed] = payloads(PCAP)[..] else { panic!("two packets") };
    let [described_full, described_timed] = &described()[..] else { panic!("two packets") };
    let left = Duration::from_secs(100);
    let mut sender = Sender::new(left, TrackerId(described_full.id), None, MAX_PACKET_LEN);

    for record in &described_full.records {
        assert_eq!(sender.poll_transmit(left), None);
        sender.push(record).unwrap();
    }
    assert_eq!(sender.poll_transmit(left), Some(full));

    for record in &described_timed.records {
        sender.push(record).unwrap();
        assert_eq!(sender.poll_transmit(left), None);
    }
    let timeout = sender.poll_timeout().unwrap();
    assert_eq!(timeout, left + Duration::from_secs(15));
    sender.handle_timeout(timeout);
    assert_eq!(sender.poll_transmit(timeout), Some(timed));
}

#[test]
fn a_node_with_a_key_refuses_them() {
    for payload in payloads(PCAP) {
        let refused = receive(payload, STRANGER, Some(&Key::new([1; 32])));
        assert_eq!(refused.err(), Some(Refused::Unauthenticated));
    }
}
