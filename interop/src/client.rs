//! This workspace's client, as a process: one request, and what it says about the answer.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::program::Program;
use crate::{Netns, binaries, poll_until};

/// Longer than a lost datagram's first retransmission, which comes after 15 s.
const LIMIT: Duration = Duration::from_secs(20);

/// What `client-bin announce --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Announced {
    /// Seconds until the tracker wants to hear again.
    pub interval: u32,
    /// Peers that lack something.
    pub leechers: u32,
    /// Peers that have everything.
    pub seeders: u32,
    /// Who else is there.
    pub peers: Vec<SocketAddr>,
}

/// What `client-bin scrape --json` prints for one torrent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Scraped {
    /// The torrent, in hex.
    pub info_hash: String,
    /// Peers that have everything.
    pub seeders: u32,
    /// How often a download has been finished.
    pub completed: u32,
    /// Peers that lack something.
    pub leechers: u32,
}

/// The counts of one torrent, without its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Peers that have everything.
    pub seeders: u32,
    /// How often a download has been finished.
    pub completed: u32,
    /// Peers that lack something.
    pub leechers: u32,
}

/// The client did not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it said about it.
    pub stderr: String,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "exit code {:?}: {}", self.code, self.stderr.trim())
    }
}

/// Runs `client-bin announce URL INFO_HASH`; `options` are further flags, such as `["--left", "0"]`.
///
/// # Errors
/// What the client said when it ended with another code than 0.
pub fn announce(netns: &Netns, url: &str, info_hash: &str, options: &[&str]) -> Result<Announced, Failed> {
    run(netns, &[&["announce", url, info_hash, "--json"], options].concat())
}

/// Runs `client-bin scrape URL INFO_HASH...`.
///
/// # Errors
/// What the client said when it ended with another code than 0.
pub fn scrape(netns: &Netns, url: &str, info_hashes: &[&str]) -> Result<Vec<Scraped>, Failed> {
    run(netns, &[&["scrape", url], info_hashes, &["--json"]].concat())
}

/// Scrapes one torrent until the tracker's counts are the expected ones: clients report when it suits them.
pub fn wait_for_counts(netns: &Netns, url: &str, info_hash: &str, expected: Counts, limit: Duration) {
    poll_until(&format!("{expected:?}"), limit, || match scrape(netns, url, &[info_hash]) {
        Ok(scraped) => match &scraped[..] {
            [only] if only.info_hash == info_hash && only.counts() == expected => Ok(()),
            other => Err(format!("{other:?}")),
        },
        Err(failed) => Err(failed.to_string()),
    });
}

impl Scraped {
    /// The numbers alone.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts { seeders: self.seeders, completed: self.completed, leechers: self.leechers }
    }
}

fn run<T: DeserializeOwned>(netns: &Netns, arguments: &[&str]) -> Result<T, Failed> {
    let mut command = netns.command(binaries::path("client-bin"));
    let mut program = Program::start("client-bin", command.args(arguments));
    let status = program.wait_exit(LIMIT);
    if !status.success() {
        return Err(Failed { code: status.code(), stderr: program.stderr() });
    }
    let printed = program.stdout();
    Ok(serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("client-bin {arguments:?} printed {printed:?}: {error}")))
}
