//! The shared key, and the trailer that authenticates packets of nodes that have it.
//!
//! The last bytes of an authenticated packet:
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | sequence: microseconds of UNIX time, big-endian, larger in each packet |
//! | 8 | 16 | MAC: HMAC-SHA-256-128 (RFC 4868) over all bytes before it, header and sequence included |
//!
//! The 24 bytes of a trailer are shorter than a record of either family. A receiver without support for trailers
//! therefore ignores them as bytes after the last whole record. Their number also marks an authenticated packet: a
//! sender that doesn't authenticate puts nothing after the last whole record.

use core::fmt;
use core::str::FromStr;
use core::time::Duration;

use byteorder::{BigEndian, ByteOrder};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::Family;

/// Bytes that a trailer adds to a packet.
pub const TRAILER_LEN: usize = field::SEQUENCE_LEN + field::MAC_LEN;

// A receiver that doesn't support trailers ignores them only if they are shorter than a record.
const _: () = assert!(TRAILER_LEN < Family::V4.record_len() && TRAILER_LEN < Family::V6.record_len());

/// 32 bytes that all nodes of a cluster share. Every holder of the key can send packets in the name of any node.
///
/// Parsed from 64 hex digits. Take it from a good random source (`openssl rand -hex 32`), use it for nothing else, and
/// give each cluster its own.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

/// A packet's place in the order of all packets of one sender: the microseconds since 1970 when it was sent, and always
/// larger than in the packet before.
///
/// Because it is a time, a receiver that has just started recognises an old packet, and a sender that has just
/// restarted continues above all sequences that it used before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sequence(pub u64);

/// Authenticates one node's packets: a [`Key`], a clock, and the last [`Sequence`] used.
///
/// Use one authenticator for each tracker id: two authenticators with the same id would sooner or later use a sequence
/// twice.
///
/// The clock may run ahead and be corrected later. The sequences of an id never decrease, so after the correction they
/// stay ahead of the time, and receivers refuse them as early until the time has caught up. The sender then needs a new
/// id, whose sequences start from the corrected clock ([`Sender::needs_new_id`](crate::Sender::needs_new_id)).
#[derive(Clone, Debug)]
pub struct Authenticator {
    key: Key,
    set_at: Duration,
    unix: Duration,
    last: Sequence,
}

/// A text that is not the 64 hex digits of a [`Key`]. The error doesn't contain the text, so no part of a key gets into
/// a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key is 64 hex digits")]
pub struct ParseKeyError;

/// The key did not make this MAC over these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BadMac;

impl Key {
    /// Makes a key of these bytes.
    pub fn new(bytes: [u8; 32]) -> Self {
        // HMAC pads a key shorter than SHA-256's block of 64 bytes with zeros (RFC 2104, section 2). Padding it here
        // leaves no length that could be wrong.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&bytes);
        Self(Hmac::new(&block.into()))
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        self.0.clone().chain_update(message)
    }

    /// The first 16 bytes of HMAC-SHA-256.
    fn tag(&self, message: &[u8]) -> [u8; field::MAC_LEN] {
        let mut tag = [0; field::MAC_LEN];
        tag.copy_from_slice(&self.mac(message).finalize().into_bytes()[..field::MAC_LEN]);
        tag
    }

    /// Verifies the MAC of `packet`, in constant time. Returns the bytes before the trailer, and the sequence.
    pub(crate) fn open<'a>(&self, packet: &'a [u8]) -> Result<(&'a [u8], Sequence), BadMac> {
        let (authenticated, tag) = packet.split_last_chunk::<{ field::MAC_LEN }>().ok_or(BadMac)?;
        self.mac(authenticated).verify_truncated_left(tag).map_err(|_| BadMac)?;
        let (content, sequence) =
            authenticated.split_last_chunk::<{ field::SEQUENCE_LEN }>().ok_or(BadMac)?;
        Ok((content, Sequence(u64::from_be_bytes(*sequence))))
    }
}

impl Sequence {
    /// The sequence of a packet sent `unix` after 1970, if the sequence before it was smaller.
    pub fn from_unix_time(unix: Duration) -> Self {
        Self(u64::try_from(unix.as_micros()).unwrap_or(u64::MAX))
    }

    /// When the packet was sent by its sender's clock, since 1970.
    pub fn unix_time(self) -> Duration {
        Duration::from_micros(self.0)
    }
}

impl Authenticator {
    /// Authenticates with `key`. `now` and `unix` are the same moment: `now` on the clock that drives the sender,
    /// `unix` since 1970.
    ///
    /// While the node restarts, the UNIX clock must not be set back to before the last authenticated packet: sequences
    /// would repeat, and the other nodes would refuse them. The clock's error must be within what the receivers
    /// tolerate ([`ReplayGuard`](crate::ReplayGuard)), so keep the nodes' clocks in step by NTP.
    pub fn new(key: Key, now: Duration, unix: Duration) -> Self {
        Self { key, set_at: now, unix, last: Sequence(0) }
    }

    pub(crate) fn set_clock(&mut self, now: Duration, unix: Duration) {
        self.set_at = now;
        self.unix = unix;
    }

    /// How far the last sequence is ahead of the clock.
    pub(crate) fn lead(&self, now: Duration) -> Duration {
        self.last.unix_time().saturating_sub(self.unix_at(now))
    }

    /// Restarts the sequences from the clock, for packets under an id that was never used before.
    pub(crate) fn restart(&mut self) {
        self.last = Sequence(0);
    }

    fn unix_at(&self, now: Duration) -> Duration {
        self.unix.saturating_add(now.saturating_sub(self.set_at))
    }

    /// Writes the trailer into the last [`TRAILER_LEN`] bytes of `packet`. It covers all bytes before it.
    pub(crate) fn authenticate(&mut self, now: Duration, packet: &mut [u8]) {
        self.last = Sequence::from_unix_time(self.unix_at(now)).max(Sequence(self.last.0.saturating_add(1)));

        let (authenticated, tag) = packet.split_at_mut(packet.len() - field::MAC_LEN);
        let sequence = authenticated.len() - field::SEQUENCE_LEN;
        BigEndian::write_u64(&mut authenticated[sequence..], self.last.0);
        tag.copy_from_slice(&self.key.tag(authenticated));
    }
}

impl FromStr for Key {
    type Err = ParseKeyError;

    fn from_str(text: &str) -> Result<Self, ParseKeyError> {
        let digits: &[u8; 64] = text.as_bytes().try_into().map_err(|_| ParseKeyError)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.as_chunks::<2>().0) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self::new(bytes))
    }
}

fn digit(digit: u8) -> Result<u8, ParseKeyError> {
    match digit {
        b'0'..=b'9' => Ok(digit - b'0'),
        b'a'..=b'f' => Ok(digit - b'a' + 10),
        b'A'..=b'F' => Ok(digit - b'A' + 10),
        _ => Err(ParseKeyError),
    }
}

impl fmt::Debug for Key {
    /// Shows nothing of the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

mod field {
    pub(super) const SEQUENCE_LEN: usize = 8;
    /// Half of SHA-256's output, as RFC 4868 truncates it: a random MAC is right once in 2^128 attempts.
    pub(super) const MAC_LEN: usize = 16;
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [0x0b; 32];
    const SECOND: Duration = Duration::from_secs(1);

    /// A key of fewer bytes. HMAC pads it with zeros up to a block, so the zeros of a `Key` change nothing.
    fn short_key(bytes: &[u8]) -> Key {
        let mut key = [0; 32];
        key[..bytes.len()].copy_from_slice(bytes);
        Key::new(key)
    }

    fn hex(tag: [u8; 16]) -> u128 {
        u128::from_be_bytes(tag)
    }

    #[test]
    fn makes_the_macs_of_rfc_4231() {
        // Section 4.2, test case 1.
        let tag = short_key(&[0x0b; 20]).tag(b"Hi There");
        assert_eq!(hex(tag), 0xb034_4c61_d8db_3853_5ca8_afce_af0b_f12b);
        // Section 4.3, test case 2.
        let tag = short_key(b"Jefe").tag(b"what do ya want for nothing?");
        assert_eq!(hex(tag), 0x5bdc_c146_bf60_754e_6a04_2426_0895_75c7);
        // Section 4.6, test case 5: "Test with a truncation of output to 128 bits."
        let tag = short_key(&[0x0c; 20]).tag(b"Test With Truncation");
        assert_eq!(hex(tag), 0xa3b6_1674_7310_0ee0_6e0c_796c_2955_552b);
    }

    #[test]
    fn makes_the_macs_of_rfc_4868() {
        // Section 2.7.2.1, the first four cases, all with keys of 32 bytes.
        let tag = Key::new(KEY).tag(b"Hi There");
        assert_eq!(hex(tag), 0x198a_607e_b44b_fbc6_9903_a0f1_cf2b_bdc5);
        let tag = Key::new(*b"JefeJefeJefeJefeJefeJefeJefeJefe").tag(b"what do ya want for nothing?");
        assert_eq!(hex(tag), 0x167f_9285_88c5_cc2e_ef8e_3093_caa0_e87c);
        let tag = Key::new([0xaa; 32]).tag(&[0xdd; 50]);
        assert_eq!(hex(tag), 0xcdcb_1220_d1ec_ccea_91e5_3aba_3092_f962);
        let tag = Key::new(core::array::from_fn(|i| u8::try_from(i + 1).unwrap())).tag(&[0xcd; 50]);
        assert_eq!(hex(tag), 0x372e_fcf9_b40b_35c2_115b_1346_903d_2ef4);
    }

    #[test]
    fn accepts_only_macs_of_the_same_key() {
        let mut packet = [7; 40];
        Authenticator::new(Key::new(KEY), SECOND, 9 * SECOND).authenticate(3 * SECOND, &mut packet);
        assert_eq!(Key::new(KEY).open(&packet), Ok((&[7; 16][..], Sequence(11_000_000))));

        assert_eq!(Key::new([0x0c; 32]).open(&packet), Err(BadMac));
        for cut in 0..packet.len() {
            assert_eq!(Key::new(KEY).open(&packet[..cut]), Err(BadMac));
        }
    }

    #[test]
    fn sequences_always_increase() {
        let mut authenticator = Authenticator::new(Key::new(KEY), SECOND, 9 * SECOND);
        let next = |authenticator: &mut Authenticator, now| {
            let mut packet = [0; 24];
            authenticator.authenticate(now, &mut packet);
            Key::new(KEY).open(&packet).unwrap().1
        };
        assert_eq!(next(&mut authenticator, SECOND), Sequence(9_000_000));
        // Two in the same microsecond, then one at an earlier `now`.
        assert_eq!(next(&mut authenticator, SECOND), Sequence(9_000_001));
        assert_eq!(next(&mut authenticator, Duration::ZERO), Sequence(9_000_002));
        assert_eq!(next(&mut authenticator, 2 * SECOND), Sequence(10_000_000));
        authenticator.set_clock(2 * SECOND, SECOND);
        assert_eq!(next(&mut authenticator, 3 * SECOND), Sequence(10_000_001));
        assert_eq!(authenticator.lead(3 * SECOND), 8 * SECOND + Duration::from_micros(1));
        authenticator.set_clock(3 * SECOND, 20 * SECOND);
        assert_eq!(authenticator.lead(3 * SECOND), Duration::ZERO);
        assert_eq!(next(&mut authenticator, 3 * SECOND), Sequence(20_000_000));
        assert_eq!(next(&mut authenticator, Duration::MAX), Sequence(u64::MAX));
    }

    #[test]
    fn parses_64_hex_digits_only() {
        let key: Key = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B0B".parse().unwrap();
        assert_eq!(key.tag(b"Hi There"), Key::new(KEY).tag(b"Hi There"));
        assert!("0b0b".parse::<Key>().is_err());
        let not_hex = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0g";
        assert!(not_hex.parse::<Key>().is_err());
    }
}
