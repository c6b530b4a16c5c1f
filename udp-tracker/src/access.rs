//! Which torrents are served.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fs, io};

use udp_tracker_proto::{InfoHash, ParseIdError};

use crate::config::{Access, Config};
use crate::service::Service;

/// The torrents that are served, or that are not.
#[derive(Clone, Debug, Default)]
pub(crate) struct AccessList {
    access: Access,
    listed: HashSet<InfoHash>,
}

/// The list as one thread sees it, who looks for another only when there is one.
#[derive(Debug)]
pub(crate) struct AccessView {
    list: Arc<AccessList>,
    version: u64,
}

/// Why a file is no list of torrents.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AccessListError {
    /// The file can't be read.
    #[error("cannot read the access list {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line does not begin with an info_hash.
    #[error("{}, line {line}: {source}", path.display())]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Why.
        source: ParseIdError,
    },
}

impl AccessList {
    /// Reads the list that the configuration names, if it needs one.
    pub(crate) fn load(config: &Config) -> Result<Self, AccessListError> {
        let listed = match &config.access_list {
            Some(path) if config.access != Access::All => read(path)?,
            _ => HashSet::new(),
        };
        Ok(Self { access: config.access, listed })
    }

    /// Whether the torrent is served.
    pub(crate) fn serves(&self, torrent: &InfoHash) -> bool {
        match self.access {
            Access::All => true,
            Access::Listed => self.listed.contains(torrent),
            Access::Unlisted => !self.listed.contains(torrent),
        }
    }
}

impl AccessView {
    pub(crate) fn new(service: &Service) -> Self {
        let (list, version) = service.access();
        Self { list, version }
    }

    /// Whether the service serves the torrent, by its latest list.
    pub(crate) fn serves(&mut self, service: &Service, torrent: &InfoHash) -> bool {
        if service.access_version() != self.version {
            *self = Self::new(service);
        }
        self.list.serves(torrent)
    }
}

fn read(path: &Path) -> Result<HashSet<InfoHash>, AccessListError> {
    let text = read_file(path).map_err(|source| AccessListError::Read { path: path.into(), source })?;
    // Some editors begin a text with this mark.
    let lines = text.trim_start_matches('\u{feff}').lines().enumerate();
    let hashes = lines.filter_map(|(at, line)| {
        let word = line.split_whitespace().next().filter(|word| !word.starts_with('#'))?;
        let parsed = word.parse();
        Some(parsed.map_err(|source| AccessListError::Line { path: path.into(), line: at + 1, source }))
    });
    hashes.collect()
}

/// The whole of a regular file: a pipe could keep us waiting for ever.
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

    fn list(access: Access, text: &str) -> Result<AccessList, AccessListError> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let config = Config { access, access_list: Some(file.path().into()), ..Config::default() };
        AccessList::load(&config)
    }

    #[test]
    fn listed_and_unlisted() {
        let text = format!("\u{feff}# mine\n\n{HASH} a film of mine\n  {} \n", "0".repeat(40));
        let (hash, other) = (HASH.parse().unwrap(), InfoHash([1; 20]));
        let served =
            |access| list(access, &text).map(|list| (list.serves(&hash), list.serves(&other))).unwrap();
        assert_eq!(served(Access::Listed), (true, false));
        assert_eq!(served(Access::Unlisted), (false, true));
        assert_eq!(served(Access::All), (true, true));
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = list(Access::Listed, &format!("{HASH}\nnot one\n")).unwrap_err().to_string();
        assert!(error.ends_with("line 2: expected 40 hex digits, got 3 octets"), "{error}");
        let missing = Config {
            access: Access::Listed,
            access_list: Some("/nonexistent/list".into()),
            ..Config::default()
        };
        let error = AccessList::load(&missing).unwrap_err().to_string();
        assert!(error.starts_with("cannot read the access list /nonexistent/list: "), "{error}");
        let endless = Config { access_list: Some("/dev/zero".into()), ..missing };
        let error = AccessList::load(&endless).unwrap_err().to_string();
        assert!(error.ends_with("it is not a regular file"), "{error}");
    }
}
