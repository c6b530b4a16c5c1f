//! Whether an answer is right.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use udp_tracker_proto::{
    AnnounceResponse, ConnectResponse, ConnectionId, Counts, DecodeError, Dialect, ErrorResponse,
    ResponseHead, ScrapeResponse, compact,
};

use super::pending::{Asked, Kind};
use super::population::{Endpoint, Population};

/// What is wrong with an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub(super) enum Wrong {
    #[error("it came from {0}, who was not asked")]
    Source(SocketAddr),
    #[error("it is too long to be read")]
    TooLong,
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    #[error("nothing with its transaction_id {0:08x} waits for an answer here")]
    Transaction(u32),
    #[error("the tracker refuses: {0}")]
    Refused(String),
    #[error("it has action {got}")]
    Action { got: u32 },
    #[error("it has {extra} octets too many")]
    Extra { extra: usize },
    #[error("an interval of 0 seconds")]
    Interval,
    #[error("{given} peers, and {wanted} were wanted")]
    TooManyPeers { given: usize, wanted: i32 },
    #[error("{given} peers, and {due} others are in the swarm, were wanted, and have fitted before")]
    TooFewPeers { given: usize, due: usize },
    #[error("it gives the announcer itself, {0}")]
    Announcer(SocketAddr),
    #[error("it gives {0} twice")]
    Twice(SocketAddr),
    #[error("it gives {0}, which has not announced this torrent")]
    Stranger(SocketAddr),
    #[error("{given} peers of {leechers} leechers and {seeders} seeders")]
    MoreThanCounted { given: usize, leechers: u32, seeders: u32 },
    #[error("{leechers} leechers and {seeders} seeders in a swarm of {expected} at most")]
    Counts { leechers: u32, seeders: u32, expected: u32 },
}

/// A wrong answer, shown with what it answers and all its octets.
#[derive(Debug)]
pub(super) struct WrongAnswer {
    pub(super) wrong: Wrong,
    pub(super) asked: Option<Asked>,
    pub(super) datagram: Vec<u8>,
}

/// What a right answer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Told {
    ConnectionId(ConnectionId),
    Peers(usize),
    Counts,
}

/// What all answers are measured by.
pub(super) struct Rules {
    /// Peers wanted, in all announces.
    pub(super) num_want: i32,
    /// Torrents in a scrape.
    pub(super) scrape_torrents: u32,
    /// The first of the addresses that announce, and how many follow it.
    pub(super) first_source: IpAddr,
    pub(super) sources: u32,
    /// Whether nobody else announces these torrents, so that counts and peers can be held against the population.
    pub(super) alone: bool,
    /// Whether announcers may be given themselves.
    pub(super) own: bool,
    /// Whether the counts must be those of all peers: after a fill.
    pub(super) complete: bool,
    /// The most peers that were ever given: a tracker that limits them says so by this.
    pub(super) most_given: Cell<usize>,
}

impl Rules {
    /// Holds a datagram against what was asked.
    pub(super) fn judge(
        &self,
        population: &Population,
        asked: &Asked,
        datagram: &[u8],
    ) -> Result<Told, Wrong> {
        let head = ResponseHead::decode(datagram)?;
        match (asked.kind, head.action) {
            (_, 3) => Err(Wrong::Refused(
                ErrorResponse::decode(datagram)
                    .map_or_else(|error| error.to_string(), |error| error.text().to_string()),
            )),
            (Kind::Connect, 0) => {
                let response = ConnectResponse::decode(datagram)?;
                match datagram.len() - ConnectResponse::LEN {
                    0 | compact::V4 => Ok(Told::ConnectionId(response.connection_id)),
                    extra => Err(Wrong::Extra { extra }),
                }
            }
            (Kind::Announce | Kind::Stop, 1) => match self.first_source {
                IpAddr::V4(_) => self.announced::<{ compact::V4 }>(population, asked, datagram),
                IpAddr::V6(_) => self.announced::<{ compact::V6 }>(population, asked, datagram),
            },
            (Kind::Scrape, 2) => self.scraped(population, asked, datagram),
            (_, got) => Err(Wrong::Action { got }),
        }
    }

    fn announced<const N: usize>(
        &self,
        population: &Population,
        asked: &Asked,
        datagram: &[u8],
    ) -> Result<Told, Wrong> {
        let AnnounceResponse { head, peers } = AnnounceResponse::<N>::decode_as(Dialect::Bep15, datagram)?;
        if head.interval == 0 {
            return Err(Wrong::Interval);
        }
        let given = peers.len();
        if usize::try_from(self.num_want).is_ok_and(|wanted| given > wanted) {
            return Err(Wrong::TooManyPeers { given, wanted: self.num_want });
        }
        let Counts { leechers, seeders } = head.counts.unwrap_or_default();
        self.plausible(population, asked.peer.torrent, leechers, seeders)?;
        if given as u64 > u64::from(leechers) + u64::from(seeders) {
            return Err(Wrong::MoreThanCounted { given, leechers, seeders });
        }
        // The numbers of the peers that were given already, as far as they are below 256.
        let mut seen = [0_u64; 4];
        for peer in peers {
            let nth = self.nth(population, asked.peer.torrent, peer);
            if nth == Some(asked.peer.nth) && !self.own {
                return Err(Wrong::Announcer(address(peer)));
            }
            match nth {
                None if self.alone => return Err(Wrong::Stranger(address(peer))),
                Some(nth @ 0..256) => {
                    let (word, bit) = (nth as usize / 64, 1 << (nth % 64));
                    if seen[word] & bit != 0 {
                        return Err(Wrong::Twice(address(peer)));
                    }
                    seen[word] |= bit;
                }
                _ => {}
            }
        }
        self.most_given.set(self.most_given.get().max(given));
        // Seeders need no seeders, and nobody who stops needs anybody.
        if self.alone && asked.kind == Kind::Announce && !population.is_seeder(asked.peer) {
            let others =
                usize::try_from(leechers.saturating_add(seeders).saturating_sub(1)).unwrap_or(usize::MAX);
            let wanted = usize::try_from(self.num_want).unwrap_or(usize::MAX);
            // aquatic gives an even number, unless it gives all.
            let due = others.min(wanted).min(self.most_given.get()) & !1;
            if given < due {
                return Err(Wrong::TooFewPeers { given, due });
            }
        }
        Ok(Told::Peers(given))
    }

    fn scraped(&self, population: &Population, asked: &Asked, datagram: &[u8]) -> Result<Told, Wrong> {
        let response = ScrapeResponse::decode(datagram, self.scrape_torrents as usize)?;
        if response.dialect != Dialect::Bep15 {
            let (got, asked) = (datagram.len(), self.scrape_torrents as usize);
            return Err(DecodeError::ScrapeLength { asked, got }.into());
        }
        for (torrent, (_, entry)) in
            self.scraped_torrents(population, asked.peer.torrent).zip(response.entries())
        {
            self.plausible(population, torrent, entry.leechers, entry.seeders)?;
        }
        Ok(Told::Counts)
    }

    /// The torrents of a scrape that begins with `first`.
    pub(super) fn scraped_torrents(
        &self,
        population: &Population,
        first: u32,
    ) -> impl ExactSizeIterator<Item = u32> + use<> {
        let torrents = population.torrents();
        (0..self.scrape_torrents).map(move |nth| first.wrapping_add(nth) % torrents)
    }

    fn plausible(
        &self,
        population: &Population,
        torrent: u32,
        leechers: u32,
        seeders: u32,
    ) -> Result<(), Wrong> {
        let expected = population.swarm_len(torrent);
        let counted = u64::from(leechers) + u64::from(seeders);
        let too_many = self.alone && counted > u64::from(expected);
        if too_many || self.complete && counted != u64::from(expected) {
            return Err(Wrong::Counts { leechers, seeders, expected });
        }
        Ok(())
    }

    /// Which peer of the torrent has this address and port.
    fn nth<const N: usize>(&self, population: &Population, torrent: u32, peer: &[u8; N]) -> Option<u32> {
        let (ip, [high, low]) = peer.split_last_chunk()?;
        let port = u16::from_be_bytes([*high, *low]);
        let source = number_of(self.first_source, ip).filter(|source| *source < self.sources)?;
        population.nth_at(torrent, Endpoint { source, port })
    }
}

/// How many addresses lie between the first one and that with these octets.
fn number_of(first: IpAddr, octets: &[u8]) -> Option<u32> {
    match first {
        IpAddr::V4(first) => {
            let bits = u32::from_be_bytes(octets.try_into().ok()?);
            bits.checked_sub(first.to_bits())
        }
        IpAddr::V6(first) => {
            let bits = u128::from_be_bytes(octets.try_into().ok()?);
            bits.checked_sub(first.to_bits()).and_then(|number| u32::try_from(number).ok())
        }
    }
}

fn address<const N: usize>(peer: &[u8; N]) -> SocketAddr {
    let none = SocketAddr::from(([0, 0, 0, 0], 0));
    if let Ok(v4) = <[u8; compact::V4]>::try_from(&peer[..]) {
        return compact::to_v4(v4).into();
    }
    <[u8; compact::V6]>::try_from(&peer[..]).map_or(none, |v6| compact::to_v6(v6).into())
}

impl fmt::Display for WrongAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a wrong answer")?;
        if let Some(asked) = self.asked {
            write!(f, " to a {} of torrent {}", asked.kind.name(), asked.peer.torrent)?;
        }
        write!(f, ": {}; all its octets: ", self.wrong)?;
        self.datagram.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}

impl std::error::Error for WrongAnswer {}

#[cfg(test)]
mod tests {
    use super::super::population::{Peer, Size};
    use super::*;

    fn rules() -> Rules {
        Rules {
            num_want: 2,
            scrape_torrents: 1,
            first_source: IpAddr::V4(std::net::Ipv4Addr::new(127, 0, 1, 1)),
            sources: 2,
            alone: true,
            own: false,
            complete: false,
            most_given: Cell::new(0),
        }
    }

    fn population() -> Population {
        let size = Size { seed: 1, torrents: 2, peers: 8, sources: 2, seeders_percent: 0, zipf: None };
        Population::new(&size).unwrap()
    }

    /// The compact form of a torrent's n-th peer.
    fn peer(torrent: u32, nth: u32) -> [u8; 6] {
        let Endpoint { source, port } = population().endpoint(Peer { torrent, nth });
        let [high, low] = port.to_be_bytes();
        [127, 0, 1, u8::try_from(1 + source).unwrap(), high, low]
    }

    fn announced(rules: &Rules, counts: [u8; 2], peers: &[[u8; 6]]) -> Result<Told, Wrong> {
        let asked =
            Asked { kind: Kind::Announce, socket: 0, tries: 0, peer: Peer { torrent: 1, nth: 0 }, at: 0 };
        let head = [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 7, 8, 0, 0, 0, counts[0], 0, 0, 0, counts[1]];
        let datagram = [&head, peers.as_flattened()].concat();
        rules.judge(&population(), &asked, &datagram)
    }

    #[test]
    fn peers() {
        let (one, two, three) = (peer(1, 1), peer(1, 2), peer(1, 3));
        assert_eq!(announced(&rules(), [2, 2], &[one, two]), Ok(Told::Peers(2)));
        assert_eq!(announced(&rules(), [0, 0], &[]), Ok(Told::Peers(0)));
        let wrong = |counts, peers: &[[u8; 6]]| announced(&rules(), counts, peers).unwrap_err();
        assert_eq!(wrong([2, 2], &[one, two, three]), Wrong::TooManyPeers { given: 3, wanted: 2 });
        assert_eq!(wrong([2, 2], &[peer(1, 0)]), Wrong::Announcer(address(&peer(1, 0))));
        assert_eq!(wrong([2, 2], &[one, one]), Wrong::Twice(address(&one)));
        assert_eq!(wrong([2, 2], &[peer(0, 1)]), Wrong::Stranger(address(&peer(0, 1))));
        let foreign = [192, 0, 2, 1, 1, 1];
        assert_eq!(wrong([2, 2], &[foreign]), Wrong::Stranger("192.0.2.1:257".parse().unwrap()));
        assert_eq!(wrong([3, 2], &[]), Wrong::Counts { leechers: 3, seeders: 2, expected: 4 });
        assert_eq!(wrong([1, 0], &[one, two]), Wrong::MoreThanCounted { given: 2, leechers: 1, seeders: 0 });
        let among_others = Rules { alone: false, ..rules() };
        assert_eq!(announced(&among_others, [200, 9], &[foreign]), Ok(Told::Peers(1)));
        let own = Rules { own: true, ..rules() };
        assert_eq!(announced(&own, [2, 2], &[peer(1, 0)]), Ok(Told::Peers(1)));
        let complete = Rules { complete: true, ..rules() };
        assert_eq!(
            announced(&complete, [2, 1], &[]),
            Err(Wrong::Counts { leechers: 2, seeders: 1, expected: 4 })
        );
    }

    #[test]
    fn as_few_peers_as_the_tracker_can_give() {
        let (one, two) = (peer(1, 1), peer(1, 2));
        let rules = rules();
        // It may be that this tracker gives one at most, or none.
        assert_eq!(announced(&rules, [2, 2], &[]), Ok(Told::Peers(0)));
        assert_eq!(announced(&rules, [2, 2], &[one]), Ok(Told::Peers(1)));
        assert_eq!(announced(&rules, [2, 2], &[one, two]), Ok(Told::Peers(2)));
        assert_eq!(announced(&rules, [2, 2], &[one]), Err(Wrong::TooFewPeers { given: 1, due: 2 }));
        assert_eq!(announced(&rules, [2, 2], &[]), Err(Wrong::TooFewPeers { given: 0, due: 2 }));
        assert_eq!(announced(&rules, [1, 0], &[]), Ok(Told::Peers(0)));
    }

    #[test]
    fn shows_everything() {
        let asked =
            Asked { kind: Kind::Scrape, socket: 0, tries: 0, peer: Peer { torrent: 5, nth: 0 }, at: 0 };
        let wrong =
            WrongAnswer { wrong: Wrong::Action { got: 1 }, asked: Some(asked), datagram: vec![0, 0xab] };
        assert_eq!(
            wrong.to_string(),
            "a wrong answer to a scrape of torrent 5: it has action 1; all its octets: 00ab"
        );
    }
}
