//! The framer: finds messages in a stream of bytes, without a buffer of its own.

use nom::Parser;
use nom::bytes::streaming::take;
use nom::combinator::peek;
use nom::number::streaming::{be_u8, be_u32};

use crate::error::DecodeError;
use crate::message::{Message, check_length};

/// Cuts the stream that follows a handshake into messages.
///
/// The caller owns the receive buffer and passes its unread bytes; the framer returns how many of them it consumed, and
/// the message, borrowed from them. It never copies, so a message must be contiguous in the buffer: a buffer of
/// [`buffer_len`](Self::buffer_len) bytes holds any accepted message. A message of an unknown extension is skipped
/// while its bytes arrive, and doesn't have to fit into the buffer.
///
/// ```
/// use peer_wire_proto::{DecodeError, Framed, Framer, Message};
///
/// let mut framer = Framer::new(16_393);
/// let stream = [0, 0, 0, 1, 1, 0, 0, 0, 5, 4, 0, 0];
/// assert_eq!(framer.next(&stream), Ok(Framed { consumed: 5, message: Some(Message::Unchoke) }));
/// // The rest is a part of a "have".
/// assert_eq!(framer.next(&stream[5..]), Ok(Framed { consumed: 0, message: None }));
///
/// // Four bytes are enough to refuse a message.
/// let error = framer.next(&[0xff; 4]).unwrap_err();
/// assert_eq!(error, DecodeError::TooLong { limit: 16_393, got: u32::MAX });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    limit: u32,
    skip: u32,
}

/// The result of [`Framer::next`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Bytes consumed. The next call starts behind them, even if there is no message.
    pub consumed: usize,
    /// The next message; `None` if it is not complete yet.
    pub message: Option<Message<'a>>,
}

impl Framer {
    /// A framer at the start of a message. It accepts messages of up to `limit` bytes after the length prefix.
    pub fn new(limit: u32) -> Self {
        Self { limit, skip: 0 }
    }

    /// The most bytes accepted after a length prefix.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Sets the limit, from the next message on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Size in bytes of a buffer that holds any accepted message, its length prefix included.
    pub fn buffer_len(&self) -> usize {
        bytes(self.limit).saturating_add(4)
    }

    /// Reads the first message of `input`, the bytes that were received and are not consumed yet.
    ///
    /// Unknown messages before it are skipped. The result doesn't depend on how the stream was split: `None` becomes a
    /// message, or an error, only when more bytes are received.
    ///
    /// # Errors
    /// When the length prefix exceeds the limit, or doesn't match the message id: both as soon as those four or five
    /// bytes are there. After an error the stream can't be read any further.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Framed<'a>, DecodeError> {
        let mut rest = input;
        let message = loop {
            rest = self.skip_unknown(rest);
            match front(self.limit, rest)? {
                Front::NeedMore => break None,
                Front::Message { message, behind } => {
                    rest = behind;
                    break Some(message);
                }
                Front::Unknown { length, behind } => {
                    self.skip = length;
                    rest = behind;
                }
            }
        };
        Ok(Framed { consumed: input.len() - rest.len(), message })
    }

    /// `input` without the rest of the unknown message that it begins with.
    fn skip_unknown<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let here = input.len().min(bytes(self.skip));
        self.skip -= u32::try_from(here).unwrap_or(self.skip);
        &input[here..]
    }
}

/// What unread bytes begin with.
enum Front<'a> {
    NeedMore,
    Message {
        message: Message<'a>,
        behind: &'a [u8],
    },
    /// `behind` starts with the message's `length` bytes, id included, or with as many of them as were received.
    Unknown {
        length: u32,
        behind: &'a [u8],
    },
}

fn front(limit: u32, input: &[u8]) -> Result<Front<'_>, DecodeError> {
    // The parsers fail only when bytes are missing, which is not an error in a stream.
    let Ok((behind, length)) = be_u32::<_, ()>.parse(input) else {
        return Ok(Front::NeedMore);
    };
    if length > limit {
        return Err(DecodeError::TooLong { limit, got: length });
    }
    if let Some(payload) = length.checked_sub(1) {
        let Ok((_, id)) = peek(be_u8::<_, ()>).parse(behind) else {
            return Ok(Front::NeedMore);
        };
        match check_length(id, payload) {
            Err(DecodeError::UnknownId { .. }) => return Ok(Front::Unknown { length, behind }),
            checked => checked?,
        }
    }
    let Ok((behind, body)) = take::<_, _, ()>(bytes(length)).parse(behind) else {
        return Ok(Front::NeedMore);
    };
    Ok(Front::Message { message: Message::decode(body)?, behind })
}

/// A length from the wire as a `usize`. Where it doesn't fit, no slice is that long.
fn bytes(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(stream: &[u8]) -> (Result<Framed<'_>, DecodeError>, Framer) {
        let mut framer = Framer::new(100);
        (framer.next(stream), framer)
    }

    #[test]
    fn waits_for_a_whole_message() {
        let stream = [0, 0, 0, 5, 4, 0, 0, 0, 9, 0, 0, 0, 0];
        for came in 0..9 {
            assert_eq!(all(&stream[..came]).0, Ok(Framed { consumed: 0, message: None }));
        }
        let have = Framed { consumed: 9, message: Some(Message::Have(9)) };
        assert_eq!(all(&stream[..9]).0, Ok(have));
        assert_eq!(all(&stream).0, Ok(have));
        let keep_alive = Framed { consumed: 4, message: Some(Message::KeepAlive) };
        assert_eq!(all(&stream[9..]).0, Ok(keep_alive));
    }

    #[test]
    fn accepts_a_length_up_to_the_limit() {
        assert_eq!(all(&[0, 0, 0, 100]).0, Ok(Framed { consumed: 0, message: None }));
        assert_eq!(all(&[0, 0, 0, 101]).0, Err(DecodeError::TooLong { limit: 100, got: 101 }));
        assert_eq!(Framer::new(100).buffer_len(), 104);
    }

    #[test]
    fn rejects_a_wrong_length_as_soon_as_the_id_is_there() {
        let error = DecodeError::Length { id: 4, needed: 4, got: 5 };
        assert_eq!(all(&[0, 0, 0, 6, 4]).0, Err(error));
        let error = DecodeError::Truncated { id: 7, needed: 8, got: 7 };
        assert_eq!(all(&[0, 0, 0, 8, 7]).0, Err(error));
    }

    #[test]
    fn skips_unknown_messages() {
        // Twice a message 21 of three bytes, then an unchoke.
        let stream = [0, 0, 0, 3, 21, 1, 2, 0, 0, 0, 3, 21, 1, 2, 0, 0, 0, 1, 1];
        assert_eq!(all(&stream).0, Ok(Framed { consumed: 19, message: Some(Message::Unchoke) }));

        // In parts: none of its bytes has to be kept.
        let (framed, mut framer) = all(&stream[..6]);
        assert_eq!(framed, Ok(Framed { consumed: 6, message: None }));
        assert_eq!(framer.next(&stream[6..9]), Ok(Framed { consumed: 1, message: None }));
        assert_eq!(framer.next(&stream[7..]), Ok(Framed { consumed: 12, message: Some(Message::Unchoke) }));
    }

    #[test]
    fn a_new_limit_applies_to_the_next_message() {
        let mut framer = Framer::new(0);
        assert!(framer.next(&[0, 0, 0, 1, 1]).is_err());
        framer.set_limit(1);
        assert_eq!(framer.limit(), 1);
        assert!(framer.next(&[0, 0, 0, 1, 1]).is_ok());
    }
}
