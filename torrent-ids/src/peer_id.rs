//! The identifier of a peer.

use core::fmt::{self, Write};

use crate::hex::twenty_bytes;

/// The id that a peer chose for itself: a tag of its client such as `-TR3000-`, then random bytes (BEP 3, BEP 20).
///
/// It is sent unencrypted and can be copied, so it does not authenticate a peer.
///
/// Displayed as other clients do: printable ASCII unchanged; a space, `%` and every other byte as `%` and two hex
/// digits, as in the URLs of HTTP trackers. `{:x}` writes 40 hex digits.
///
/// ```
/// use torrent_ids::PeerId;
///
/// let peer = PeerId(*b"-TR3000-\x00\x7f% abcdefgh");
/// assert_eq!(peer.to_string(), "-TR3000-%00%7f%25%20abcdefgh");
/// assert_eq!(format!("{peer:x}"), "2d5452333030302d007f25206162636465666768");
/// assert_eq!(PeerId::from_hex("2d5452333030302d007f25206162636465666768"), Ok(peer));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId(pub [u8; 20]);

twenty_bytes!(PeerId);

impl fmt::Display for PeerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| {
            if byte.is_ascii_graphic() && byte != b'%' {
                f.write_char(char::from(byte))
            } else {
                write!(f, "%{byte:02x}")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use crate::ParseIdError;
    use std::format;
    use std::string::ToString;

    #[test]
    fn escapes_control_characters_for_display() {
        let peer = PeerId(*b"\x1b[2J\r\n\t\x80\xff-UT0000-~\"\0");
        assert_eq!(peer.to_string(), "%1b[2J%0d%0a%09%80%ff-UT0000-~\"%00");
        assert_eq!(format!("{peer:?}"), "PeerId(%1b[2J%0d%0a%09%80%ff-UT0000-~\"%00)");
    }

    #[test]
    fn from_hex_rejects_other_lengths() {
        assert_eq!(PeerId::from_hex("2d"), Err(ParseIdError::Length { got: 2 }));
    }
}
