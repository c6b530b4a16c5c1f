//! Scrape: a request for the numbers of seeders, completed downloads and leechers of some torrents (BEP 15, "scrape").
//!
//! | offset | size   | field          |
//! |--------|--------|----------------|
//! | 0      | 8      | connection_id  |
//! | 8      | 4      | action = 2     |
//! | 12     | 4      | transaction_id |
//! | 16     | 20 x n | info_hash      |
//!
//! A scrape of the 2004 dialect has one info_hash, so a tracker can't distinguish it from one of BEP 15.

use byteorder::{BigEndian, ByteOrder};

use crate::decode_error::{room, split_head};
use crate::{BufferTooSmall, ConnectionId, DecodeError, InfoHash, TransactionId, action};

/// The most info_hashes in one scrape (BEP 15: "up to about 74").
pub const MAX_SCRAPE_HASHES: usize = 74;

/// A request for the counts of some torrents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrapeRequest<'a> {
    /// From the connect response.
    pub connection_id: ConnectionId,
    /// Chosen at random by the client.
    pub transaction_id: TransactionId,
    /// The torrents' info_hashes. The reply has their counts in the same order.
    pub info_hashes: &'a [[u8; 20]],
}

impl<'a> ScrapeRequest<'a> {
    /// Bytes before the info_hashes.
    pub const HEAD_LEN: usize = 16;

    /// Reads a request with one info_hash or more.
    ///
    /// # Errors
    /// `Truncated`, `WrongAction`, `NoInfoHash` or `PartialInfoHash`.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, hashes) = split_head::<{ ScrapeRequest::HEAD_LEN }>(datagram)?;
        let got = BigEndian::read_u32(&head[field::ACTION]);
        if got != action::SCRAPE {
            return Err(DecodeError::WrongAction { expected: action::SCRAPE, got });
        }
        let (info_hashes, extra) = hashes.as_chunks();
        if !extra.is_empty() {
            return Err(DecodeError::PartialInfoHash { extra: extra.len() });
        }
        if info_hashes.is_empty() {
            return Err(DecodeError::NoInfoHash);
        }
        Ok(Self {
            connection_id: ConnectionId(BigEndian::read_u64(&head[field::CONNECTION_ID])),
            transaction_id: TransactionId(BigEndian::read_u32(&head[field::TRANSACTION_ID])),
            info_hashes,
        })
    }

    /// Writes the request; returns its length in bytes, `16 + 20 x n`.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        Self::encode_hashes(self.connection_id, self.transaction_id, self.info_hashes.iter().copied(), out)
    }

    /// Writes a request for info_hashes that are not contiguous in memory; returns its length in bytes.
    ///
    /// # Errors
    /// When `out` is shorter than `16 + 20 x n`.
    pub fn encode_hashes(
        connection_id: ConnectionId,
        transaction_id: TransactionId,
        info_hashes: impl ExactSizeIterator<Item = [u8; 20]>,
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let len = Self::HEAD_LEN + 20 * info_hashes.len();
        let out = room(out, len)?;
        BigEndian::write_u64(&mut out[field::CONNECTION_ID], connection_id.0);
        BigEndian::write_u32(&mut out[field::ACTION], action::SCRAPE);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], transaction_id.0);
        let (slots, _) = out[Self::HEAD_LEN..].as_chunks_mut();
        for (slot, hash) in slots.iter_mut().zip(info_hashes) {
            *slot = hash;
        }
        Ok(len)
    }

    /// The info_hashes, in order.
    pub fn hashes(&self) -> impl ExactSizeIterator<Item = InfoHash> + use<'a> {
        self.info_hashes.iter().map(|bytes| InfoHash(*bytes))
    }
}

mod field {
    use core::ops::Range;

    pub(super) const CONNECTION_ID: Range<usize> = 0..8;
    pub(super) const ACTION: Range<usize> = 8..12;
    pub(super) const TRANSACTION_ID: Range<usize> = 12..16;
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn decodes_and_encodes_a_request() {
        // transmission 3.00
        let datagram = hex!("3be06a373933e498 00000002 6d88e691 e5d5fdac66b48270c93842b333061ea4dd7233e9");
        let request = ScrapeRequest::decode(&datagram).unwrap();
        assert_eq!(request.connection_id, ConnectionId(0x3be0_6a37_3933_e498));
        assert_eq!(request.transaction_id, TransactionId(0x6d88_e691));
        let hash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse().unwrap();
        assert!(request.hashes().eq([hash]));
        let mut out = [0; 36];
        assert_eq!(request.encode(&mut out), Ok(36));
        assert_eq!(out, datagram);
        assert_eq!(request.encode(&mut out[..35]), Err(BufferTooSmall { needed: 36, got: 35 }));
    }

    #[test]
    fn rejects_no_info_hash_and_a_partial_one() {
        let mut datagram = [0; 57];
        datagram[11] = 2;
        assert_eq!(
            ScrapeRequest::decode(&datagram[..15]),
            Err(DecodeError::Truncated { needed: 16, got: 15 })
        );
        assert_eq!(ScrapeRequest::decode(&datagram[..16]), Err(DecodeError::NoInfoHash));
        assert_eq!(ScrapeRequest::decode(&datagram[..17]), Err(DecodeError::PartialInfoHash { extra: 1 }));
        assert_eq!(ScrapeRequest::decode(&datagram[..55]), Err(DecodeError::PartialInfoHash { extra: 19 }));
        assert_eq!(ScrapeRequest::decode(&datagram[..56]).unwrap().info_hashes.len(), 2);
    }
}
