//! Which torrents are served.
//!
//! Any thread may replace the whole list while others answer requests. Those detect a new list by comparing a pointer,
//! and touch a reference count only when there is one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use arc_swap::{ArcSwap, Cache};
use udp_tracker_proto::{InfoHash, ParseIdError};

/// The torrents that are served, or the torrents that are not.
#[derive(Clone, Debug, Default)]
pub struct AccessList {
    mode: Access,
    torrents: HashSet<InfoHash>,
}

/// What a list of torrents means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// All torrents are served; the list is ignored.
    #[default]
    All,
    /// Only torrents in the list are served.
    Listed,
    /// Only torrents not in the list are served.
    Unlisted,
}

/// Why a file can't be read as a list of torrents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessListError {
    /// The file can't be read.
    #[error("cannot read the access list {}: {source}", path.display())]
    Read {
        /// Its path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A line does not begin with an info_hash.
    #[error("{}, line {line}: {source}", path.display())]
    Line {
        /// Its path.
        path: PathBuf,
        /// The number of the line, counted from 1.
        line: usize,
        /// What is wrong with it.
        source: ParseIdError,
    },
}

impl AccessList {
    /// All torrents.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Only these torrents.
    pub fn listed(torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        Self { mode: Access::Listed, torrents: torrents.into_iter().collect() }
    }

    /// All torrents but these.
    pub fn unlisted(torrents: impl IntoIterator<Item = InfoHash>) -> Self {
        Self { mode: Access::Unlisted, torrents: torrents.into_iter().collect() }
    }

    /// Reads a file with an info_hash of 40 hex digits on each line. The rest of a line, empty lines and lines that
    /// begin with `#` are ignored.
    ///
    /// # Errors
    /// The file can't be read or is not a regular file, or a line begins with something else than an info_hash.
    pub fn read(mode: Access, path: &Path) -> Result<Self, AccessListError> {
        let text = read_file(path).map_err(|source| AccessListError::Read { path: path.into(), source })?;
        // Some editors write this mark at the start of a text.
        let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
        let torrents = lines.filter_map(|(at, line)| {
            let word = line.split_whitespace().next().filter(|word| !word.starts_with('#'))?;
            let parsed = word.parse();
            Some(parsed.map_err(|source| AccessListError::Line { path: path.into(), line: at + 1, source }))
        });
        Ok(Self { mode, torrents: torrents.collect::<Result<_, _>>()? })
    }

    /// Whether the torrent is served.
    #[must_use]
    pub fn serves(&self, torrent: &InfoHash) -> bool {
        match self.mode {
            Access::All => true,
            Access::Listed => self.torrents.contains(torrent),
            Access::Unlisted => !self.torrents.contains(torrent),
        }
    }
}

/// The access list in force. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct SharedAccessList(Arc<ArcSwap<AccessList>>);

/// One thread's view of the access list in force.
pub(crate) type AccessView = Cache<Arc<ArcSwap<AccessList>>, Arc<AccessList>>;

impl SharedAccessList {
    pub(crate) fn new(list: AccessList) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(list)))
    }

    pub(crate) fn replace(&self, list: AccessList) {
        self.0.store(Arc::new(list));
    }

    pub(crate) fn get(&self) -> Arc<AccessList> {
        self.0.load_full()
    }

    pub(crate) fn view(&self) -> AccessView {
        Cache::new(Arc::clone(&self.0))
    }
}

/// Reads the whole of a regular file. Other files, such as a pipe, could block forever.
fn read_file(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const HASH: &str = "e5d5fdac66b48270c93842b333061ea4dd7233e9";

    fn read(mode: Access, text: &str) -> Result<AccessList, AccessListError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        AccessList::read(mode, file.path())
    }

    #[test]
    fn serves_listed_or_unlisted_torrents() {
        let text = format!("\u{feff}# mine\n\n{HASH} a film of mine\n  {} \n", "0".repeat(40));
        let (hash, other) = (HASH.parse().unwrap(), InfoHash([1; 20]));
        let served = |mode| read(mode, &text).map(|list| (list.serves(&hash), list.serves(&other))).unwrap();
        assert_eq!(served(Access::Listed), (true, false));
        assert_eq!(served(Access::Unlisted), (false, true));
        assert_eq!(served(Access::All), (true, true));
        assert!(AccessList::listed([hash]).serves(&hash) && !AccessList::unlisted([hash]).serves(&hash));
    }

    #[test]
    fn names_the_line_or_file_that_is_wrong() {
        let error = read(Access::Listed, &format!("{HASH}\nnot one\n")).unwrap_err().to_string();
        assert!(error.contains("line 2: expected 40 hex digits, got 3 "), "{error}");
        let of_path = |path: &str| AccessList::read(Access::Listed, path.as_ref()).unwrap_err().to_string();
        let error = of_path("/nonexistent/list");
        assert!(error.starts_with("cannot read the access list /nonexistent/list: "), "{error}");
        let error = of_path("/dev/zero");
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }

    #[test]
    fn a_view_sees_the_list_that_replaced_its_own() {
        let torrent = InfoHash([1; 20]);
        let shared = SharedAccessList::new(AccessList::all());
        let mut view = shared.view();
        assert!(view.load().serves(&torrent));
        shared.replace(AccessList::unlisted([torrent]));
        assert!(!view.load().serves(&torrent));
        assert!(!shared.get().serves(&torrent));
    }
}
