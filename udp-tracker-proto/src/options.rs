//! Options after an announce request (BEP 41).
//!
//! | type | layout | meaning |
//! |------|--------|---------|
//! | 0    | one byte | end of options |
//! | 1    | one byte | nothing; padding |
//! | 2    | type, length 0 to 255, data | URLData: path and query of the tracker's URL; several are concatenated |
//! | 3 .. | type, length, data | unknown; skipped |

use nom::bytes::complete::take;
use nom::multi::length_data;
use nom::number::complete::u8 as byte;
use nom::{IResult, Parser};

use crate::BufferTooSmall;

const END: u8 = 0;
const NOP: u8 = 1;
const URL_DATA: u8 = 2;

/// The bytes after an announce request's fixed part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options<'a> {
    bytes: &'a [u8],
}

/// One option that carries data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnnounceOption<'a> {
    /// A part of the tracker URL's path and query.
    UrlData(&'a [u8]),
    /// An option that BEP 41 does not define.
    Unknown {
        /// Its type, 3 to 255.
        kind: u8,
        /// Its data, 0 to 255 bytes.
        data: &'a [u8],
    },
}

/// An option claims more bytes than the datagram has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an option runs past the end of the announce")]
pub struct OptionOverrun;

impl<'a> Options<'a> {
    /// No options at all.
    pub const NONE: Options<'static> = Options { bytes: &[] };

    /// The options in these bytes, as on the wire. They may be malformed.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The bytes as on the wire.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The options in order, up to the end of options. A malformed option is an error, and the last item.
    pub fn iter(&self) -> impl Iterator<Item = Result<AnnounceOption<'a>, OptionOverrun>> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            while let [NOP, tail @ ..] = rest {
                rest = tail;
            }
            if matches!(rest, [] | [END, ..]) {
                return None;
            }
            match option(rest) {
                Ok((tail, option)) => {
                    rest = tail;
                    Some(Ok(option))
                }
                Err(_) => {
                    rest = &[];
                    Some(Err(OptionOverrun))
                }
            }
        })
    }

    /// The parts of the tracker URL's path and query, to be concatenated. No parts if any option is malformed.
    ///
    /// ```
    /// use udp_tracker_proto::Options;
    ///
    /// let options = Options::new(b"\x02\x09/announce");
    /// assert_eq!(options.url_data().flatten().copied().collect::<Vec<u8>>(), b"/announce");
    /// ```
    pub fn url_data(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let sound = if self.iter().all(|option| option.is_ok()) { *self } else { Options::NONE };
        sound.iter().filter_map(|option| match option {
            Ok(AnnounceOption::UrlData(data)) => Some(data),
            _ => None,
        })
    }
}

fn option(bytes: &[u8]) -> IResult<&[u8], AnnounceOption<'_>> {
    let (rest, kind) = take(1usize).map(|kind: &[u8]| kind[0]).parse(bytes)?;
    let (rest, data) = length_data(byte).parse(rest)?;
    let option =
        if kind == URL_DATA { AnnounceOption::UrlData(data) } else { AnnounceOption::Unknown { kind, data } };
    Ok((rest, option))
}

/// The most bytes of a path in one option: an option's length field has one byte.
const MAX_DATA: usize = u8::MAX as usize;

/// Bytes that [`write_url_data`] writes: those of the path, and two for each option of up to 255 bytes.
#[must_use]
pub const fn url_data_len(path_and_query: &str) -> usize {
    let len = path_and_query.len();
    len + 2 * if len == 0 { 1 } else { len.div_ceil(MAX_DATA) }
}

/// Writes a tracker URL's path and query as URLData options, as many as it needs; returns the bytes written.
///
/// An empty path is one empty option, as in BEP 41's examples.
///
/// # Errors
/// When `out` is shorter than [`url_data_len`].
pub fn write_url_data(path_and_query: &str, out: &mut [u8]) -> Result<usize, BufferTooSmall> {
    let path = path_and_query.as_bytes();
    let needed = url_data_len(path_and_query);
    let got = out.len();
    let mut out = out.get_mut(..needed).ok_or(BufferTooSmall { needed, got })?;
    let mut parts = path.chunks(MAX_DATA);
    let mut part = parts.next().unwrap_or_default();
    loop {
        let (head, tail) = out.split_at_mut(2 + part.len());
        head[0] = URL_DATA;
        head[1] = u8::try_from(part.len()).unwrap_or(u8::MAX);
        head[2..].copy_from_slice(part);
        out = tail;
        match parts.next() {
            Some(next) => part = next,
            None => return Ok(needed),
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;
    use hex_literal::hex;
    use std::vec::Vec;

    fn url_data(bytes: &[u8]) -> Vec<u8> {
        Options::new(bytes).url_data().flatten().copied().collect()
    }

    // The three vectors of BEP 41, for udp://tracker.example.com:80/dir?a=b&c=d and for a URL without a path.
    #[test]
    fn decodes_and_encodes_the_vectors_of_bep_41() {
        assert_eq!(url_data(b"\x02\x0C/dir?a=b&c=d"), b"/dir?a=b&c=d");
        assert_eq!(url_data(b"\x02\x0C/dir?a=b&c=d\x01\x01\x00"), b"/dir?a=b&c=d");
        assert_eq!(url_data(&hex!("02 00")), b"");

        let mut out = [0; 14];
        assert_eq!(write_url_data("/dir?a=b&c=d", &mut out), Ok(14));
        assert_eq!(&out, b"\x02\x0C/dir?a=b&c=d");
        assert_eq!(write_url_data("", &mut out), Ok(2));
        assert_eq!(out[..2], hex!("02 00"));
    }

    #[test]
    fn url_data_is_concatenated_and_unknown_options_are_skipped() {
        assert_eq!(url_data(b"\x02\x02/a\x01\x09\x03xyz\x02\x01b"), b"/ab");
        let options = Options::new(b"\x09\x03xyz");
        assert_eq!(options.iter().next(), Some(Ok(AnnounceOption::Unknown { kind: 9, data: b"xyz" })));
    }

    #[test]
    fn nothing_is_read_after_the_end() {
        assert_eq!(url_data(b"\x02\x02/a\x00\x02\x01b"), b"/a");
        assert_eq!(Options::new(&hex!("00 00")).iter().count(), 0);
    }

    #[test]
    fn a_malformed_option_discards_all_url_data() {
        for malformed in [&b"\x02\x02/a\x02\x05b"[..], b"\x02\x02/a\x02", b"\x02\x02/a\xff"] {
            let last = Options::new(malformed).iter().last();
            assert_eq!(last, Some(Err(OptionOverrun)));
            assert_eq!(Options::new(malformed).url_data().count(), 0);
        }
    }

    #[test]
    fn a_long_path_takes_several_options() {
        let path: std::string::String = core::iter::repeat_n('p', 600).collect();
        let mut out = [0; 606];
        assert_eq!(write_url_data(&path, &mut out), Ok(606));
        assert_eq!((out[0], out[1]), (2, 255));
        assert_eq!((out[257], out[258]), (2, 255));
        assert_eq!((out[514], out[515]), (2, 90));
        assert_eq!(url_data(&out), path.as_bytes());
        assert_eq!(write_url_data(&path, &mut out[..605]), Err(BufferTooSmall { needed: 606, got: 605 }));
    }
}
