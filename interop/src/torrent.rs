//! Content that clients exchange.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

/// Debian's own Python. Other installations can't import Debian's packages.
pub(crate) const PYTHON: &str = "/usr/bin/python3";

/// The name of the one file, or of the folder, in a torrent.
const FILE: &str = "payload.bin";
const FOLDER: &str = "payload";
/// Small, so that there are many pieces and clients can exchange them.
const PIECE_LENGTH: usize = 64 * 1024;
const MAKE_TORRENT: &str = include_str!("../scripts/make_torrent.py");

/// Files of random bytes, a `.torrent` for them, and a directory for the programs' files. All are deleted on drop.
pub struct Torrent {
    dir: TempDir,
    /// Paths relative to the directory of the payload, and contents.
    files: Vec<(PathBuf, Vec<u8>)>,
    info_hash: String,
}

impl Torrent {
    /// Creates a file of `length` random bytes from `seed`, and a version 1 torrent of it, made by libtorrent, whose
    /// only tracker is `tracker_url`.
    #[must_use]
    pub fn make(tracker_url: &str, length: usize, seed: u64) -> Self {
        Self::make_of(tracker_url, FILE, &[(FILE.into(), length)], seed)
    }

    /// The same for a folder with files of various lengths: 0, less than a piece, up to a piece boundary, several
    /// pieces.
    #[must_use]
    pub fn make_folder(tracker_url: &str, seed: u64) -> Self {
        let files = [
            ("a small one", 1000),
            ("b to the border", PIECE_LENGTH - 1000),
            ("c", 3 * PIECE_LENGTH),
            ("empty", 0),
            ("nested/deep/d", 40 * PIECE_LENGTH + 17),
            ("nested/e", 5),
        ];
        let files = files.map(|(path, length)| (Path::new(FOLDER).join(path), length));
        Self::make_of(tracker_url, FOLDER, &files, seed)
    }

    fn make_of(tracker_url: &str, name: &str, files: &[(PathBuf, usize)], seed: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("interop-").tempdir().expect("a temporary directory");
        let mut rng = StdRng::seed_from_u64(seed);
        let mut torrent = Self { dir, files: Vec::new(), info_hash: String::new() };
        let original = torrent.subdir("original");
        for (path, length) in files {
            let mut content = vec![0; *length];
            rng.fill_bytes(&mut content);
            let full = original.join(path);
            fs::create_dir_all(full.parent().unwrap_or(&original)).expect("a directory can be made");
            fs::write(full, &content).expect("the payload can be written");
            torrent.files.push((path.clone(), content));
        }

        let mut python = Command::new(PYTHON);
        python.args(["-c", MAKE_TORRENT]).arg(original.join(name)).arg(torrent.file());
        let output = python.args([tracker_url, &PIECE_LENGTH.to_string()]).output().expect(PYTHON);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "make_torrent.py: {stderr}");
        String::from_utf8_lossy(&output.stdout).trim().clone_into(&mut torrent.info_hash);
        torrent
    }

    /// The `.torrent` file.
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("payload.torrent")
    }

    /// The directory of the original payload.
    #[must_use]
    pub fn original_dir(&self) -> PathBuf {
        self.dir.path().join("original")
    }

    /// The info_hash, in hex.
    #[must_use]
    pub fn info_hash(&self) -> &str {
        &self.info_hash
    }

    /// A directory of this name beside the torrent, made if it is not there.
    #[must_use]
    pub fn subdir(&self, name: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::create_dir_all(&path).expect("a directory can be made");
        path
    }

    /// Asserts that the files in `dir` are the original ones, byte for byte.
    pub fn assert_complete_in(&self, dir: &Path) {
        self.files.iter().for_each(|(path, content)| assert_same(&dir.join(path), content));
    }

    /// The same, but files of 0 bytes may be missing: transmission makes none.
    pub fn assert_bytes_in(&self, dir: &Path) {
        let files = self.files.iter().filter(|(_, content)| !content.is_empty());
        files.for_each(|(path, content)| assert_same(&dir.join(path), content));
    }
}

fn assert_same(path: &Path, content: &[u8]) {
    let copy = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(copy.len(), content.len(), "bytes in {}", path.display());
    let difference = copy.iter().zip(content).position(|(copied, original)| copied != original);
    assert_eq!(difference, None, "first differing byte in {}", path.display());
}
