//! Something to exchange.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use crate::libtorrent::PYTHON;

/// The name of the one file in the torrent.
const NAME: &str = "payload.bin";
/// Small, so that there are many pieces and clients can exchange them.
const PIECE_LENGTH: usize = 64 * 1024;
const MAKE_TORRENT: &str = include_str!("../scripts/make_torrent.py");

/// A file of random octets, a `.torrent` for it, and a place for the programs' files. All of it is deleted on drop.
pub struct Torrent {
    dir: TempDir,
    content: Vec<u8>,
    info_hash: String,
}

impl Torrent {
    /// Makes a file of `length` octets from `seed`, and has libtorrent make a version 1 torrent that names `tracker_url`
    /// alone.
    #[must_use]
    pub fn make(tracker_url: &str, length: usize, seed: u64) -> Self {
        let dir = tempfile::Builder::new().prefix("interop-").tempdir().expect("a temporary directory");
        let mut content = vec![0; length];
        StdRng::seed_from_u64(seed).fill_bytes(&mut content);
        let mut torrent = Self { dir, content, info_hash: String::new() };
        let payload = torrent.subdir("original").join(NAME);
        fs::write(&payload, &torrent.content).expect("the payload can be written");

        let mut python = Command::new(PYTHON);
        python.args(["-c", MAKE_TORRENT]).arg(payload).arg(torrent.file());
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

    /// The directory in which the complete file is.
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

    /// Asserts that the file in `dir` is the original, octet for octet.
    pub fn assert_complete_in(&self, dir: &Path) {
        let path = dir.join(NAME);
        let copy = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(copy.len(), self.content.len(), "octets in {}", path.display());
        let difference = copy.iter().zip(&self.content).position(|(copied, original)| copied != original);
        assert_eq!(difference, None, "first differing octet in {}", path.display());
    }
}
