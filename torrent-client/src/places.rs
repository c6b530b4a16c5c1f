//! Which connections to keep when there are more than the limit allows.
//!
//! Any host can connect, any number of times. So a host has few incoming connections. When all places are taken, a new
//! connection replaces the least useful one, if one of them is of no use.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::pieces::PeerKey;

/// The most incoming connections of one host. Several peers behind one address translator are common.
pub(crate) const PER_HOST: usize = 8;
/// A connection without a handshake keeps its place for this long.
const GRACE: Duration = Duration::from_secs(3);
/// After this long without a block, a connection counts as idle.
const IDLE: Duration = Duration::from_secs(60);

/// A connection that has a place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    /// The connection.
    pub(crate) peer: PeerKey,
    /// The host at the other end.
    pub(crate) host: IpAddr,
    /// Whether the host connected to us.
    pub(crate) incoming: bool,
    /// Whether both handshakes are done.
    pub(crate) ready: bool,
    /// Whether either side is interested in the other.
    pub(crate) interested: bool,
    /// When the connection was made.
    pub(crate) since: Duration,
    /// When it last carried a block; at first, when it was made.
    pub(crate) last_block: Duration,
}

/// The decision about an incoming connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// There is a place for it.
    Admitted,
    /// It takes the place of this connection.
    InPlaceOf(PeerKey),
    /// There is no place.
    Refused,
}

/// Decides about an incoming connection of a host. `max` is the most places that may be taken.
#[must_use]
pub(crate) fn admit(now: Duration, host: IpAddr, places: &[Place], max: usize) -> Admission {
    let of_host = |other: &&Place| other.incoming && other.host == host;
    let host_is_full = places.iter().filter(of_host).count() >= PER_HOST;
    if !host_is_full && places.len() < max {
        return Admission::Admitted;
    }
    let mut per_host = HashMap::<IpAddr, usize>::new();
    for place in places {
        *per_host.entry(place.host).or_default() += 1;
    }
    let newcomers = per_host.get(&host).copied().unwrap_or(0);
    let least_useful = places
        .iter()
        .filter(|place| !host_is_full || of_host(place))
        .filter_map(|place| {
            let shared = per_host[&place.host];
            let uselessness = uselessness(now, place, shared > newcomers + 1)?;
            Some((uselessness, shared, now.saturating_sub(place.last_block), place.peer))
        })
        .max();
    least_useful.map_or(Admission::Refused, |(.., peer)| Admission::InPlaceOf(peer))
}

/// How useless a connection is, 3 being the worst; `None` if it is useful.
fn uselessness(now: Duration, place: &Place, host_has_many: bool) -> Option<u8> {
    let idle = now.saturating_sub(place.last_block);
    if !place.ready {
        // Its handshake has not arrived.
        return (now.saturating_sub(place.since) >= GRACE).then_some(3);
    }
    if !place.interested {
        return (idle >= IDLE).then_some(2);
    }
    // Connections of many hosts are better than many connections of one host.
    (host_has_many && idle >= IDLE).then_some(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1000);

    fn host(number: u8) -> IpAddr {
        [10, 0, 0, number].into()
    }

    /// A useful connection.
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
    fn limits_incoming_connections_of_a_host() {
        let places: Vec<_> = (0..PER_HOST).map(|key| place(key, 1)).collect();
        assert_eq!(admit(NOW, host(1), &places, 100), Admission::Refused);
        assert_eq!(admit(NOW, host(2), &places, 100), Admission::Admitted);
        let outgoing: Vec<_> = places.iter().map(|place| Place { incoming: false, ..*place }).collect();
        assert_eq!(admit(NOW, host(1), &outgoing, 100), Admission::Admitted);
    }

    #[test]
    fn a_silent_connection_of_the_same_host_is_replaced() {
        let mut places: Vec<_> = (0..PER_HOST).map(|key| place(key, 1)).collect();
        places[3].ready = false;
        assert_eq!(admit(NOW, host(1), &places, 100), Admission::InPlaceOf(PeerKey(3)));
        places.push(Place { ready: false, ..place(9, 2) });
        assert_eq!(
            admit(NOW, host(1), &places, 9),
            Admission::InPlaceOf(PeerKey(3)),
            "no connection of another host is replaced"
        );
    }

    #[test]
    fn useful_connections_are_not_replaced() {
        let places = [place(0, 1), place(1, 2)];
        assert_eq!(admit(NOW, host(3), &places, 2), Admission::Refused);
    }

    #[test]
    fn the_least_useful_connection_is_replaced() {
        let idle = |key, from| Place { last_block: NOW - IDLE, ..place(key, from) };
        let mut places = vec![place(0, 1), idle(1, 2), idle(2, 2), idle(3, 3)];
        assert_eq!(
            admit(NOW, host(4), &places, 4),
            Admission::InPlaceOf(PeerKey(2)),
            "its host has two places"
        );
        assert_eq!(admit(NOW, host(2), &places, 4), Admission::Refused, "no other host has more places");
        places[3].interested = false;
        assert_eq!(admit(NOW, host(4), &places, 4), Admission::InPlaceOf(PeerKey(3)));
        places[0].ready = false;
        assert_eq!(admit(NOW, host(4), &places, 4), Admission::InPlaceOf(PeerKey(0)));
        places[0].since = NOW;
        assert_eq!(
            admit(NOW, host(4), &places, 4),
            Admission::InPlaceOf(PeerKey(3)),
            "its time for the handshake is not over"
        );
    }
}
