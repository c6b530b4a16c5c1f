//! The identifier of a torrent.

use core::fmt;
use core::str::FromStr;

use crate::hex::{self, ParseIdError, twenty_bytes};

/// Identifies a torrent: the SHA-1 of its info dictionary (BEP 3), or, for version 2 torrents, the first 20 bytes of
/// its SHA-256 (BEP 52).
///
/// Displayed and parsed as 40 hex digits.
///
/// ```
/// use torrent_ids::InfoHash;
///
/// let hash: InfoHash = "E5D5FDAC66b48270c93842b333061ea4dd7233e9".parse()?;
/// assert_eq!(hash.0[..2], [0xe5, 0xd5]);
/// assert_eq!(hash.to_string(), "e5d5fdac66b48270c93842b333061ea4dd7233e9");
/// # Ok::<(), torrent_ids::ParseIdError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InfoHash(pub [u8; 20]);

twenty_bytes!(InfoHash);

impl fmt::Display for InfoHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write_lower(&self.0, f)
    }
}

impl FromStr for InfoHash {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        Self::from_hex(text)
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use hex_literal::hex;
    use std::format;

    const HASH: InfoHash = InfoHash(hex!("e5d5fdac66b48270c93842b333061ea4dd7233e9"));

    #[test]
    fn parses_digits_of_either_case() {
        assert_eq!("e5d5fdac66b48270c93842b333061ea4dd7233e9".parse(), Ok(HASH));
        assert_eq!("E5D5FDAC66B48270C93842B333061EA4DD7233E9".parse(), Ok(HASH));
    }

    #[test]
    fn formats_hex_digits_of_either_case_with_padding() {
        assert_eq!(format!("{HASH}"), "e5d5fdac66b48270c93842b333061ea4dd7233e9");
        assert_eq!(format!("{HASH:X}"), "E5D5FDAC66B48270C93842B333061EA4DD7233E9");
        assert_eq!(format!("{HASH:?}"), "InfoHash(e5d5fdac66b48270c93842b333061ea4dd7233e9)");
        assert_eq!(format!("{HASH:>42}"), "  e5d5fdac66b48270c93842b333061ea4dd7233e9");
    }

    #[test]
    fn reports_why_a_text_is_invalid() {
        assert_eq!("e5d5".parse::<InfoHash>(), Err(ParseIdError::Length { got: 4 }));
        assert_eq!("".parse::<InfoHash>(), Err(ParseIdError::Length { got: 0 }));
        let with_x = "e5d5fdac66b48270c93842b333061ea4dd7233ex";
        assert_eq!(with_x.parse::<InfoHash>(), Err(ParseIdError::NotHex { at: 39 }));
        let first = "\u{e9}d5fdac66b48270c93842b333061ea4dd7233e9";
        assert_eq!(first.parse::<InfoHash>(), Err(ParseIdError::NotHex { at: 0 }));
    }

    #[test]
    fn converts_from_and_to_bytes() {
        assert_eq!(<[u8; 20]>::from(HASH), HASH.0);
        assert_eq!(InfoHash::try_from(&HASH.0[..]).ok(), Some(HASH));
        assert!(InfoHash::try_from(&HASH.0[..19]).is_err());
    }
}
