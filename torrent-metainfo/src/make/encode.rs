//! Writes a metainfo dictionary (BEP 3, "metainfo files").

use bendy::encoding::{Encoder, Error, SingleItemEncoder};

use super::walk::Found;

/// The content of a metainfo file.
pub(super) struct Content<'a> {
    pub(super) trackers: &'a [Vec<String>],
    pub(super) comment: Option<&'a str>,
    pub(super) created_by: Option<&'a str>,
    pub(super) creation_date: Option<i64>,
    pub(super) name: &'a str,
    pub(super) piece_length: u32,
    pub(super) hashes: &'a [u8],
    pub(super) private: bool,
    pub(super) found: &'a Found,
}

/// The bytes of the dictionary. Keys without a value are left out; there is an `announce-list` only if there is more
/// than one tracker.
///
/// # Errors
///
/// None, as long as the keys below are sorted: bendy checks that.
pub(super) fn encode(content: &Content<'_>) -> Result<Vec<u8>, Error> {
    let mut encoder = Encoder::new();
    encoder.emit_dict(|mut top| {
        let mut urls = content.trackers.iter().flatten();
        if let Some(first) = urls.next() {
            top.emit_pair(b"announce", first)?;
        }
        if urls.next().is_some() {
            top.emit_pair(b"announce-list", content.trackers)?;
        }
        if let Some(comment) = content.comment {
            top.emit_pair(b"comment", comment)?;
        }
        if let Some(created_by) = content.created_by {
            top.emit_pair(b"created by", created_by)?;
        }
        if let Some(creation_date) = content.creation_date {
            top.emit_pair(b"creation date", creation_date)?;
        }
        top.emit_pair_with(b"info", |info| encode_info(content, info))
    })?;
    encoder.get_output()
}

fn encode_info(content: &Content<'_>, encoder: SingleItemEncoder<'_>) -> Result<(), Error> {
    encoder.emit_dict(|mut info| {
        match content.found.files.as_slice() {
            [only] if !content.found.is_folder => info.emit_pair(b"length", only.length)?,
            files => info.emit_pair_with(b"files", |list| {
                list.emit_list(|list| {
                    files.iter().try_for_each(|file| {
                        list.emit_dict(|mut entry| {
                            entry.emit_pair(b"length", file.length)?;
                            entry.emit_pair(b"path", &file.components)
                        })
                    })
                })
            })?,
        }
        info.emit_pair(b"name", content.name)?;
        info.emit_pair(b"piece length", content.piece_length)?;
        info.emit_pair_with(b"pieces", |pieces| pieces.emit_bytes(content.hashes))?;
        if content.private {
            info.emit_pair(b"private", 1)?;
        }
        Ok(())
    })
}
