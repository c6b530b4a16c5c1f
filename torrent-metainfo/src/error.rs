//! What can be wrong with a metainfo file, and where in it.

use std::fmt;
use std::path::PathBuf;

/// The place of a value in a metainfo file: `info.files[3].path[1]`.
///
/// Keys are joined by dots, positions in lists count from 0. Shown as `the root` for the outermost value.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct KeyPath(String);

impl KeyPath {
    /// Characters of one key that are shown: keys of a hostile file can be as long as the file.
    const SHOWN: usize = 40;

    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    pub(crate) fn key(mut self, key: &[u8]) -> Self {
        if !self.0.is_empty() {
            self.0.push('.');
        }
        // A character has at most four octets, so this keeps enough of them.
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
    /// A length, `:` and that many octets.
    String,
}

/// With its article: `a list`.
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

/// Why octets are not bencode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SyntaxFault {
    /// A value is still open, or a string claims more octets than follow.
    #[error("the file ends within a value")]
    EndOfFile,
    /// No value, key or end can begin like this.
    #[error("0x{octet:02x} begins nothing that could stand here")]
    Unexpected {
        /// The octet that stands there.
        octet: u8,
    },
    /// An integer or a string's length with leading zeros, `-0`, or other characters than digits.
    #[error("a malformed number")]
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
    /// It holds an octet 0.
    #[error("holds a NUL")]
    Nul,
    /// It is `..`, the folder above.
    #[error("is `..`")]
    ParentFolder,
    /// It holds a `/`.
    #[error("holds a path separator")]
    Separator,
    /// It is one name elsewhere but not on this system: on Windows, one with `\` or a drive's letter.
    #[error("is not a single name on this system")]
    NotOneName,
}

/// Why octets are not a usable metainfo file.
///
/// Every variant says where; positions within the file are octets from its beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Not bencode (BEP 3, "bencoding").
    #[error("octet {offset}, in {at}: {fault}")]
    Syntax {
        /// The value that was being read.
        at: KeyPath,
        /// Octets before the fault.
        offset: usize,
        /// What is wrong there.
        fault: SyntaxFault,
    },
    /// More lists and dictionaries within each other than any metainfo file needs.
    #[error("{at} is nested deeper than {limit} levels")]
    TooDeep {
        /// The innermost value that was still within the limit.
        at: KeyPath,
        /// Levels that are allowed.
        limit: usize,
    },
    /// A key that every metainfo file has is not there.
    #[error("{at} is missing")]
    Missing {
        /// The key.
        at: KeyPath,
    },
    /// A key whose value has another type than BEP 3 gives it.
    #[error("{at} is {found}, not {expected}")]
    Mistyped {
        /// The key.
        at: KeyPath,
        /// The type that belongs there.
        expected: Kind,
        /// The type that stands there.
        found: Kind,
    },
    /// A key stands twice in one dictionary, so that two readers could see two torrents.
    #[error("{at} stands there twice")]
    DuplicateKey {
        /// The key.
        at: KeyPath,
    },
    /// A number below or above what it can mean.
    #[error("{at} is {value}, not within {min} to {max}")]
    OutOfRange {
        /// The number's key.
        at: KeyPath,
        /// The number as it is written, at most its first 40 characters.
        value: String,
        /// The least that is allowed.
        min: i64,
        /// The most that is allowed.
        max: i64,
    },
    /// The files together are longer than any file system could hold (more than `i64::MAX` octets).
    #[error("{at} brings the torrent's length above {limit} octets", limit = i64::MAX)]
    TooLong {
        /// The length that was one too many.
        at: KeyPath,
    },
    /// Both `length` and `files`, of which BEP 3 wants one.
    #[error("info has both `length` and `files`")]
    LengthAndFiles,
    /// Neither `length` nor `files`, of which BEP 3 wants one.
    #[error("info has neither `length` nor `files`")]
    NoLengthNoFiles,
    /// There is not one octet to share.
    #[error("{at} leaves the torrent without content")]
    NoContent {
        /// `info.length` or `info.files`.
        at: KeyPath,
    },
    /// The hashes are not a whole number of SHA-1 digests.
    #[error("{at} has {got} octets, not a multiple of 20")]
    HashLength {
        /// `info.pieces`.
        at: KeyPath,
        /// Octets there are.
        got: usize,
    },
    /// More or fewer hashes than pieces of that length in a torrent of that length.
    #[error("{at} has {got} hashes, but the length makes {expected} pieces")]
    PieceCount {
        /// `info.pieces`.
        at: KeyPath,
        /// Pieces, by length and piece length.
        expected: u64,
        /// Hashes there are.
        got: usize,
    },
    /// A name that no file can have, or that would lead out of the torrent's folder.
    #[error("{at} {fault}")]
    BadName {
        /// The name's place.
        at: KeyPath,
        /// What is wrong with it.
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
    /// A path is a file, and also a folder that another file lies in.
    #[error("{at} is a file where info.files[{other}] needs a folder")]
    FileAndFolder {
        /// The file.
        at: KeyPath,
        /// The index of a file below it.
        other: usize,
    },
    /// A torrent of version 2 without the keys of version 1 (BEP 52); this crate reads version 1 and hybrids.
    #[error("info is of version 2 only: it has no `pieces`")]
    VersionTwoOnly,
}

/// Why a metainfo file couldn't be read from the disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The system refused to open or read it.
    #[error("can't read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It is longer than [`Metainfo::MAX_FILE_LEN`](crate::Metainfo::MAX_FILE_LEN).
    #[error("{} is longer than {limit} octets, too long for a metainfo file", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Octets that are allowed.
        limit: u64,
    },
    /// Its content is not a metainfo file.
    #[error("{} is no usable metainfo file", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and where.
        source: ReadError,
    },
}
