//! The networks of which most is dropped, and the part of their datagrams that the kernel should let through.
//!
//! To receive a datagram and to drop it costs a good part of what an answer costs. So what is certain to be dropped should
//! not be received: the kernel can drop it before it takes a place in the socket's buffer. But the kernel can't check a
//! connection_id. So only networks that have sent what is dropped with valid ones are in this list: nobody else can put
//! them there.

use std::net::IpAddr;

use crate::network::Network;

/// The most networks in the list.
pub(crate) const HEAVY: usize = 16;
/// What the kernel lets through of a network's datagrams: so many of [`ALL`].
pub(crate) type Pass = u32;
pub(crate) const ALL: Pass = 1 << 16;
/// Windows between two changes of the list.
const PERIOD: u32 = 10;
/// How much more the kernel should let through than is answered, as a part of that.
const MORE: u64 = 4;
/// The least that is let through. Nobody is banned.
const LEAST: Pass = ALL / 1024;

#[derive(Debug, Default)]
pub(super) struct HeavyNetworks {
    heavy: [Option<Heavy>; HEAVY],
    windows: u32,
}

#[derive(Clone, Copy, Debug)]
struct Heavy {
    network: Network,
    address: IpAddr,
    pass: Pass,
    /// Since the last change, in units.
    admitted: u32,
    shed: u32,
}

impl HeavyNetworks {
    /// Counts datagrams of an address and its network.
    pub(super) fn count(&mut self, (network, address): (Network, IpAddr), units: u32, admitted: bool) {
        let known = self.heavy.iter_mut().flatten().find(|heavy| heavy.network == network);
        let heavy = match known {
            Some(heavy) => heavy,
            None if admitted => return,
            None => {
                // The one of which least is dropped makes room, but not one for which the kernel already drops.
                let weight = |heavy: &Option<Heavy>| heavy.map_or(0, |heavy| heavy.shed + 1);
                let is_free = |heavy: &&mut Option<Heavy>| heavy.is_none_or(|heavy| heavy.pass >= ALL);
                let Some(place) = self.heavy.iter_mut().filter(is_free).min_by_key(|heavy| weight(heavy))
                else {
                    return;
                };
                // Whoever is dropped more often than the others stays.
                let shed = place.map_or(0, |heavy| heavy.shed);
                place.insert(Heavy { network, address, pass: ALL, admitted: 0, shed })
            }
        };
        let counted = if admitted { &mut heavy.admitted } else { &mut heavy.shed };
        *counted = counted.saturating_add(units);
    }

    /// Ends a window. Returns whether the list has changed.
    pub(super) fn end_window(&mut self) -> bool {
        self.windows += 1;
        if self.windows < PERIOD {
            return false;
        }
        self.windows = 0;
        let mut changed = false;
        for place in &mut self.heavy {
            let Some(heavy) = place else { continue };
            let before = heavy.pass;
            heavy.pass = heavy.next_pass();
            (heavy.admitted, heavy.shed) = (0, 0);
            changed |= before.min(heavy.pass) < ALL;
            if heavy.pass >= ALL {
                *place = None;
            }
        }
        changed
    }

    /// An address of each network, and the part to let through: never all.
    pub(super) fn passes(&self) -> impl Iterator<Item = (IpAddr, Pass)> {
        let passes = self.heavy.iter().flatten().map(|heavy| (heavy.address, heavy.pass));
        passes.filter(|(_, pass)| *pass < ALL)
    }

    pub(super) fn clear(&mut self) -> bool {
        let had_some = self.passes().next().is_some();
        *self = Self::default();
        had_some
    }
}

impl Heavy {
    fn next_pass(&self) -> Pass {
        if self.shed == 0 {
            return self.pass * 2;
        }
        let (admitted, all) = (u64::from(self.admitted), u64::from(ALL));
        let wanted = (admitted + admitted / MORE) * all / (admitted + u64::from(self.shed));
        // It is worth the kernel's work only if much is dropped.
        if self.pass >= ALL && wanted > all / 5 * 4 {
            return ALL;
        }
        // A change at a time is bounded.
        let pass = u64::from(self.pass) * wanted.clamp(all / 4, all * 2) / all;
        Pass::try_from(pass).unwrap_or(ALL).max(LEAST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(network: u8) -> IpAddr {
        [8, 8, network, 1].into()
    }

    /// A period in which a network sends so much that this much passes the kernel, and at most 100 are answered.
    fn period(heavy: &mut HeavyNetworks, network: u8, sent: u32) -> bool {
        let address = address(network);
        let pass = heavy.passes().find(|(of, _)| *of == address).map_or(ALL, |(_, pass)| pass);
        let received = sent / 10 * pass / (ALL / 10);
        for at in 0..received {
            heavy.count((Network::site_of(address), address), 1, at >= received.saturating_sub(100));
        }
        (0..PERIOD).fold(false, |changed, _| changed | heavy.end_window())
    }

    #[test]
    fn the_kernel_lets_through_a_little_more_than_is_answered() {
        let mut heavy = HeavyNetworks::default();
        for _ in 0..10 {
            assert!(period(&mut heavy, 1, 10_000));
        }
        let (of, pass) = heavy.passes().next().unwrap();
        assert_eq!(of, address(1));
        assert!((750..900).contains(&pass), "{pass}");
        // The flood ends.
        for _ in 0..8 {
            period(&mut heavy, 1, 50);
        }
        assert_eq!(heavy.passes().count(), 0);
    }

    #[test]
    fn those_of_which_little_is_dropped_are_not_in_the_list() {
        let mut heavy = HeavyNetworks::default();
        assert!(!period(&mut heavy, 1, 110));
        assert!(!period(&mut heavy, 2, 90));
        assert_eq!(heavy.passes().count(), 0);
    }

    #[test]
    fn the_heaviest_find_a_place_among_many() {
        let mut heavy = HeavyNetworks::default();
        for round in 0..100u8 {
            for network in 20..=255u8 {
                let other = address(network);
                heavy.count((Network::site_of(other), other), 1, false);
                for network in [1, 2] {
                    let flooder = address(network);
                    heavy.count((Network::site_of(flooder), flooder), 20, round % 10 == 0);
                }
            }
        }
        (0..PERIOD).for_each(|_| _ = heavy.end_window());
        let passes: Vec<_> = heavy.passes().map(|(of, _)| of).collect();
        assert!(passes.contains(&address(1)) && passes.contains(&address(2)), "{passes:?}");
    }
}
