//! The command line of `load`.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::str::FromStr;
use std::time::Duration;
use std::{error, io};

use clap::Args;
use clap::value_parser as between;
use udp_tracker_proto::TrackerUrl;

use super::question::Mix;

/// Sources and sockets that one generator opens at most.
const MAX_SOCKETS: u32 = 4096;

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
    /// Same seed, same torrents, peers and requests
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub(super) seed: u64,
    /// Instead of a mix for some seconds: every peer announces once, and again if that was lost
    #[arg(long, conflicts_with_all = ["seconds", "warm_up", "mix"])]
    pub(super) fill: bool,
    /// After the fill: scrapes all torrents, whose counts must be those of all peers
    #[arg(long, requires = "fill")]
    pub(super) verify: bool,
    /// Others announce these torrents too: counts and unknown peers are taken as they come
    #[arg(long)]
    pub(super) others: bool,
    /// Lets the tracker give an announcer to itself, as opentracker does
    #[arg(long)]
    pub(super) own: bool,
    /// Sends each datagram for itself, for a network that doesn't know UDP_SEGMENT
    #[arg(long)]
    pub(super) no_segments: bool,
    /// Prints the torrents' info_hashes, one a line, and asks nothing: for the list of a tracker that has one
    #[arg(long)]
    pub(super) print_torrents: bool,
    /// Prints JSON
    #[arg(long)]
    pub(super) json: bool,
}

/// Addresses that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Sources {
    pub(super) first: IpAddr,
    pub(super) count: u32,
}

impl Load {
    pub(super) fn peers(&self) -> u32 {
        self.peers.unwrap_or(self.torrents)
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout)
    }

    /// The tracker's address.
    pub(super) fn tracker(&self) -> Result<SocketAddr, Box<dyn error::Error>> {
        let url = TrackerUrl::parse(&self.url).map_err(|error| format!("{}: {error}", self.url))?;
        let host = url.host.to_string();
        let name = host.trim_start_matches('[').trim_end_matches(']');
        let mut found =
            (name, url.port).to_socket_addrs().map_err(|error| format!("no such host: {host} ({error})"))?;
        Ok(found.next().ok_or_else(|| format!("no such host: {host}"))?)
    }

    /// The addresses to send from.
    pub(super) fn sources(&self, tracker: SocketAddr) -> Result<Sources, Box<dyn error::Error>> {
        let sources = match (self.sources, tracker.ip()) {
            (Some(given), _) => given,
            (None, IpAddr::V4(ip)) if ip.is_loopback() => "127.0.1.1-127.0.1.16".parse()?,
            _ => Sources { first: local_address(tracker)?, count: 1 },
        };
        if sources.first.is_ipv4() != tracker.is_ipv4() {
            return Err(format!("--sources {}: the tracker is {tracker}", sources.first).into());
        }
        if sources.count.saturating_mul(self.sockets) > MAX_SOCKETS {
            return Err(format!("--sources, --sockets: at most {MAX_SOCKETS} together expected").into());
        }
        Ok(sources)
    }
}

impl FromStr for Sources {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str =
            "an address expected, or the first and the last of at most 4096, as in 127.0.1.1-127.0.1.16";
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let (first, last) = (first.parse().map_err(|_| EXPECTED)?, last.parse().map_err(|_| EXPECTED)?);
        let between = match (first, last) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                last.to_bits().checked_sub(first.to_bits()).map(u128::from)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().checked_sub(first.to_bits()),
            _ => None,
        };
        let between = between.filter(|between| *between < u128::from(MAX_SOCKETS)).ok_or(EXPECTED)?;
        Ok(Self { first, count: u32::try_from(between).unwrap_or_default() + 1 })
    }
}

impl Sources {
    pub(super) fn iter(self) -> impl Iterator<Item = IpAddr> {
        (0..self.count).map(move |nth| match self.first {
            IpAddr::V4(first) => IpAddr::V4((first.to_bits() + nth).into()),
            IpAddr::V6(first) => IpAddr::V6((first.to_bits() + u128::from(nth)).into()),
        })
    }
}

/// The address that the system sends from, to there.
fn local_address(to: SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let probe = UdpSocket::bind(any)?;
    // Of UDP this only looks up the route.
    probe.connect(to)?;
    Ok(probe.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        let sources: Sources = "127.0.0.255-127.0.1.1".parse().unwrap();
        let expected = ["127.0.0.255", "127.0.1.0", "127.0.1.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert!(sources.iter().eq(expected));
        assert_eq!("::1".parse(), Ok(Sources { first: "::1".parse().unwrap(), count: 1 }));
        for wrong in ["", "-", "127.0.0.2-127.0.0.1", "127.0.0.1-::1", "10.0.0.0-10.0.16.0", "::-::1000"] {
            assert!(wrong.parse::<Sources>().is_err(), "{wrong}");
        }
    }
}
