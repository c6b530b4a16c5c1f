//! From bytes to a [`Metainfo`] (BEP 3, "metainfo files").

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha1::{Digest, Sha1};
use torrent_ids::InfoHash;

use crate::bencode::Reader;
use crate::error::{KeyPath, LoadError, NameFault, ReadError};
use crate::files::FileEntry;
use crate::metainfo::Metainfo;
use crate::names::{check_name, check_tree};

/// Bytes of a SHA-1 digest.
const HASH_LEN: usize = 20;

impl Metainfo {
    /// Reads the bytes of a .torrent file.
    ///
    /// Accepted, because such files are in use and other clients read them:
    /// - Unknown keys, which are skipped; of a hybrid torrent (BEP 52) the version 1 part is read.
    /// - Keys in any order. But a key that is read here may occur only once.
    /// - Bytes behind the outermost dictionary, often a line break, which are ignored.
    /// - Text that is not UTF-8: U+FFFD replaces invalid bytes. `name.utf-8` and `path.utf-8` are preferred if present.
    /// - An `announce-list` without trackers: `announce` is used then.
    ///
    /// Integers and lengths must have the form of BEP 3: no leading zeros, no `-0`.
    ///
    /// # Errors
    ///
    /// [`ReadError`] if the bytes aren't bencode, if a key is missing or its value has a wrong type or range, if the
    /// parts contradict each other, or if a path is unsafe.
    ///
    /// # Complexity
    ///
    /// One pass, and a sort of the paths. Memory is proportional to the length of the input, never to a number in it;
    /// the depth of recursion is limited.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReadError> {
        read(bytes)
    }

    /// Reads a .torrent file.
    ///
    /// # Errors
    ///
    /// [`LoadError::Io`] if it can't be read, [`LoadError::TooLarge`] if it is longer than
    /// [`MAX_FILE_LEN`](Self::MAX_FILE_LEN), and [`LoadError::Content`] for the errors of
    /// [`from_bytes`](Self::from_bytes).
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, LoadError> {
        let path = path.as_ref();
        let limit = Self::MAX_FILE_LEN;
        let mut bytes = Vec::new();
        File::open(path)
            .and_then(|file| file.take(limit + 1).read_to_end(&mut bytes))
            .map_err(|source| LoadError::Io { path: path.to_owned(), source })?;
        if u64::try_from(bytes.len()).is_ok_and(|length| length > limit) {
            return Err(LoadError::TooLarge { path: path.to_owned(), limit });
        }
        Self::from_bytes(&bytes).map_err(|source| LoadError::Content { path: path.to_owned(), source })
    }
}

/// Reads the dictionary at the beginning; bytes behind it are ignored.
fn read(source: &[u8]) -> Result<Metainfo, ReadError> {
    let mut reader = Reader::new(source);
    let mut top = Top::default();
    reader.dictionary(|reader, key| match key {
        b"announce" => once(&mut top.announce, reader, Reader::text),
        b"announce-list" => once(&mut top.announce_list, reader, read_tiers),
        b"comment" => once(&mut top.comment, reader, Reader::text),
        b"created by" => once(&mut top.created_by, reader, Reader::text),
        b"creation date" => once(&mut top.creation_date, reader, |reader| reader.integer(i64::MIN, i64::MAX)),
        b"info" => once(&mut top.info, reader, read_info),
        _ => reader.skip(),
    })?;
    let info = top.info.ok_or_else(|| ReadError::Missing { at: KeyPath::root().key(b"info") })?;
    Ok(Metainfo {
        trackers: trackers(top.announce, top.announce_list.unwrap_or_default()),
        comment: top.comment,
        created_by: top.created_by,
        creation_date: top.creation_date,
        ..info
    })
}

#[derive(Default)]
struct Top {
    announce: Option<String>,
    announce_list: Option<Vec<Vec<String>>>,
    comment: Option<String>,
    created_by: Option<String>,
    creation_date: Option<i64>,
    info: Option<Metainfo>,
}

/// Reads a value that may occur only once.
fn once<'a, T>(
    slot: &mut Option<T>,
    reader: &mut Reader<'a>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T, ReadError>,
) -> Result<(), ReadError> {
    if slot.is_some() {
        return Err(ReadError::DuplicateKey { at: reader.here() });
    }
    *slot = Some(read(reader)?);
    Ok(())
}

fn read_tiers(reader: &mut Reader<'_>) -> Result<Vec<Vec<String>>, ReadError> {
    let mut tiers = Vec::new();
    reader.list(|reader, _| {
        let mut tier = Vec::new();
        reader.list(|reader, _| {
            tier.push(reader.text()?);
            Ok(())
        })?;
        tiers.push(tier);
        Ok(())
    })?;
    Ok(tiers)
}

/// "If the client is compatible with the multitracker specification, and if the `announce-list` key is present, the
/// client will ignore the `announce` key" (BEP 12); unless the list is empty, which many programs write.
fn trackers(announce: Option<String>, list: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let tidy = |tier: Vec<String>| -> Vec<String> {
        tier.iter().map(|url| url.trim()).filter(|url| !url.is_empty()).map(str::to_owned).collect()
    };
    let mut tiers: Vec<_> = list.into_iter().map(tidy).filter(|tier| !tier.is_empty()).collect();
    if tiers.is_empty() {
        tiers.extend(announce.map(|url| tidy(vec![url])).filter(|tier| !tier.is_empty()));
    }
    tiers
}

/// The keys of `info`, before they are checked against each other.
#[derive(Default)]
struct Info<'a> {
    files: Option<Vec<FileEntry>>,
    length: Option<u64>,
    meta_version: Option<i64>,
    name: Option<String>,
    name_utf8: Option<String>,
    piece_length: Option<u32>,
    pieces: Option<&'a [u8]>,
    /// Offset of the end of `pieces` in the source.
    pieces_end: usize,
    private: Option<i64>,
}

fn read_info(reader: &mut Reader<'_>) -> Result<Metainfo, ReadError> {
    let start = reader.position();
    let mut info = Info::default();
    reader.dictionary(|reader, key| match key {
        b"files" => once(&mut info.files, reader, read_files),
        b"length" => once(&mut info.length, reader, read_length),
        b"meta version" => once(&mut info.meta_version, reader, |reader| reader.integer(0, i64::MAX)),
        b"name" => once(&mut info.name, reader, Reader::text),
        b"name.utf-8" => once(&mut info.name_utf8, reader, Reader::text),
        b"piece length" => once(&mut info.piece_length, reader, read_piece_length),
        b"pieces" => {
            once(&mut info.pieces, reader, Reader::bytes)?;
            info.pieces_end = reader.position();
            Ok(())
        }
        b"private" => once(&mut info.private, reader, |reader| reader.integer(i64::MIN, i64::MAX)),
        _ => reader.skip(),
    })?;
    let bytes = reader.since(start);
    let at = |key: &str| reader.here().key(key.as_bytes());
    let missing = |key: &str| ReadError::Missing { at: at(key) };

    if info.pieces.is_none() && info.meta_version.is_some_and(|version| version >= 2) {
        return Err(ReadError::VersionTwoOnly);
    }
    let piece_length = info.piece_length.ok_or_else(|| missing("piece length"))?;
    let pieces = info.pieces.ok_or_else(|| missing("pieces"))?;
    // `name.utf-8` stands beside a name in another encoding.
    let (name_key, name) = match (info.name_utf8, info.name) {
        (Some(name), _) => ("name.utf-8", name),
        (None, Some(name)) => ("name", name),
        (None, None) => return Err(missing("name")),
    };
    check_name(&name).map_err(|fault| ReadError::BadName { at: at(name_key), fault })?;

    let is_folder = info.files.is_some();
    let mut files = match (info.files, info.length) {
        (Some(files), None) => files,
        (None, Some(length)) => vec![FileEntry::new(name.clone(), length, false)],
        (Some(_), Some(_)) => return Err(ReadError::LengthAndFiles),
        (None, None) => return Err(ReadError::NoLengthNoFiles),
    };
    let length = FileEntry::lay_out(&mut files)
        .map_err(|index| ReadError::TooLong { at: KeyPath::file(index).key(b"length") })?;
    if length == 0 {
        return Err(ReadError::NoContent { at: at(if is_folder { "files" } else { "length" }) });
    }
    if pieces.len() % HASH_LEN != 0 {
        return Err(ReadError::HashLength { at: at("pieces"), got: pieces.len() });
    }
    let (expected, got) = (length.div_ceil(u64::from(piece_length)), pieces.len() / HASH_LEN);
    if usize::try_from(expected) != Ok(got) {
        return Err(ReadError::PieceCount { at: at("pieces"), expected, got });
    }
    check_tree(&files)?;

    let pieces_end = info.pieces_end - start;
    Ok(Metainfo {
        info_hash: InfoHash(Sha1::digest(bytes).into()),
        info: bytes.into(),
        pieces: pieces_end - pieces.len()..pieces_end,
        name,
        piece_length,
        length,
        files,
        is_folder,
        private: info.private.is_some_and(|value| value != 0),
        trackers: Vec::new(),
        comment: None,
        created_by: None,
        creation_date: None,
    })
}

fn read_piece_length(reader: &mut Reader<'_>) -> Result<u32, ReadError> {
    let length = reader.integer(1, i64::from(Metainfo::MAX_PIECE_LENGTH))?;
    Ok(u32::try_from(length).unwrap_or(Metainfo::MAX_PIECE_LENGTH))
}

fn read_length(reader: &mut Reader<'_>) -> Result<u64, ReadError> {
    reader.integer(0, i64::MAX).map(i64::unsigned_abs)
}

fn read_files(reader: &mut Reader<'_>) -> Result<Vec<FileEntry>, ReadError> {
    let mut files = Vec::new();
    reader.list(|reader, _| {
        files.push(read_file(reader)?);
        Ok(())
    })?;
    Ok(files)
}

fn read_file(reader: &mut Reader<'_>) -> Result<FileEntry, ReadError> {
    let mut attributes: Option<&[u8]> = None;
    let (mut length, mut path, mut path_utf8) = (None, None, None);
    reader.dictionary(|reader, key| match key {
        b"attr" => once(&mut attributes, reader, Reader::bytes),
        b"length" => once(&mut length, reader, read_length),
        b"path" => once(&mut path, reader, read_path),
        b"path.utf-8" => once(&mut path_utf8, reader, read_path),
        _ => reader.skip(),
    })?;
    let missing = |key: &[u8]| ReadError::Missing { at: reader.here().key(key) };
    let path = path_utf8.or(path).ok_or_else(|| missing(b"path"))?;
    let has = |attribute| attributes.is_some_and(|attributes| attributes.contains(&attribute));
    // A symbolic link has no content in the torrent (BEP 47); here it is an empty file.
    let length = if has(b'l') { 0 } else { length.ok_or_else(|| missing(b"length"))? };
    Ok(FileEntry::new(path, length, has(b'p')))
}

fn read_path(reader: &mut Reader<'_>) -> Result<String, ReadError> {
    let mut path = String::new();
    reader.list(|reader, index| {
        let name = reader.text()?;
        check_name(&name).map_err(|fault| ReadError::BadName { at: reader.here(), fault })?;
        if index > 0 {
            path.push('/');
        }
        path.push_str(&name);
        Ok(())
    })?;
    if path.is_empty() {
        return Err(ReadError::BadName { at: reader.here(), fault: NameFault::Empty });
    }
    path.shrink_to_fit();
    Ok(path)
}

#[cfg(test)]
mod tests;
