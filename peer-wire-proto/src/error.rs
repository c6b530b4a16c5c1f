//! Errors that several codecs share.

/// The caller's buffer doesn't hold what is to be written. Nothing was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("needs a buffer of {needed} octets, got {got}")]
pub struct BufferTooSmall {
    /// Octets to write.
    pub needed: usize,
    /// Octets in the buffer.
    pub got: usize,
}

/// Why octets are no message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// The length before a message claims more than the limit. Told after those four octets, before any other is
    /// awaited.
    #[error("a message of {got} octets, {limit} allowed")]
    TooLong {
        /// The most octets allowed after the length.
        limit: u32,
        /// Octets claimed.
        got: u32,
    },
    /// A message whose payload has one fixed length has another.
    #[error("the payload of message {id} has {needed} octets, got {got}")]
    Length {
        /// Which message.
        id: u8,
        /// Octets after the id.
        needed: u32,
        /// Octets claimed.
        got: u32,
    },
    /// A message whose payload varies doesn't even hold its fixed fields.
    #[error("the payload of message {id} has at least {needed} octets, got {got}")]
    Truncated {
        /// Which message.
        id: u8,
        /// The fewest octets after the id.
        needed: u32,
        /// Octets claimed.
        got: u32,
    },
    /// A message of an extension unknown here. Only a single message handed to the decoder ends so: the framer skips
    /// such messages.
    #[error("message {id} is not known here")]
    UnknownId {
        /// Which message.
        id: u8,
    },
}
