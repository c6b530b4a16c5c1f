//! This workspace's client, as a process: one request, and its output.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::program::Program;
use crate::{Netns, binaries, poll_until};

/// Longer than a lost datagram's first retransmission, which comes after 15 s.
const LIMIT: Duration = Duration::from_secs(20);

/// What `client-bin announce --json` prints.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Announced {
    /// Seconds until the next announce is due.
    pub interval: u32,
    /// Peers without all pieces.
    pub leechers: u32,
    /// Peers with all pieces.
    pub seeders: u32,
    /// Other peers of the swarm.
    pub peers: Vec<SocketAddr>,
}

/// What `client-bin scrape --json` prints for one torrent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Scraped {
    /// The torrent, in hex.
    pub info_hash: String,
    /// Peers with all pieces.
    pub seeders: u32,
    /// Completed downloads.
    pub completed: u32,
    /// Peers without all pieces.
    pub leechers: u32,
}

/// The counts of one torrent, without its info_hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Peers with all pieces.
    pub seeders: u32,
    /// Completed downloads.
    pub completed: u32,
    /// Peers without all pieces.
    pub leechers: u32,
}

/// The client failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard error.
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
/// Exit code and standard error of a client that ended with another code than 0.
pub fn announce(netns: &Netns, url: &str, info_hash: &str, options: &[&str]) -> Result<Announced, Failed> {
    run(netns, &[&["announce", url, info_hash, "--json"], options].concat())
}

/// Runs `client-bin scrape URL INFO_HASH...`.
///
/// # Errors
/// Exit code and standard error of a client that ended with another code than 0.
pub fn scrape(netns: &Netns, url: &str, info_hashes: &[&str]) -> Result<Vec<Scraped>, Failed> {
    run(netns, &[&["scrape", url], info_hashes, &["--json"]].concat())
}

/// What `client-bin load --json` prints about its measurement.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Loaded {
    /// Requests sent.
    pub sent: u64,
    /// Requests that were not answered in time.
    pub lost: u64,
    /// Requests and answers by their kind.
    pub by_kind: BTreeMap<String, LoadedKind>,
}

/// Of one kind: connect, announce, scrape or stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub struct LoadedKind {
    /// Requests sent.
    pub sent: u64,
    /// Answers received, each of which was checked.
    pub answers: u64,
}

/// A running `client-bin load`, which checks every answer.
pub struct Load(Program);

impl Load {
    /// Starts it in a namespace; `options` are further flags, such as `["--rate", "1000"]`.
    #[must_use]
    pub fn start(netns: &Netns, url: &str, options: &[&str]) -> Self {
        Self::run(netns.command(binaries::path("client-bin")), url, options)
    }

    /// Starts it in this process's own network.
    #[must_use]
    pub fn start_outside(url: &str, options: &[&str]) -> Self {
        Self::run(Command::new(binaries::path("client-bin")), url, options)
    }

    fn run(mut command: Command, url: &str, options: &[&str]) -> Self {
        // It waits long, so that no answer counts as lost because the machine is busy.
        command.args(["load", url, "--json", "--timeout", "20000"]).args(options);
        Self(Program::start("client-bin load", &mut command))
    }

    /// Waits until it ends, and asserts that no answer was wrong.
    #[must_use]
    pub fn wait_done(mut self, limit: Duration) -> Loaded {
        let status = self.0.wait_exit(limit);
        assert!(status.success(), "client-bin load ended with {status}: {}", self.0.stderr());
        let printed: Value = serde_json::from_str(&self.0.stdout()).expect("JSON");
        let phase = printed.get("mix").or(printed.get("fill")).expect("a phase");
        serde_json::from_value(phase.clone()).expect("a report")
    }
}

/// Scrapes one torrent until the tracker's counts are the expected ones. Needed because each client chooses when it
/// announces.
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
    /// The counts.
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
