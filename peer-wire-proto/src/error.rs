//! Errors shared by several codecs.

/// The caller's buffer is too small for the message. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs a buffer of {needed} bytes, got {got}")]
pub struct BufferTooSmall {
    /// Bytes that the buffer must have.
    pub needed: usize,
    /// Bytes in the buffer.
    pub got: usize,
}

/// Why bytes are not a valid message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The length prefix of a message exceeds the limit. Returned as soon as those four bytes are there.
    #[error("a message of {got} bytes, {limit} allowed")]
    TooLong {
        /// The most bytes allowed after the length prefix.
        limit: u32,
        /// Bytes after the length prefix, as it states.
        got: u32,
    },
    /// The payload of a message with a fixed length has another length.
    #[error("the payload of message {id} has {needed} bytes, got {got}")]
    Length {
        /// The message id.
        id: u8,
        /// Bytes after the id.
        needed: u32,
        /// Bytes after the id, by the length prefix.
        got: u32,
    },
    /// The payload of a message with a variable length is too short for its fixed fields.
    #[error("the payload of message {id} has at least {needed} bytes, got {got}")]
    Truncated {
        /// The message id.
        id: u8,
        /// The fewest bytes possible after the id.
        needed: u32,
        /// Bytes after the id, by the length prefix.
        got: u32,
    },
    /// A message of an unknown extension. Only [`Message::decode`](crate::Message::decode) returns this: the
    /// [`Framer`](crate::Framer) skips such messages.
    #[error("unknown message id {id}")]
    UnknownId {
        /// The message id.
        id: u8,
    },
}
