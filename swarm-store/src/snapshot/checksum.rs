//! Checksums that depend on all bytes before them.

use siphasher::sip::SipHasher13;

/// Bytes of a checksum.
pub(super) const LEN: usize = 8;

/// The last checksum, which is the key of the next one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Chain(u64);

impl Chain {
    /// The checksum of what comes next.
    pub(super) fn next(&mut self, bytes: &[u8]) -> [u8; LEN] {
        self.0 = SipHasher13::new_with_keys(self.0, 0).hash(bytes);
        self.0.to_le_bytes()
    }
}
