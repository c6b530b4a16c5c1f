//! Messages: everything behind the handshakes (BEP 3 "peer messages", BEP 6, BEP 10).
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 4 | length of what follows; 0 is a keep-alive |
//! | 4 | 1 | id |
//! | 5 | length - 1 | payload |
//!
//! | id | message | payload |
//! |---|---|---|
//! | 0 | choke | |
//! | 1 | unchoke | |
//! | 2 | interested | |
//! | 3 | not interested | |
//! | 4 | have | index 4 |
//! | 5 | bitfield | one bit for each piece |
//! | 6 | request | index 4, begin 4, length 4 |
//! | 7 | piece | index 4, begin 4, block |
//! | 8 | cancel | index 4, begin 4, length 4 |
//! | 9 | port | port 2 (BEP 5) |
//! | 13 | suggest | index 4 (BEP 6) |
//! | 14 | have all | (BEP 6) |
//! | 15 | have none | (BEP 6) |
//! | 16 | reject | index 4, begin 4, length 4 (BEP 6) |
//! | 17 | allowed fast | index 4 (BEP 6) |
//! | 20 | extended | extended id 1, payload (BEP 10) |

use byteorder::{BigEndian, ByteOrder};

use crate::block::Block;
use crate::error::{BufferTooSmall, DecodeError};

/// One message, with integers in host order; payloads of variable length are borrowed.
///
/// ```
/// use peer_wire_proto::{Block, Message};
///
/// let request = Message::Request(Block { index: 3, begin: 0, length: 16_384 });
/// let mut wire = [0; 17];
/// assert_eq!(request.encode(&mut wire), Ok(17));
/// assert_eq!(wire, [0, 0, 0, 13, 6, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0x40, 0]);
/// assert_eq!(Message::decode(&wire[4..]), Ok(request));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Message<'a> {
    /// Keeps the connection open: a length of 0, without an id.
    KeepAlive,
    /// The sender will not answer requests for now.
    Choke,
    /// The sender will answer requests.
    Unchoke,
    /// The sender would request blocks if it were unchoked.
    Interested,
    /// The sender needs no piece that the receiver has.
    NotInterested,
    /// The sender has downloaded and verified the piece with this index.
    Have(u32),
    /// The pieces that the sender has. Unchecked, since checking needs the number of pieces: see
    /// [`Bitfield`](crate::Bitfield).
    Bitfield(&'a [u8]),
    /// The sender requests a block.
    Request(Block),
    /// A block that was requested.
    Piece {
        /// Index of the piece, from 0.
        index: u32,
        /// Offset of the block's first byte within the piece.
        begin: u32,
        /// The content of the block.
        data: &'a [u8],
    },
    /// The sender no longer wants a block.
    Cancel(Block),
    /// The UDP port of the sender's DHT node.
    Port(u16),
    /// The sender suggests to request this piece, for example because it has it in memory.
    Suggest(u32),
    /// Instead of a bitfield: the sender has every piece.
    HaveAll,
    /// Instead of a bitfield: the sender has no piece.
    HaveNone,
    /// The sender will not answer this request.
    Reject(Block),
    /// The sender answers requests for this piece even while it chokes the receiver.
    AllowedFast(u32),
    /// A message of the extension protocol.
    Extended {
        /// 0 for the extension handshake; else the id that the receiver's extension handshake assigned.
        id: u8,
        /// Not decoded here.
        payload: &'a [u8],
    },
}

impl<'a> Message<'a> {
    /// Bytes before the block in a piece message: length, id, index and begin.
    pub const PIECE_HEAD_LEN: usize = 13;

    /// Reads one complete message without its length prefix; an empty `body` is a keep-alive.
    ///
    /// For a stream, see [`Framer`](crate::Framer).
    ///
    /// # Errors
    /// When the id is unknown, or the payload has a wrong length for that id.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let Some((&id, payload)) = body.split_first() else {
            return Ok(Self::KeepAlive);
        };
        // All ranges below lie within the payload because of this check.
        check_length(id, u32::try_from(payload.len()).unwrap_or(u32::MAX))?;
        Ok(match id {
            id::CHOKE => Self::Choke,
            id::UNCHOKE => Self::Unchoke,
            id::INTERESTED => Self::Interested,
            id::NOT_INTERESTED => Self::NotInterested,
            id::HAVE => Self::Have(BigEndian::read_u32(payload)),
            id::BITFIELD => Self::Bitfield(payload),
            id::REQUEST => Self::Request(Block::read(payload)),
            id::PIECE => Self::Piece {
                index: BigEndian::read_u32(&payload[field::INDEX]),
                begin: BigEndian::read_u32(&payload[field::BEGIN]),
                data: &payload[field::DATA],
            },
            id::CANCEL => Self::Cancel(Block::read(payload)),
            id::PORT => Self::Port(BigEndian::read_u16(payload)),
            id::SUGGEST => Self::Suggest(BigEndian::read_u32(payload)),
            id::HAVE_ALL => Self::HaveAll,
            id::HAVE_NONE => Self::HaveNone,
            id::REJECT => Self::Reject(Block::read(payload)),
            id::ALLOWED_FAST => Self::AllowedFast(BigEndian::read_u32(payload)),
            id::EXTENDED => {
                Self::Extended { id: payload[field::EXTENDED_ID], payload: &payload[field::EXTENDED_PAYLOAD] }
            }
            _ => return Err(DecodeError::UnknownId { id }),
        })
    }

    /// Writes the message with its length prefix to the front of `out`, and returns the number of bytes written.
    ///
    /// # Errors
    /// When `out` is shorter; nothing is written then. A message whose length needs more than 32 bits can't be encoded:
    /// `needed` is [`usize::MAX`] then.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let got = out.len();
        let Ok(length) = u32::try_from(self.body_len()) else {
            return Err(BufferTooSmall { needed: usize::MAX, got });
        };
        let needed = self.encoded_len();
        let Some(wire) = out.get_mut(..needed) else {
            return Err(BufferTooSmall { needed, got });
        };
        BigEndian::write_u32(&mut wire[field::LENGTH], length);
        if let Some((at, payload)) = wire[field::BODY].split_first_mut() {
            *at = self.id().unwrap_or_default();
            self.write_payload(payload);
        }
        Ok(needed)
    }

    /// Writes the 13 bytes before the block of a piece message. The caller sends the block itself, `block.length`
    /// bytes, directly behind them, without copying it here.
    ///
    /// # Errors
    /// As for [`encode`](Self::encode).
    pub fn encode_piece_head(block: Block, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let got = out.len();
        let Some(length) = block.length.checked_add(9) else {
            return Err(BufferTooSmall { needed: usize::MAX, got });
        };
        let head = Message::Piece { index: block.index, begin: block.begin, data: &[] };
        let written = head.encode(out)?;
        BigEndian::write_u32(&mut out[field::LENGTH], length);
        Ok(written)
    }

    /// Bytes on the wire, the four of the length prefix included.
    pub fn encoded_len(&self) -> usize {
        self.body_len().saturating_add(4)
    }

    /// Bytes after the length prefix.
    fn body_len(&self) -> usize {
        match *self {
            Self::KeepAlive => 0,
            Self::Choke | Self::Unchoke | Self::Interested | Self::NotInterested => 1,
            Self::HaveAll | Self::HaveNone => 1,
            Self::Port(_) => 3,
            Self::Have(_) | Self::Suggest(_) | Self::AllowedFast(_) => 5,
            Self::Request(_) | Self::Cancel(_) | Self::Reject(_) => 1 + Block::LEN,
            Self::Bitfield(bytes) => bytes.len().saturating_add(1),
            Self::Extended { payload, .. } => payload.len().saturating_add(2),
            Self::Piece { data, .. } => data.len().saturating_add(9),
        }
    }

    /// The message id; `None` for a keep-alive.
    pub fn id(&self) -> Option<u8> {
        Some(match self {
            Self::KeepAlive => return None,
            Self::Choke => id::CHOKE,
            Self::Unchoke => id::UNCHOKE,
            Self::Interested => id::INTERESTED,
            Self::NotInterested => id::NOT_INTERESTED,
            Self::Have(_) => id::HAVE,
            Self::Bitfield(_) => id::BITFIELD,
            Self::Request(_) => id::REQUEST,
            Self::Piece { .. } => id::PIECE,
            Self::Cancel(_) => id::CANCEL,
            Self::Port(_) => id::PORT,
            Self::Suggest(_) => id::SUGGEST,
            Self::HaveAll => id::HAVE_ALL,
            Self::HaveNone => id::HAVE_NONE,
            Self::Reject(_) => id::REJECT,
            Self::AllowedFast(_) => id::ALLOWED_FAST,
            Self::Extended { .. } => id::EXTENDED,
        })
    }

    /// Fills `payload`, whose length is exactly right.
    fn write_payload(&self, payload: &mut [u8]) {
        match *self {
            Self::KeepAlive | Self::Choke | Self::Unchoke | Self::Interested | Self::NotInterested => {}
            Self::HaveAll | Self::HaveNone => {}
            Self::Have(index) | Self::Suggest(index) | Self::AllowedFast(index) => {
                BigEndian::write_u32(payload, index);
            }
            Self::Request(block) | Self::Cancel(block) | Self::Reject(block) => block.write(payload),
            Self::Port(port) => BigEndian::write_u16(payload, port),
            Self::Bitfield(bytes) => payload.copy_from_slice(bytes),
            Self::Piece { index, begin, data } => {
                BigEndian::write_u32(&mut payload[field::INDEX], index);
                BigEndian::write_u32(&mut payload[field::BEGIN], begin);
                payload[field::DATA].copy_from_slice(data);
            }
            Self::Extended { id, payload: content } => {
                payload[field::EXTENDED_ID] = id;
                payload[field::EXTENDED_PAYLOAD].copy_from_slice(content);
            }
        }
    }
}

/// Whether a message with this id can have a payload of `payload` bytes.
pub(crate) fn check_length(id: u8, payload: u32) -> Result<(), DecodeError> {
    let got = payload;
    let (needed, exactly) = match id {
        id::CHOKE | id::UNCHOKE | id::INTERESTED | id::NOT_INTERESTED => (0, true),
        id::HAVE_ALL | id::HAVE_NONE => (0, true),
        id::HAVE | id::SUGGEST | id::ALLOWED_FAST => (4, true),
        id::REQUEST | id::CANCEL | id::REJECT => (12, true),
        id::PORT => (2, true),
        id::PIECE => (8, false),
        id::EXTENDED => (1, false),
        id::BITFIELD => (0, false),
        _ => return Err(DecodeError::UnknownId { id }),
    };
    if exactly && got != needed {
        Err(DecodeError::Length { id, needed, got })
    } else if got < needed {
        Err(DecodeError::Truncated { id, needed, got })
    } else {
        Ok(())
    }
}

pub(crate) mod id {
    pub(super) const CHOKE: u8 = 0;
    pub(super) const UNCHOKE: u8 = 1;
    pub(super) const INTERESTED: u8 = 2;
    pub(super) const NOT_INTERESTED: u8 = 3;
    pub(super) const HAVE: u8 = 4;
    pub(super) const BITFIELD: u8 = 5;
    pub(super) const REQUEST: u8 = 6;
    pub(super) const PIECE: u8 = 7;
    pub(super) const CANCEL: u8 = 8;
    pub(super) const PORT: u8 = 9;
    pub(crate) const SUGGEST: u8 = 13;
    pub(crate) const HAVE_ALL: u8 = 14;
    pub(crate) const HAVE_NONE: u8 = 15;
    pub(crate) const REJECT: u8 = 16;
    pub(crate) const ALLOWED_FAST: u8 = 17;
    pub(super) const EXTENDED: u8 = 20;
}

mod field {
    use core::ops::{Range, RangeFrom};

    pub(super) const LENGTH: Range<usize> = 0..4;
    pub(super) const BODY: RangeFrom<usize> = 4..;

    // Within the payload of a piece message.
    pub(super) const INDEX: Range<usize> = 0..4;
    pub(super) const BEGIN: Range<usize> = 4..8;
    pub(super) const DATA: RangeFrom<usize> = 8..;

    // Within the payload of an extended message.
    pub(super) const EXTENDED_ID: usize = 0;
    pub(super) const EXTENDED_PAYLOAD: RangeFrom<usize> = 1..;
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: Block = Block { index: 1, begin: 0x4000, length: 0x1c40 };

    /// Each message and its bytes, written down from the specifications.
    const ALL: &[(Message<'static>, &[u8])] = &[
        (Message::KeepAlive, &[0, 0, 0, 0]),
        (Message::Choke, &[0, 0, 0, 1, 0]),
        (Message::Unchoke, &[0, 0, 0, 1, 1]),
        (Message::Interested, &[0, 0, 0, 1, 2]),
        (Message::NotInterested, &[0, 0, 0, 1, 3]),
        (Message::Have(0x0102_0304), &[0, 0, 0, 5, 4, 1, 2, 3, 4]),
        (Message::Bitfield(&[0xc0, 0x80]), &[0, 0, 0, 3, 5, 0xc0, 0x80]),
        (Message::Request(BLOCK), &[0, 0, 0, 13, 6, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x1c, 0x40]),
        (
            Message::Piece { index: 1, begin: 0x4000, data: b"abc" },
            b"\x00\x00\x00\x0c\x07\x00\x00\x00\x01\x00\x00\x40\x00abc",
        ),
        (Message::Cancel(BLOCK), &[0, 0, 0, 13, 8, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x1c, 0x40]),
        (Message::Port(6881), &[0, 0, 0, 3, 9, 0x1a, 0xe1]),
        (Message::Suggest(7), &[0, 0, 0, 5, 0x0d, 0, 0, 0, 7]),
        (Message::HaveAll, &[0, 0, 0, 1, 0x0e]),
        (Message::HaveNone, &[0, 0, 0, 1, 0x0f]),
        (Message::Reject(BLOCK), &[0, 0, 0, 13, 0x10, 0, 0, 0, 1, 0, 0, 0x40, 0, 0, 0, 0x1c, 0x40]),
        (Message::AllowedFast(9), &[0, 0, 0, 5, 0x11, 0, 0, 0, 9]),
        (Message::Extended { id: 0, payload: b"d1:mdee" }, b"\x00\x00\x00\x09\x14\x00d1:mdee"),
    ];

    #[test]
    fn decodes_each_message() {
        for (message, wire) in ALL {
            assert_eq!(Message::decode(&wire[4..]), Ok(*message));
        }
    }

    #[test]
    fn encodes_each_message() {
        for (message, wire) in ALL {
            let mut out = [0xee; 32];
            assert_eq!(message.encode(&mut out), Ok(wire.len()));
            assert_eq!(&out[..wire.len()], *wire);
            assert!(out[wire.len()..].iter().all(|byte| *byte == 0xee));
            assert_eq!(message.encoded_len(), wire.len());
        }
    }

    #[test]
    fn writes_nothing_to_a_short_buffer() {
        for (message, wire) in ALL {
            let mut out = [0xee; 32];
            let got = wire.len() - 1;
            let error = BufferTooSmall { needed: wire.len(), got };
            assert_eq!(message.encode(&mut out[..got]), Err(error));
            assert_eq!(out, [0xee; 32]);
        }
    }

    #[test]
    fn rejects_a_wrong_length_of_a_fixed_payload() {
        for (message, wire) in ALL {
            let body = &wire[4..];
            let fixed = !matches!(
                message,
                Message::KeepAlive | Message::Bitfield(_) | Message::Piece { .. } | Message::Extended { .. }
            );
            if fixed {
                let needed = u32::try_from(body.len() - 1).unwrap();
                let mut longer = [0; 32];
                longer[..body.len()].copy_from_slice(body);
                let id = body[0];
                let error = DecodeError::Length { id, needed, got: needed + 1 };
                assert_eq!(Message::decode(&longer[..=body.len()]), Err(error));
                if needed > 0 {
                    let error = DecodeError::Length { id, needed, got: needed - 1 };
                    assert_eq!(Message::decode(&body[..body.len() - 1]), Err(error));
                }
            }
        }
    }

    #[test]
    fn rejects_a_variable_payload_without_its_fixed_fields() {
        let short = &[7, 0, 0, 0, 1, 0, 0, 0];
        assert_eq!(Message::decode(short), Err(DecodeError::Truncated { id: 7, needed: 8, got: 7 }));
        assert_eq!(Message::decode(&[20]), Err(DecodeError::Truncated { id: 20, needed: 1, got: 0 }));
        assert_eq!(Message::decode(&[20, 3]), Ok(Message::Extended { id: 3, payload: &[] }));
        assert_eq!(Message::decode(&[5]), Ok(Message::Bitfield(&[])));
    }

    #[test]
    fn rejects_unknown_ids() {
        for id in [10, 11, 12, 18, 19, 21, 22, 23, 255] {
            assert_eq!(Message::decode(&[id, 1, 2]), Err(DecodeError::UnknownId { id }));
        }
    }

    #[test]
    fn encode_piece_head_writes_the_bytes_before_the_block() {
        let mut whole = [0; 16];
        Message::Piece { index: 1, begin: 0x4000, data: b"abc" }.encode(&mut whole).unwrap();
        let mut head = [0; Message::PIECE_HEAD_LEN];
        let block = Block { index: 1, begin: 0x4000, length: 3 };
        assert_eq!(Message::encode_piece_head(block, &mut head), Ok(13));
        assert_eq!(head, whole[..13]);

        let absurd = Block { length: u32::MAX - 8, ..block };
        let error = BufferTooSmall { needed: usize::MAX, got: 13 };
        assert_eq!(Message::encode_piece_head(absurd, &mut head), Err(error));
    }
}
