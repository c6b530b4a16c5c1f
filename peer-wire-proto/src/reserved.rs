//! The eight reserved bytes of the handshake: which extensions a peer supports.
//!
//! | byte | bit | extension |
//! |---|---|---|
//! | 5 | `0x10` | extension protocol (BEP 10) |
//! | 7 | `0x04` | fast extension (BEP 6) |
//! | 7 | `0x01` | DHT (BEP 5) |

use core::fmt;
use core::ops::{BitAnd, BitOr};

/// The eight bytes between the protocol's name and the info_hash: a set of bits (assigned in BEP 4).
///
/// All bits are kept, so that bits without a name here can be read and set as well.
///
/// ```
/// use peer_wire_proto::Reserved;
///
/// let ours = Reserved::FAST | Reserved::EXTENSION_PROTOCOL;
/// let theirs = Reserved([0, 0, 0, 0, 0, 0x10, 0, 0x01]);
/// assert_eq!(ours & theirs, Reserved::EXTENSION_PROTOCOL);
/// assert!(!theirs.has(Reserved::FAST));
/// ```
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Reserved(pub [u8; 8]);

impl Reserved {
    /// No extension.
    pub const NONE: Self = Self([0; 8]);
    /// The fast extension: suggest, have all, have none, reject, allowed fast, and a choke that drops no requests
    /// (BEP 6).
    pub const FAST: Self = Self([0, 0, 0, 0, 0, 0, 0, 0x04]);
    /// The extension protocol: message 20, which carries bencoded extensions (BEP 10).
    pub const EXTENSION_PROTOCOL: Self = Self([0, 0, 0, 0, 0, 0x10, 0, 0]);
    /// The peer runs a DHT node; its port follows in message 9 (BEP 5).
    pub const DHT: Self = Self([0, 0, 0, 0, 0, 0, 0, 0x01]);

    /// Whether every bit of `extension` is set.
    pub fn has(self, extension: Self) -> bool {
        self & extension == extension
    }
}

impl BitOr for Reserved {
    type Output = Self;

    /// The union.
    fn bitor(self, other: Self) -> Self {
        Self((u64::from_ne_bytes(self.0) | u64::from_ne_bytes(other.0)).to_ne_bytes())
    }
}

impl BitAnd for Reserved {
    type Output = Self;

    /// The intersection: what both sides support.
    fn bitand(self, other: Self) -> Self {
        Self((u64::from_ne_bytes(self.0) & u64::from_ne_bytes(other.0)).to_ne_bytes())
    }
}

impl fmt::Debug for Reserved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Reserved({:016x})", u64::from_be_bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_have_the_specified_positions() {
        // "bit 20 from the right (counting starts at 0)" (BEP 10).
        assert_eq!(u64::from_be_bytes(Reserved::EXTENSION_PROTOCOL.0), 1 << 20);
        // "the third least significant bit in the last reserved byte" (BEP 6).
        assert_eq!(Reserved::FAST.0[7], 1 << 2);
        // "the last bit of the 8-byte reserved flags" (BEP 5).
        assert_eq!(u64::from_be_bytes(Reserved::DHT.0), 1);
    }

    #[test]
    fn has_requires_every_bit() {
        let both = Reserved::FAST | Reserved::DHT;
        assert_eq!(both.0[7], 0x05);
        assert!(both.has(Reserved::FAST));
        assert!(both.has(Reserved::FAST | Reserved::DHT));
        assert!(!Reserved::DHT.has(both));
        assert!(Reserved::NONE.has(Reserved::NONE));
    }
}
