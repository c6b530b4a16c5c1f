//! The command line of `load`.

use std::error::Error;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use clap::Args;
use clap::value_parser as between;
use tracker_load::{Mix, Pace, Settings, Sources};
use udp_tracker_proto::TrackerUrl;

/// Loads a tracker, and checks each of its answers: ends with exit code 1 at the first that is wrong, and shows it.
///
/// Keeps one core busy, whether or not there is something to do.
#[derive(Debug, Args)]
pub(crate) struct Load {
    /// The tracker: udp://host:port, host:port, or host, whose port is 80
    pub(super) url: String,
    /// How long
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = between!(u64).range(1..=86_400))]
    pub(super) seconds: u64,
    /// Seconds before, which are not measured
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = between!(u64).range(..=86_400))]
    pub(super) warm_up: u64,
    /// How many torrents
    #[arg(long, default_value_t = 1000, value_name = "N", value_parser = between!(u32).range(1..=100_000_000))]
    pub(super) torrents: u32,
    /// How many peers in all torrents together [default: one in each]
    #[arg(long, value_name = "N", value_parser = between!(u32).range(1..=1_000_000_000))]
    pub(super) peers: Option<u32>,
    /// Makes torrents unequal: the n-th has a share of n^-S in peers and requests
    #[arg(long, value_name = "S")]
    pub(super) zipf: Option<f64>,
    /// How many of 100 peers have everything
    #[arg(long, default_value_t = 25, value_name = "PERCENT", value_parser = between!(u8).range(..=100))]
    pub(super) seeders: u8,
    /// How often each kind of request is made, in proportion to the others
    #[arg(long, default_value = "0:1:0:0", value_name = "CONNECT:ANNOUNCE:SCRAPE:STOP")]
    pub(super) mix: Mix,
    /// Torrents in each scrape
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = between!(u32).range(1..=74))]
    pub(super) scrape_torrents: u32,
    /// Peers wanted in each announce; -1 leaves it to the tracker
    #[arg(long, default_value_t = 50, value_name = "N", allow_negative_numbers = true)]
    pub(super) num_want: i32,
    /// Keeps this many requests waiting for answers; Linux's default receive buffer has room for some 200
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = between!(u32).range(1..=100_000))]
    pub(super) window: u32,
    /// Makes this many requests a second, however long the answers take
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = between!(u32).range(1..=10_000_000))]
    pub(super) rate: Option<u32>,
    /// Addresses of this machine to send from, one or a range [default: 127.0.1.1-127.0.1.16 for a tracker at 127.0.0.0/8]
    #[arg(long, value_name = "FIRST-LAST")]
    sources: Option<Sources>,
    /// Sockets on each address: a tracker's kernel spreads requests over workers by address and port
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = between!(u32).range(1..=1024))]
    pub(super) sockets: u32,
    /// Milliseconds after which a request is lost
    #[arg(long, default_value_t = 1000, value_name = "MS", value_parser = between!(u64).range(1..=60_000))]
    timeout: u64,
    /// Seed of all randomness: the same seed makes the same torrents, peers and requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// Instead of a mix for some seconds: every peer announces once, and again if that was lost
    #[arg(long, conflicts_with_all = ["seconds", "warm_up", "mix"])]
    pub(super) fill: bool,
    /// After the fill: scrapes all torrents; their counts must be those of all peers
    #[arg(long, requires = "fill")]
    pub(super) verify: bool,
    /// Others announce these torrents too: counts and unknown peers are not checked
    #[arg(long)]
    pub(super) others: bool,
    /// The tracker may give an announcer its own address, as opentracker does
    #[arg(long)]
    pub(super) own: bool,
    /// Doesn't let the kernel cut one buffer into many requests (UDP_SEGMENT)
    #[arg(long)]
    pub(super) no_segments: bool,
    /// Prints the torrents' info_hashes, one a line, and asks nothing: for the list of a tracker that has one
    #[arg(long)]
    pub(super) print_torrents: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

impl Load {
    /// What the generator is to do.
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
