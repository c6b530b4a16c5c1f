//! The names that the protocol gives to torrents, peers, connections and transactions.

use core::fmt;
use core::str::FromStr;

/// A torrent's name: the SHA-1 of its info dictionary, or, for version 2 torrents, the first 20 octets of its SHA-256
/// (BEP 3, BEP 52).
///
/// Shown and parsed as 40 hex digits.
///
/// ```
/// use udp_tracker_proto::InfoHash;
///
/// let hash: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
/// assert_eq!(hash.0[..2], [0xe5, 0xd5]);
/// assert_eq!(hash.to_string(), "e5d5fdac66b48270c93842b333061ea4dd7233e9");
/// # Ok::<(), udp_tracker_proto::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

/// A peer's name for itself, chosen by its client: a tag such as `-TR3000-`, then random octets (BEP 20).
///
/// Anybody can copy one, so it identifies nothing that matters. Shown and parsed as 40 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

/// The tracker's proof that the sender of a request receives at the address it sends from (BEP 15, "connect").
///
/// Opaque to clients. Shown as 16 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId(pub u64);

/// Ties a response to its request; chosen at random by the client (BEP 15).
///
/// Shown as 8 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TransactionId(pub u32);

/// A text that is not the 40 hex digits of an [`InfoHash`] or a [`PeerId`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdError {
    /// Another number of octets than 40.
    #[error("expected 40 hex digits, got {got} octets")]
    Length {
        /// Octets in the text.
        got: usize,
    },
    /// An octet that is no hex digit.
    #[error("octet {at} is not a hex digit")]
    NotHex {
        /// Where, counted from 0.
        at: usize,
    },
}

fn parse_hex(text: &str) -> Result<[u8; 20], ParseIdError> {
    let digits: &[u8; 40] =
        text.as_bytes().try_into().map_err(|_| ParseIdError::Length { got: text.len() })?;
    let mut octets = [0; 20];
    for (at, digit) in digits.iter().enumerate() {
        let value = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            b'A'..=b'F' => digit - b'A' + 10,
            _ => return Err(ParseIdError::NotHex { at }),
        };
        octets[at / 2] = octets[at / 2] << 4 | value;
    }
    Ok(octets)
}

fn write_hex(octets: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    octets.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
}

macro_rules! twenty_octets {
    ($($name:ident),*) => {$(
        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_hex(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl From<[u8; 20]> for $name {
            fn from(octets: [u8; 20]) -> Self {
                Self(octets)
            }
        }
    )*};
}
twenty_octets!(InfoHash, PeerId);

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl fmt::Debug for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TransactionId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_either_case() {
        let lower: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse().unwrap();
        let upper: InfoHash = "E5D5FDAC66B48270C93842B333061EA4DD7233E9".parse().unwrap();
        assert_eq!(lower, upper);
        assert_eq!(lower.0[..3], [0xe5, 0xd5, 0xfd]);
        assert_eq!(lower.0[19], 0xe9);
    }

    #[test]
    fn says_what_is_wrong_with_a_text() {
        assert_eq!("e5d5".parse::<InfoHash>(), Err(ParseIdError::Length { got: 4 }));
        let with_x = "e5d5fdac66b48270c93842b333061ea4dd7233ex";
        assert_eq!(with_x.parse::<PeerId>(), Err(ParseIdError::NotHex { at: 39 }));
    }
}
