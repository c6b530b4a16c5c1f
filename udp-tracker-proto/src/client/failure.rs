//! Why a request failed.

use core::fmt;

use crate::{BufferTooSmall, DecodeError, ErrorResponse, TransactionId};

/// Why a request failed. Borrows the tracker's text from the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Failure<'d> {
    /// The tracker refused, with a text, which may be empty.
    #[error("the tracker refused{}", ReasonOf(*.0))]
    Refused(ErrorResponse<'d>),
    /// The tracker sent an invalid reply to this request.
    #[error("invalid reply: {0}")]
    Malformed(#[source] DecodeError),
    /// No reply came before the deadline, or before the policy gave up.
    #[error("no reply in time")]
    TimedOut,
    /// The request needs more bytes than the buffer given to `poll_transmit` has, or than a UDP datagram can have.
    #[error("request too long: {0}")]
    TooLong(#[source] BufferTooSmall),
    /// The caller reported with `handle_send_error` that the request could not be sent.
    #[error("the request could not be sent")]
    NotSent,
}

/// Why a request failed: a [`Failure`] that owns the tracker's text.
#[cfg(feature = "alloc")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tracker refused.
    #[error("the tracker refused{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// The tracker's own text, with control characters escaped; may be empty.
        text: alloc::string::String,
    },
    /// The tracker sent an invalid reply to this request.
    #[error("invalid reply: {0}")]
    Malformed(#[source] DecodeError),
    /// No reply came before the deadline, or before the policy gave up.
    #[error("no reply in time")]
    TimedOut,
    /// The request needs more bytes than the buffer given to `poll_transmit` has, or than a UDP datagram can have.
    #[error("request too long: {0}")]
    TooLong(#[source] BufferTooSmall),
    /// The caller reported with `handle_send_error` that the request could not be sent.
    #[error("the request could not be sent")]
    NotSent,
}

#[cfg(feature = "alloc")]
impl From<Failure<'_>> for Error {
    fn from(failure: Failure<'_>) -> Self {
        match failure {
            Failure::Refused(error) => {
                Self::Refused { text: alloc::string::ToString::to_string(&error.text()) }
            }
            Failure::Malformed(error) => Self::Malformed(error),
            Failure::TimedOut => Self::TimedOut,
            Failure::TooLong(error) => Self::TooLong(error),
            Failure::NotSent => Self::NotSent,
        }
    }
}

impl Failure<'_> {
    /// The failure of a request whose reply can't be decoded.
    pub(super) fn from_decode(error: DecodeError, transaction_id: TransactionId) -> Self {
        match error {
            // This is how opentracker refuses, without a text.
            DecodeError::Refused => Self::Refused(ErrorResponse { transaction_id, message: &[] }),
            malformed => Self::Malformed(malformed),
        }
    }
}

/// Whether the text of a refusal names the connection_id as the reason, such as "Connection ID missmatch."
/// (opentracker), "bad connection ID" (chihaya) and "unknown connection_id".
pub(super) fn blames_connection_id(text: &[u8]) -> bool {
    const CONNECTION: &[u8] = b"connection";

    text.windows(CONNECTION.len()).enumerate().any(|(at, window)| {
        let rest = &text[at + CONNECTION.len()..];
        let rest =
            rest.strip_prefix(b" ").or(rest.strip_prefix(b"_")).or(rest.strip_prefix(b"-")).unwrap_or(rest);
        window.eq_ignore_ascii_case(CONNECTION)
            && rest.get(..2).is_some_and(|id| id.eq_ignore_ascii_case(b"id"))
    })
}

/// `: text`, or nothing.
struct ReasonOf<'d>(ErrorResponse<'d>);

impl fmt::Display for ReasonOf<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.message.is_empty() { Ok(()) } else { write!(f, ": {}", self.0.text()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recognises_texts_that_name_the_connection_id() {
        for text in [
            "Connection ID missmatch.",
            "bad connection ID",
            "unknown connection_id",
            "CONNECTION-ID expired",
            "invalid connectionid",
            "connection refused: connection id",
        ] {
            assert!(blames_connection_id(text.as_bytes()), "{text}");
        }
        for text in
            ["", "no", "connection", "too many connections", "connection i", "unregistered torrent id"]
        {
            assert!(!blames_connection_id(text.as_bytes()), "{text}");
        }
    }
}
