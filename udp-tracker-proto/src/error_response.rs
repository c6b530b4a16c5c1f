//! Error: the tracker refuses a request, with the reason as text (BEP 15, "errors").
//!
//! | offset | size | field          |
//! |--------|------|----------------|
//! | 0      | 4    | action = 3     |
//! | 4      | 4    | transaction_id |
//! | 8      | any  | message, text to the end |

use byteorder::{BigEndian, ByteOrder, LittleEndian};
use core::fmt::{self, Write};

use crate::decode_error::{room, split_head};
use crate::{BufferTooSmall, DecodeError, TransactionId, action};

/// A refusal, with its reason as text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorResponse<'a> {
    /// The transaction_id of the request.
    pub transaction_id: TransactionId,
    /// The reason; may be empty, and need not be UTF-8.
    pub message: &'a [u8],
}

impl<'a> ErrorResponse<'a> {
    /// Bytes before the message.
    pub const HEAD_LEN: usize = 8;

    /// Reads an error. Accepts also an empty message, a message that ends in NULs (opentracker) and an action in the
    /// wrong byte order (opentracker of 2014).
    ///
    /// # Errors
    /// `Truncated` or `WrongAction`.
    pub fn decode(datagram: &'a [u8]) -> Result<Self, DecodeError> {
        let (head, mut message) = split_head::<{ ErrorResponse::HEAD_LEN }>(datagram)?;
        let got = BigEndian::read_u32(&head[field::ACTION]);
        if got != action::ERROR && LittleEndian::read_u32(&head[field::ACTION]) != action::ERROR {
            return Err(DecodeError::WrongAction { expected: action::ERROR, got });
        }
        while let [shorter @ .., 0] = message {
            message = shorter;
        }
        Ok(Self { transaction_id: TransactionId(BigEndian::read_u32(&head[field::TRANSACTION_ID])), message })
    }

    /// The message for display: invalid UTF-8 is replaced, and control characters, which a terminal could execute, are
    /// escaped.
    pub fn text(&self) -> impl fmt::Display + use<'a> {
        let message = self.message;
        fmt::from_fn(move |f| {
            for chunk in message.utf8_chunks() {
                for char in chunk.valid().chars() {
                    if char.is_control() {
                        write!(f, "{}", char.escape_default())?;
                    } else {
                        f.write_char(char)?;
                    }
                }
                if !chunk.invalid().is_empty() {
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                }
            }
            Ok(())
        })
    }

    /// Writes the error; returns its length in bytes.
    ///
    /// # Errors
    /// When `out` is shorter than 8 bytes plus the message.
    pub fn encode(&self, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
        let len = Self::HEAD_LEN + self.message.len();
        let out = room(out, len)?;
        BigEndian::write_u32(&mut out[field::ACTION], action::ERROR);
        BigEndian::write_u32(&mut out[field::TRANSACTION_ID], self.transaction_id.0);
        out[Self::HEAD_LEN..].copy_from_slice(self.message);
        Ok(len)
    }

    /// Writes an error with the text of `reason`, truncated to fit into `out`; returns its length in bytes.
    ///
    /// # Errors
    /// When `out` is shorter than 8 bytes.
    pub fn encode_display(
        transaction_id: TransactionId,
        reason: &impl fmt::Display,
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let head = ErrorResponse { transaction_id, message: &[] }.encode(out)?;
        let mut text = Cursor { out: &mut out[head..], written: 0 };
        // The only possible error is that the text was truncated.
        let _cut = write!(text, "{reason}");
        Ok(head + text.written)
    }
}

/// Writes text into a slice until it is full.
struct Cursor<'a> {
    out: &'a mut [u8],
    written: usize,
}

impl Write for Cursor<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = &mut self.out[self.written..];
        let fits = text.floor_char_boundary(room.len());
        room[..fits].copy_from_slice(&text.as_bytes()[..fits]);
        self.written += fits;
        if fits == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

mod field {
    use core::ops::Range;

    pub(super) const ACTION: Range<usize> = 0..4;
    pub(super) const TRANSACTION_ID: Range<usize> = 4..8;
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use hex_literal::hex;
    use std::string::ToString;

    #[test]
    fn decodes_errors_with_and_without_a_message() {
        let datagram = b"\x00\x00\x00\x03\x01\x02\x03\x04not here";
        let error = ErrorResponse::decode(datagram).unwrap();
        assert_eq!(error, ErrorResponse { transaction_id: TransactionId(0x0102_0304), message: b"not here" });
        let mut out = [0; 16];
        assert_eq!(error.encode(&mut out), Ok(16));
        assert_eq!(&out, datagram);

        assert_eq!(ErrorResponse::decode(&datagram[..8]).unwrap().message, b"");
        assert_eq!(ErrorResponse::decode(&datagram[..7]), Err(DecodeError::Truncated { needed: 8, got: 7 }));
    }

    #[test]
    fn decodes_trailing_nuls_and_a_swapped_action() {
        let with_nul = b"\x00\x00\x00\x03\x01\x02\x03\x04no\x00";
        assert_eq!(ErrorResponse::decode(with_nul).unwrap().message, b"no");
        let host_order = b"\x03\x00\x00\x00\x01\x02\x03\x04no";
        let error = ErrorResponse::decode(host_order).unwrap();
        assert_eq!((error.transaction_id, error.message), (TransactionId(0x0102_0304), &b"no"[..]));
        assert_eq!(
            ErrorResponse::decode(&hex!("00000001 01020304")),
            Err(DecodeError::WrongAction { expected: 3, got: 1 })
        );
    }

    #[test]
    fn text_escapes_control_characters() {
        let error = ErrorResponse { transaction_id: TransactionId(0), message: b"caf\xc3\xa9 \xff\x1b[2J\n" };
        assert_eq!(error.text().to_string(), "caf\u{e9} \u{fffd}\\u{1b}[2J\\n");
    }

    #[test]
    fn encode_display_truncates_the_reason_to_the_buffer() {
        let mut out = [0; 13];
        assert_eq!(ErrorResponse::encode_display(TransactionId(1), &"wrong id", &mut out), Ok(13));
        assert_eq!(&out[8..], b"wrong");
        assert_eq!(ErrorResponse::encode_display(TransactionId(1), &"no", &mut out), Ok(10));
        // Between characters, not within one.
        assert_eq!(ErrorResponse::encode_display(TransactionId(1), &"four\u{e9}", &mut out), Ok(12));
        assert!(ErrorResponse::encode_display(TransactionId(1), &"no", &mut out[..7]).is_err());
    }
}
