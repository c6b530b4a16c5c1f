//! How often access rules were applied, as a text file.
//!
//! ```text
//! access hits 1
//! torrent e5d5fdac66b48270c93842b333061ea4dd7233e9 12 1800000000
//! network 192.0.2.0/24 3 1800000000
//! client -XX0001- 1 1800000000
//! key s3cret 7 1800000000
//! end f3b1d0a5c9e27764
//! ```
//!
//! In each line the hits and the time of the last one, in seconds since 1970. The last line has the checksum of all bytes
//! before it: SipHash-1-3 with a key of zeros. Rules without hits are left out.

use std::fmt::Write as _;
use std::hash::Hasher as _;
use std::io::Write as _;

use siphasher::sip::SipHasher13;

use super::disk::Disk;
use super::replace::{Failed, names, put_aside, read_all, replace};
use super::{Refused, SaveError};
use crate::access::{AccessRules, Hits};

pub(super) const NAME: &str = "access.hits";

const FIRST: &str = "access hits 1\n";
/// Longer than any line: a kind, a subject of at most 64 bytes, and two numbers.
const LONGEST_LINE: usize = 256;
/// Bytes that are written or read at once.
const PART: usize = 1 << 16;

pub(super) fn save<D: Disk>(disk: &D, rules: &AccessRules) -> Result<u64, SaveError> {
    replace(disk, NAME, |file| {
        let (mut text, mut sum, mut saved) = (FIRST.to_owned(), SipHasher13::new(), 0);
        let mut result = Ok(());
        rules.for_each_hit(|kind, subject, Hits { hits, last }| {
            if result.is_ok() {
                saved += 1;
                let _ = writeln!(text, "{kind} {subject} {hits} {last}");
                if text.len() >= PART {
                    sum.write(text.as_bytes());
                    result = file.write_all(text.as_bytes());
                    text.clear();
                }
            }
        });
        result?;
        sum.write(text.as_bytes());
        let _ = writeln!(text, "end {:016x}", sum.finish());
        file.write_all(text.as_bytes())?;
        Ok(saved)
    })
}

pub(super) fn load<D: Disk>(disk: &D, rules: &AccessRules) -> (u64, Vec<Refused>) {
    let mut refused = Vec::new();
    for name in names(NAME) {
        // First the whole file, so that nothing of a damaged one is used.
        let mut found = 0;
        let read = read(disk, &name, |_| {}).and_then(|()| {
            read(disk, &name, |line| {
                found += u64::from(rules.add_hits(line.kind, line.subject, line.hits));
            })
        });
        match read.map_err(Failed::reason) {
            Ok(()) => return (found, refused),
            Err(reason) => refused.extend(reason.map(|reason| put_aside(disk, &name, reason))),
        }
    }
    (0, refused)
}

struct Line<'a> {
    kind: &'a str,
    subject: &'a str,
    hits: Hits,
}

impl<'a> Line<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut words = text.split(' ');
        let (kind, subject) = (words.next()?, words.next()?);
        let hits = Hits { hits: words.next()?.parse().ok()?, last: words.next()?.parse().ok()? };
        words.next().is_none().then_some(Self { kind, subject, hits })
    }
}

/// Reads a file to its end, with the memory of a line.
fn read<D: Disk>(disk: &D, name: &str, mut visit: impl FnMut(Line<'_>)) -> Result<(), Failed> {
    let mut reader = Reader { line: Vec::new(), number: 0, sum: SipHasher13::new(), ended: false };
    read_all(disk.open(name)?, &mut vec![0; PART], |bytes| {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            reader.line.extend_from_slice(piece);
            if reader.line.len() > LONGEST_LINE {
                return Err(reader.invalid("is too long"));
            }
            if piece.ends_with(b"\n") {
                reader.line(&mut visit)?;
            }
        }
        Ok(())
    })?;
    if !reader.ended || !reader.line.is_empty() {
        return Err(Failed::Content("it is cut off".into()));
    }
    Ok(())
}

struct Reader {
    line: Vec<u8>,
    number: u64,
    sum: SipHasher13,
    ended: bool,
}

impl Reader {
    fn line(&mut self, visit: &mut impl FnMut(Line<'_>)) -> Result<(), Failed> {
        self.number += 1;
        let line = std::mem::take(&mut self.line);
        let Ok(text) = std::str::from_utf8(&line) else { return Err(self.invalid("is no text")) };
        if self.ended {
            return Err(self.invalid("comes after the end"));
        }
        if let Some(sum) = text.strip_prefix("end ") {
            self.ended = true;
            if sum != format!("{:016x}\n", self.sum.finish()) {
                return Err(Failed::Content("it is damaged: its checksum does not match".into()));
            }
            return Ok(());
        }
        self.sum.write(&line);
        if self.number == 1 {
            return if text == FIRST { Ok(()) } else { Err(self.invalid("is not that of this version")) };
        }
        match Line::parse(text.trim_end_matches('\n')) {
            Some(line) => visit(line),
            None => return Err(self.invalid("is not understood")),
        }
        Ok(())
    }

    fn invalid(&self, problem: &str) -> Failed {
        Failed::Content(format!("line {} {problem}", self.number.max(1)))
    }
}
