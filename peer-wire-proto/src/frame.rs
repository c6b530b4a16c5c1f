//! The framer: finds messages in a stream of octets, without keeping any of it.

use nom::Parser;
use nom::bytes::streaming::take;
use nom::combinator::peek;
use nom::number::streaming::{be_u8, be_u32};

use crate::error::DecodeError;
use crate::message::{Message, check_length};

/// Cuts the stream that follows a handshake into messages.
///
/// The caller owns the receive buffer and shows its unread octets; the framer says how many of them are done with, and
/// borrows the message from them. It never copies, so a message has to lie in the buffer in one stretch: a buffer of
/// [`buffer_len`](Self::buffer_len) octets holds any that is accepted. A message of an unknown extension is passed over
/// as its octets come, and doesn't have to fit.
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
/// // Four octets are enough to refuse a message.
/// let error = framer.next(&[0xff; 4]).unwrap_err();
/// assert_eq!(error, DecodeError::TooLong { limit: 16_393, got: u32::MAX });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framer {
    limit: u32,
    skip: u32,
}

/// What a look at the unread octets gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Framed<'a> {
    /// Octets that are done with. The next look starts behind them, even if there is no message.
    pub consumed: usize,
    /// The next message; `None` if the rest of it has yet to come.
    pub message: Option<Message<'a>>,
}

impl Framer {
    /// A framer at the border between two messages, which accepts messages of up to `limit` octets after their length.
    pub fn new(limit: u32) -> Self {
        Self { limit, skip: 0 }
    }

    /// The most octets accepted after a message's length.
    pub fn limit(&self) -> u32 {
        self.limit
    }

    /// Sets the limit for the messages from the next one on.
    pub fn set_limit(&mut self, limit: u32) {
        self.limit = limit;
    }

    /// Octets of a buffer that holds any accepted message, its length included.
    pub fn buffer_len(&self) -> usize {
        octets(self.limit).saturating_add(4)
    }

    /// Looks for the first message in `input`, the octets that came and were not consumed yet.
    ///
    /// Unknown messages before it are passed over. The answer doesn't depend on how the stream was cut: `None` changes
    /// to a message, or to an error, only by octets that come.
    ///
    /// # Errors
    /// When the length claimed exceeds the limit, or doesn't fit the id: both as soon as those four or five octets are
    /// there. The stream can't be understood any more after an error.
    pub fn next<'a>(&mut self, input: &'a [u8]) -> Result<Framed<'a>, DecodeError> {
        let mut rest = input;
        let message = loop {
            rest = self.pass_over(rest);
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

    /// `input` without what is left of the unknown message that it starts in.
    fn pass_over<'a>(&mut self, input: &'a [u8]) -> &'a [u8] {
        let here = input.len().min(octets(self.skip));
        self.skip -= u32::try_from(here).unwrap_or(self.skip);
        &input[here..]
    }
}

/// What stands at the front of unread octets.
enum Front<'a> {
    NeedMore,
    Message {
        message: Message<'a>,
        behind: &'a [u8],
    },
    /// `behind` starts with the message's `length` octets, id included, or as many of them as came.
    Unknown {
        length: u32,
        behind: &'a [u8],
    },
}

fn front(limit: u32, input: &[u8]) -> Result<Front<'_>, DecodeError> {
    // The parsers fail for want of octets only, which is no error in a stream.
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
    let Ok((behind, body)) = take::<_, _, ()>(octets(length)).parse(behind) else {
        return Ok(Front::NeedMore);
    };
    Ok(Front::Message { message: Message::decode(body)?, behind })
}

/// A length from the wire as one in memory. Where it can't be one, no slice is that long.
fn octets(length: u32) -> usize {
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
    fn a_length_at_the_limit_is_the_longest() {
        assert_eq!(all(&[0, 0, 0, 100]).0, Ok(Framed { consumed: 0, message: None }));
        assert_eq!(all(&[0, 0, 0, 101]).0, Err(DecodeError::TooLong { limit: 100, got: 101 }));
        assert_eq!(Framer::new(100).buffer_len(), 104);
    }

    #[test]
    fn a_wrong_length_is_told_at_the_id() {
        let error = DecodeError::Length { id: 4, needed: 4, got: 5 };
        assert_eq!(all(&[0, 0, 0, 6, 4]).0, Err(error));
        let error = DecodeError::Truncated { id: 7, needed: 8, got: 7 };
        assert_eq!(all(&[0, 0, 0, 8, 7]).0, Err(error));
    }

    #[test]
    fn passes_over_what_it_does_not_know() {
        // Twice a message 21 of three octets, then an unchoke.
        let stream = [0, 0, 0, 3, 21, 1, 2, 0, 0, 0, 3, 21, 1, 2, 0, 0, 0, 1, 1];
        assert_eq!(all(&stream).0, Ok(Framed { consumed: 19, message: Some(Message::Unchoke) }));

        // As they come: none of its octets has to be kept.
        let (framed, mut framer) = all(&stream[..6]);
        assert_eq!(framed, Ok(Framed { consumed: 6, message: None }));
        assert_eq!(framer.next(&stream[6..9]), Ok(Framed { consumed: 1, message: None }));
        assert_eq!(framer.next(&stream[7..]), Ok(Framed { consumed: 12, message: Some(Message::Unchoke) }));
    }

    #[test]
    fn a_new_limit_holds_for_the_next_message() {
        let mut framer = Framer::new(0);
        assert!(framer.next(&[0, 0, 0, 1, 1]).is_err());
        framer.set_limit(1);
        assert_eq!(framer.limit(), 1);
        assert!(framer.next(&[0, 0, 0, 1, 1]).is_ok());
    }
}
