//! Checks whether an answer is right.

use std::cell::Cell;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use udp_tracker_proto::{
    AnnounceResponse, ConnectResponse, ConnectionId, Counts, DecodeError, Dialect, ErrorResponse,
    ResponseHead, ScrapeResponse, compact,
};

use crate::pending::{Kind, Waiting};
use crate::population::{Endpoint, Population};

/// The fault of an answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Wrong {
    /// It came from another address than the tracker's.
    #[error("it came from {0}, which is not the tracker's address")]
    Source(SocketAddr),
    /// It is longer than the receive buffer.
    #[error("it is too long to be received whole")]
    TooLong,
    /// It cannot be decoded.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// No request with its transaction_id waits for an answer at this socket.
    #[error("no request with its transaction_id {0:08x} waits for an answer here")]
    Transaction(u32),
    /// The tracker replied with this error.
    #[error("the tracker refuses: {0}")]
    Refused(String),
    /// It has another action than its request.
    #[error("it has action {got}")]
    Action {
        /// The action.
        got: u32,
    },
    /// Bytes follow the last field.
    #[error("it is {extra} bytes too long")]
    Extra {
        /// How many.
        extra: usize,
    },
    /// An interval of 0 seconds.
    #[error("an interval of 0 seconds")]
    Interval,
    /// More peers than were wanted.
    #[error("{given} peers, and {wanted} were wanted")]
    TooManyPeers {
        /// Peers in the answer.
        given: usize,
        /// The request's num_want.
        wanted: i32,
    },
    /// Fewer peers than wanted and available, although an earlier answer had that many.
    #[error(
        "{given} peers, although {due} others are in the swarm, were wanted, and fitted into an earlier answer"
    )]
    TooFewPeers {
        /// Peers in the answer.
        given: usize,
        /// Peers that were expected.
        due: usize,
    },
    /// The peers include the announcer.
    #[error("the announcer itself, {0}, is among the peers")]
    Announcer(SocketAddr),
    /// A peer occurs twice.
    #[error("the peer {0} is given twice")]
    Twice(SocketAddr),
    /// A peer that has not announced this torrent.
    #[error("the peer {0} has not announced this torrent")]
    UnknownPeer(SocketAddr),
    /// More peers than the counts allow.
    #[error("{given} peers of {leechers} leechers and {seeders} seeders")]
    MoreThanCounted {
        /// Peers in the answer.
        given: usize,
        /// Leechers by the answer.
        leechers: u32,
        /// Seeders by the answer.
        seeders: u32,
    },
    /// Counts that are impossible for the swarm.
    #[error("{leechers} leechers and {seeders} seeders in a swarm of {expected} at most")]
    Counts {
        /// Leechers by the answer.
        leechers: u32,
        /// Seeders by the answer.
        seeders: u32,
        /// Peers of the swarm if all have announced.
        expected: u32,
    },
}

/// A wrong answer, with its request and all its bytes.
#[derive(Debug)]
#[non_exhaustive]
pub struct WrongAnswer {
    /// The fault.
    pub wrong: Wrong,
    /// The answer's bytes; empty if it was too long to be received completely.
    pub datagram: Vec<u8>,
    /// The request that it answers, if that is known.
    pub(crate) request: Option<Waiting>,
}

/// The content of a right answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    ConnectionId(ConnectionId),
    Peers(usize),
    Counts,
}

/// The settings for checking all answers.
pub(crate) struct Rules {
    /// Peers wanted, in all announces.
    pub(crate) num_want: i32,
    /// Torrents in a scrape.
    pub(crate) scrape_torrents: u32,
    /// The first source address, and the number of addresses.
    pub(crate) first_source: IpAddr,
    pub(crate) sources: u32,
    /// Whether only the generator announces these torrents, so that counts and peers can be compared with the population.
    pub(crate) alone: bool,
    /// Whether an announcer's own address may be among its peers.
    pub(crate) own: bool,
    /// Whether the counts must match all peers: after a fill.
    pub(crate) complete: bool,
    /// The most peers in an answer so far, which shows the tracker's limit.
    pub(crate) most_given: Cell<usize>,
}

impl Rules {
    /// Compares an answer with its request.
    pub(crate) fn check(
        &self,
        population: &Population,
        request: &Waiting,
        datagram: &[u8],
    ) -> Result<Content, Wrong> {
        let head = ResponseHead::decode(datagram)?;
        match (request.kind, head.action) {
            (_, 3) => Err(Wrong::Refused(
                ErrorResponse::decode(datagram)
                    .map_or_else(|error| error.to_string(), |error| error.text().to_string()),
            )),
            (Kind::Connect, 0) => {
                let response = ConnectResponse::decode(datagram)?;
                match datagram.len() - ConnectResponse::LEN {
                    0 | compact::V4 => Ok(Content::ConnectionId(response.connection_id)),
                    extra => Err(Wrong::Extra { extra }),
                }
            }
            (Kind::Announce | Kind::Stop, 1) => match self.first_source {
                IpAddr::V4(_) => self.announced::<{ compact::V4 }>(population, request, datagram),
                IpAddr::V6(_) => self.announced::<{ compact::V6 }>(population, request, datagram),
            },
            (Kind::Scrape, 2) => self.scraped(population, request, datagram),
            (_, got) => Err(Wrong::Action { got }),
        }
    }

    fn announced<const N: usize>(
        &self,
        population: &Population,
        request: &Waiting,
        datagram: &[u8],
    ) -> Result<Content, Wrong> {
        let AnnounceResponse { head, peers } = AnnounceResponse::<N>::decode_as(Dialect::Bep15, datagram)?;
        if head.interval == 0 {
            return Err(Wrong::Interval);
        }
        let given = peers.len();
        if usize::try_from(self.num_want).is_ok_and(|wanted| given > wanted) {
            return Err(Wrong::TooManyPeers { given, wanted: self.num_want });
        }
        let Counts { leechers, seeders } = head.counts.unwrap_or_default();
        self.plausible(population, request.peer.torrent, leechers, seeders)?;
        if given as u64 > u64::from(leechers) + u64::from(seeders) {
            return Err(Wrong::MoreThanCounted { given, leechers, seeders });
        }
        // The numbers of the peers found in this answer so far, if they are below 256.
        let mut seen = [0_u64; 4];
        for peer in peers {
            let nth = self.nth(population, request.peer.torrent, peer);
            if nth == Some(request.peer.nth) && !self.own {
                return Err(Wrong::Announcer(address(peer)));
            }
            match nth {
                None if self.alone => return Err(Wrong::UnknownPeer(address(peer))),
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
        // Trackers may send a seeder no seeders, and a stopping peer no peers.
        if self.alone && request.kind == Kind::Announce && !population.is_seeder(request.peer) {
            let others =
                usize::try_from(leechers.saturating_add(seeders).saturating_sub(1)).unwrap_or(usize::MAX);
            let wanted = usize::try_from(self.num_want).unwrap_or(usize::MAX);
            // aquatic sends an even number of peers, unless it sends all.
            let due = others.min(wanted).min(self.most_given.get()) & !1;
            if given < due {
                return Err(Wrong::TooFewPeers { given, due });
            }
        }
        Ok(Content::Peers(given))
    }

    fn scraped(&self, population: &Population, request: &Waiting, datagram: &[u8]) -> Result<Content, Wrong> {
        let response = ScrapeResponse::decode(datagram, self.scrape_torrents as usize)?;
        if response.dialect != Dialect::Bep15 {
            let (got, asked) = (datagram.len(), self.scrape_torrents as usize);
            return Err(DecodeError::ScrapeLength { asked, got }.into());
        }
        for (torrent, (_, entry)) in
            self.scraped_torrents(population, request.peer.torrent).zip(response.entries())
        {
            self.plausible(population, torrent, entry.leechers, entry.seeders)?;
        }
        Ok(Content::Counts)
    }

    /// The torrents of a scrape that begins with `first`.
    pub(crate) fn scraped_torrents(
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

    /// The peer of the torrent with this address and port.
    fn nth<const N: usize>(&self, population: &Population, torrent: u32, peer: &[u8; N]) -> Option<u32> {
        let (ip, [high, low]) = peer.split_last_chunk()?;
        let port = u16::from_be_bytes([*high, *low]);
        let source = number_of(self.first_source, ip).filter(|source| *source < self.sources)?;
        population.nth_at(torrent, Endpoint { source, port })
    }
}

/// The distance of the address with these bytes from the first address.
fn number_of(first: IpAddr, bytes: &[u8]) -> Option<u32> {
    match first {
        IpAddr::V4(first) => {
            let bits = u32::from_be_bytes(bytes.try_into().ok()?);
            bits.checked_sub(first.to_bits())
        }
        IpAddr::V6(first) => {
            let bits = u128::from_be_bytes(bytes.try_into().ok()?);
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
        if let Some(request) = self.request {
            write!(f, " to a {} of torrent {}", request.kind.name(), request.peer.torrent)?;
        }
        write!(f, ": {}; all its bytes: ", self.wrong)?;
        self.datagram.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl std::error::Error for WrongAnswer {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::{Peer, Size};

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

    fn announced(rules: &Rules, counts: [u8; 2], peers: &[[u8; 6]]) -> Result<Content, Wrong> {
        let request =
            Waiting { kind: Kind::Announce, socket: 0, tries: 0, peer: Peer { torrent: 1, nth: 0 }, at: 0 };
        let head = [0, 0, 0, 1, 0, 0, 0, 9, 0, 0, 7, 8, 0, 0, 0, counts[0], 0, 0, 0, counts[1]];
        let datagram = [&head, peers.as_flattened()].concat();
        rules.check(&population(), &request, &datagram)
    }

    #[test]
    fn impossible_peers_are_wrong() {
        let (one, two, three) = (peer(1, 1), peer(1, 2), peer(1, 3));
        assert_eq!(announced(&rules(), [2, 2], &[one, two]), Ok(Content::Peers(2)));
        assert_eq!(announced(&rules(), [0, 0], &[]), Ok(Content::Peers(0)));
        let wrong = |counts, peers: &[[u8; 6]]| announced(&rules(), counts, peers).unwrap_err();
        assert_eq!(wrong([2, 2], &[one, two, three]), Wrong::TooManyPeers { given: 3, wanted: 2 });
        assert_eq!(wrong([2, 2], &[peer(1, 0)]), Wrong::Announcer(address(&peer(1, 0))));
        assert_eq!(wrong([2, 2], &[one, one]), Wrong::Twice(address(&one)));
        assert_eq!(wrong([2, 2], &[peer(0, 1)]), Wrong::UnknownPeer(address(&peer(0, 1))));
        let foreign = [192, 0, 2, 1, 1, 1];
        assert_eq!(wrong([2, 2], &[foreign]), Wrong::UnknownPeer("192.0.2.1:257".parse().unwrap()));
        assert_eq!(wrong([3, 2], &[]), Wrong::Counts { leechers: 3, seeders: 2, expected: 4 });
        assert_eq!(wrong([1, 0], &[one, two]), Wrong::MoreThanCounted { given: 2, leechers: 1, seeders: 0 });
        let among_others = Rules { alone: false, ..rules() };
        assert_eq!(announced(&among_others, [200, 9], &[foreign]), Ok(Content::Peers(1)));
        let own = Rules { own: true, ..rules() };
        assert_eq!(announced(&own, [2, 2], &[peer(1, 0)]), Ok(Content::Peers(1)));
        let complete = Rules { complete: true, ..rules() };
        assert_eq!(
            announced(&complete, [2, 1], &[]),
            Err(Wrong::Counts { leechers: 2, seeders: 1, expected: 4 })
        );
    }

    #[test]
    fn fewer_peers_than_in_an_earlier_answer_are_wrong() {
        let (one, two) = (peer(1, 1), peer(1, 2));
        let rules = rules();
        // The tracker may send at most one peer, or none.
        assert_eq!(announced(&rules, [2, 2], &[]), Ok(Content::Peers(0)));
        assert_eq!(announced(&rules, [2, 2], &[one]), Ok(Content::Peers(1)));
        assert_eq!(announced(&rules, [2, 2], &[one, two]), Ok(Content::Peers(2)));
        assert_eq!(announced(&rules, [2, 2], &[one]), Err(Wrong::TooFewPeers { given: 1, due: 2 }));
        assert_eq!(announced(&rules, [2, 2], &[]), Err(Wrong::TooFewPeers { given: 0, due: 2 }));
        assert_eq!(announced(&rules, [1, 0], &[]), Ok(Content::Peers(0)));
    }

    #[test]
    fn shows_the_request_the_reason_and_all_bytes() {
        let request =
            Waiting { kind: Kind::Scrape, socket: 0, tries: 0, peer: Peer { torrent: 5, nth: 0 }, at: 0 };
        let wrong =
            WrongAnswer { wrong: Wrong::Action { got: 1 }, request: Some(request), datagram: vec![0, 0xab] };
        assert_eq!(
            wrong.to_string(),
            "a wrong answer to a scrape of torrent 5: it has action 1; all its bytes: 00ab"
        );
    }
}
