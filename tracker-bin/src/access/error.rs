//! Why a list can't be read or changed.

use std::io;
use std::path::PathBuf;

use udp_tracker::IpNet;

use super::entry::{Entry, Kind};

#[derive(Debug, thiserror::Error)]
pub(crate) enum AccessError {
    #[error("cannot read the access list {}: {source}{}", path.display(), advice(source))]
    Read { path: PathBuf, source: io::Error },
    #[error("{}, line {line}: {problem}", path.display())]
    Line { path: PathBuf, line: usize, problem: String },
    #[error("cannot write the access list {}: {source}; the directory must be writable", path.display())]
    Write { path: PathBuf, source: io::Error },
    /// Somebody else writes it all the time.
    #[error("cannot write the access list {}: it was changed at the same time; try again", path.display())]
    Busy { path: PathBuf },
    #[error("there is no list of {}s: set access.{} to the path of a file, and reload", kind.name(), kind.file_key())]
    NoFile { kind: Kind },
    #[error(
        "all torrents are served, so there is no list of torrents: set access.torrents to \"unlisted\" to deny some, \
         or \"listed\" to serve only some, and access.torrent_list to the path of a file, and reload"
    )]
    AllTorrents,
    #[error("{entry} is not in {}{}", path.display(), hint(*around))]
    NotListed { entry: Entry, path: PathBuf, around: Option<IpNet> },
    #[error("the {field} has {got} bytes: at most {most} expected")]
    TooLong { field: &'static str, got: usize, most: usize },
}

fn advice(error: &io::Error) -> &'static str {
    if error.kind() == io::ErrorKind::NotFound { "; an empty file is a list without entries" } else { "" }
}

fn hint(around: Option<IpNet>) -> String {
    around.map_or_else(String::new, |network| format!(", but {network}, which contains it, is"))
}
