//! Packets: the sender's id, the family of the peers, and the records.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | tracker id |
//! | 4 | 4 | packet type: PEER (0) for IPv4, PEER6 (1) for IPv6 |
//! | 8 | n x 28 or n x 40 | records |
//! | | 24 | trailer, in authenticated packets only |

use core::fmt;

use byteorder::{BigEndian, ByteOrder};

use crate::{Family, Key, Record, Sequence, TRAILER_LEN};

/// Bytes before the records.
pub(crate) const HEADER_LEN: usize = 8;

/// A node's id: four bytes without further meaning. A node recognises its own packets by it when multicast returns
/// them.
///
/// Take it from the system's random source at start. opentracker derives it from the second in which it started, so two
/// opentrackers that start in the same second ignore each other. Shown as 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrackerId(pub [u8; 4]);

/// An accepted packet.
#[derive(Clone, Debug)]
pub struct Packet<'a> {
    /// The sender's id.
    pub id: TrackerId,
    /// Its records.
    pub records: Records<'a>,
    /// When an authenticated packet was sent. Pass it to a [`ReplayGuard`](crate::ReplayGuard) before applying the
    /// records. `None` if no key is used.
    pub sequence: Option<Sequence>,
}

/// The records of a packet, all of one family, in the order in which they were pushed.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    family: Family,
    wire: &'a [u8],
}

/// Why a datagram is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// Up to 8 bytes, which is a header at most. Such packets exist and mean nothing.
    #[error("{got} bytes hold no record")]
    HeaderOnly {
        /// Bytes in the datagram.
        got: usize,
    },
    /// A type that is neither PEER nor PEER6.
    #[error("packet type {0} is unknown")]
    UnknownType(u32),
    /// A BEACON packet of 2008: a count of torrents, 16 bytes in all. Its type is now used by PEER6.
    #[error("a BEACON packet of an opentracker of 2008")]
    Beacon,
    /// A key is used, but the bytes after the last whole record are not as many as a trailer has. The sender has no
    /// key, such as an opentracker.
    #[error("not authenticated")]
    Unauthenticated,
    /// A key is used, but it did not make this MAC: the sender has another key, or the packet is forged or damaged.
    #[error("the MAC does not match the key")]
    BadMac,
    /// The packet has this node's id. Usually it is this node's own, returned by multicast. From another address, it
    /// is a packet of a node with the same id: log it and take another id. With a key the packet is authenticated, but
    /// an attacker may have sent an old packet of this node again.
    #[error("this node's own id")]
    OwnId,
}

/// Checks a received datagram and reads it. `own` is this node's id, `key` the key if one is used.
///
/// Without a key, all bytes after the last whole record are ignored, so authenticated packets are read too. With a key,
/// a packet is accepted only if it was authenticated with that key and holds whole records; the result is the same as
/// without the key. Such a packet may still be an old one: see [`Packet::sequence`].
///
/// The caller, which has the socket, must first drop datagrams from other addresses than those of the configured nodes.
///
/// # Errors
/// The first reason to drop the datagram, in the order of [`Refused`].
pub fn receive<'a>(datagram: &'a [u8], own: TrackerId, key: Option<&Key>) -> Result<Packet<'a>, Refused> {
    let (header, records) = match datagram.split_first_chunk::<HEADER_LEN>() {
        Some((header, records)) if !records.is_empty() => (header, records),
        _ => return Err(Refused::HeaderOnly { got: datagram.len() }),
    };
    let (&[id @ .., _, _, _, _], packet_type) = (header, BigEndian::read_u32(&header[field::PACKET_TYPE]));
    let family = Family::from_packet_type(packet_type).ok_or(Refused::UnknownType(packet_type))?;
    if family == Family::V6 && datagram.len() == field::BEACON_LEN {
        return Err(Refused::Beacon);
    }

    let (wire, sequence) = match key {
        None => (records, None),
        Some(_) if records.len() % family.record_len() != TRAILER_LEN => {
            return Err(Refused::Unauthenticated);
        }
        Some(key) => {
            let (_, sequence) = key.open(datagram).map_err(|_| Refused::BadMac)?;
            (&records[..records.len() - TRAILER_LEN], Some(sequence))
        }
    };
    let id = TrackerId(id);
    if id == own {
        return Err(Refused::OwnId);
    }
    Ok(Packet { id, records: Records { family, wire }, sequence })
}

/// Writes the header into the first [`HEADER_LEN`] bytes of `packet`.
pub(crate) fn write_header(packet: &mut [u8], id: TrackerId, family: Family) {
    packet[field::ID].copy_from_slice(&id.0);
    BigEndian::write_u32(&mut packet[field::PACKET_TYPE], family.packet_type());
}

impl Records<'_> {
    /// The family of all records.
    pub fn family(&self) -> Family {
        self.family
    }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        let (record, rest) = self.wire.split_at_checked(self.family.record_len())?;
        self.wire = rest;
        Record::decode(self.family, record)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let whole = self.wire.len() / self.family.record_len();
        (whole, Some(whole))
    }
}

impl ExactSizeIterator for Records<'_> {}

impl core::iter::FusedIterator for Records<'_> {}

impl fmt::Display for TrackerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TrackerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TrackerId({self})")
    }
}

mod field {
    use core::ops::Range;

    pub(super) const ID: Range<usize> = 0..4;
    pub(super) const PACKET_TYPE: Range<usize> = 4..8;
    /// A whole BEACON: header, and a u64 count of torrents.
    pub(super) const BEACON_LEN: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Flags;
    use torrent_ids::InfoHash;

    const OWN: TrackerId = TrackerId(*b"self");
    const UNAUTHENTICATED: [u8; 36] = *b"node\0\0\0\0aaaaabbbbbcccccddddd\xc0\x00\x02\x07\x1a\xe1\x80\x00";

    /// `UNAUTHENTICATED`, authenticated under `key()` at 1750000000 s. The MAC was made by
    /// `openssl dgst -sha256 -mac HMAC -macopt hexkey:000102..1f` from the 44 bytes before it.
    const AUTHENTICATED: [u8; 60] = *b"node\0\0\0\0aaaaabbbbbcccccddddd\xc0\x00\x02\x07\x1a\xe1\x80\x00\
        \x00\x06\x37\x9d\xa0\x5b\x60\x00\
        \xaa\x10\xdd\x45\x9e\x4f\x04\xcd\x0b\x8d\x9e\xfd\x88\xb0\xe4\x6a";

    fn key() -> Key {
        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse().unwrap()
    }

    fn record() -> Record {
        Record {
            info_hash: InfoHash(*b"aaaaabbbbbcccccddddd"),
            peer: "192.0.2.7:6881".parse().unwrap(),
            flags: Flags::SEEDING,
        }
    }

    fn refused(datagram: &[u8], key: Option<&Key>) -> Option<Refused> {
        receive(datagram, OWN, key).err()
    }

    /// A header, followed by `records` bytes of 0.
    fn zeros(packet_type: u8, records: usize) -> ([u8; 128], usize) {
        let mut packet = [0; 128];
        packet[7] = packet_type;
        (packet, HEADER_LEN + records)
    }

    #[test]
    fn reads_a_packet() {
        let packet = receive(&UNAUTHENTICATED, OWN, None).unwrap();
        assert_eq!((packet.id, packet.sequence), (TrackerId(*b"node"), None));
        assert_eq!((packet.records.family(), packet.records.len()), (Family::V4, 1));
        assert!(packet.records.eq([record()]));
    }

    #[test]
    fn reads_an_authenticated_packet_with_and_without_the_key() {
        let packet = receive(&AUTHENTICATED, OWN, Some(&key())).unwrap();
        assert_eq!(packet.sequence, Some(Sequence(1_750_000_000_000_000)));
        assert!(packet.records.eq([record()]));

        let packet = receive(&AUTHENTICATED, OWN, None).unwrap();
        assert_eq!(packet.sequence, None);
        assert!(packet.records.eq([record()]));
    }

    #[test]
    fn drops_packets_without_records() {
        for cut in 0..=8 {
            assert_eq!(refused(&UNAUTHENTICATED[..cut], None), Some(Refused::HeaderOnly { got: cut }));
            assert_eq!(
                refused(&UNAUTHENTICATED[..cut], Some(&key())),
                Some(Refused::HeaderOnly { got: cut })
            );
        }
    }

    #[test]
    fn ignores_bytes_after_the_last_whole_record() {
        for (packet_type, record_len) in [(0, 28), (1, 40)] {
            for len in 1..=3 * record_len {
                let (packet, end) = zeros(packet_type, len);
                match receive(&packet[..end], OWN, None) {
                    Ok(packet) => {
                        assert_eq!(packet.records.len(), len / record_len);
                        assert_eq!(packet.records.count(), len / record_len);
                    }
                    Err(why) => assert_eq!((packet_type, end, why), (1, 16, Refused::Beacon)),
                }
            }
        }
    }

    #[test]
    fn drops_packets_with_its_own_id() {
        let own = TrackerId(*b"node");
        assert_eq!(receive(&UNAUTHENTICATED, own, None).err(), Some(Refused::OwnId));
        assert_eq!(receive(&AUTHENTICATED, own, Some(&key())).err(), Some(Refused::OwnId));
        // A sender without the key cannot make this node report that its id is in use.
        assert_eq!(receive(&UNAUTHENTICATED, own, Some(&key())).err(), Some(Refused::Unauthenticated));
    }

    #[test]
    fn drops_unknown_packet_types() {
        let mut packet = UNAUTHENTICATED;
        for (at, packet_type) in [(7, 2), (7, 3), (7, 0x80)] {
            packet[at] = packet_type;
            assert_eq!(refused(&packet, None), Some(Refused::UnknownType(packet_type.into())));
        }
        packet[4..8].copy_from_slice(&[1, 0, 0, 0]);
        assert_eq!(refused(&packet, Some(&key())), Some(Refused::UnknownType(1 << 24)));
    }

    #[test]
    fn drops_the_beacon_of_2008() {
        let (packet, end) = zeros(1, 8);
        assert_eq!(refused(&packet[..end], None), Some(Refused::Beacon));
        assert_eq!(refused(&packet[..end], Some(&key())), Some(Refused::Beacon));
        // With type 0 it is a packet without a whole record.
        let (packet, end) = zeros(0, 8);
        assert_eq!(refused(&packet[..end], None), None);
    }

    #[test]
    fn with_a_key_drops_packets_that_it_did_not_authenticate() {
        assert_eq!(refused(&UNAUTHENTICATED, Some(&key())), Some(Refused::Unauthenticated));
        assert_eq!(refused(&AUTHENTICATED, Some(&Key::new([9; 32]))), Some(Refused::BadMac));
        for cut in 9..AUTHENTICATED.len() {
            // At 32 bytes, the cut record is as long as a trailer.
            let why = if cut == 32 { Refused::BadMac } else { Refused::Unauthenticated };
            assert_eq!(refused(&AUTHENTICATED[..cut], Some(&key())), Some(why));
        }
        for bit in 0..AUTHENTICATED.len() * 8 {
            let mut packet = AUTHENTICATED;
            packet[bit / 8] ^= 1 << (bit % 8);
            assert!(refused(&packet, Some(&key())).is_some(), "bit {bit}");
        }
    }
}
