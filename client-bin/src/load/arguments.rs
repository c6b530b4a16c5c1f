//! The command line of `load`.

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use clap::value_parser as between;
use tracker_load::{Mix, Pace, Settings, Sources};
use udp_tracker_proto::TrackerUrl;

/// Loads a tracker and checks each reply. The first wrong reply is printed, and the exit code is 1.
///
/// Keeps one core busy all the time.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The tracker: udp://host:port, host:port, or host (port 80)
    pub(super) url: String,
    /// Seconds to measure
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = between!(u64).range(1..=86_400))]
    pub(super) seconds: u64,
    /// Seconds of load before the measurement
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = between!(u64).range(..=86_400))]
    pub(super) warm_up: u64,
    /// Number of torrents
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = between!(u32).range(1..=100_000_000))]
    pub(super) torrents: u32,
    /// Number of peers in all torrents together [default: one in each]
    #[arg(long, value_name = "N", value_parser = between!(u32).range(1..=1_000_000_000))]
    pub(super) peers: Option<u32>,
    /// Makes torrents unequal: the share of the n-th in peers and requests is proportional to n^-S
    #[arg(long, value_name = "S")]
    pub(super) zipf: Option<f64>,
    /// Percentage of peers that are seeders
    #[arg(long, default_value_t = 25, value_name = "PERCENT", value_parser = between!(u8).range(..=100))]
    pub(super) seeders: u8,
    /// The proportion of each kind of request
    #[arg(long, default_value = "0:1:0:0", value_name = "CONNECT:ANNOUNCE:SCRAPE:STOP")]
    pub(super) mix: Mix,
    /// Torrents in each scrape
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = between!(u32).range(1..=74))]
    pub(super) scrape_torrents: u32,
    /// Peers wanted in each announce; -1 leaves it to the tracker
    #[arg(long, default_value_t = 50, value_name = "N", allow_negative_numbers = true)]
    pub(super) num_want: i32,
    /// Keeps this many requests waiting for replies; Linux's default receive buffer holds about 200 replies
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = between!(u32).range(1..=100_000))]
    pub(super) window: u32,
    /// Sends this many requests a second, independent of the replies
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = between!(u32).range(1..=10_000_000))]
    pub(super) rate: Option<u32>,
    /// Addresses of this machine to send from, one or a range [default: 127.0.1.1-127.0.1.16 for a tracker at 127.0.0.0/8]
    #[arg(long, value_name = "FIRST-LAST")]
    sources: Option<Sources>,
    /// Sockets on each address: a tracker's kernel spreads requests over workers by address and port
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = between!(u32).range(1..=1024))]
    pub(super) sockets: u32,
    /// Milliseconds after which a request counts as lost
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = between!(u64).range(1..=60_000))]
    timeout: u64,
    /// Seed of all randomness: the same seed gives the same torrents, peers and requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// Instead of a timed mix: every peer announces once, and again if that was lost
    #[arg(long, conflicts_with_all = ["seconds", "warm_up", "mix"])]
    pub(super) fill: bool,
    /// After the fill: scrapes all torrents and compares the counts with the peers
    #[arg(long, requires = "fill")]
    pub(super) verify: bool,
    /// Other clients announce these torrents too: counts and unknown peers are not checked
    #[arg(long)]
    pub(super) others: bool,
    /// The tracker may send an announcer its own address, as opentracker does
    #[arg(long)]
    pub(super) own: bool,
    /// Doesn't let the kernel split one buffer into many requests (UDP_SEGMENT)
    #[arg(long)]
    pub(super) no_segments: bool,
    /// Prints the torrents' info_hashes, one per line, and sends no requests: for a tracker with an access list
    #[arg(long)]
    pub(super) print_torrents: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Load {
    /// The settings of the generator.
    pub(super) fn settings(&self) -> Result<Settings, Box<dyn Error>> {
        let mut settings = Settings::new(self.tracker()?);
        settings.sources = self.sources;
        settings.sockets = self.sockets;
        settings.torrents = self.torrents;
        settings.peers = self.peers.unwrap_or(self.torrents);
        settings.seeders_percent = self.seeders;
        settings.zipf = self.zipf;
        settings.num_want = self.num_want;
        settings.scrape_torrents = self.scrape_torrents;
        settings.pace = self.rate.map_or(Pace::Window(self.window), Pace::Rate);
        settings.timeout = Duration::from_millis(self.timeout);
        settings.seed = self.seed;
        settings.others = self.others;
        settings.own = self.own;
        settings.segments = !self.no_segments;
        Ok(settings)
    }

    /// The tracker's address.
    fn tracker(&self) -> Result<SocketAddr, Box<dyn Error>> {
        let url = TrackerUrl::parse(&self.url).map_err(|error| format!("{}: {error}", self.url))?;
        let host = url.host.to_string();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let mut found =
            (name, url.port).to_socket_addrs().map_err(|error| format!("no such host: {host} ({error})"))?;
        Ok(found.next().ok_or_else(|| format!("no such host: {host}"))?)
    }
}
