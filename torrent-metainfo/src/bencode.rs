//! A reader of bencode that tracks the position of each value, for error messages (BEP 3, "bencoding").
//!
//! bendy decodes the strings and integers. It is not given whole dictionaries, because it rejects unsorted keys, and
//! torrents with unsorted keys are in use: many trackers add keys at the end, every client reads them, and their
//! info-hash is well defined. So the brackets `d`, `l` and `e` are matched here, with a limit on their depth. Nothing
//! is allocated for skipped values.

use bendy::decoding::Decoder;
use bendy::state_tracker::Token;

use crate::error::{KeyPath, Kind, ReadError, SyntaxFault};

/// Levels of lists and dictionaries: libtorrent's default. A metainfo file of version 1 needs five; the `file tree` of
/// a hybrid one needs three and one for each folder.
pub(crate) const MAX_DEPTH: usize = 100;

/// A position in bencoded bytes, and the keys and indexes that lead there.
pub(crate) struct Reader<'a> {
    source: &'a [u8],
    position: usize,
    path: Vec<Step<'a>>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Key(&'a [u8]),
    Index(usize),
}

impl<'a> Reader<'a> {
    pub(crate) fn new(source: &'a [u8]) -> Self {
        Self { source, position: 0, path: Vec::new() }
    }

    /// Bytes read so far.
    pub(crate) fn position(&self) -> usize {
        self.position
    }

    /// The bytes from an earlier position to here.
    pub(crate) fn since(&self, start: usize) -> &'a [u8] {
        &self.source[start..self.position]
    }

    /// The place of the current value.
    pub(crate) fn here(&self) -> KeyPath {
        self.path.iter().fold(KeyPath::root(), |path, step| match *step {
            Step::Key(key) => path.key(key),
            Step::Index(index) => path.index(index),
        })
    }

    /// Reads a dictionary: `visit` is called for each key and must read its value. Keys may come in any order.
    pub(crate) fn dictionary(
        &mut self,
        mut visit: impl FnMut(&mut Self, &'a [u8]) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.enter(Kind::Dictionary)?;
        while !self.leave()? {
            let byte = self.peek()?;
            if !byte.is_ascii_digit() {
                return Err(self.fault(SyntaxFault::Unexpected { byte }));
            }
            let key = self.bytes()?;
            self.path.push(Step::Key(key));
            visit(self, key)?;
            self.path.pop();
        }
        Ok(())
    }

    /// Reads a list: `visit` is called for each index and must read the value there.
    pub(crate) fn list(
        &mut self,
        mut visit: impl FnMut(&mut Self, usize) -> Result<(), ReadError>,
    ) -> Result<(), ReadError> {
        self.enter(Kind::List)?;
        let mut index = 0;
        while !self.leave()? {
            self.path.push(Step::Index(index));
            visit(self, index)?;
            self.path.pop();
            index += 1;
        }
        Ok(())
    }

    /// Reads a string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], ReadError> {
        self.expect(Kind::String)?;
        match self.scalar()? {
            Token::String(bytes) => Ok(bytes),
            _ => Err(self.fault(SyntaxFault::Number)),
        }
    }

    /// Reads a text. Invalid UTF-8 becomes U+FFFD, so that files in older encodings can still be read.
    pub(crate) fn text(&mut self) -> Result<String, ReadError> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// Reads an integer within `min..=max`.
    pub(crate) fn integer(&mut self, min: i64, max: i64) -> Result<i64, ReadError> {
        self.expect(Kind::Integer)?;
        let Token::Num(digits) = self.scalar()? else {
            return Err(self.fault(SyntaxFault::Number));
        };
        digits.parse().ok().filter(|value| (min..=max).contains(value)).ok_or_else(|| ReadError::OutOfRange {
            at: self.here(),
            value: digits[..digits.len().min(40)].to_owned(),
            min,
            max,
        })
    }

    /// Skips any value.
    pub(crate) fn skip(&mut self) -> Result<(), ReadError> {
        match self.kind()? {
            Kind::Dictionary => self.dictionary(|reader, _| reader.skip()),
            Kind::List => self.list(|reader, _| reader.skip()),
            Kind::Integer | Kind::String => self.scalar().map(drop),
        }
    }

    fn enter(&mut self, kind: Kind) -> Result<(), ReadError> {
        self.expect(kind)?;
        if self.path.len() >= MAX_DEPTH {
            return Err(ReadError::TooDeep { at: self.here(), limit: MAX_DEPTH });
        }
        self.position += 1;
        Ok(())
    }

    /// Skips the end of a list or dictionary, if the next byte is one.
    fn leave(&mut self) -> Result<bool, ReadError> {
        let ends = self.peek()? == b'e';
        self.position += usize::from(ends);
        Ok(ends)
    }

    fn expect(&self, expected: Kind) -> Result<(), ReadError> {
        let found = self.kind()?;
        if found == expected { Ok(()) } else { Err(ReadError::Mistyped { at: self.here(), expected, found }) }
    }

    fn kind(&self) -> Result<Kind, ReadError> {
        match self.peek()? {
            b'd' => Ok(Kind::Dictionary),
            b'i' => Ok(Kind::Integer),
            b'l' => Ok(Kind::List),
            b'0'..=b'9' => Ok(Kind::String),
            byte => Err(self.fault(SyntaxFault::Unexpected { byte })),
        }
    }

    fn peek(&self) -> Result<u8, ReadError> {
        self.source.get(self.position).copied().ok_or_else(|| self.fault(SyntaxFault::EndOfFile))
    }

    /// Reads a string or an integer.
    fn scalar(&mut self) -> Result<Token<'a>, ReadError> {
        let rest = &self.source[self.position..];
        let Some(Ok(token)) = Decoder::new(rest).tokens().next() else {
            return Err(self.fault(scalar_fault(rest)));
        };
        self.position += match token {
            // The digits of the length are canonical, so a `:` ends them.
            Token::String(bytes) => rest.iter().take_while(|byte| **byte != b':').count() + 1 + bytes.len(),
            Token::Num(digits) => digits.len() + 2,
            Token::List | Token::Dict | Token::End => 1,
        };
        Ok(token)
    }

    fn fault(&self, fault: SyntaxFault) -> ReadError {
        ReadError::Syntax { at: self.here(), offset: self.position, fault }
    }
}

/// Why bytes that begin like a string or an integer are invalid.
fn scalar_fault(rest: &[u8]) -> SyntaxFault {
    let (body, integer) = match rest {
        [b'i', body @ ..] => (body, true),
        _ => (rest, false),
    };
    let digits = body.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'-').count();
    let canonical = digits < 2 || body[0] != b'0';
    match body.get(digits) {
        None => SyntaxFault::EndOfFile,
        Some(b':') if !integer && canonical => SyntaxFault::EndOfFile,
        Some(_) => SyntaxFault::Number,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip(source: &[u8]) -> Result<usize, ReadError> {
        let mut reader = Reader::new(source);
        reader.skip()?;
        Ok(reader.position())
    }

    fn fault(source: &[u8]) -> (String, usize, SyntaxFault) {
        match skip(source) {
            Err(ReadError::Syntax { at, offset, fault }) => (at.as_str().to_owned(), offset, fault),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn steps_over_every_type() {
        assert_eq!(skip(b"0:"), Ok(2));
        assert_eq!(skip(b"3:abcX"), Ok(5));
        assert_eq!(skip(b"i-42e"), Ok(5));
        assert_eq!(skip(b"i0e"), Ok(3));
        assert_eq!(skip(b"le"), Ok(2));
        assert_eq!(skip(b"de"), Ok(2));
        assert_eq!(skip(b"d1:b3:x:y1:al2:::i7eee"), Ok(22));
    }

    #[test]
    fn reports_the_position_of_a_syntax_fault() {
        use SyntaxFault::{EndOfFile, Number, Unexpected};
        assert_eq!(fault(b""), (String::new(), 0, EndOfFile));
        assert_eq!(fault(b"d1:al"), ("a".into(), 5, EndOfFile));
        assert_eq!(fault(b"l4:abc"), ("[0]".into(), 1, EndOfFile));
        assert_eq!(fault(b"l99999999999999999999999:abc"), ("[0]".into(), 1, EndOfFile));
        assert_eq!(fault(b"i12"), (String::new(), 0, EndOfFile));
        assert_eq!(fault(b"i-0e"), (String::new(), 0, Number));
        assert_eq!(fault(b"ie"), (String::new(), 0, Number));
        assert_eq!(fault(b"i1-2e"), (String::new(), 0, Number));
        assert_eq!(fault(b"lli00eee"), ("[0][0]".into(), 2, Number));
        assert_eq!(fault(b"03:abc"), (String::new(), 0, Number));
        assert_eq!(fault(b"3abc"), (String::new(), 0, Number));
        assert_eq!(fault(b"d1:ae"), ("a".into(), 4, Unexpected { byte: b'e' }));
        assert_eq!(fault(b"di1e1:ae"), (String::new(), 1, Unexpected { byte: b'i' }));
        assert_eq!(fault(b"l-1:e"), ("[0]".into(), 1, Unexpected { byte: b'-' }));
    }

    #[test]
    fn a_number_out_of_range_is_quoted() {
        let error = Reader::new(b"i18446744073709551616e").integer(0, i64::MAX).unwrap_err();
        assert_eq!(error.to_string(), "the root is 18446744073709551616: 0 to 9223372036854775807 expected");
        let nines = [b"i".as_slice(), &[b'9'; 1000], b"e"].concat();
        let ReadError::OutOfRange { value, .. } = Reader::new(&nines).integer(0, 1).unwrap_err() else {
            panic!()
        };
        assert_eq!(value.len(), 40);
    }

    #[test]
    fn depth_is_limited() {
        let nested = |levels| [vec![b'l'; levels], vec![b'e'; levels]].concat();
        assert_eq!(skip(&nested(MAX_DEPTH)), Ok(2 * MAX_DEPTH));
        assert!(matches!(skip(&nested(MAX_DEPTH + 1)), Err(ReadError::TooDeep { limit: MAX_DEPTH, .. })));
    }

    #[test]
    fn bombs_end_at_the_limit() {
        for bomb in [b"l".repeat(1 << 20), b"d1:a".repeat(1 << 18), b"ld0:".repeat(1 << 18)] {
            assert!(matches!(skip(&bomb), Err(ReadError::TooDeep { .. })));
        }
        // Without a key between them, the second `d` is a fault.
        assert_eq!(fault(&b"d".repeat(1 << 20)).1, 1);
    }

    #[test]
    fn long_keys_are_cut_in_messages() {
        let source = [b"d1000:".as_slice(), &[0xff; 1000], b"x"].concat();
        let (at, ..) = fault(&source);
        assert_eq!(at.chars().filter(|c| *c == '\u{fffd}').count(), 40);
        assert!(at.ends_with('…'));
    }
}
