//! The settings of a generator.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::str::FromStr;
use std::time::Duration;

use udp_tracker_proto::InfoHash;

use crate::population::{Population, Size};
use crate::settings_error::{MAX_SOCKETS, SettingsError};

/// The settings of a [`Generator`](crate::Generator): the tracker, the requests and the rate.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Settings {
    /// The tracker's address.
    pub tracker: SocketAddr,
    /// Addresses of this machine to send from; `None` for those of [`Sources::towards`] the tracker.
    pub sources: Option<Sources>,
    /// Sockets on each address, 1 to 1024: a tracker's kernel spreads requests over workers by address and port.
    pub sockets: u32,
    /// Torrents, 1 to 100 million.
    pub torrents: u32,
    /// Peers in all torrents together, 1 to 1 billion.
    pub peers: u32,
    /// Percentage of peers that are seeders.
    pub seeders_percent: u8,
    /// Zipf's exponent, which makes torrents unequal: the share of the n-th in peers and requests is proportional to
    /// n^-exponent. `None` makes all equal.
    pub zipf: Option<f64>,
    /// Peers wanted in each announce; -1 leaves it to the tracker.
    pub num_want: i32,
    /// Torrents in each scrape, 1 to 74.
    pub scrape_torrents: u32,
    /// How fast requests are sent.
    pub pace: Pace,
    /// Time after which a request counts as lost.
    pub timeout: Duration,
    /// The seed of all randomness: the same seed gives the same torrents and peers, and the same requests in the same
    /// order.
    pub seed: u64,
    /// Whether other clients announce these torrents too, so that counts and unknown peers are not checked.
    pub others: bool,
    /// Whether the tracker may send an announcer its own address, as opentracker does.
    pub own: bool,
    /// Whether the kernel splits one buffer into many requests (UDP_SEGMENT), where it can.
    pub segments: bool,
}

/// How fast requests are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pace {
    /// As fast as they are answered: this many requests wait for answers, 1 to 100,000. Linux's default receive buffer
    /// holds about 200 answers.
    Window(u32),
    /// This many a second, 1 to 10 million, independent of the answers.
    Rate(u32),
}

/// A range of consecutive addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sources {
    first: IpAddr,
    count: u32,
}

/// A text is not a range of addresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error(
    "an address expected, or the first and the last of at most {MAX_SOCKETS}, as in 127.0.1.1-127.0.1.16"
)]
pub struct ParseSourcesError;

impl Settings {
    /// Announces for 1000 torrents of one peer each, 128 at once, with a timeout of one second.
    #[must_use]
    pub fn new(tracker: SocketAddr) -> Self {
        Self {
            tracker,
            sources: None,
            sockets: 1,
            torrents: 1000,
            peers: 1000,
            seeders_percent: 25,
            zipf: None,
            num_want: 50,
            scrape_torrents: 1,
            pace: Pace::Window(128),
            timeout: Duration::from_secs(1),
            seed: 1,
            others: false,
            own: false,
            segments: true,
        }
    }

    /// The info_hashes of the torrents, the most popular first: for a tracker with an access list.
    ///
    /// # Errors
    /// [`SettingsError`].
    pub fn info_hashes(&self) -> Result<impl Iterator<Item = InfoHash> + use<>, SettingsError> {
        let population = self.population(self.checked_sources()?)?;
        Ok((0..population.torrents()).map(move |torrent| population.info_hash(torrent)))
    }

    pub(crate) fn population(&self, sources: Sources) -> Result<Population, SettingsError> {
        Population::new(&Size {
            seed: self.seed,
            torrents: self.torrents,
            peers: self.peers,
            sources: sources.count,
            seeders_percent: self.seeders_percent,
            zipf: self.zipf,
        })
    }

    /// The source addresses, if all settings are valid.
    pub(crate) fn checked_sources(&self) -> Result<Sources, SettingsError> {
        let (pace, most_pace) = match self.pace {
            Pace::Window(window) => (window, 100_000),
            Pace::Rate(rate) => (rate, 10_000_000),
        };
        for (name, value, least, most) in [
            ("sockets", self.sockets, 1, 1024),
            ("torrents", self.torrents, 1, 100_000_000),
            ("peers", self.peers, 1, 1_000_000_000),
            ("seeders_percent", self.seeders_percent.into(), 0, 100),
            ("scrape_torrents", self.scrape_torrents, 1, 74),
            ("pace", pace, 1, most_pace),
        ] {
            if !(least..=most).contains(&value) {
                let (value, least, most) = (value.into(), least.into(), most.into());
                return Err(SettingsError::Range { name, value, least, most });
            }
        }
        let sources = match self.sources {
            Some(sources) => sources,
            None => Sources::towards(self.tracker)
                .map_err(|error| SettingsError::Route { tracker: self.tracker, reason: error.to_string() })?,
        };
        if sources.first.is_ipv4() != self.tracker.is_ipv4() {
            return Err(SettingsError::Family { first: sources.first, tracker: self.tracker });
        }
        if sources.count.saturating_mul(self.sockets) > MAX_SOCKETS {
            return Err(SettingsError::TooManySockets { sources: sources.count, sockets: self.sockets });
        }
        Ok(sources)
    }
}

impl Pace {
    /// Slots for requests: all that may wait at once, and at least as many again. So a slot is reused late, and late
    /// answers are recognised.
    pub(crate) fn room(self, timeout: Duration) -> usize {
        let waiting = match self {
            Self::Window(window) => 4 * u128::from(window),
            Self::Rate(rate) => u128::from(rate) * timeout.as_millis() / 1000,
        };
        usize::try_from(waiting.saturating_mul(2)).unwrap_or(usize::MAX).clamp(1024, 1 << 20)
    }
}

impl Sources {
    /// For a tracker in 127.0.0.0/8 the addresses from 127.0.1.1 to 127.0.1.16; for any other tracker the address that
    /// the system sends from.
    ///
    /// # Errors
    /// The system's error, such as that there is no route.
    pub fn towards(tracker: SocketAddr) -> io::Result<Self> {
        if tracker.is_ipv4() && tracker.ip().is_loopback() {
            return Ok(Self { first: IpAddr::from([127, 0, 1, 1]), count: 16 });
        }
        let any: SocketAddr = if tracker.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
        let probe = UdpSocket::bind(any)?;
        // For UDP, this only looks up the route.
        probe.connect(tracker)?;
        Ok(Self { first: probe.local_addr()?.ip(), count: 1 })
    }

    /// The first address.
    #[must_use]
    pub fn first(self) -> IpAddr {
        self.first
    }

    /// The number of addresses, 1 to 4096.
    #[must_use]
    pub fn count(self) -> u32 {
        self.count
    }

    /// All addresses.
    pub fn iter(self) -> impl Iterator<Item = IpAddr> {
        (0..self.count).map(move |nth| match self.first {
            IpAddr::V4(first) => IpAddr::V4((first.to_bits() + nth).into()),
            IpAddr::V6(first) => IpAddr::V6((first.to_bits() + u128::from(nth)).into()),
        })
    }
}

impl FromStr for Sources {
    type Err = ParseSourcesError;

    /// An address, or the first and the last with a hyphen between them.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        let address = |text: &str| text.parse().map_err(|_| ParseSourcesError);
        let between = match (address(first)?, address(last)?) {
            (IpAddr::V4(first), IpAddr::V4(last)) => {
                last.to_bits().checked_sub(first.to_bits()).map(u128::from)
            }
            (IpAddr::V6(first), IpAddr::V6(last)) => last.to_bits().checked_sub(first.to_bits()),
            _ => None,
        };
        let between = between.and_then(|between| u32::try_from(between).ok());
        let between = between.filter(|between| *between < MAX_SOCKETS).ok_or(ParseSourcesError)?;
        Ok(Self { first: address(first)?, count: between + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_addresses_and_ranges() {
        let sources: Sources = "127.0.0.255-127.0.1.1".parse().unwrap();
        let expected = ["127.0.0.255", "127.0.1.0", "127.0.1.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        assert!(sources.iter().eq(expected));
        assert_eq!("::1".parse(), Ok(Sources { first: "::1".parse().unwrap(), count: 1 }));
        for wrong in ["", "-", "127.0.0.2-127.0.0.1", "127.0.0.1-::1", "10.0.0.0-10.0.16.0", "::-::1000"] {
            assert!(wrong.parse::<Sources>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn refuses_numbers_out_of_range() {
        let right = Settings::new("127.0.0.1:1".parse().unwrap());
        assert!(right.checked_sources().is_ok());
        for (name, wrong) in [
            ("torrents", Settings { torrents: 0, ..right.clone() }),
            ("peers", Settings { peers: 0, ..right.clone() }),
            ("seeders_percent", Settings { seeders_percent: 101, ..right.clone() }),
            ("scrape_torrents", Settings { scrape_torrents: 75, ..right.clone() }),
            ("sockets", Settings { sockets: 0, ..right.clone() }),
            ("pace", Settings { pace: Pace::Window(0), ..right.clone() }),
            ("pace", Settings { pace: Pace::Rate(0), ..right.clone() }),
        ] {
            let error = wrong.checked_sources().unwrap_err().to_string();
            assert!(error.starts_with(&format!("{name} is ")), "{error}");
        }
    }

    #[test]
    fn refuses_sources_of_another_family_and_too_many_sockets() {
        let right = Settings::new("127.0.0.1:1".parse().unwrap());
        let other = Settings { sources: "::1".parse().ok(), ..right.clone() };
        assert!(matches!(other.checked_sources(), Err(SettingsError::Family { .. })));
        let many = Settings { sockets: 257, ..right };
        assert_eq!(many.checked_sources(), Err(SettingsError::TooManySockets { sources: 16, sockets: 257 }));
    }
}
