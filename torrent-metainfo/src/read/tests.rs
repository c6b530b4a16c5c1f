//! Literal files, and what is read from them or why they are rejected.

use super::*;
use crate::error::Kind;

/// Made by libtorrent 2.0.8 (`v1_only`) from a folder `d` with five files, private, in two tiers. The hashes are
/// replaced: only their number matters here.
const FOLDER: &[u8] = b"d8:announce16:udp://a/announce13:announce-listll16:udp://a/announceel16:udp://b/announceee\
    13:creation datei1795172727e4:infod5:filesld6:lengthi4e4:pathl1:beed6:lengthi7e4:pathl2:aa1:xeed6:lengthi5e4:path\
    l2:\xc3\xa9eed6:lengthi0e4:pathl5:emptyeed6:lengthi7e4:pathl2:zz1:qeee4:name1:d12:piece lengthi16e6:pieces40:\
    0123456789abcdefghijABCDEFGHIJ01234567897:privatei1eee";

/// Made by ctorrent dnh3.3.2 from a file `b` with the content `d/b\n`.
const SINGLE: &[u8] = b"d8:announce17:http://t/announce10:created by26:Enhanced-CTorrent/dnh3.3.213:creation date\
    i1795173546e4:infod6:lengthi4e4:name1:b12:piece lengthi262144e6:pieces20:\xf1=\x18-^\x12\x16\xac\"\x8c\xb5\xde\
    \xacQ\xd8\x8d\xfe\x03\xf7~ee";

/// A file with that `info`, given without its brackets.
fn with_info(info: &str) -> Vec<u8> {
    format!("d4:infod{info}ee").into_bytes()
}

/// A file with those entries of `files`, given without the brackets, and one piece of up to 16 KiB.
fn with_files(files: &str) -> Vec<u8> {
    with_info(&format!("5:filesl{files}e4:name1:d12:piece lengthi16384e6:pieces20:01234567890123456789"))
}

/// A file with those top-level entries before a valid `info`.
fn with_top(entries: &str) -> Vec<u8> {
    let info = "4:infod6:lengthi1e4:name1:n12:piece lengthi16384e6:pieces20:01234567890123456789e";
    format!("d{entries}{info}e").into_bytes()
}

fn error(source: &[u8]) -> String {
    read(source).unwrap_err().to_string()
}

#[test]
fn reads_a_folder() {
    let torrent = read(FOLDER).unwrap();
    assert_eq!((torrent.name(), torrent.is_folder(), torrent.is_private()), ("d", true, true));
    assert_eq!((torrent.length(), torrent.piece_length(), torrent.piece_count()), (23, 16, 2));
    assert_eq!(torrent.trackers(), [["udp://a/announce"], ["udp://b/announce"]]);
    assert_eq!(torrent.creation_date(), Some(1_795_172_727));
    assert_eq!((torrent.comment(), torrent.created_by()), (None, None));
    assert_eq!(torrent.piece_hash(1), Some(b"ABCDEFGHIJ0123456789"));
    assert_eq!(torrent.piece_hash(2), None);
    assert_eq!([0, 1, 2].map(|piece| torrent.piece_range(piece)), [Some(0..16), Some(16..23), None]);
    let files: Vec<_> =
        torrent.files().iter().map(|file| (file.path(), file.offset(), file.length())).collect();
    assert_eq!(files, [("b", 0, 4), ("aa/x", 4, 7), ("é", 11, 5), ("empty", 16, 0), ("zz/q", 16, 7)]);
    assert_eq!(torrent.disk_path(1).unwrap().to_str(), Some("d/aa/x"));
    assert_eq!(torrent.disk_path(5), None);
}

#[test]
fn reads_a_single_file_and_hashes_its_bytes() {
    let torrent = read(SINGLE).unwrap();
    // As printed by transmission-show.
    assert_eq!(torrent.info_hash().to_string(), "726d46f70223643077057c1030aabd061fc8afb6");
    assert!(!torrent.is_folder() && !torrent.is_private());
    assert_eq!(torrent.files().len(), 1);
    assert_eq!((torrent.files()[0].path(), torrent.files()[0].length()), ("b", 4));
    assert_eq!(torrent.disk_path(0).unwrap().to_str(), Some("b"));
    assert_eq!(torrent.created_by(), Some("Enhanced-CTorrent/dnh3.3.2"));
    assert_eq!(torrent.piece_hash(0).unwrap()[..], Sha1::digest(b"d/b\n")[..]);
    assert!(SINGLE.ends_with(&[torrent.info_bytes(), b"e"].concat()));
}

#[test]
fn reads_unsorted_keys_and_hashes_their_bytes() {
    let info = b"d6:pieces20:0123456789012345678912:piece lengthi9e4:name1:n6:lengthi9e1:xle1:xi0ee";
    let torrent = read(&[b"d4:info".as_slice(), info, b"8:announce3:u:/e"].concat()).unwrap();
    assert_eq!(torrent.info_bytes(), info);
    assert_eq!(torrent.info_hash().0[..], Sha1::digest(info)[..]);
    assert_eq!(torrent.trackers(), [["u:/"]]);
}

#[test]
fn ignores_bytes_behind_the_dictionary() {
    let torrent = read(FOLDER).unwrap();
    assert_eq!(read(&[FOLDER, b"\r\n"].concat()), Ok(torrent.clone()));
    assert_eq!(read(&[FOLDER, b"dd3:"].concat()), Ok(torrent));
}

#[test]
fn a_hybrid_is_read_as_version_1_and_its_padding_known() {
    let torrent = read(&with_info(
        "9:file treed1:ad0:d6:lengthi4e11:pieces root32:01234567890123456789012345678901eee\
         5:filesld6:lengthi4e4:pathl1:aeed4:attr1:p6:lengthi12e4:pathl4:.pad2:12eed6:lengthi4e4:pathl1:beed4:attr1:p6\
         :lengthi12e4:pathl4:.pad2:12eee12:meta versioni2e4:name1:d12:piece lengthi16e6:pieces40:\
         0123456789012345678901234567890123456789",
    ))
    .unwrap();
    assert_eq!(torrent.length(), 32);
    let padding: Vec<_> = torrent.files().iter().map(FileEntry::is_padding).collect();
    assert_eq!(padding, [false, true, false, true]);
}

#[test]
fn version_2_alone_is_refused() {
    let source =
        with_info("9:file treed1:ad0:d6:lengthi4eeee12:meta versioni2e4:name1:d12:piece lengthi16384e");
    assert_eq!(read(&source), Err(ReadError::VersionTwoOnly));
}

#[test]
fn reads_a_symbolic_link_as_an_empty_file() {
    let source = with_files("d6:lengthi1e4:pathl1:aeed4:attr1:l4:pathl1:be12:symlink pathl2:..1:xee");
    let torrent = read(&source).unwrap();
    assert_eq!((torrent.length(), torrent.files()[1].length()), (1, 0));
}

#[test]
fn prefers_the_announce_list_unless_it_is_empty() {
    let trackers = |entries: &str| read(&with_top(entries)).unwrap().trackers().to_vec();
    assert_eq!(trackers("8:announce1:a13:announce-listll1:b1:cel1:dee"), [vec!["b", "c"], vec!["d"]]);
    assert_eq!(trackers("8:announce1:a13:announce-listllel0:el3:   ee"), [["a"]]);
    assert_eq!(trackers("8:announce4: a\r\n"), [["a"]]);
    assert_eq!(trackers("8:announce0:"), [[""; 0]; 0]);
    assert_eq!(trackers(""), [[""; 0]; 0]);
}

#[test]
fn reads_names_in_other_encodings() {
    let info = b"d4:infod6:lengthi1e4:name2:\xe9x12:piece lengthi9e6:pieces20:01234567890123456789ee";
    assert_eq!(read(info).unwrap().name(), "\u{fffd}x");
    let source = with_files("d6:lengthi1e4:pathl2:..e10:path.utf-8l2:éee");
    assert_eq!(error(&source), "info.files[0].path[0] is `..`");
    let info = b"d4:infod6:lengthi1e4:name2:\xe9x10:name.utf-83:\xc3\xa9x12:piece lengthi9e6:pieces20:012345678901234\
        56789ee";
    assert_eq!(read(info).unwrap().name(), "éx");
}

#[test]
fn reports_missing_keys() {
    assert_eq!(error(b"de"), "info is missing");
    assert_eq!(error(&with_info("")), "info.piece length is missing");
    assert_eq!(error(&with_info("12:piece lengthi9e")), "info.pieces is missing");
    assert_eq!(error(&with_info("12:piece lengthi9e6:pieces0:")), "info.name is missing");
    let no_files = with_info("4:name1:a12:piece lengthi9e6:pieces0:");
    assert_eq!(read(&no_files), Err(ReadError::NoLengthNoFiles));
    assert_eq!(error(&with_files("d6:lengthi1ee")), "info.files[0].path is missing");
    assert_eq!(error(&with_files("d4:pathl1:aee")), "info.files[0].length is missing");
}

#[test]
fn reports_values_of_a_wrong_type() {
    assert_eq!(error(b"le"), "the root is a list, not a dictionary");
    assert_eq!(error(b"d4:infole"), "info is a list, not a dictionary");
    assert_eq!(error(&with_top("8:announcei1e")), "announce is an integer, not a string");
    assert_eq!(error(&with_top("13:announce-listl1:ae")), "announce-list[0] is a string, not a list");
    assert_eq!(
        error(&with_top("13:announce-listlli1eee")),
        "announce-list[0][0] is an integer, not a string"
    );
    assert_eq!(error(&with_top("13:creation date1:1")), "creation date is a string, not an integer");
    assert_eq!(error(&with_info("6:length1:1")), "info.length is a string, not an integer");
    assert_eq!(error(&with_info("7:private1:1")), "info.private is a string, not an integer");
    assert_eq!(error(&with_files("1:a")), "info.files[0] is a string, not a dictionary");
    let source = with_files("d6:lengthi1e4:pathl1:aeed6:lengthi1e4:pathl1:bi1eee");
    let at = KeyPath::file(1).key(b"path").index(1);
    assert_eq!(read(&source), Err(ReadError::Mistyped { at, expected: Kind::String, found: Kind::Integer }));
}

#[test]
fn rejects_a_duplicate_key() {
    assert_eq!(error(&with_info("6:lengthi1e6:lengthi2e")), "info.length occurs twice");
    assert_eq!(error(&with_top("4:infode")), "info.piece length is missing");
    assert_eq!(
        error(&with_files("d4:pathl1:ae6:lengthi1e4:pathl1:bee")),
        "info.files[0].path occurs twice"
    );
}

#[test]
fn rejects_a_wrong_number_of_hashes() {
    let with = |length: &str, piece_length: &str, pieces: &str| {
        with_info(&format!("6:lengthi{length}e4:name1:n12:piece lengthi{piece_length}e6:pieces{pieces}"))
    };
    assert!(read(&with("16", "16", "20:01234567890123456789")).is_ok());
    let error = |source: Vec<u8>| error(&source);
    assert_eq!(
        error(with("17", "16", "20:01234567890123456789")),
        "info.pieces has 1 hashes for 2 pieces"
    );
    assert_eq!(
        error(with("9223372036854775807", "1", "20:01234567890123456789")),
        "info.pieces has 1 hashes for 9223372036854775807 pieces"
    );
    assert_eq!(error(with("1", "16", "1:0")), "info.pieces has 1 bytes, not a multiple of 20");
    assert_eq!(error(with("0", "16", "0:")), "the torrent has no content: info.length has 0 bytes");
    assert_eq!(error(with("-1", "16", "0:")), "info.length is -1: 0 to 9223372036854775807 expected");
    assert_eq!(error(with("1", "0", "0:")), "info.piece length is 0: 1 to 536870912 expected");
    assert_eq!(
        error(with("1", "99999999999999999999", "0:")),
        "info.piece length is 99999999999999999999: 1 to 536870912 expected"
    );
    assert_eq!(
        error(with("1", "536870913", "0:")),
        "info.piece length is 536870913: 1 to 536870912 expected"
    );
}

#[test]
fn rejects_a_sum_that_overflows() {
    let half = "d6:lengthi9223372036854775807e4:pathl1:aee";
    let source = with_files(&[half, "d6:lengthi1e4:pathl1:bee"].concat());
    assert_eq!(
        error(&source),
        "with info.files[1].length the torrent is longer than 9223372036854775807 bytes"
    );
}

#[test]
fn rejects_unsafe_paths() {
    let path = |path: &str| error(&with_files(&format!("d6:lengthi1e4:path{path}e")));
    assert_eq!(path("le"), "info.files[0].path is empty");
    assert_eq!(path("l0:e"), "info.files[0].path[0] is empty");
    assert_eq!(path("l1:a2:..1:be"), "info.files[0].path[1] is `..`");
    assert_eq!(path("l1:.e"), "info.files[0].path[0] is `.`");
    assert_eq!(path("l11:/etc/passwde"), "info.files[0].path[0] is absolute");
    assert_eq!(path("l0:3:etce"), "info.files[0].path[0] is empty");
    assert_eq!(path("l3:a/be"), "info.files[0].path[0] contains a path separator");
    assert_eq!(path("l2:a\0e"), "info.files[0].path[0] contains a NUL");
    let name = |name: &str| {
        error(&with_info(&format!(
            "6:lengthi1e4:name{name}12:piece lengthi9e6:pieces20:01234567890123456789"
        )))
    };
    assert_eq!(name("2:.."), "info.name is `..`");
    assert_eq!(name("0:"), "info.name is empty");
    assert_eq!(name("4:/tmp"), "info.name is absolute");
}

#[test]
fn rejects_colliding_paths() {
    let twice = with_files("d6:lengthi1e4:pathl1:a1:beed6:lengthi1e4:pathl1:ceed6:lengthi1e4:pathl1:a1:bee");
    assert_eq!(error(&twice), "info.files[2] has the same path as info.files[0]");
    let both = with_files("d6:lengthi1e4:pathl1:a1:beed6:lengthi1e4:pathl1:aee");
    assert_eq!(error(&both), "info.files[1] is a file where info.files[0] needs a folder");
}

#[test]
fn rejects_files_together_with_length() {
    let source = with_info("5:filesle6:lengthi1e4:name1:n12:piece lengthi9e6:pieces0:");
    assert_eq!(read(&source), Err(ReadError::LengthAndFiles));
    assert_eq!(error(&with_files("")), "the torrent has no content: info.files has 0 bytes");
    assert_eq!(
        error(&with_files("d6:lengthi0e4:pathl1:aee")),
        "the torrent has no content: info.files has 0 bytes"
    );
}

#[test]
fn rejects_a_length_beyond_the_input() {
    assert_eq!(error(b"d4:info99999999999:"), "info is a string, not a dictionary");
    let source = with_info("6:pieces99999999999999:0");
    assert_eq!(error(&source), "the file ends within a value at byte 16, in info.pieces");
}
