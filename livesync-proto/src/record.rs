//! Records: what one tracker reports to the others about one peer in one swarm.
//!
//! | offset, IPv4 | offset, IPv6 | size | field |
//! |---|---|---|---|
//! | 0 | 0 | 20 | info_hash |
//! | 20 | 20 | 4 or 16 | ip |
//! | 24 | 36 | 2 | port |
//! | 26 | 38 | 1 | flags |
//! | 27 | 39 | 1 | age: sent as 0, ignored on receipt |
//!
//! opentracker's header comment calls the last two bytes "2 bytes of flags". Its code uses only the first, and its
//! packets have 0 in the second.

use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use core::ops::BitOr;

use byteorder::{BigEndian, ByteOrder};
use torrent_ids::InfoHash;

/// The address family of a packet's peers. It follows from the packet's type, and decides the size of a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Family {
    /// Packet type PEER (0): an address of 4 bytes, a record of 28 bytes.
    V4,
    /// Packet type PEER6 (1), in opentracker since 2024: an address of 16 bytes, a record of 40 bytes.
    V6,
}

/// A peer that announced, completed or stopped, as it reported that to one tracker.
///
/// Only the address and the port of [`peer`](Self::peer) are sent: the flow and the scope of an IPv6 socket address
/// arrive as 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The swarm.
    pub info_hash: InfoHash,
    /// Where the peer listens. The address in a received record is whatever its sender wrote: check it as if the peer
    /// had announced it itself.
    pub peer: SocketAddr,
    /// What the peer did.
    pub flags: Flags,
}

/// What a peer did, as bits. No bit is set for a leecher that announced.
///
/// ```
/// use livesync_proto::Flags;
///
/// let flags = Flags::SEEDING | Flags::COMPLETED;
/// assert!(flags.contains(Flags::SEEDING));
/// assert_eq!(flags.bits(), 0xc0);
/// // Unknown bits are dropped.
/// assert_eq!(Flags::from_bits(0xdf), flags);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Flags(u8);

impl Family {
    /// Bytes of the longest record; every packet must have room for it.
    pub(crate) const MAX_RECORD_LEN: usize = Self::V6.record_len();

    /// The family of the peers in packets of type `packet_type`; `None` for an unknown type.
    pub const fn from_packet_type(packet_type: u32) -> Option<Self> {
        match packet_type {
            0 => Some(Self::V4),
            1 => Some(Self::V6),
            _ => None,
        }
    }

    /// The second field of the packet's header.
    pub const fn packet_type(self) -> u32 {
        match self {
            Self::V4 => 0,
            Self::V6 => 1,
        }
    }

    /// Bytes of one record.
    pub const fn record_len(self) -> usize {
        field::IP + self.ip_len() + field::AFTER_IP
    }

    const fn ip_len(self) -> usize {
        match self {
            Self::V4 => 4,
            Self::V6 => 16,
        }
    }
}

impl Record {
    /// The family whose packets carry this record. An IPv4 address mapped to IPv6 (`::ffff:192.0.2.1`, as a dual-stack
    /// socket shows it) counts as IPv4 and is sent as IPv4.
    pub fn family(&self) -> Family {
        match self.peer.ip().to_canonical() {
            IpAddr::V4(_) => Family::V4,
            IpAddr::V6(_) => Family::V6,
        }
    }

    /// Reads a record; `None` if `wire` has not exactly the length of one.
    pub(crate) fn decode(family: Family, wire: &[u8]) -> Option<Self> {
        let (info_hash, wire) = wire.split_first_chunk::<{ field::IP }>()?;
        let (ip, wire) = match family {
            Family::V4 => {
                wire.split_first_chunk::<4>().map(|(&ip, wire)| (IpAddr::V4(Ipv4Addr::from(ip)), wire))?
            }
            Family::V6 => {
                wire.split_first_chunk::<16>().map(|(&ip, wire)| (IpAddr::V6(Ipv6Addr::from(ip)), wire))?
            }
        };
        let &[port_high, port_low, flags, _age] = wire else { return None };
        Some(Self {
            info_hash: InfoHash(*info_hash),
            peer: SocketAddr::new(ip, u16::from_be_bytes([port_high, port_low])),
            flags: Flags::from_bits(flags),
        })
    }

    /// Writes the record, by the sending rules, over all of `wire`. It must have the
    /// [`record_len`](Family::record_len) of the record's own family.
    pub(crate) fn encode(&self, wire: &mut [u8]) {
        let (head, tail) = wire.split_at_mut(wire.len() - field::AFTER_IP);
        let (info_hash, ip) = head.split_at_mut(field::IP);
        info_hash.copy_from_slice(&self.info_hash.0);
        match self.peer.ip().to_canonical() {
            IpAddr::V4(v4) => ip.copy_from_slice(&v4.octets()),
            IpAddr::V6(v6) => ip.copy_from_slice(&v6.octets()),
        }
        BigEndian::write_u16(&mut tail[..2], self.peer.port());
        tail[2] = self.flags.sendable().0;
        tail[3] = 0;
    }
}

impl Flags {
    /// A leecher that announced.
    pub const NONE: Self = Self(0);
    /// The peer has the whole torrent.
    pub const SEEDING: Self = Self(0x80);
    /// The peer has just got the whole torrent. Counts as one download, once per peer. Sent only together with
    /// [`SEEDING`](Self::SEEDING).
    pub const COMPLETED: Self = Self(0x40);
    /// The peer left: receivers remove the peer with this address and port.
    pub const STOPPED: Self = Self(0x20);

    const KNOWN: u8 = Self::SEEDING.0 | Self::COMPLETED.0 | Self::STOPPED.0;

    /// The flags in a byte of a packet, without unknown bits (opentracker uses 0x10 internally).
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & Self::KNOWN)
    }

    /// The byte that is sent.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether all flags of `other` are set here too.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// These flags by the sending rules: COMPLETED is dropped without SEEDING.
    pub(crate) const fn sendable(self) -> Self {
        if self.contains(Self::SEEDING) { self } else { Self(self.0 & !Self::COMPLETED.0) }
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({:#04x})", self.0)
    }
}

mod field {
    /// Where the address begins, after the info_hash.
    pub(super) const IP: usize = 20;
    /// Bytes after the address: port, flags, age.
    pub(super) const AFTER_IP: usize = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    const IPV4: [u8; 28] = *b"aaaaabbbbbcccccddddd\xc0\x00\x02\x07\x1a\xe1\xc0\x00";
    const IPV6: [u8; 40] = *b"aaaaabbbbbcccccddddd\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x1a\xe1\xa0\x00";

    fn record(peer: &str, flags: Flags) -> Record {
        Record { info_hash: InfoHash(*b"aaaaabbbbbcccccddddd"), peer: peer.parse().unwrap(), flags }
    }

    #[test]
    fn reads_and_writes_either_family() {
        let v4 = record("192.0.2.7:6881", Flags::SEEDING | Flags::COMPLETED);
        let v6 = record("[2001:db8::1]:6881", Flags::SEEDING | Flags::STOPPED);
        assert_eq!(Record::decode(Family::V4, &IPV4), Some(v4));
        assert_eq!(Record::decode(Family::V6, &IPV6), Some(v6));

        let (mut out4, mut out6) = ([0xff; 28], [0xff; 40]);
        v4.encode(&mut out4);
        v6.encode(&mut out6);
        assert_eq!((out4, out6), (IPV4, IPV6));
    }

    #[test]
    fn writes_a_mapped_address_as_ipv4() {
        let mapped = record("[::ffff:192.0.2.7]:6881", Flags::SEEDING | Flags::COMPLETED);
        assert_eq!(mapped.family(), Family::V4);
        let mut out = [0xff; 28];
        mapped.encode(&mut out);
        assert_eq!(out, IPV4);
    }

    #[test]
    fn ignores_age_and_unknown_flags() {
        let mut wire = IPV4;
        wire[26] = 0x9f;
        wire[27] = 0x77;
        assert_eq!(Record::decode(Family::V4, &wire), Some(record("192.0.2.7:6881", Flags::SEEDING)));
    }

    #[test]
    fn completed_is_sent_only_together_with_seeding() {
        let mut out = [0xff; 28];
        record("192.0.2.7:6881", Flags::COMPLETED | Flags::STOPPED).encode(&mut out);
        assert_eq!(out[26..], [0x20, 0]);
        // A received record keeps it: the receiving tracker decides what it means.
        out[26] = 0x40;
        assert_eq!(Record::decode(Family::V4, &out).map(|record| record.flags), Some(Flags::COMPLETED));
    }

    #[test]
    fn rejects_records_of_another_length() {
        assert_eq!(Record::decode(Family::V4, &IPV4[..27]), None);
        assert_eq!(Record::decode(Family::V4, &IPV6), None);
        assert_eq!(Record::decode(Family::V6, &IPV4), None);
    }
}
