//! Requests: the proportions of their kinds, and their bytes.

use std::str::FromStr;

use rand::RngExt;
use rand::rngs::SmallRng;
use udp_tracker_proto::{
    AnnounceRequest, BufferTooSmall, ConnectRequest, ConnectionId, Dialect, Event, Options, PeerId,
    ScrapeRequest, TransactionId,
};

use crate::check::Rules;
use crate::pending::Kind;
use crate::population::{Peer, Population};

/// The proportion of each kind of request.
///
/// Parsed from up to four numbers, for connect, announce, scrape and stop, such as `50:50:1`. Kinds that are left out
/// are not sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mix([u32; 4]);

/// A text is not a mix.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("CONNECT:ANNOUNCE:SCRAPE:STOP expected, such as 50:50:1:0, up to 1000000 each")]
pub struct ParseMixError;

impl Mix {
    pub(crate) fn pick(&self, rng: &mut SmallRng) -> Kind {
        let mut left = rng.random_range(0..self.0.iter().sum());
        for (kind, weight) in Kind::ALL.into_iter().zip(self.0) {
            if left < weight {
                return kind;
            }
            left -= weight;
        }
        Kind::Announce
    }
}

impl FromStr for Mix {
    type Err = ParseMixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut weights = [0; 4];
        let mut given = text.split(':');
        for weight in &mut weights {
            let Some(digits) = given.next() else { break };
            *weight = digits.parse().ok().filter(|weight| *weight <= 1_000_000).ok_or(ParseMixError)?;
        }
        if given.next().is_some() || weights == [0; 4] {
            return Err(ParseMixError);
        }
        Ok(Self(weights))
    }
}

/// A request without its connection_id and transaction_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) kind: Kind,
    pub(crate) peer: Peer,
}

impl Request {
    /// Bytes of a request of this kind.
    pub(crate) const fn len(kind: Kind, rules: &Rules) -> usize {
        match kind {
            Kind::Connect => ConnectRequest::LEN,
            Kind::Announce | Kind::Stop => AnnounceRequest::LEN,
            Kind::Scrape => ScrapeRequest::HEAD_LEN + 20 * rules.scrape_torrents as usize,
        }
    }

    /// Writes it into a buffer of [`Request::len`] bytes.
    pub(crate) fn encode(
        &self,
        population: &Population,
        rules: &Rules,
        (connection_id, transaction_id): (ConnectionId, TransactionId),
        out: &mut [u8],
    ) -> Result<usize, BufferTooSmall> {
        let peer = self.peer;
        match self.kind {
            Kind::Connect => ConnectRequest::new(transaction_id).encode(out),
            Kind::Scrape => {
                let hashes = rules
                    .scraped_torrents(population, peer.torrent)
                    .map(|torrent| population.info_hash(torrent).0);
                ScrapeRequest::encode_hashes(connection_id, transaction_id, hashes, out)
            }
            Kind::Announce | Kind::Stop => AnnounceRequest {
                dialect: Dialect::Bep15,
                connection_id,
                transaction_id,
                info_hash: population.info_hash(peer.torrent),
                peer_id: peer_id(peer),
                downloaded: 0,
                left: u64::from(!population.is_seeder(peer)),
                uploaded: 0,
                event: if self.kind == Kind::Stop { Event::Stopped } else { Event::None },
                ip: std::net::Ipv4Addr::UNSPECIFIED,
                key: peer.nth,
                num_want: rules.num_want,
                port: population.endpoint(peer).port,
                options: Options::NONE,
            }
            .encode(out),
        }
    }
}

/// The peer_id, different for each peer of each torrent.
fn peer_id(peer: Peer) -> PeerId {
    let mut bytes = *b"-LG0001-............";
    bytes[12..16].copy_from_slice(&peer.torrent.to_be_bytes());
    bytes[16..].copy_from_slice(&peer.nth.to_be_bytes());
    PeerId(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::rng;

    #[test]
    fn picks_in_proportion_and_refuses_other_texts() {
        let mix: Mix = "50:50:1".parse().unwrap();
        let mut rng = rng(1);
        let mut picked = [0; 4];
        for _ in 0..101_000 {
            picked[mix.pick(&mut rng) as usize] += 1;
        }
        assert!((48_000..52_000).contains(&picked[0]), "{picked:?}");
        assert!((800..1200).contains(&picked[2]), "{picked:?}");
        assert_eq!(picked[3], 0);
        for wrong in ["", "0:0", "1:2:3:4:5", "a", "-1", "1:", "4000000000"] {
            assert!(wrong.parse::<Mix>().is_err(), "{wrong}");
        }
    }
}
