//! Errors in a metainfo file, with their places.

use std::fmt;
use std::path::PathBuf;

/// The place of a value in a metainfo file: `info.files[3].path[1]`.
///
/// Keys are joined by dots, indexes in lists start at 0. Displayed as `the root` for the outermost value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyPath(String);

impl KeyPath {
    /// Characters of a key that are displayed at most: keys of a hostile file can be as long as the file.
    const SHOWN: usize = 40;

    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    pub(crate) fn key(mut self, key: &[u8]) -> Self {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        // A character has at most four bytes, so this keeps enough of them.
        let head = &key[..key.len().min(4 * Self::SHOWN)];
        let text = String::from_utf8_lossy(head);
        self.0.extend(text.chars().take(Self::SHOWN).flat_map(char::escape_debug));
        if text.chars().count() > Self::SHOWN {
            self.0.push('…');
        }
        self
    }

    pub(crate) fn index(mut self, index: usize) -> Self {
        self.0.push_str(&format!("[{index}]"));
        self
    }

    /// The entry of the file with that index.
    pub(crate) fn file(index: usize) -> Self {
        Self::root().key(b"info").key(b"files").index(index)
    }

    /// The path as text, empty for the outermost value.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_empty() { "the root" } else { &self.0 })
    }
}

impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPath({self})")
    }
}

/// The four types of bencoded values (BEP 3, "bencoding").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `d` … `e`
    Dictionary,
    /// `i` … `e`
    Integer,
    /// `l` … `e`
    List,
    /// A length, `:` and that many bytes.
    String,
}

/// Displayed with its article: `a list`.
impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dictionary => "a dictionary",
            Self::Integer => "an integer",
            Self::List => "a list",
            Self::String => "a string",
        })
    }
}

/// Why bytes are not bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// The file ends within a value.
    #[error("the file ends within a value")]
    EndOfFile,
    /// A byte that can't begin a value, key or end here.
    #[error("unexpected byte 0x{byte:02x}")]
    Unexpected {
        /// The byte.
        byte: u8,
    },
    /// An integer or a string's length with leading zeros, `-0`, or other characters than digits.
    #[error("invalid number")]
    Number,
}

/// Why a name can't be the name of a file or folder.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameFault {
    /// It begins with `/`.
    #[error("is absolute")]
    Absolute,
    /// It is `.`, the folder itself.
    #[error("is `.`")]
    CurrentFolder,
    /// It has no characters.
    #[error("is empty")]
    Empty,
    /// It contains a byte 0.
    #[error("contains a NUL")]
    Nul,
    /// It is `..`, the folder above.
    #[error("is `..`")]
    ParentFolder,
    /// It contains a `/`.
    #[error("contains a path separator")]
    Separator,
    /// It is not one name on this system: on Windows, one with `\` or a drive letter.
    #[error("is not a single name on this system")]
    NotOneName,
}

/// Why bytes are not a valid metainfo file.
///
/// Every variant has the place; positions in the file are offsets in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not bencode (BEP 3, "bencoding").
    #[error("{fault} at byte {offset}, in {at}")]
    Syntax {
        /// The value that was being read.
        at: KeyPath,
        /// Offset of the fault in bytes.
        offset: usize,
        /// The fault.
        fault: SyntaxFault,
    },
    /// Lists and dictionaries are nested more deeply than any metainfo file needs.
    #[error("{at} is nested deeper than {limit} levels")]
    TooDeep {
        /// The innermost value within the limit.
        at: KeyPath,
        /// Levels allowed.
        limit: usize,
    },
    /// A required key is missing.
    #[error("{at} is missing")]
    Missing {
        /// The key.
        at: KeyPath,
    },
    /// A value has another type than BEP 3 requires.
    #[error("{at} is {found}, not {expected}")]
    Mistyped {
        /// The key.
        at: KeyPath,
        /// The required type.
        expected: Kind,
        /// The actual type.
        found: Kind,
    },
    /// A key occurs twice in one dictionary, so that two readers could see different torrents.
    #[error("{at} occurs twice")]
    DuplicateKey {
        /// The key.
        at: KeyPath,
    },
    /// A number is out of range.
    #[error("{at} is {value}: {min} to {max} expected")]
    OutOfRange {
        /// The number's key.
        at: KeyPath,
        /// The number as written in the file, at most its first 40 characters.
        value: String,
        /// The lowest value allowed.
        min: i64,
        /// The highest value allowed.
        max: i64,
    },
    /// The files together are longer than `i64::MAX` bytes.
    #[error("with {at} the torrent is longer than {limit} bytes", limit = i64::MAX)]
    TooLong {
        /// The length that exceeds the limit.
        at: KeyPath,
    },
    /// Both `length` and `files` are present; BEP 3 allows only one of them.
    #[error("info has both `length` and `files`")]
    LengthAndFiles,
    /// Neither `length` nor `files` is present; BEP 3 requires one of them.
    #[error("info has neither `length` nor `files`")]
    NoLengthNoFiles,
    /// The torrent has no content: 0 bytes.
    #[error("the torrent has no content: {at} has 0 bytes")]
    NoContent {
        /// `info.length` or `info.files`.
        at: KeyPath,
    },
    /// The length of the hashes is not a multiple of a SHA-1 digest's.
    #[error("{at} has {got} bytes, not a multiple of 20")]
    HashLength {
        /// `info.pieces`.
        at: KeyPath,
        /// Length in bytes.
        got: usize,
    },
    /// The number of hashes differs from the number of pieces.
    #[error("{at} has {got} hashes for {expected} pieces")]
    PieceCount {
        /// `info.pieces`.
        at: KeyPath,
        /// Number of pieces, from length and piece length.
        expected: u64,
        /// Number of hashes.
        got: usize,
    },
    /// A name is not possible for a file, or would lead out of the torrent's folder.
    #[error("{at} {fault}")]
    BadName {
        /// The place of the name.
        at: KeyPath,
        /// The fault of the name.
        fault: NameFault,
    },
    /// Two files have the same path.
    #[error("{at} has the same path as info.files[{other}]")]
    DuplicatePath {
        /// The later of the two.
        at: KeyPath,
        /// The index of the earlier.
        other: usize,
    },
    /// A path is a file, and also the folder of another file.
    #[error("{at} is a file where info.files[{other}] needs a folder")]
    FileAndFolder {
        /// The file.
        at: KeyPath,
        /// The index of a file below it.
        other: usize,
    },
    /// A torrent of version 2 only (BEP 52); this crate reads version 1 and hybrids.
    #[error("torrents of version 2 are not supported: info has no `pieces`")]
    VersionTwoOnly,
}

/// Why a metainfo file could not be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The file could not be opened or read.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the system.
        source: std::io::Error,
    },
    /// It is longer than [`Metainfo::MAX_FILE_LEN`](crate::Metainfo::MAX_FILE_LEN).
    #[error("{} is too long for a metainfo file: more than {limit} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Bytes allowed.
        limit: u64,
    },
    /// The content is not a valid metainfo file.
    #[error("{} is not a valid metainfo file", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// The fault and its place.
        source: ReadError,
    },
}
