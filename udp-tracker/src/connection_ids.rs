//! Connection ids: proof that the sender of a request receives at its source address (BEP 15).
//!
//! | bits     | meaning |
//! |----------|---------|
//! | 63       | always 1, so that a connect response can't be taken for a request: these bits are a request's action |
//! | 55 .. 62 | the epoch in which the id was issued, modulo 256 |
//! | 0 .. 54  | SipHash-2-4 of the source address and the whole epoch, truncated |
//!
//! Issued ids are not stored.

use std::hash::Hasher;
use std::net::IpAddr;

use siphasher::sip::SipHasher24;
use udp_tracker_proto::ConnectionId;

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
    /// The hash with the key.
    hasher: SipHasher24,
    /// The length of an epoch in seconds.
    epoch: u64,
    /// How many epochs after its own an id is accepted.
    lifetime: u64,
}

impl ConnectionIds {
    /// Ids that are accepted for `lifetime` seconds, to within half a percent and a second. A host with the key can
    /// make ids for any address.
    #[must_use]
    pub fn new(key: [u8; 16], lifetime: u32) -> Self {
        let lifetime = u64::from(lifetime);
        let epoch = lifetime.div_ceil(EPOCHS_IN_LIFETIME).max(1);
        Self { hasher: SipHasher24::new_with_key(&key), epoch, lifetime: lifetime.div_ceil(epoch) }
    }

    /// Issues an id for an address. `now` is in seconds, of a clock that all machines with this key agree on.
    #[must_use]
    pub fn issue(&self, now: u64, source: IpAddr) -> ConnectionId {
        self.of_epoch(now / self.epoch, source)
    }

    /// Whether an id was issued for this address at most `lifetime` seconds ago.
    #[must_use]
    pub fn accepts(&self, now: u64, source: IpAddr, id: ConnectionId) -> bool {
        // The latest epoch that the id's bits can stand for, up to the furthest accepted one in the future.
        let latest = (now / self.epoch).wrapping_add(EPOCHS_AHEAD);
        let age = latest.wrapping_sub(id.0 >> EPOCH_SHIFT) & EPOCH_MASK;
        let expected = self.of_epoch(latest.wrapping_sub(age), source);
        // Compares one word, so the time does not depend on the bytes.
        (expected == id) & (age <= EPOCHS_AHEAD + self.lifetime)
    }

    fn of_epoch(&self, epoch: u64, source: IpAddr) -> ConnectionId {
        let mut hasher = self.hasher;
        match source.to_canonical() {
            IpAddr::V4(address) => hasher.write(&address.octets()),
            IpAddr::V6(address) => hasher.write(&address.octets()),
        }
        hasher.write(&epoch.to_le_bytes());
        ConnectionId(MARK | (epoch & EPOCH_MASK) << EPOCH_SHIFT | hasher.finish() & MAC_MASK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn accepted_for_the_lifetime_and_not_longer() {
        for lifetime in [10u32, 120, 199, 200, 201, 3600, 86_400] {
            let ids = ConnectionIds::new([1; 16], lifetime);
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
        let ids = ConnectionIds::new([1; 16], 120);
        let id = ids.issue(NOW, ip("192.0.2.1"));
        assert!(!ids.accepts(NOW, ip("192.0.2.2"), id));
        assert!(ids.accepts(NOW, ip("::ffff:192.0.2.1"), id));
        let id = ids.issue(NOW, ip("2001:db8::1"));
        assert!(ids.accepts(NOW, ip("2001:db8::1"), id));
        assert!(!ids.accepts(NOW, ip("2001:db8::2"), id));
    }

    #[test]
    fn every_bit_counts() {
        let ids = ConnectionIds::new([1; 16], 120);
        let id = ids.issue(NOW, ip("192.0.2.1"));
        for bit in 0..64 {
            assert!(!ids.accepts(NOW, ip("192.0.2.1"), ConnectionId(id.0 ^ 1 << bit)));
        }
        assert!(!ConnectionIds::new([2; 16], 120).accepts(NOW, ip("192.0.2.1"), id));
    }

    #[test]
    fn machines_with_the_same_key_agree_in_spite_of_their_clocks() {
        let (ahead, behind) = (ConnectionIds::new([1; 16], 120), ConnectionIds::new([1; 16], 120));
        let id = ahead.issue(NOW + 10, ip("192.0.2.1"));
        assert!(behind.accepts(NOW, ip("192.0.2.1"), id));
        let id = ahead.issue(NOW + 20, ip("192.0.2.1"));
        assert!(!behind.accepts(NOW, ip("192.0.2.1"), id));
    }

    #[test]
    fn no_id_can_be_taken_for_an_action() {
        let ids = ConnectionIds::new([1; 16], 120);
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
