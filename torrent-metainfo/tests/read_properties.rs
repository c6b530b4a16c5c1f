//! Properties of reading, for any bytes.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use torrent_metainfo::{FileEntry, FileSlice, Metainfo};

/// A file with every key that is read.
const FULL: &[u8] = b"d8:announce16:udp://a/announce13:announce-listll16:udp://a/announceel16:udp://b/announceee\
    7:comment4:comm10:created by4:prog13:creation datei1795172727e4:infod5:filesld6:lengthi4e4:pathl1:beed4:attr1:p\
    6:lengthi12e4:pathl4:.pad2:12eed6:lengthi7e4:pathl2:aa1:x2:yyee\
    d6:lengthi5e4:pathl2:\xc3\xa9e10:path.utf-8l2:\xc3\xa9eee\
    12:meta versioni2e4:name1:d10:name.utf-81:d12:piece lengthi16e6:pieces40:\
    0123456789abcdefghijABCDEFGHIJ01234567897:privatei1ee8:url-list3:u:/e";

/// The guarantees of [`Metainfo`].
fn assert_consistent(torrent: &Metainfo) {
    assert!(torrent.length() > 0 && torrent.piece_length() > 0);
    assert_eq!(torrent.files().iter().map(FileEntry::length).sum::<u64>(), torrent.length());
    let last = torrent.piece_count() - 1;
    assert_eq!(torrent.piece_range(last).map(|range| range.end), Some(torrent.length()));
    assert_eq!(torrent.piece_range(last + 1), None);
    let mut paths = BTreeSet::new();
    for (index, file) in torrent.files().iter().enumerate() {
        let path = torrent.disk_path(index).expect("a place for each file");
        assert!(path.components().all(|step| matches!(step, std::path::Component::Normal(_))));
        assert!(file.is_padding() || paths.insert(path));
    }
    for path in &paths {
        assert!(path.ancestors().skip(1).all(|folder| !paths.contains(folder)));
    }
}

#[test]
fn every_truncation_is_an_error() {
    assert_consistent(&Metainfo::from_bytes(FULL).unwrap());
    for end in 0..FULL.len() {
        assert!(Metainfo::from_bytes(&FULL[..end]).is_err(), "{end} bytes");
    }
}

#[test]
fn a_changed_byte_never_panics() {
    let mut bytes = FULL.to_vec();
    for at in 0..bytes.len() {
        for byte in (0..=u8::MAX).step_by(7).chain(*b"deil0123456789:-./\0") {
            bytes[at] = byte;
            if let Ok(torrent) = Metainfo::from_bytes(&bytes) {
                assert_consistent(&torrent);
            }
        }
        bytes[at] = FULL[at];
    }
}

#[test]
fn rejects_a_megabyte_of_brackets() {
    for bomb in ["l", "d", "d1:a", "d4:info", "d4:infod9:file tree", "d4:infod5:filesl", "ld1:al"] {
        for prefix in ["", "d1:x", "d4:info", "d4:infod5:files", "d13:announce-list"] {
            let bytes = [prefix, &bomb.repeat((1 << 20) / bomb.len())].concat();
            let error = Metainfo::from_bytes(bytes.as_bytes()).unwrap_err().to_string();
            assert!(error.len() < 8192, "{} bytes of message", error.len());
        }
    }
}

#[test]
fn reads_a_hundred_thousand_files() {
    let mut bytes = String::from("d4:infod5:filesl");
    for index in 0..100_000 {
        write!(bytes, "d6:lengthi1e4:pathl6:{:06}6:{index:06}ee", index % 300).unwrap();
    }
    bytes += "e4:name1:d12:piece lengthi100000e6:pieces20:01234567890123456789ee";
    let torrent = Metainfo::from_bytes(bytes.as_bytes()).unwrap();
    assert_eq!(torrent.files()[99_999].offset(), 99_999);
    assert_eq!(torrent.slices(50_000..50_002).map(|slice| slice.file).collect::<Vec<_>>(), [50_000, 50_001]);
}

fn with_files(lengths: &[u64], piece_length: u64) -> Metainfo {
    let mut bytes = String::from("d4:infod5:filesl");
    for (index, length) in lengths.iter().enumerate() {
        let name = index.to_string();
        write!(bytes, "d6:lengthi{length}e4:pathl{}:{name}ee", name.len()).expect("strings take all");
    }
    let hashes =
        "x".repeat(usize::try_from(lengths.iter().sum::<u64>().div_ceil(piece_length)).expect("few") * 20);
    write!(bytes, "e4:name1:d12:piece lengthi{piece_length}e6:pieces{}:{hashes}ee", hashes.len())
        .expect("strings take all");
    Metainfo::from_bytes(bytes.as_bytes()).expect("a good torrent")
}

/// The file and the offset in it of each byte.
fn naive_slices(torrent: &Metainfo, range: std::ops::Range<u64>) -> Vec<FileSlice> {
    let mut slices: Vec<FileSlice> = Vec::new();
    for byte in range {
        let Some(file) = torrent.files().iter().position(|file| file.range().contains(&byte)) else { break };
        match slices.last_mut() {
            Some(last) if last.file == file => last.length += 1,
            _ => slices.push(FileSlice { file, offset: byte - torrent.files()[file].offset(), length: 1 }),
        }
    }
    slices
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Metainfo::from_bytes(&bytes);
    }

    #[test]
    fn arbitrary_bencode_like_text_never_panics(text in "[deil0-9:-]{0,200}") {
        let _ = Metainfo::from_bytes(text.as_bytes());
    }

    #[test]
    fn mutations_never_panic(
        edits in prop::collection::vec((0..FULL.len(), 0..20_usize, prop::collection::vec(any::<u8>(), 0..20)), 1..4),
    ) {
        let mut bytes = FULL.to_vec();
        for (start, removed, inserted) in edits {
            let start = start.min(bytes.len());
            let end = (start + removed).min(bytes.len());
            bytes.splice(start..end, inserted);
        }
        if let Ok(torrent) = Metainfo::from_bytes(&bytes) {
            assert_consistent(&torrent);
        }
    }

    #[test]
    fn slices_equal_those_of_a_naive_model(
        lengths in prop::collection::vec(prop_oneof![Just(0), 0..50_u64], 1..12),
        piece_length in 1..40_u64,
        start in 0..300_u64,
        length in 0..300_u64,
    ) {
        prop_assume!(lengths.iter().sum::<u64>() > 0);
        let torrent = with_files(&lengths, piece_length);
        assert_consistent(&torrent);
        let range = start..start + length;
        prop_assert_eq!(torrent.slices(range.clone()).collect::<Vec<_>>(), naive_slices(&torrent, range));
        // All pieces together are the torrent.
        let mut covered = 0;
        for piece in 0..torrent.piece_count() {
            let range = torrent.piece_range(piece).expect("a range for each piece");
            prop_assert_eq!(range.start, covered);
            covered = range.end;
            let slices: u64 = torrent.slices(range.clone()).map(|slice| slice.length).sum();
            prop_assert_eq!(slices, range.end - range.start);
        }
        prop_assert_eq!(covered, torrent.length());
    }
}
