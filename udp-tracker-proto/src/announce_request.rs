//! Announce: a peer reports to the tracker and gets peers back (BEP 15, "announce").
//!
//! | offset | size | field                              | offset in the 2004 dialect |
//! |--------|------|------------------------------------|----------------------------|
//! | 0      | 8    | connection_id                      | 0  |
//! | 8      | 4    | action = 1                         | 8  |
//! | 12     | 4    | transaction_id                     | 12 |
//! | 16     | 20   | info_hash                          | 16 |
//! | 36     | 20   | peer_id                            | 36 |
//! | 56     | 8    | downloaded                         | 56 |
//! | 64     | 8    | left                               | 64 |
//! | 72     | 8    | uploaded                           | 72 |
//! | 80     | 4    | event                              | 80 |
//! | 84     | 4    | ip                                 | 84 |
//! | 88     | 4    | key                                | none |
//! | 92     | 4    | num_want                           | 88 |
//! | 96     | 2    | port                               | 92 |
//! | 98     | any  | options (BEP 41)                   | none |

use byteorder::{BigEndian, ByteOrder};
use core::net::Ipv4Addr;

use crate::decode_error::{room, split_head};
use crate::{
    BufferTooSmall, ConnectionId, DecodeError, Dialect, InfoHash, Options, PeerId, TransactionId, action,
};

/// Why a peer announces (BEP 15).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Event {
    /// 0: at a regular interval.
    #[default]
    None = 0,
    /// 1: the download has just finished.
    Completed = 1,
    /// 2: the first announce.
    Started = 2,
    /// 3: the last announce.
    Stopped = 3,
}

impl TryFrom<u32> for Event {
    type Error = DecodeError;

    fn try_from(value: u32) -> Result<Self, DecodeError> {
        match value {
            0 => Ok(Self::None),
            1 => Ok(Self::Completed),
            2 => Ok(Self::Started),
            3 => Ok(Self::Stopped),
            _ => Err(DecodeError::UnknownEvent(value)),
        }
    }
}

/// A peer's report to the tracker, and its request for other peers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceRequest<'a> {
    /// The layout of the request and of its reply.
    pub dialect: Dialect,
    /// From the connect response.
    pub connection_id: ConnectionId,
    /// Chosen at random by the client.
    pub transaction_id: TransactionId,
    /// The torrent.
    pub info_hash: InfoHash,
    /// The id that the peer chose for itself.
    pub peer_id: PeerId,
    /// Bytes downloaded since `started`.
    pub downloaded: u64,
    /// Bytes that are still missing; 0 for a seeder.
    pub left: u64,
    /// Bytes uploaded since `started`.
    pub uploaded: u64,
    /// Why the peer announces.
    pub event: Event,
    /// The peer's address, if it differs from the source address of the request; else 0.0.0.0.
    pub ip: Ipv4Addr,
    /// Lets a tracker recognise a peer whose address changed. Not in the 2004 dialect: read as 0, not written.
    pub key: u32,
    /// Number of peers wanted; if negative, the tracker chooses.
    pub num_want: i32,
    /// The port that the peer listens on; not 0.
    pub port: u16,
    /// The options of BEP 41. Not in the 2004 dialect: not written.
    pub options: Options<'a>,
}

impl<'a> AnnounceRequest<'a> {
    /// Bytes before the options.
    pub const LEN: usize = 98;
    /// Bytes in the 2004 dialect.
    pub const LEN_2004: usize = 94;

    /// Reads a request of either dialect. The length distinguishes the dialects.
    ///
    /// # Errors
    /// `Truncated`, `WrongAction`, `AnnounceLength`, `UnknownEvent` or `PortZero`. Malformed options are not an error.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (common, _) = split_head::<{ field::COMMON }>(datagram)?;
        let got = BigEndian::read_u32(&common[field::ACTION]);
        if got != action::ANNOUNCE {
            return Err(DecodeError::WrongAction { expected: action::ANNOUNCE, got });
        }
        let (dialect, key, tail, options) = match datagram.len() {
            0..Self::LEN_2004 => {
                return Err(DecodeError::Truncated { needed: Self::LEN, got: datagram.len() });
            }
            Self::LEN_2004 => (Dialect::Draft2004, 0, &datagram[field::TAIL_2004..], &[][..]),
            Self::LEN.. => {
                let key = BigEndian::read_u32(&datagram[field::KEY]);
                (Dialect::Bep15, key, &datagram[field::TAIL..Self::LEN], &datagram[Self::LEN..])
            }
            got => return Err(DecodeError::AnnounceLength { got }),
        };
        let port = BigEndian::read_u16(&tail[field::PORT_IN_TAIL]);
        if port == 0 {
            return Err(DecodeError::PortZero);
        }
        Ok(Self {
            dialect,
            connection_id: ConnectionId(BigEndian::read_u64(&common[field::CONNECTION_ID])),
            transaction_id: TransactionId(BigEndian::read_u32(&common[field::TRANSACTION_ID])),
            info_hash: InfoHash(twenty(common, field::INFO_HASH)),
            peer_id: PeerId(twenty(common, field::PEER_ID)),
            downloaded: BigEndian::read_u64(&common[field::DOWNLOADED]),
            left: BigEndian::read_u64(&common[field::LEFT]),
            uploaded: BigEndian::read_u64(&common[field::UPLOADED]),
            event: BigEndian::read_u32(&common[field::EVENT]).try_into()?,
            ip: Ipv4Addr::from_bits(BigEndian::read_u32(&common[field::IP])),
            key,
            num_want: BigEndian::read_i32(&tail[field::NUM_WANT_IN_TAIL]),
            port,
            options: Options::new(options),
        })
    }

    /// The info_hash in a datagram that has the length and the action of an announce. Nothing else is checked.
    ///
    /// With it, a tracker can prefetch the memory of a torrent before it decodes the request.
    #[must_use]
    pub fn peek_info_hash(datagram: &[u8]) -> Option<InfoHash> {
        let (common, _) = datagram.split_first_chunk::<{ field::COMMON }>()?;
        let is_announce = BigEndian::read_u32(&common[field::ACTION]) == action::ANNOUNCE;
        is_announce.then(|| InfoHash(twenty(common, field::INFO_HASH)))
    }

    /// Writes the request in its dialect; returns its length in bytes: 98 and the options, or 94.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let options = self.options.as_bytes();
        let (len, tail) = match self.dialect {
            Dialect::Bep15 => (Self::LEN + options.len(), field::TAIL),
            Dialect::Draft2004 => (Self::LEN_2004, field::TAIL_2004),
        };
        let out = room(out, len)?;
        BigEndian::write_u64(&mut out[field::CONNECTION_ID], self.connection_id.0);
        BigEndian::write_u32(&mut out[field::ACTION], action::ANNOUNCE);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], self.transaction_id.0);
        out[field::INFO_HASH].copy_from_slice(&self.info_hash.0);
        out[field::PEER_ID].copy_from_slice(&self.peer_id.0);
        BigEndian::write_u64(&mut out[field::DOWNLOADED], self.downloaded);
        BigEndian::write_u64(&mut out[field::LEFT], self.left);
        BigEndian::write_u64(&mut out[field::UPLOADED], self.uploaded);
        BigEndian::write_u32(&mut out[field::EVENT], self.event as u32);
        out[field::IP].copy_from_slice(&self.ip.octets());
        if self.dialect == Dialect::Bep15 {
            BigEndian::write_u32(&mut out[field::KEY], self.key);
            out[Self::LEN..].copy_from_slice(options);
        }
        BigEndian::write_i32(&mut out[tail..][field::NUM_WANT_IN_TAIL], self.num_want);
        BigEndian::write_u16(&mut out[tail..][field::PORT_IN_TAIL], self.port);
        Ok(len)
    }
}

fn twenty(common: &[u8; field::COMMON], range: core::ops::Range<usize>) -> [u8; 20] {
    let mut bytes = [0; 20];
    bytes.copy_from_slice(&common[range]);
    bytes
}

mod field {
    use core::ops::Range;

    pub(super) const CONNECTION_ID: Range<usize> = 0..8;
    pub(super) const ACTION: Range<usize> = 8..12;
    pub(super) const TRANSACTION_ID: Range<usize> = 12..16;
    pub(super) const INFO_HASH: Range<usize> = 16..36;
    pub(super) const PEER_ID: Range<usize> = 36..56;
    pub(super) const DOWNLOADED: Range<usize> = 56..64;
    pub(super) const LEFT: Range<usize> = 64..72;
    pub(super) const UPLOADED: Range<usize> = 72..80;
    pub(super) const EVENT: Range<usize> = 80..84;
    pub(super) const IP: Range<usize> = 84..88;
    /// Bytes whose layout is the same in both dialects.
    pub(super) const COMMON: usize = 88;
    pub(super) const KEY: Range<usize> = 88..92;
    /// Offset of num_want, which the port follows.
    pub(super) const TAIL: usize = 92;
    pub(super) const TAIL_2004: usize = 88;
    pub(super) const NUM_WANT_IN_TAIL: Range<usize> = 0..4;
    pub(super) const PORT_IN_TAIL: Range<usize> = 4..6;
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// libtorrent 2.0.8: a seeder's `started`, with the path `/announce`.
    const LIBTORRENT: [u8; 109] = hex!(
        "3be06a373933e498 00000001 072d1493 e5d5fdac66b48270c93842b333061ea4dd7233e9"
        "2d4c54323038302d6e474b4e2d7e456e6b2d4f4f 0000000000000000 0000000000000000 0000000000000000"
        "00000002 00000000 88157127 000000c8 1ae2 0209 2f616e6e6f756e6365"
    );

    #[test]
    fn decodes_and_encodes_bep_15() {
        let request = AnnounceRequest::decode(&LIBTORRENT).unwrap();
        assert_eq!(
            request,
            AnnounceRequest {
                dialect: Dialect::Bep15,
                connection_id: ConnectionId(0x3be0_6a37_3933_e498),
                transaction_id: TransactionId(0x072d_1493),
                info_hash: "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse().unwrap(),
                peer_id: PeerId(*b"-LT2080-nGKN-~Enk-OO"),
                downloaded: 0,
                left: 0,
                uploaded: 0,
                event: Event::Started,
                ip: Ipv4Addr::UNSPECIFIED,
                key: 0x8815_7127,
                num_want: 200,
                port: 6882,
                options: Options::new(b"\x02\x09/announce"),
            }
        );
        let mut out = [0; 128];
        assert_eq!(request.encode(&mut out), Ok(109));
        assert_eq!(out[..109], LIBTORRENT);
    }

    /// Written by hand from the 2004 document: the layout above without the key.
    #[test]
    fn decodes_and_encodes_the_2004_dialect() {
        let datagram: [u8; 94] = hex!(
            "3be06a373933e498 00000001 072d1493 e5d5fdac66b48270c93842b333061ea4dd7233e9"
            "2d4c54323038302d6e474b4e2d7e456e6b2d4f4f 0000000000000001 0000000000000002 0000000000000003"
            "00000001 c0000201 ffffffff 1ae1"
        );
        let request = AnnounceRequest::decode(&datagram).unwrap();
        assert_eq!(request.dialect, Dialect::Draft2004);
        assert_eq!((request.downloaded, request.left, request.uploaded), (1, 2, 3));
        assert_eq!(request.event, Event::Completed);
        assert_eq!(request.ip, Ipv4Addr::new(192, 0, 2, 1));
        assert_eq!((request.key, request.num_want, request.port), (0, -1, 6881));
        let mut out = [0; 94];
        assert_eq!(request.encode(&mut out), Ok(94));
        assert_eq!(out, datagram);
    }

    #[test]
    fn peek_info_hash_reads_announces_only() {
        let hash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse().unwrap();
        assert_eq!(AnnounceRequest::peek_info_hash(&LIBTORRENT), Some(hash));
        assert_eq!(AnnounceRequest::peek_info_hash(&LIBTORRENT[..87]), None);
        let mut scrape = LIBTORRENT;
        scrape[11] = 2;
        assert_eq!(AnnounceRequest::peek_info_hash(&scrape), None);
    }

    #[test]
    fn rejects_lengths_that_no_dialect_has() {
        let decode = |len: usize| AnnounceRequest::decode(&LIBTORRENT[..len]).err();
        assert_eq!(decode(0), Some(DecodeError::Truncated { needed: 88, got: 0 }));
        assert_eq!(decode(93), Some(DecodeError::Truncated { needed: 98, got: 93 }));
        for got in 95..=97 {
            assert_eq!(decode(got), Some(DecodeError::AnnounceLength { got }));
        }
        assert_eq!(decode(98), None);
    }

    #[test]
    fn rejects_unknown_events_and_port_zero() {
        let mut datagram = LIBTORRENT;
        datagram[83] = 4;
        assert_eq!(AnnounceRequest::decode(&datagram), Err(DecodeError::UnknownEvent(4)));
        datagram[83] = 3;
        datagram[96..98].fill(0);
        assert_eq!(AnnounceRequest::decode(&datagram), Err(DecodeError::PortZero));
    }
}
