//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use udp_tracker_proto::InfoHash;

/// A BitTorrent client for UDP trackers.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) action: Action,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Tells a tracker about a peer, and asks it for others
    Announce(Announce),
    /// Asks a tracker how many seeders, completed downloads and leechers torrents have
    Scrape(Scrape),
}

#[derive(Debug, Args)]
pub(crate) struct Announce {
    /// The tracker: udp://host:port/path
    pub(crate) url: String,
    /// The torrent, as 40 hex digits
    pub(crate) info_hash: InfoHash,
    /// Where the peer listens
    #[arg(long, default_value_t = 6881, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) port: u16,
    /// Octets the peer lacks; 0 makes it a seeder
    #[arg(long, default_value_t = 0)]
    pub(crate) left: u64,
    /// What has happened
    #[arg(long, value_enum, default_value_t = Event::None)]
    pub(crate) event: Event,
    /// Peers wanted; -1 leaves it to the tracker
    #[arg(long, default_value_t = -1, allow_negative_numbers = true)]
    pub(crate) num_want: i32,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Scrape {
    /// The tracker: udp://host:port/path
    pub(crate) url: String,
    /// Torrents, as 40 hex digits each
    #[arg(required = true)]
    pub(crate) info_hash: Vec<InfoHash>,
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
