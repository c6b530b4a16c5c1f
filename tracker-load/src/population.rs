//! The torrents and their peers, computed from their numbers instead of stored.

use rand::distr::Distribution;
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;
use udp_tracker_proto::InfoHash;

use crate::settings_error::SettingsError;

/// The first port that peers announce: above the well-known ports, which trackers may refuse.
const FIRST_PORT: u32 = 1024;
const PORTS: u32 = 65_536 - FIRST_PORT;

/// One peer of one torrent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) torrent: u32,
    /// Its number in the torrent's swarm, from 0.
    pub(crate) nth: u32,
}

/// The source address and the port that a peer announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// The number of the source address.
    pub(crate) source: u32,
    pub(crate) port: u16,
}

/// Torrents and peers; the same for the same numbers.
pub(crate) struct Population {
    seed: u64,
    torrents: u32,
    peers: u32,
    sources: u32,
    seeders_percent: u64,
    popularity: Option<Popularity>,
}

/// Zipf's law: the n-th torrent's share of the peers is proportional to `n^-exponent`.
struct Popularity {
    exponent: f64,
    law: Zipf<f64>,
    /// Peers of a torrent with share 1.
    scale: f64,
}

/// The parameters of a population.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Size {
    pub(crate) seed: u64,
    pub(crate) torrents: u32,
    /// In all torrents together.
    pub(crate) peers: u32,
    /// Number of source addresses.
    pub(crate) sources: u32,
    /// Percentage of peers that are seeders.
    pub(crate) seeders_percent: u8,
    /// Zipf's exponent; without one, all torrents are equal.
    pub(crate) zipf: Option<f64>,
}

impl Population {
    /// A population of at least one torrent, peer and source.
    pub(crate) fn new(size: &Size) -> Result<Self, SettingsError> {
        let popularity = size.zipf.map(|exponent| Popularity::new(exponent, size)).transpose()?;
        let Size { seed, torrents, peers, sources, .. } = *size;
        let seeders_percent = size.seeders_percent.into();
        // Mixed, so that neighbouring seeds have no torrents in common.
        let population = Self { seed: mix(seed), torrents, peers, sources, seeders_percent, popularity };
        let (wanted, room) = (population.swarm_len(0), population.places());
        if wanted > room {
            return Err(SettingsError::TooFewPorts { wanted, sources, room });
        }
        Ok(population)
    }

    pub(crate) fn torrents(&self) -> u32 {
        self.torrents
    }

    pub(crate) fn info_hash(&self, torrent: u32) -> InfoHash {
        let mut bytes = [0; 20];
        for (lane, part) in (0..).zip(bytes.chunks_mut(8)) {
            let random = mix(self.seed ^ lane << 32 ^ u64::from(torrent)).to_be_bytes();
            part.copy_from_slice(&random[..part.len()]);
        }
        InfoHash(bytes)
    }

    /// Peers of a torrent, if all have announced. Never more than those of the previous torrent.
    pub(crate) fn swarm_len(&self, torrent: u32) -> u32 {
        match &self.popularity {
            None => self.peers / self.torrents + u32::from(torrent < self.peers % self.torrents),
            Some(popularity) => popularity.swarm_len(torrent),
        }
    }

    /// A random peer; one of a popular torrent is more likely.
    pub(crate) fn pick(&self, rng: &mut SmallRng) -> Peer {
        match &self.popularity {
            None => {
                let peer = rng.random_range(0..self.peers);
                Peer { torrent: peer % self.torrents, nth: peer / self.torrents }
            }
            Some(popularity) => {
                let torrent = popularity.pick(rng);
                Peer { torrent, nth: rng.random_range(0..popularity.swarm_len(torrent)) }
            }
        }
    }

    pub(crate) fn endpoint(&self, peer: Peer) -> Endpoint {
        let place =
            (u64::from(peer.nth) + u64::from(self.first_place(peer.torrent))) % u64::from(self.places());
        let place = u32::try_from(place).unwrap_or_default();
        let port = u16::try_from(FIRST_PORT + place / self.sources).unwrap_or(u16::MAX);
        Endpoint { source: place % self.sources, port }
    }

    /// The peer of a torrent with this address and port, if there is one.
    pub(crate) fn nth_at(&self, torrent: u32, endpoint: Endpoint) -> Option<u32> {
        let row = u32::from(endpoint.port).checked_sub(FIRST_PORT)?;
        let place = row * self.sources + endpoint.source;
        let nth = place.checked_sub(self.first_place(torrent));
        let nth = nth.unwrap_or_else(|| self.places() - self.first_place(torrent) + place);
        (nth < self.swarm_len(torrent)).then_some(nth)
    }

    pub(crate) fn is_seeder(&self, peer: Peer) -> bool {
        mix(self.seed ^ u64::from(peer.torrent) << 32 ^ u64::from(peer.nth)) % 100 < self.seeders_percent
    }

    /// The number of address and port pairs, which is the most peers of a torrent.
    fn places(&self) -> u32 {
        PORTS.saturating_mul(self.sources)
    }

    /// The address and port number of a torrent's first peer, pseudo-random so that swarms of one peer use all
    /// addresses and ports.
    fn first_place(&self, torrent: u32) -> u32 {
        let random = mix(!self.seed ^ u64::from(torrent));
        u32::try_from(random % u64::from(self.places())).unwrap_or_default()
    }
}

impl Popularity {
    fn new(exponent: f64, size: &Size) -> Result<Self, SettingsError> {
        let wrong = || SettingsError::Exponent(exponent);
        let law = Zipf::new(f64::from(size.torrents), exponent).map_err(|_| wrong())?;
        if !exponent.is_finite() || exponent <= 0.0 {
            return Err(wrong());
        }
        let shares: f64 = (1..=size.torrents).map(|rank| f64::from(rank).powf(-exponent)).sum();
        Ok(Self { exponent, law, scale: f64::from(size.peers) / shares })
    }

    fn swarm_len(&self, torrent: u32) -> u32 {
        let peers = self.scale * (f64::from(torrent) + 1.0).powf(-self.exponent);
        rounded(peers).max(1)
    }

    fn pick(&self, rng: &mut SmallRng) -> u32 {
        rounded(self.law.sample(rng)).saturating_sub(1)
    }
}

/// Returns every peer once: the first of each torrent, then the second of each that has two, and so on.
#[derive(Debug, Default)]
pub(crate) struct All {
    next: Peer,
}

impl All {
    pub(crate) fn next(&mut self, population: &Population) -> Option<Peer> {
        if self.next.torrent == population.torrents()
            || population.swarm_len(self.next.torrent) <= self.next.nth
        {
            self.next = Peer { torrent: 0, nth: self.next.nth + 1 };
            if population.swarm_len(0) <= self.next.nth {
                // The next call returns `None` again.
                self.next.nth -= 1;
                self.next.torrent = population.torrents();
                return None;
            }
        }
        let peer = self.next;
        self.next.torrent += 1;
        Some(peer)
    }
}

/// A random number generator for a seed, independent of the population's own.
pub(crate) fn rng(seed: u64) -> SmallRng {
    SmallRng::seed_from_u64(mix(seed))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn rounded(number: f64) -> u32 {
    // Saturates, and the numbers here are counts.
    number as u32
}

/// The finaliser of SplitMix64: every bit of the input changes every bit of the output.
fn mix(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    const SIZE: Size =
        Size { seed: 1, torrents: 100, peers: 230, sources: 3, seeders_percent: 25, zipf: None };

    fn all(population: &Population) -> Vec<Peer> {
        let mut all = All::default();
        let peers = std::iter::from_fn(|| all.next(population)).collect();
        assert_eq!(all.next(population), None);
        peers
    }

    #[test]
    fn every_peer_of_a_torrent_has_another_address_or_port() {
        for (zipf, peers) in [(None, 230), (None, 7), (Some(1.0), 230), (Some(0.5), 230)] {
            let population = Population::new(&Size { zipf, peers, ..SIZE }).unwrap();
            let all = all(&population);
            let stored: u32 = (0..100).map(|torrent| population.swarm_len(torrent)).sum();
            assert_eq!(all.len(), stored as usize);
            assert!(zipf.is_some() || stored == peers);
            let places: HashSet<_> = all
                .iter()
                .map(|peer| {
                    (peer.torrent, population.endpoint(*peer).source, population.endpoint(*peer).port)
                })
                .collect();
            assert_eq!(places.len(), all.len());
        }
    }

    #[test]
    fn a_picked_peer_is_found_by_its_address_and_port() {
        let mut rng = rng(7);
        for zipf in [None, Some(1.2)] {
            let population = Population::new(&Size { zipf, peers: 2000, ..SIZE }).unwrap();
            for _ in 0..1000 {
                let peer = population.pick(&mut rng);
                assert!(peer.torrent < 100 && peer.nth < population.swarm_len(peer.torrent), "{peer:?}");
                let endpoint = population.endpoint(peer);
                assert!(endpoint.source < 3 && endpoint.port >= 1024);
                assert_eq!(population.nth_at(peer.torrent, endpoint), Some(peer.nth));
                assert_eq!(population.nth_at(peer.torrent, Endpoint { port: 80, ..endpoint }), None);
            }
        }
    }

    #[test]
    fn no_other_address_and_port_is_found() {
        let population = Population::new(&SIZE).unwrap();
        let known: usize = (0..3)
            .flat_map(|source| (0..=u16::MAX).map(move |port| Endpoint { source, port }))
            .filter(|endpoint| population.nth_at(5, *endpoint).is_some())
            .count();
        assert_eq!(known, 3);
    }

    #[test]
    fn popular_torrents_are_larger_and_asked_for_more_often() {
        let population = Population::new(&Size { zipf: Some(1.0), peers: 10_000, ..SIZE }).unwrap();
        let first = population.swarm_len(0);
        assert!((1900..2000).contains(&first), "{first}");
        assert!(population.swarm_len(1).abs_diff(first / 2) <= 1);
        let mut rng = rng(3);
        let hits = (0..10_000).filter(|_| population.pick(&mut rng).torrent == 0).count();
        assert!((1700..2200).contains(&hits), "{hits}");
    }

    #[test]
    fn refuses_wrong_exponents_and_too_large_swarms() {
        let wrong = |size: Size| Population::new(&size).err();
        assert!(matches!(wrong(Size { zipf: Some(-1.0), ..SIZE }), Some(SettingsError::Exponent(_))));
        assert!(matches!(wrong(Size { zipf: Some(f64::NAN), ..SIZE }), Some(SettingsError::Exponent(_))));
        let large = Size { torrents: 1, peers: 193_537, ..SIZE };
        assert_eq!(
            wrong(large),
            Some(SettingsError::TooFewPorts { wanted: 193_537, sources: 3, room: 193_536 })
        );
        assert_eq!(wrong(Size { peers: 193_536, ..large }), None);
    }
}
