//! The command line.

use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use udp_tracker_proto::client::{Policy, Schedule};
use udp_tracker_proto::{InfoHash, TrackerUrl, UrlError};

use crate::load::Load;

/// A BitTorrent client for UDP trackers.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Announces a peer to trackers, and prints the peers in their replies
    Announce(Announce),
    /// Asks trackers for the numbers of seeders, leechers and completed downloads of torrents
    Scrape(Scrape),
    /// Makes a .torrent file from a file or a folder
    Create(crate::program::Create),
    /// Shows the content of a .torrent file
    Show(crate::program::Show),
    /// Checks the data on the disk against a .torrent file
    Verify(crate::program::Verify),
    /// Downloads a torrent; data on the disk is checked and kept
    Download(crate::program::Download),
    /// Seeds a complete torrent
    Seed(crate::program::Seed),
    /// Sends a tracker as many requests as it can answer, and checks every reply
    Load(Load),
}

/// All trackers are asked at once. The exit code is 1 if any of them did not answer.
#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// Trackers: udp://host:port/path, host:port, or host (port 80)
    #[arg(required = true, value_name = "URL", value_parser = tracker_url)]
    pub(crate) urls: Vec<String>,
    /// The torrent, as 40 hex digits
    #[arg(required = true)]
    pub(crate) info_hash: InfoHash,
    /// The TCP port of the peer
    #[arg(long, default_value_t = 6881, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Bytes that the peer lacks; 0 makes it a seeder
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) left: u64,
    /// The event to announce
    #[arg(long, value_enum, default_value_t = Event::None, value_name = "E")]
    pub(crate) event: Event,
    /// Peers wanted; -1 leaves it to the tracker
    #[arg(long, default_value_t = -1, value_name = "N", allow_negative_numbers = true)]
    pub(crate) num_want: i32,
    #[command(flatten)]
    pub(crate) how: How,
}

/// All trackers are asked at once. The exit code is 1 if any of them did not answer.
#[derive(Debug, Args)]
#[command(override_usage = "client-bin scrape [OPTIONS] <URL>... <INFO_HASH>...")]
pub(crate) struct Scrape {
    /// Trackers (udp://host:port/path, host:port, or host with port 80) and torrents (40 hex digits each)
    #[arg(required = true, num_args = 2.., value_name = "URL or INFO_HASH")]
    words: Vec<String>,
    #[command(flatten)]
    pub(crate) how: How,
}

/// How to send requests.
#[derive(Debug, Args)]
pub(crate) struct How {
    /// Seconds to wait for each tracker
    #[arg(long, default_value_t = 15, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    timeout: u64,
    /// When to send a request again
    #[arg(long, value_enum, default_value_t = Repeat::Quick, value_name = "POLICY")]
    policy: Repeat,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Event {
    None,
    Completed,
    Started,
    Stopped,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Repeat {
    /// After 1, 2, 4, .. seconds
    Quick,
    /// After 15, 30, 60, .. seconds, as in BEP 15
    Bep15,
    /// Every 15 seconds, for 60 seconds, as in the specification of 2004
    Draft2004,
    /// Every 10 seconds: a connect six times, other requests twice
    CppClass,
}

impl How {
    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }

    pub(crate) fn policy(&self) -> Policy {
        match self.policy {
            // The timeout ends the retransmissions.
            Repeat::Quick => {
                Policy::both(Schedule { first: Duration::from_secs(1), factor: 2, transmissions: u32::MAX })
            }
            Repeat::Bep15 => Policy::BEP_15,
            Repeat::Draft2004 => Policy::DRAFT_2004,
            Repeat::CppClass => Policy::CPP_CLASS,
        }
    }
}

impl Scrape {
    /// The trackers and the torrents, in order. Exits with an error if one of them is missing or invalid.
    pub(crate) fn split(&self) -> (Vec<String>, Vec<InfoHash>) {
        let (mut urls, mut hashes) = (Vec::new(), Vec::new());
        for word in &self.words {
            match word.parse() {
                Ok(hash) => hashes.push(hash),
                // Only hex digits, and many of them: probably an invalid info_hash, not a host.
                Err(error) if word.len() > 20 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                    wrong_usage(&format!("{word}: {error}"));
                }
                Err(_) => match tracker_url(word) {
                    Ok(url) => urls.push(url),
                    Err(error) => wrong_usage(&format!("{word}: {error}")),
                },
            }
        }
        if urls.is_empty() {
            wrong_usage("a tracker's URL expected, such as udp://tracker.example.com:6969");
        }
        if hashes.is_empty() {
            wrong_usage("an info_hash of 40 hex digits expected");
        }
        (urls, hashes)
    }
}

fn tracker_url(text: &str) -> Result<String, UrlError> {
    TrackerUrl::parse(text).map(|_| text.to_owned())
}

fn wrong_usage(what: &str) -> ! {
    Command::command().error(ErrorKind::ValueValidation, what).exit()
}

impl From<Event> for udp_tracker_proto::Event {
    fn from(event: Event) -> Self {
        match event {
            Event::None => Self::None,
            Event::Completed => Self::Completed,
            Event::Started => Self::Started,
            Event::Stopped => Self::Stopped,
        }
    }
}
