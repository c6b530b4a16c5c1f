//! Connection ids: proof that the sender of a request receives at its source address (BEP 15).
//!
//! | bits     | meaning |
//! |----------|---------|
//! | 63       | always 1, so that a connect response can't be taken for a request: these bits are a request's action |
//! | 55 .. 62 | the epoch in which the id was issued, modulo 256 |
//! | 0 .. 54  | SipHash-2-4 of the source address and the whole epoch, truncated |
//!
//! Of an IPv6 address, only the network's prefix counts, by default 64 bits: a client with several addresses of one
//! network may present an id that it obtained by another of them. The port never counts.
//!
//! Issued ids are not stored.
//!
//! # What an attacker controls
//! Address and id of each request. An id of no key costs a hash for each accepted key, of which there are four at most.
//! The time of the check shows at most which key an id was made with.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use udp_tracker_proto::ConnectionId;

use crate::connection_keys::ConnectionKeys;

const MARK: u64 = 1 << 63;
const EPOCH_SHIFT: u32 = 55;
const EPOCH_MASK: u64 = 0xff;
const MAC_MASK: u64 = (1 << EPOCH_SHIFT) - 1;

/// Epochs in a lifetime. It leaves some of the 256 epochs for clocks that are ahead.
const EPOCHS_IN_LIFETIME: u64 = 200;
/// Epochs in the future that are accepted, from a machine with the same key whose clock is ahead.
const EPOCHS_AHEAD: u64 = 16;

/// Issues connection ids and verifies them.
#[derive(Clone, Debug)]
pub struct ConnectionIds {
    /// For each key, the oldest first.
    makers: Vec<Maker>,
    /// The length of an epoch in seconds.
    epoch: u64,
    /// How many epochs after its own an id is accepted.
    lifetime: u64,
    /// The bits of an IPv6 address that count.
    ipv6_mask: u128,
}

/// Makes ids with one key.
#[derive(Clone, Debug)]
struct Maker {
    /// The time of its first use, in seconds.
    from: u64,
    /// The hash with the key.
    hasher: SipHasher24,
}

impl ConnectionIds {
    /// Ids that are accepted for `lifetime` seconds, to within half a percent and a second, from all addresses with the
    /// same first `ipv6_prefix` bits, at most 128; from one IPv4 address. A host with a key can make ids for any address.
    #[must_use]
    pub fn new(keys: &ConnectionKeys, lifetime: u32, ipv6_prefix: u8) -> Self {
        let lifetime = u64::from(lifetime);
        let epoch = lifetime.div_ceil(EPOCHS_IN_LIFETIME).max(1);
        let maker = |from, key: &_| Maker { from, hasher: SipHasher24::new_with_key(key) };
        Self {
            makers: keys.keys().iter().map(|dated| maker(dated.from, &dated.key)).collect(),
            epoch,
            lifetime: lifetime.div_ceil(epoch),
            ipv6_mask: u128::MAX.checked_shl(128_u32.saturating_sub(ipv6_prefix.into())).unwrap_or(0),
        }
    }

    /// Issues an id for an address. `now` is in seconds, of a clock that all machines with this key agree on.
    #[must_use]
    pub fn issue(&self, now: u64, source: IpAddr) -> ConnectionId {
        let maker = &self.makers[self.current(now)];
        maker.make(now / self.epoch, self.canonical(source))
    }

    /// Whether an id was issued for this address, or its network, at most `lifetime` seconds ago.
    #[must_use]
    pub fn accepts(&self, now: u64, source: IpAddr, id: ConnectionId) -> bool {
        // The latest epoch that the id's bits can stand for, up to the furthest accepted one in the future.
        let latest = (now / self.epoch).wrapping_add(EPOCHS_AHEAD);
        let age = latest.wrapping_sub(id.0 >> EPOCH_SHIFT) & EPOCH_MASK;
        if age > EPOCHS_AHEAD + self.lifetime {
            return false;
        }
        let (epoch, source) = (latest.wrapping_sub(age), self.canonical(source));
        // Most ids are of the current key.
        let (older, others) = self.makers.split_at(self.current(now));
        others.iter().chain(older.iter().rev()).any(|maker| maker.make(epoch, source) == id)
    }

    /// The newest key in use.
    fn current(&self, now: u64) -> usize {
        self.makers.iter().rposition(|maker| maker.from <= now).unwrap_or(0)
    }

    /// All addresses that accept each other's ids have the same.
    fn canonical(&self, source: IpAddr) -> IpAddr {
        match source.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6((address.to_bits() & self.ipv6_mask).into()),
            v4 => v4,
        }
    }
}

impl Maker {
    fn make(&self, epoch: u64, source: IpAddr) -> ConnectionId {
        let mut hasher = self.hasher;
        match source {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.write(&epoch.to_le_bytes());
        // Compared as one word, so the time does not depend on the bytes.
        ConnectionId(MARK | (epoch & EPOCH_MASK) << EPOCH_SHIFT | hasher.finish() & MAC_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn ids_of(key: [u8; 16], lifetime: u32) -> ConnectionIds {
        ConnectionIds::new(&key.into(), lifetime, 64)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn accepted_for_the_lifetime_and_not_longer() {
        for lifetime in [10u32, 120, 199, 200, 201, 3600, 86_400] {
            let ids = ids_of([1; 16], lifetime);
            let epoch = u64::from(lifetime).div_ceil(200);
            for start in NOW..NOW + 2 * epoch {
                let id = ids.issue(start, ip("192.0.2.1"));
                let lifetime = u64::from(lifetime);
                for after in [0, 1, lifetime / 2, lifetime - 1, lifetime] {
                    assert!(ids.accepts(start + after, ip("192.0.2.1"), id), "{lifetime} {after}");
                }
                // Until all 256 epochs have been used, and longer.
                for after in (lifetime + 2 * epoch..400 * epoch).step_by(usize::try_from(epoch).unwrap()) {
                    assert!(!ids.accepts(start + after, ip("192.0.2.1"), id), "{lifetime} {after}");
                }
            }
        }
    }

    #[test]
    fn bound_to_the_address() {
        let ids = ids_of([1; 16], 120);
        let id = ids.issue(NOW, ip("192.0.2.1"));
        assert!(!ids.accepts(NOW, ip("192.0.2.2"), id));
        assert!(ids.accepts(NOW, ip("::ffff:192.0.2.1"), id));
        assert!(!ids.accepts(NOW, ip("2001:db8::1"), id));
    }

    #[test]
    fn bound_to_the_network_of_an_ipv6_address() {
        let accepts = |prefix, one: &str, other: &str| {
            let ids = ConnectionIds::new(&[1; 16].into(), 120, prefix);
            ids.accepts(NOW, ip(other), ids.issue(NOW, ip(one)))
        };
        assert!(accepts(64, "2001:db8::1", "2001:db8::ffff:2"));
        assert!(!accepts(64, "2001:db8::1", "2001:db8:0:1::1"), "another /64");
        assert!(accepts(56, "2001:db8::1", "2001:db8:0:ff::1"));
        assert!(!accepts(56, "2001:db8::1", "2001:db8:0:100::1"), "another /56");
        assert!(accepts(128, "2001:db8::1", "2001:db8::1"));
        assert!(!accepts(128, "2001:db8::1", "2001:db8::2"), "another address");
        // An IPv4 address in its IPv6 form is in no network with others.
        assert!(!accepts(64, "::ffff:192.0.2.1", "::ffff:192.0.2.2"));
        assert!(!accepts(64, "::ffff:192.0.2.1", "::1"));
    }

    #[test]
    fn ids_of_the_previous_key_are_accepted_for_their_lifetime_after_a_rotation() {
        let day = 86_400;
        let first = ConnectionKeys::new(NOW, [1; 16]);
        let second = first.rotated(NOW + day, 120, [2; 16]).unwrap();
        let ids = |keys: &ConnectionKeys| ConnectionIds::new(keys, 120, 64);
        // Another tracker has not yet read the new key, which is used ten minutes after it was published.
        let used = NOW + day + 600;
        for at in [NOW + day, used - 1] {
            let id = ids(&second).issue(at, ip("192.0.2.1"));
            assert!(ids(&first).accepts(at, ip("192.0.2.1"), id), "{at}");
        }
        let before = ids(&first).issue(used - 1, ip("192.0.2.1"));
        let after = ids(&second).issue(used, ip("192.0.2.1"));
        assert!(!ids(&first).accepts(used, ip("192.0.2.1"), after), "made with the new key");
        // The tracker looks once more before they have expired.
        for at in [used, used + 60, used + 119] {
            let keys = second.rotated(at, 120, [3; 16]).unwrap_or_else(|| second.clone());
            assert!(ids(&keys).accepts(at, ip("192.0.2.1"), before), "{at}");
            assert!(ids(&keys).accepts(at, ip("192.0.2.1"), after), "{at}");
        }
        let later = second.rotated(used + 3600, 120, [3; 16]).unwrap();
        assert_eq!(later, ConnectionKeys::new(used, [2; 16]), "the first key is forgotten");
    }

    #[test]
    fn every_bit_counts() {
        let ids = ids_of([1; 16], 120);
        let id = ids.issue(NOW, ip("192.0.2.1"));
        for bit in 0..64 {
            assert!(!ids.accepts(NOW, ip("192.0.2.1"), ConnectionId(id.0 ^ 1 << bit)));
        }
        assert!(!ids_of([2; 16], 120).accepts(NOW, ip("192.0.2.1"), id));
    }

    #[test]
    fn machines_with_the_same_key_agree_in_spite_of_their_clocks() {
        let (ahead, behind) = (ids_of([1; 16], 120), ids_of([1; 16], 120));
        let id = ahead.issue(NOW + 10, ip("192.0.2.1"));
        assert!(behind.accepts(NOW, ip("192.0.2.1"), id));
        let id = ahead.issue(NOW + 20, ip("192.0.2.1"));
        assert!(!behind.accepts(NOW, ip("192.0.2.1"), id));
    }

    #[test]
    fn no_id_can_be_taken_for_an_action() {
        let ids = ids_of([1; 16], 120);
        for now in NOW..NOW + 1000 {
            assert!(ids.issue(now, ip("192.0.2.1")).0 >> 32 > 3);
        }
    }

    /// The first and last of the vectors in the SipHash paper's appendix and reference code (key 00 .. 0f).
    #[test]
    fn the_hash_is_siphash_2_4() {
        let key: [u8; 16] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        let hash = |bytes: &[u8]| {
            let mut hasher = SipHasher24::new_with_key(&key);
            hasher.write(bytes);
            hasher.finish()
        };
        assert_eq!(hash(&[]), 0x726f_db47_dd0e_0e31);
        let fifteen: [u8; 15] = core::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(hash(&fifteen), 0xa129_ca61_49be_45e5);
    }
}
