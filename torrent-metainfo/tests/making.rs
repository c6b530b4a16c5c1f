//! Torrents made from files on disk, and read again.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use sha1::{Digest, Sha1};
use tempfile::{TempDir, tempdir};
use torrent_metainfo::{Builder, Existing, LoadError, MakeError, Metainfo};

/// Writes files into a new folder `content`.
fn content(files: &BTreeMap<Vec<&str>, Vec<u8>>) -> TempDir {
    let folder = tempdir().expect("a folder for the test");
    for (path, bytes) in files {
        let path = folder.path().join("content").join(path.iter().collect::<std::path::PathBuf>());
        fs::create_dir_all(path.parent().expect("below the folder")).expect("folders");
        fs::write(path, bytes).expect("a file");
    }
    folder
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect()
}

#[test]
fn makes_a_single_file() {
    let folder = tempdir().unwrap();
    let song = folder.path().join("song.ogg");
    fs::write(&song, "la la la").unwrap();
    let torrent = Builder::new(&song).without_creation_date().make().unwrap();
    let hash = Sha1::digest("la la la");
    let expected =
        [b"d4:infod6:lengthi8e4:name8:song.ogg12:piece lengthi16384e6:pieces20:", hash.as_slice(), b"ee"]
            .concat();
    assert_eq!(torrent.bytes(), expected);
    assert_eq!(torrent.metainfo().disk_path(0).unwrap().to_str(), Some("song.ogg"));
}

#[test]
fn writes_every_option() {
    let folder = content(&[(vec!["a", "b"], b"x".to_vec())].into());
    let torrent = Builder::new(folder.path().join("content"))
        .name("nom")
        .tracker_tier(["udp://a", "udp://b"])
        .tracker_tier([""; 0])
        .tracker_tier(["udp://c"])
        .private(true)
        .comment("très bien")
        .created_by("prog")
        .creation_date(-5)
        .piece_length(1 << 20)
        .make()
        .unwrap();
    let hash = Sha1::digest("x");
    let expected = [
        "d8:announce7:udp://a13:announce-listll7:udp://a7:udp://bel7:udp://cee7:comment10:très bien\
        10:created by4:prog13:creation datei-5e4:infod5:filesld6:lengthi1e4:pathl1:a1:beee4:name3:nom\
        12:piece lengthi1048576e6:pieces20:"
            .as_bytes(),
        &hash,
        b"7:privatei1eee",
    ]
    .concat();
    assert_eq!(torrent.bytes(), expected);
    let read = torrent.metainfo();
    assert_eq!(read.trackers(), [vec!["udp://a", "udp://b"], vec!["udp://c"]]);
    assert_eq!((read.comment(), read.created_by()), (Some("très bien"), Some("prog")));
    assert_eq!((read.creation_date(), read.is_private()), (Some(-5), true));
}

#[test]
fn one_tracker_has_no_announce_list() {
    let folder = content(&[(vec!["a"], b"x".to_vec())].into());
    let builder = Builder::new(folder.path()).tracker_tier(["udp://a"]);
    let torrent = builder.make().unwrap();
    assert!(torrent.bytes().starts_with(b"d8:announce7:udp://a13:creation date"));
    assert_eq!(torrent.metainfo().trackers(), [["udp://a"]]);
    assert!(matches!(builder.tracker_tier([" "]).make(), Err(MakeError::EmptyTracker)));
}

#[test]
fn rejects_empty_content() {
    let folder = content(&[(vec!["a"], Vec::new())].into());
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for target in [empty, folder.path().join("content"), folder.path().join("content/a")] {
        assert!(matches!(Builder::new(&target).make(), Err(MakeError::NoContent { path }) if path == target));
    }
}

#[test]
fn progress_goes_from_0_to_the_total() {
    let folder = content(&[(vec!["a"], vec![7; 3 << 20]), (vec!["b"], vec![8; 5])].into());
    let mut steps = Vec::new();
    let made = Builder::new(folder.path()).make_with(|progress| {
        steps.push((progress.done, progress.total));
        ControlFlow::Continue(())
    });
    assert!(made.is_ok());
    let total = (3 << 20) + 5;
    assert_eq!((steps[0], *steps.last().unwrap()), ((0, total), (total, total)));
    assert!(steps.len() > 3 && steps.is_sorted_by(|a, b| a.0 < b.0 && a.1 == b.1));
}

#[test]
fn a_break_cancels_and_leaves_no_file() {
    let folder = content(&[(vec!["a"], vec![7; 4 << 20])].into());
    let output = folder.path().join("x.torrent");
    for allowed in 0..4 {
        let mut calls = 0;
        let stop = |_| {
            calls += 1;
            if calls > allowed { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let made = Builder::new(folder.path().join("content")).create(&output, Existing::Refuse, stop);
        assert!(matches!(made, Err(MakeError::Cancelled)));
        assert_eq!(names(folder.path()), ["content"]);
    }
}

#[test]
fn rejects_an_existing_output_before_reading() {
    let folder = content(&[(vec!["a"], vec![7; 100])].into());
    let output = folder.path().join("x.torrent");
    let builder = Builder::new(folder.path().join("content"));
    let go = |_| ControlFlow::Continue(());
    let made = builder.create(&output, Existing::Refuse, go).unwrap();
    let read = Metainfo::from_file(&output).unwrap();
    assert_eq!(&read, made.metainfo());

    let mut calls = 0;
    let count = |_| {
        calls += 1;
        ControlFlow::Continue(())
    };
    let again = builder.create(&output, Existing::Refuse, count);
    assert!(matches!(again, Err(MakeError::Exists { path }) if path == output));
    assert_eq!(calls, 0);
    let renamed = builder.name("other").create(&output, Existing::Replace, go).unwrap();
    assert_eq!(Metainfo::from_file(&output).unwrap().info_hash(), renamed.metainfo().info_hash());
}

#[test]
fn rejects_a_file_that_grows_meanwhile() {
    let folder = content(&[(vec!["a"], vec![7; 8 << 20]), (vec!["b"], vec![7; 100])].into());
    let last = folder.path().join("content/b");
    let made = Builder::new(folder.path()).make_with(|progress| {
        if progress.done == 0 {
            fs::write(&last, [7; 101]).unwrap();
        }
        ControlFlow::Continue(())
    });
    assert!(matches!(made, Err(MakeError::Changed { path }) if path == last));
}

#[test]
fn does_not_read_files_too_long_for_a_torrent() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("long.torrent");
    fs::File::create(&path).unwrap().set_len(Metainfo::MAX_FILE_LEN + 1).unwrap();
    assert!(matches!(Metainfo::from_file(&path), Err(LoadError::TooLarge { .. })));
    assert!(matches!(Metainfo::from_file(folder.path()), Err(LoadError::Io { .. })));
    fs::write(&path, "de").unwrap();
    let error = Metainfo::from_file(&path).unwrap_err();
    assert!(error.to_string().ends_with("long.torrent is not a valid metainfo file"));
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "info is missing");
}

#[test]
fn uses_source_date_epoch() {
    let folder = content(&[(vec!["a"], b"x".to_vec())].into());
    if let Some(output) = std::env::var_os("TORRENT_METAINFO_TEST_OUTPUT") {
        let target = folder.path().join("content");
        Builder::new(target).create(output, Existing::Refuse, |_| ControlFlow::Continue(())).unwrap();
        return;
    }
    // In a process of its own: other tests share the variables of this one.
    let output = folder.path().join("x.torrent");
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "uses_source_date_epoch"])
        .env("SOURCE_DATE_EPOCH", "1234567890")
        .env("TORRENT_METAINFO_TEST_OUTPUT", &output)
        .output()
        .unwrap()
        .status;
    assert!(status.success());
    assert_eq!(Metainfo::from_file(&output).unwrap().creation_date(), Some(1_234_567_890));
}

/// Files with sizes around piece boundaries.
fn any_content() -> impl Strategy<Value = BTreeMap<Vec<&'static str>, Vec<u8>>> {
    let name = prop::sample::select(vec!["a", "b", "ab", "a.b", "é", " ", "..."]);
    // The name of the file is never that of a folder.
    let path = (prop::collection::vec(name, 0..3), prop::sample::select(vec!["f", "g", "h!"]))
        .prop_map(|(folders, file)| folders.into_iter().chain([file]).collect());
    let size = prop::sample::select(vec![0_usize, 1, 1000, 16_383, 16_384, 16_385, 40_000, 600_000]);
    let bytes =
        (size, any::<u8>()).prop_map(|(size, seed)| (0..size).map(|at| seed ^ at.to_le_bytes()[0]).collect());
    prop::collection::btree_map(path, bytes, 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_made_is_read(files in any_content(), shift in 14..21_u32, threads in 1..4_usize, private: bool) {
        prop_assume!(files.values().any(|bytes| !bytes.is_empty()));
        let folder = content(&files);
        let torrent = Builder::new(folder.path().join("content"))
            .piece_length(1 << shift)
            .threads(threads.try_into().expect("at least one"))
            .private(private)
            .make()
            .expect("a torrent");
        let read = torrent.metainfo();
        prop_assert_eq!((read.name(), read.is_private(), read.is_folder()), ("content", private, true));
        // BTreeMap sorts paths in the documented order.
        let paths: Vec<Vec<&str>> = read.files().iter().map(|file| file.components().collect()).collect();
        prop_assert!(paths.iter().eq(files.keys()));
        for (file, bytes) in read.files().iter().zip(files.values()) {
            prop_assert_eq!(usize::try_from(file.length()), Ok(bytes.len()));
        }
        let all = files.values().flatten().copied().collect::<Vec<u8>>();
        let hashes: Vec<[u8; 20]> = all.chunks(1 << shift).map(|piece| Sha1::digest(piece).into()).collect();
        prop_assert_eq!(read.piece_hashes(), hashes);
        // The slices lead to the content that was hashed.
        for piece in 0..read.piece_count() {
            let mut hasher = Sha1::new();
            for slice in read.slices(read.piece_range(piece).expect("a range")) {
                let path = folder.path().join(read.disk_path(slice.file).expect("a path"));
                let start = usize::try_from(slice.offset).expect("a small offset");
                let length = usize::try_from(slice.length).expect("a small length");
                hasher.update(&fs::read(path).expect("a file")[start..start + length]);
            }
            prop_assert_eq!(Some(&hasher.finalize().into()), read.piece_hash(piece));
        }
    }
}
