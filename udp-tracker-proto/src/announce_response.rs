//! The reply to an announce (BEP 15, "IPv4 announce response"; for IPv6 as in BEP 7).
//!
//! | offset | size  | field                 | offset in the 2004 dialect |
//! |--------|-------|-----------------------|----------------------------|
//! | 0      | 4     | action = 1            | 0    |
//! | 4      | 4     | transaction_id        | 4    |
//! | 8      | 4     | interval              | 8    |
//! | 12     | 4     | leechers              | none |
//! | 16     | 4     | seeders               | none |
//! | 20     | N x n | peers                 | 12   |
//!
//! N is 6 for IPv4, 18 for IPv6 ([`compact`]).

use byteorder::{BigEndian, ByteOrder};

use crate::decode_error::{room, split_head};
use crate::{BufferTooSmall, DecodeError, Dialect, TransactionId, action, compact};

/// The number of peers in a swarm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Peers without all pieces.
    pub leechers: u32,
    /// Peers with all pieces.
    pub seeders: u32,
}

/// The part of a reply before its peers.
///
/// A tracker's store can write the peers directly into the reply buffer, at offset [`AnnounceHead::len`]; then the
/// tracker encodes the head in front of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceHead {
    /// The transaction_id of the request.
    pub transaction_id: TransactionId,
    /// Seconds until the peer should announce again.
    pub interval: u32,
    /// The size of the swarm. `None` for a reply of the 2004 dialect, which has no counts.
    pub counts: Option<Counts>,
}

impl AnnounceHead {
    /// Bytes before the peers.
    #[must_use]
    pub const fn len(dialect: Dialect) -> usize {
        match dialect {
            Dialect::Bep15 => 20,
            Dialect::Draft2004 => 12,
        }
    }

    /// Writes the head; returns its length in bytes, 20 or 12.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let dialect = if self.counts.is_some() { Dialect::Bep15 } else { Dialect::Draft2004 };
        let out = room(out, Self::len(dialect))?;
        BigEndian::write_u32(&mut out[field::ACTION], action::ANNOUNCE);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], self.transaction_id.0);
        BigEndian::write_u32(&mut out[field::INTERVAL], self.interval);
        if let Some(counts) = self.counts {
            BigEndian::write_u32(&mut out[field::LEECHERS], counts.leechers);
            BigEndian::write_u32(&mut out[field::SEEDERS], counts.seeders);
        }
        Ok(out.len())
    }
}

/// The counts and some peers of a swarm. `N`, the bytes of a peer, is [`compact::V4`] or [`compact::V6`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnnounceResponse<'a, const N: usize> {
    /// The fields before the peers.
    pub head: AnnounceHead,
    /// Peers to connect to, in compact form.
    pub peers: &'a [[u8; N]],
}

impl<'a, const N: usize> AnnounceResponse<'a, N> {
    /// Reads a reply to an announce of BEP 15.
    ///
    /// An IPv4 reply of the 2004 dialect is recognised by its length: the bytes after a head of 12 and those after a
    /// head of 20 are never both a whole number of peers. An IPv6 reply is read as BEP 15, since the 2004 document has
    /// IPv4 only.
    ///
    /// # Errors
    /// `Truncated`, `WrongAction`, `PeerListLength`; `Refused` for the 8 bytes with which opentracker refuses a
    /// torrent.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let may_be_2004 = N == compact::V4 && datagram.len() % N == AnnounceHead::len(Dialect::Draft2004) % N;
        let dialect = if may_be_2004 { Dialect::Draft2004 } else { Dialect::Bep15 };
        Self::decode_as(dialect, datagram)
    }

    /// Reads a reply in the dialect of its request.
    ///
    /// # Errors
    /// As [`AnnounceResponse::decode`].
    pub fn decode_as(dialect: Dialect, datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, _) = split_head::<8>(datagram)?;
        let got = BigEndian::read_u32(&head[field::ACTION]);
        if got != action::ANNOUNCE {
            return Err(DecodeError::WrongAction { expected: action::ANNOUNCE, got });
        }
        if datagram.len() == head.len() {
            return Err(DecodeError::Refused);
        }
        let len = AnnounceHead::len(dialect);
        let (head, peers) = datagram
            .split_at_checked(len)
            .ok_or(DecodeError::Truncated { needed: len, got: datagram.len() })?;
        let (peers, []) = peers.as_chunks() else {
            return Err(DecodeError::PeerListLength { record: N, got: datagram.len() });
        };
        let counts = (dialect == Dialect::Bep15).then(|| Counts {
            leechers: BigEndian::read_u32(&head[field::LEECHERS]),
            seeders: BigEndian::read_u32(&head[field::SEEDERS]),
        });
        let head = AnnounceHead {
            transaction_id: TransactionId(BigEndian::read_u32(&head[field::TRANSACTION_ID])),
            interval: BigEndian::read_u32(&head[field::INTERVAL]),
            counts,
        };
        Ok(Self { head, peers })
    }

    /// Writes the reply; returns its length in bytes: `20 + N x peers`, or `12 + N x peers` without counts.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let head = self.head.encode(out)?;
        let peers = self.peers.as_flattened();
        let len = head + peers.len();
        room(out, len)?[head..].copy_from_slice(peers);
        Ok(len)
    }
}

mod field {
    use core::ops::Range;

    pub(super) const ACTION: Range<usize> = 0..4;
    pub(super) const TRANSACTION_ID: Range<usize> = 4..8;
    pub(super) const INTERVAL: Range<usize> = 8..12;
    pub(super) const LEECHERS: Range<usize> = 12..16;
    pub(super) const SEEDERS: Range<usize> = 16..20;
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    type V4<'a> = AnnounceResponse<'a, { compact::V4 }>;
    type V6<'a> = AnnounceResponse<'a, { compact::V6 }>;

    #[test]
    fn decodes_and_encodes_bep_15() {
        // opentracker to aria2.
        let datagram = hex!("00000001 4c53fcb4 0000075c 00000001 00000001 7f000001 1ae4 7f000001 1ae3");
        let response = V4::decode(&datagram).unwrap();
        assert_eq!(response.head.transaction_id, TransactionId(0x4c53_fcb4));
        assert_eq!(response.head.interval, 1884);
        assert_eq!(response.head.counts, Some(Counts { leechers: 1, seeders: 1 }));
        let peers: [_; 2] = core::array::from_fn(|i| compact::to_v4(response.peers[i]));
        assert_eq!(peers, ["127.0.0.1:6884".parse().unwrap(), "127.0.0.1:6883".parse().unwrap()]);
        let mut out = [0; 64];
        assert_eq!(response.encode(&mut out), Ok(32));
        assert_eq!(out[..32], datagram);
    }

    #[test]
    fn decodes_and_encodes_the_2004_dialect() {
        for datagram in [
            &hex!("00000001 4c53fcb4 0000075c")[..],
            &hex!("00000001 4c53fcb4 0000075c 7f000001 1ae4"),
            &hex!("00000001 4c53fcb4 0000075c 7f000001 1ae4 7f000001 1ae3"),
        ] {
            let response = V4::decode(datagram).unwrap();
            assert_eq!(response.head.counts, None);
            assert_eq!(response.head.interval, 1884);
            assert_eq!(response.peers.len(), (datagram.len() - 12) / 6);
            let mut out = [0; 24];
            assert_eq!(response.encode(&mut out), Ok(datagram.len()));
            assert_eq!(&out[..datagram.len()], datagram);
        }
    }

    #[test]
    fn reads_ipv6_as_bep_15_unless_the_dialect_is_given() {
        let datagram =
            hex!("00000001 4c53fcb4 0000075c 00000001 00000002 20010db8000000000000000000000001 1ae1");
        let response = V6::decode(&datagram).unwrap();
        assert_eq!(response.head.counts, Some(Counts { leechers: 1, seeders: 2 }));
        assert_eq!(compact::to_v6(response.peers[0]), "[2001:db8::1]:6881".parse().unwrap());

        let old = hex!("00000001 4c53fcb4 0000075c 20010db8000000000000000000000001 1ae1");
        assert_eq!(V6::decode(&old), Err(DecodeError::PeerListLength { record: 18, got: 30 }));
        let response = V6::decode_as(Dialect::Draft2004, &old).unwrap();
        assert_eq!((response.head.counts, response.peers.len()), (None, 1));
    }

    #[test]
    fn rejects_truncated_replies_and_other_actions() {
        let datagram = hex!("00000001 4c53fcb4 0000075c 00000001 00000001 7f000001 1ae4");
        assert_eq!(V4::decode(&datagram[..7]), Err(DecodeError::Truncated { needed: 8, got: 7 }));
        assert_eq!(V4::decode(&datagram[..8]), Err(DecodeError::Refused));
        assert_eq!(V4::decode(&datagram[..11]), Err(DecodeError::Truncated { needed: 20, got: 11 }));
        assert_eq!(V4::decode(&datagram[..25]), Err(DecodeError::PeerListLength { record: 6, got: 25 }));
        let error = hex!("00000003 4c53fcb4 6e6f");
        assert_eq!(V4::decode(&error), Err(DecodeError::WrongAction { expected: 1, got: 3 }));
    }
}
