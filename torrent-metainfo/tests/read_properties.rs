//! Properties of reading that hold for any octets.

use std::collections::BTreeSet;
use std::fmt::Write;

use proptest::prelude::*;
use torrent_metainfo::{FileEntry, FileSlice, Metainfo};

/// A file that uses every key which is read.
const FULL: &[u8] = b"d8:announce16:udp://a/announce13:announce-listll16:udp://a/announceel16:udp://b/announceee\
    7:comment4:comm10:created by4:prog13:creation datei1795172727e4:infod5:filesld6:lengthi4e4:pathl1:beed4:attr1:p\
    6:lengthi12e4:pathl4:.pad2:12eed6:lengthi7e4:pathl2:aa1:x2:yyee\
    d6:lengthi5e4:pathl2:\xc3\xa9e10:path.utf-8l2:\xc3\xa9eee\
    12:meta versioni2e4:name1:d10:name.utf-81:d12:piece lengthi16e6:pieces40:\
    0123456789abcdefghijABCDEFGHIJ01234567897:privatei1ee8:url-list3:u:/e";

/// What every client relies on.
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
        assert!(Metainfo::from_bytes(&FULL[..end]).is_err(), "{end} octets");
    }
}

#[test]
fn any_octet_in_any_place_is_read_or_refused() {
    let mut octets = FULL.to_vec();
    for at in 0..octets.len() {
        for octet in (0..=u8::MAX).step_by(7).chain(*b"deil0123456789:-./\0") {
            octets[at] = octet;
            if let Ok(torrent) = Metainfo::from_bytes(&octets) {
                assert_consistent(&torrent);
            }
        }
        octets[at] = FULL[at];
    }
}

#[test]
fn a_megabyte_of_brackets_is_refused() {
    for bomb in ["l", "d", "d1:a", "d4:info", "d4:infod9:file tree", "d4:infod5:filesl", "ld1:al"] {
        for prefix in ["", "d1:x", "d4:info", "d4:infod5:files", "d13:announce-list"] {
            let octets = [prefix, &bomb.repeat((1 << 20) / bomb.len())].concat();
            let error = Metainfo::from_bytes(octets.as_bytes()).unwrap_err().to_string();
            assert!(error.len() < 8192, "{} octets of message", error.len());
        }
    }
}

#[test]
fn a_hundred_thousand_files_are_read() {
    let mut octets = String::from("d4:infod5:filesl");
    for index in 0..100_000 {
        write!(octets, "d6:lengthi1e4:pathl6:{:06}6:{index:06}ee", index % 300).unwrap();
    }
    octets += "e4:name1:d12:piece lengthi100000e6:pieces20:01234567890123456789ee";
    let torrent = Metainfo::from_bytes(octets.as_bytes()).unwrap();
    assert_eq!(torrent.files()[99_999].offset(), 99_999);
    assert_eq!(torrent.slices(50_000..50_002).map(|slice| slice.file).collect::<Vec<_>>(), [50_000, 50_001]);
}

fn with_files(lengths: &[u64], piece_length: u64) -> Metainfo {
    let mut octets = String::from("d4:infod5:filesl");
    for (index, length) in lengths.iter().enumerate() {
        let name = index.to_string();
        write!(octets, "d6:lengthi{length}e4:pathl{}:{name}ee", name.len()).expect("strings take all");
    }
    let hashes =
        "x".repeat(usize::try_from(lengths.iter().sum::<u64>().div_ceil(piece_length)).expect("few") * 20);
    write!(octets, "e4:name1:d12:piece lengthi{piece_length}e6:pieces{}:{hashes}ee", hashes.len())
        .expect("strings take all");
    Metainfo::from_bytes(octets.as_bytes()).expect("a good torrent")
}

/// Octet by octet: which file, and where in it.
fn naive_slices(torrent: &Metainfo, range: std::ops::Range<u64>) -> Vec<FileSlice> {
    let mut slices: Vec<FileSlice> = Vec::new();
    for octet in range {
        let Some(file) = torrent.files().iter().position(|file| file.range().contains(&octet)) else { break };
        match slices.last_mut() {
            Some(last) if last.file == file => last.length += 1,
            _ => slices.push(FileSlice { file, offset: octet - torrent.files()[file].offset(), length: 1 }),
        }
    }
    slices
}

proptest! {
    #[test]
    fn arbitrary_octets_never_panic(octets: Vec<u8>) {
        let _ = Metainfo::from_bytes(&octets);
    }

    #[test]
    fn arbitrary_bencode_like_text_never_panics(text in "[deil0-9:-]{0,200}") {
        let _ = Metainfo::from_bytes(text.as_bytes());
    }

    #[test]
    fn mutations_are_read_or_refused(
        edits in prop::collection::vec((0..FULL.len(), 0..20_usize, prop::collection::vec(any::<u8>(), 0..20)), 1..4),
    ) {
        let mut octets = FULL.to_vec();
        for (start, removed, inserted) in edits {
            let start = start.min(octets.len());
            let end = (start + removed).min(octets.len());
            octets.splice(start..end, inserted);
        }
        if let Ok(torrent) = Metainfo::from_bytes(&octets) {
            assert_consistent(&torrent);
        }
    }

    #[test]
    fn slices_are_those_of_the_naive_way(
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
        // The pieces together are the torrent.
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
