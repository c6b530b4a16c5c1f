//! `torrent-ids`: ids are parsed and displayed, and an address is converted to its compact form and back.

use core::fmt::{self, Write};
use core::hint::black_box;

use ::torrent_ids::{InfoHash, ParseIdError, PeerId, compact};

/// Whether all results are the expected ones.
pub(crate) fn works() -> bool {
    reads_and_shows() == Some(true)
}

fn reads_and_shows() -> Option<bool> {
    let digits = black_box("000102030405060708090a0b0c0d0e0f10111213");
    let torrent: InfoHash = digits.parse().ok()?;
    let peer = PeerId(black_box(*b"-TR3000-\x00\xff0123456789"));
    let address = black_box("192.0.2.7:6881").parse().ok()?;
    Some(
        Shown::of(&torrent)?.as_bytes() == digits.as_bytes()
            && Shown::of(&peer)?.as_bytes() == b"-TR3000-%00%ff0123456789"
            && black_box("00").parse::<InfoHash>() == Err(ParseIdError::Length { got: 2 })
            && compact::to_v4(black_box(compact::from_v4(address))) == address,
    )
}

/// A text of up to 64 bytes.
struct Shown {
    text: [u8; 64],
    len: usize,
}

impl Shown {
    fn of(value: &impl fmt::Display) -> Option<Self> {
        let mut shown = Self { text: [0; 64], len: 0 };
        write!(shown, "{value}").ok()?;
        Some(shown)
    }

    fn as_bytes(&self) -> &[u8] {
        &self.text[..self.len]
    }
}

impl Write for Shown {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.text.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}
