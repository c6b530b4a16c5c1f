//! Torrents made here, compared with those of libtorrent, ctorrent and transmission.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::{TempDir, tempdir};
use torrent_metainfo::{Builder, Existing, FileEntry, Metainfo};

/// Runs a program in a folder, and returns its output; panics with its messages if it fails.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("timeout");
    command.args(["60", program]).args(arguments).current_dir(folder).stdin(Stdio::null());
    let output = command.output().expect("timeout, of coreutils");
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{program}: {stdout}{}", String::from_utf8_lossy(&output.stderr));
    stdout
}

fn python(folder: &Path, script: &str, arguments: &[&str]) -> String {
    run(folder, "/usr/bin/python3", &[&["-c", script], arguments].concat())
}

/// A folder `d` with files of odd sizes, some nested and one with a name that is not ASCII, beside a file `single`.
fn content() -> TempDir {
    let folder = tempdir().expect("a folder for the test");
    let files = [
        ("d/b", 5),
        ("d/a/nested/x", 70_000),
        ("d/a/empty", 0),
        ("d/été", 16_384),
        ("d/a!", 1),
        ("d/zz", 300_000),
        ("single", 1_000_003),
    ];
    for (path, size) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().expect("below the folder")).expect("folders");
        let bytes: Vec<u8> = (0..size).map(|at: usize| (at / 7 + at * at).to_le_bytes()[0]).collect();
        fs::write(path, bytes).expect("a file");
    }
    folder
}

/// Makes a torrent of `d` or `single` with libtorrent, in this crate's order of files, and prints the info-hash.
const LIBTORRENT_MAKE: &str = r#"
import os, sys, libtorrent as lt
target, piece_length, private, version, output = sys.argv[1:]
fs = lt.file_storage()
if os.path.isfile(target):
    fs.add_file(target, os.path.getsize(target))
else:
    paths = [os.path.join(top, name) for top, _, names in os.walk(target) for name in names]
    for path in sorted(paths, key=lambda path: [os.fsencode(part) for part in path.split("/")]):
        fs.add_file(path, os.path.getsize(path))
flags = lt.create_torrent.v1_only if version == "v1" else 0
torrent = lt.create_torrent(fs, int(piece_length), flags=flags)
torrent.set_comment("très bien")
torrent.set_creator("libtorrent")
for url, tier in [("udp://a/1", 0), ("udp://b/2", 0), ("udp://c/3", 1)]:
    torrent.add_tracker(url, tier)
torrent.set_priv(private == "True")
lt.set_piece_hashes(torrent, ".")
bytes = lt.bencode(torrent.generate())
open(output, "wb").write(bytes)
"#;

/// Prints what libtorrent reads from a file, one line for each value.
const LIBTORRENT_READ: &str = r#"
import sys, libtorrent as lt
info = lt.torrent_info(sys.argv[1])
print(info.info_hashes().v1, info.total_size(), info.piece_length(), info.num_pieces(), info.priv(), sep="\n")
print(info.comment(), info.creator(), sep="\n")
# libtorrent shuffles the trackers of a tier.
print(sorted([(tracker.url, tracker.tier) for tracker in info.trackers()]))
files = info.files()
print([(files.file_path(at), files.file_size(at), files.file_offset(at)) for at in range(files.num_files())])
"#;

/// The output of [`LIBTORRENT_READ`], from this crate's reader.
fn described(torrent: &Metainfo) -> String {
    let private = if torrent.is_private() { "True" } else { "False" };
    let tiers = torrent.trackers().iter().enumerate();
    let trackers: Vec<_> =
        tiers.flat_map(|(tier, urls)| urls.iter().map(move |url| format!("('{url}', {tier})"))).collect();
    let files: Vec<_> = (0..torrent.files().len())
        .map(|index| {
            let file = &torrent.files()[index];
            let path = torrent.disk_path(index).expect("a path");
            format!("('{}', {}, {})", path.display(), file.length(), file.offset())
        })
        .collect();
    format!(
        "{}\n{}\n{}\n{}\n{private}\n{}\n{}\n[{}]\n[{}]\n",
        torrent.info_hash(),
        torrent.length(),
        torrent.piece_length(),
        torrent.piece_count(),
        torrent.comment().unwrap_or_default(),
        torrent.created_by().unwrap_or_default(),
        trackers.join(", "),
        files.join(", "),
    )
}

#[test]
#[ignore = "needs python3-libtorrent and ctorrent: run scripts/test"]
fn libtorrent_makes_and_reads_the_same() {
    let folder = content();
    for (target, piece_length, private) in
        [("d", 16_384, false), ("d", 65_536, true), ("d", 16 << 20, false), ("single", 32_768, true)]
    {
        let private_text = if private { "True" } else { "False" };
        let arguments = [target, &piece_length.to_string(), private_text, "v1", "theirs.torrent"];
        python(folder.path(), LIBTORRENT_MAKE, &arguments);
        let theirs = Metainfo::from_file(folder.path().join("theirs.torrent")).unwrap();
        let ours = Builder::new(folder.path().join(target))
            .tracker_tier(["udp://a/1", "udp://b/2"])
            .tracker_tier(["udp://c/3"])
            .comment("très bien")
            .created_by("libtorrent")
            .private(private)
            .piece_length(piece_length)
            .make()
            .unwrap();
        assert_eq!(ours.metainfo().info_bytes(), theirs.info_bytes());
        assert_eq!(ours.metainfo().trackers(), theirs.trackers());

        let output = folder.path().join("ours.torrent");
        ours.write(&output, Existing::Replace).unwrap();
        for file in ["ours.torrent", "theirs.torrent"] {
            let read = Metainfo::from_file(folder.path().join(file)).unwrap();
            assert_eq!(described(&read), python(folder.path(), LIBTORRENT_READ, &[file]));
        }
    }
}

#[test]
#[ignore = "needs python3-libtorrent and ctorrent: run scripts/test"]
fn hybrids_of_libtorrent_are_read_as_version_1() {
    let folder = content();
    python(folder.path(), LIBTORRENT_MAKE, &["d", "16384", "False", "hybrid", "x.torrent"]);
    let read = Metainfo::from_file(folder.path().join("x.torrent")).unwrap();
    let theirs = python(folder.path(), LIBTORRENT_READ, &["x.torrent"]);
    assert_eq!(Some(read.info_hash().to_string().as_str()), theirs.lines().next());
    assert!(read.files().iter().any(FileEntry::is_padding));
    for file in read.files().iter().filter(|file| !file.is_padding()) {
        assert_eq!(file.offset() % 16_384, 0, "{}", file.path());
    }
}

#[test]
#[ignore = "needs python3-libtorrent and ctorrent: run scripts/test"]
fn ctorrent_makes_the_same_from_a_file() {
    let folder = content();
    let url = "http://tracker.example/announce";
    for (piece_length, private) in [(65_536, false), (262_144, true), (1 << 20, false)] {
        let _ = fs::remove_file(folder.path().join("theirs.torrent"));
        let piece_text = piece_length.to_string();
        let mut arguments = vec!["-t", "-u", url, "-l", &piece_text, "-c", "hi", "-s", "theirs.torrent"];
        if private {
            arguments.push("-p");
        }
        arguments.push("single");
        run(folder.path(), "ctorrent", &arguments);
        let theirs = Metainfo::from_file(folder.path().join("theirs.torrent")).unwrap();
        let ours = Builder::new(folder.path().join("single"))
            .private(private)
            .piece_length(piece_length)
            .make()
            .unwrap();
        assert_eq!(ours.metainfo().info_hash(), theirs.info_hash());
        assert_eq!((theirs.trackers()[0][0].as_str(), theirs.comment()), (url, Some("hi")));
    }
}

#[test]
#[ignore = "needs python3-libtorrent and ctorrent: run scripts/test"]
fn reads_folders_of_ctorrent() {
    let folder = content();
    run(folder.path(), "ctorrent", &["-t", "-u", "http://t/a", "-l", "65536", "-s", "x.torrent", "d"]);
    let theirs = Metainfo::from_file(folder.path().join("x.torrent")).unwrap();
    let ours = Builder::new(folder.path().join("d")).piece_length(65_536).make().unwrap();
    // ctorrent adds files in the order in which the system lists them: the same files in another order.
    let sorted = |torrent: &Metainfo| {
        let mut files: Vec<_> =
            torrent.files().iter().map(|file| (file.path().to_owned(), file.length())).collect();
        files.sort();
        files
    };
    assert_eq!(sorted(&theirs), sorted(ours.metainfo()));
    assert_eq!(theirs.length(), ours.metainfo().length());

    // A folder with a single file has only one order.
    fs::create_dir_all(folder.path().join("one/way")).unwrap();
    fs::copy(folder.path().join("single"), folder.path().join("one/way/é")).unwrap();
    run(folder.path(), "ctorrent", &["-t", "-u", "http://t/a", "-l", "65536", "-s", "one.torrent", "one"]);
    let theirs = Metainfo::from_file(folder.path().join("one.torrent")).unwrap();
    let ours = Builder::new(folder.path().join("one")).piece_length(65_536).make().unwrap();
    assert_eq!(ours.metainfo().info_hash(), theirs.info_hash());
}

#[test]
#[ignore = "needs python3-libtorrent, ctorrent and transmission-cli: run scripts/test"]
fn transmission_makes_and_shows_the_same() {
    let folder = content();
    let trackers = ["-t", "udp://a:1/announce", "-t", "udp://b:2/announce"];
    let create = |target: &str, output: &str| {
        let arguments =
            [&["-o", output, "-p", "-s", "64", "-c", "hi"], trackers.as_slice(), &[target]].concat();
        run(folder.path(), "transmission-create", &arguments);
        Metainfo::from_file(folder.path().join(output)).unwrap()
    };
    let theirs = create("single", "theirs.torrent");
    let ours = Builder::new(folder.path().join("single"))
        .tracker_tier(["udp://a:1/announce"])
        .tracker_tier(["udp://b:2/announce"])
        .private(true)
        .piece_length(65_536)
        .make()
        .unwrap();
    assert_eq!(ours.metainfo().info_hash(), theirs.info_hash());
    assert_eq!(ours.metainfo().trackers(), theirs.trackers());
    ours.write(folder.path().join("ours.torrent"), Existing::Refuse).unwrap();
    let shown = run(folder.path(), "transmission-show", &["ours.torrent"]);
    assert!(shown.contains(&format!("Hash: {}", ours.metainfo().info_hash())), "{shown}");

    let theirs = create("d", "folder.torrent");
    let shown = run(folder.path(), "transmission-show", &["folder.torrent"]);
    assert!(shown.contains(&format!("Hash: {}", theirs.info_hash())), "{shown}");
    assert!(theirs.files().iter().any(|file| file.path() == "été"));
}
