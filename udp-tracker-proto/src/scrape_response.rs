//! The reply to a scrape (BEP 15, "scrape").
//!
//! | offset | size   | field                                                        |
//! |--------|--------|--------------------------------------------------------------|
//! | 0      | 4      | action = 2                                                   |
//! | 4      | 4      | transaction_id                                               |
//! | 8      | 12 x n | seeders, completed, leechers; 4 bytes each                  |
//! | 8      | 32 x n | 2004 dialect: info_hash 20, then the same three              |

use byteorder::{BigEndian, ByteOrder};

use crate::decode_error::{room, split_head};
use crate::{BufferTooSmall, DecodeError, Dialect, InfoHash, TransactionId, action};

/// The counts of one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScrapeEntry {
    /// Peers with all pieces.
    pub seeders: u32,
    /// Downloads that were reported to the tracker as completed.
    pub completed: u32,
    /// Peers without all pieces.
    pub leechers: u32,
}

impl ScrapeEntry {
    /// Bytes on the wire, in BEP 15.
    pub const LEN: usize = 12;

    fn decode(bytes: &[u8]) -> Self {
        Self {
            seeders: BigEndian::read_u32(&bytes[field::SEEDERS]),
            completed: BigEndian::read_u32(&bytes[field::COMPLETED]),
            leechers: BigEndian::read_u32(&bytes[field::LEECHERS]),
        }
    }

    fn encode(&self, bytes: &mut [u8; Self::LEN]) {
        BigEndian::write_u32(&mut bytes[field::SEEDERS], self.seeders);
        BigEndian::write_u32(&mut bytes[field::COMPLETED], self.completed);
        BigEndian::write_u32(&mut bytes[field::LEECHERS], self.leechers);
    }
}

/// The counts of the torrents in a scrape request, in the order of its info_hashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrapeResponse<'a> {
    /// The transaction_id of the request.
    pub transaction_id: TransactionId,
    /// The layout of the reply.
    pub dialect: Dialect,
    entries: &'a [u8],
}

impl<'a> ScrapeResponse<'a> {
    /// Bytes before the entries.
    pub const HEAD_LEN: usize = 8;
    const RECORD_2004: usize = 20 + ScrapeEntry::LEN;

    /// Reads the reply to a scrape of `asked` info_hashes. Their number and the length determine the dialect.
    ///
    /// # Errors
    /// `Truncated`, `WrongAction`, or `ScrapeLength` when it has fewer or more entries.
    pub fn decode(datagram: &'a [u8], asked: usize) -> Result<Self, DecodeError> {
        let (head, entries) = split_head::<{ ScrapeResponse::HEAD_LEN }>(datagram)?;
        let got = BigEndian::read_u32(&head[field::ACTION]);
        if got != action::SCRAPE {
            return Err(DecodeError::WrongAction { expected: action::SCRAPE, got });
        }
        let dialect = if Some(entries.len()) == asked.checked_mul(ScrapeEntry::LEN) {
            Dialect::Bep15
        } else if Some(entries.len()) == asked.checked_mul(Self::RECORD_2004) {
            Dialect::Draft2004
        } else {
            return Err(DecodeError::ScrapeLength { asked, got: datagram.len() });
        };
        let transaction_id = TransactionId(BigEndian::read_u32(&head[field::TRANSACTION_ID]));
        Ok(Self { transaction_id, dialect, entries })
    }

    /// The entries in order; each with its info_hash in the 2004 dialect.
    pub fn entries(&self) -> impl ExactSizeIterator<Item = (Option<InfoHash>, ScrapeEntry)> + use<'a> {
        let record = match self.dialect {
            Dialect::Bep15 => ScrapeEntry::LEN,
            Dialect::Draft2004 => Self::RECORD_2004,
        };
        self.entries.chunks_exact(record).map(|record| {
            let (hash, entry) = record.split_at(record.len() - ScrapeEntry::LEN);
            (hash.try_into().ok().map(InfoHash), ScrapeEntry::decode(entry))
        })
    }

    /// Writes a BEP 15 reply with these entries; returns its length in bytes, `8 + 12 x n`.
    ///
    /// # Errors
    /// When `out` is shorter than that.
    pub fn encode(
        transaction_id: TransactionId,
        entries: impl ExactSizeIterator<Item = ScrapeEntry>,
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let len = Self::HEAD_LEN + ScrapeEntry::LEN * entries.len();
        let out = room(out, len)?;
        BigEndian::write_u32(&mut out[field::ACTION], action::SCRAPE);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], transaction_id.0);
        let (slots, _) = out[Self::HEAD_LEN..].as_chunks_mut();
        for (slot, entry) in slots.iter_mut().zip(entries) {
            entry.encode(slot);
        }
        Ok(len)
    }
}

mod field {
    use core::ops::Range;

    pub(super) const ACTION: Range<usize> = 0..4;
    pub(super) const TRANSACTION_ID: Range<usize> = 4..8;
    // Within an entry.
    pub(super) const SEEDERS: Range<usize> = 0..4;
    pub(super) const COMPLETED: Range<usize> = 4..8;
    pub(super) const LEECHERS: Range<usize> = 8..12;
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn decodes_and_encodes_a_response() {
        // opentracker to transmission; the counts were changed by hand, so that they differ.
        let datagram = hex!("00000002 6d88e691 00000003 00000002 00000001");
        let response = ScrapeResponse::decode(&datagram, 1).unwrap();
        let entry = ScrapeEntry { seeders: 3, completed: 2, leechers: 1 };
        assert_eq!(response.transaction_id, TransactionId(0x6d88_e691));
        assert_eq!(response.dialect, Dialect::Bep15);
        assert!(response.entries().eq([(None, entry)]));
        let mut out = [0; 20];
        assert_eq!(ScrapeResponse::encode(TransactionId(0x6d88_e691), [entry].into_iter(), &mut out), Ok(20));
        assert_eq!(out, datagram);
    }

    #[test]
    fn decodes_the_2004_dialect() {
        let datagram =
            hex!("00000002 6d88e691 e5d5fdac66b48270c93842b333061ea4dd7233e9 00000003 00000002 00000001");
        let response = ScrapeResponse::decode(&datagram, 1).unwrap();
        assert_eq!(response.dialect, Dialect::Draft2004);
        let hash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse().unwrap();
        let entry = ScrapeEntry { seeders: 3, completed: 2, leechers: 1 };
        assert!(response.entries().eq([(Some(hash), entry)]));
    }

    #[test]
    fn rejects_another_number_of_entries_than_requested() {
        let datagram = hex!("00000002 6d88e691 00000003 00000002 00000001");
        let wrong = |asked| Err(DecodeError::ScrapeLength { asked, got: 20 });
        assert_eq!(ScrapeResponse::decode(&datagram, 0), wrong(0));
        assert_eq!(ScrapeResponse::decode(&datagram, 2), wrong(2));
        assert_eq!(ScrapeResponse::decode(&datagram, usize::MAX), wrong(usize::MAX));
        assert_eq!(
            ScrapeResponse::decode(&datagram[..7], 1),
            Err(DecodeError::Truncated { needed: 8, got: 7 })
        );
    }
}
