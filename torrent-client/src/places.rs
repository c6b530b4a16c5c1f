//! Which connections are kept when there are more than places.
//!
//! Anybody can connect, as often as they like. So a host has few incoming connections, and when all places are taken, a
//! newcomer takes the place of the least useful connection, if there is one of no use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::pieces::PeerKey;

/// Incoming connections that one host may have. Several peers behind one address translator are usual.
pub(crate) const PER_HOST: usize = 8;
/// A connection is not judged by what it has done before it is so old.
const GRACE: Duration = Duration::from_secs(3);
/// A connection that has carried no block for so long is of little use.
const IDLE: Duration = Duration::from_secs(60);

/// A connection that has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// Which connection.
    pub(crate) peer: PeerKey,
    /// The host at the other end.
    pub(crate) host: IpAddr,
    /// Whether the host connected to us.
    pub(crate) incoming: bool,
    /// Whether both handshakes are done.
    pub(crate) ready: bool,
    /// Whether either side wants something of the other.
    pub(crate) interested: bool,
    /// When the connection was made.
    pub(crate) since: Duration,
    /// When it last carried a block, or else was made.
    pub(crate) last_block: Duration,
}

/// What becomes of a connection that comes in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is a place for it.
    Admitted,
    /// This connection gives way to it.
    InPlaceOf(PeerKey),
    /// There is no place.
    Refused,
}

/// Decides about a connection that comes in from a host, when at most `max` places may be taken.
#[must_use]
pub(crate) fn admit(now: Duration, host: IpAddr, places: &[Place], max: usize) -> Admission {
    let of_host = |other: &&Place| other.incoming && other.host == host;
    let one_too_many = places.iter().filter(of_host).count() >= PER_HOST;
    if !one_too_many && places.len() < max {
        return Admission::Admitted;
    }
    let mut per_host = HashMap::<IpAddr, usize>::new();
    for place in places {
        *per_host.entry(place.host).or_default() += 1;
    }
    let newcomers = per_host.get(&host).copied().unwrap_or(0);
    let least_useful = places
        .iter()
        .filter(|place| !one_too_many || of_host(place))
        .filter_map(|place| {
            let shared = per_host[&place.host];
            let uselessness = uselessness(now, place, shared > newcomers + 1)?;
            Some((uselessness, shared, now.saturating_sub(place.last_block), place.peer))
        })
        .max();
    least_useful.map_or(Admission::Refused, |(.., peer)| Admission::InPlaceOf(peer))
}

/// How useless a connection is, from 1 on; `None` if it is of use.
fn uselessness(now: Duration, place: &Place, host_has_many: bool) -> Option<u8> {
    let idle = now.saturating_sub(place.last_block);
    if !place.ready {
        // It has not even sent its handshake.
        return (now.saturating_sub(place.since) >= GRACE).then_some(3);
    }
    if !place.interested {
        return (idle >= IDLE).then_some(2);
    }
    // The places should go to many hosts.
    (host_has_many && idle >= IDLE).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// A connection of use.
    fn place(key: usize, from: u8) -> Place {
        Place {
            peer: PeerKey(key),
            host: host(from),
            incoming: true,
            ready: true,
            interested: true,
            since: Duration::ZERO,
            last_block: NOW,
        }
    }

    #[test]
    fn a_host_has_few() {
        let places: Vec<_> = (0..PER_HOST).map(|key| place(key, 1)).collect();
        assert_eq!(admit(NOW, host(1), &places, 100), Admission::Refused);
        assert_eq!(admit(NOW, host(2), &places, 100), Admission::Admitted);
        let outgoing: Vec<_> = places.iter().map(|place| Place { incoming: false, ..*place }).collect();
        assert_eq!(admit(NOW, host(1), &outgoing, 100), Admission::Admitted);
    }

    #[test]
    fn a_silent_connection_of_the_host_gives_way() {
        let mut places: Vec<_> = (0..PER_HOST).map(|key| place(key, 1)).collect();
        places[3].ready = false;
        assert_eq!(admit(NOW, host(1), &places, 100), Admission::InPlaceOf(PeerKey(3)));
        places.push(Place { ready: false, ..place(9, 2) });
        assert_eq!(
            admit(NOW, host(1), &places, 9),
            Admission::InPlaceOf(PeerKey(3)),
            "not that of another host"
        );
    }

    #[test]
    fn connections_of_use_stay() {
        let places = [place(0, 1), place(1, 2)];
        assert_eq!(admit(NOW, host(3), &places, 2), Admission::Refused);
    }

    #[test]
    fn the_least_useful_gives_way() {
        let idle = |key, from| Place { last_block: NOW - IDLE, ..place(key, from) };
        let mut places = vec![place(0, 1), idle(1, 2), idle(2, 2), idle(3, 3)];
        assert_eq!(
            admit(NOW, host(4), &places, 4),
            Admission::InPlaceOf(PeerKey(2)),
            "its host has two places"
        );
        assert_eq!(admit(NOW, host(2), &places, 4), Admission::Refused, "that host has places enough");
        places[3].interested = false;
        assert_eq!(admit(NOW, host(4), &places, 4), Admission::InPlaceOf(PeerKey(3)));
        places[0].ready = false;
        assert_eq!(admit(NOW, host(4), &places, 4), Admission::InPlaceOf(PeerKey(0)));
        places[0].since = NOW;
        assert_eq!(
            admit(NOW, host(4), &places, 4),
            Admission::InPlaceOf(PeerKey(3)),
            "it has only just connected"
        );
    }
}
