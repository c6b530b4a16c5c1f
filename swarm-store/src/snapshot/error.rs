//! Why a snapshot is not accepted.

/// Why a snapshot is not accepted. Offsets are in bytes from its beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The first bytes are others.
    #[error("it is not a snapshot of swarms")]
    NotASnapshot,
    /// It has another version.
    #[error("it has version {found} of the format, and this program reads version {expected}")]
    Version {
        /// The snapshot's.
        found: u16,
        /// The one that can be read.
        expected: u16,
    },
    /// Bytes have changed since it was written.
    #[error("it is damaged: the checksum of the bytes from {from} to {to} does not match")]
    Checksum {
        /// The first of these bytes.
        from: u64,
        /// The end of them.
        to: u64,
    },
    /// A frame begins with bytes that none begins with.
    #[error("it is damaged: no frame can have the kind {kind} and the length {len}, as at byte {at}")]
    Frame {
        /// Where.
        at: u64,
        /// The kind.
        kind: u8,
        /// The length of the content.
        len: usize,
    },
    /// A frame whose checksum matches has a content that no writer makes.
    #[error("the frame at byte {at} has an invalid content: {problem}")]
    Content {
        /// Where the frame begins.
        at: u64,
        /// What is wrong.
        problem: &'static str,
    },
    /// It ends too early.
    #[error("it is cut off after {len} bytes")]
    Truncated {
        /// How many there are.
        len: u64,
    },
    /// There are bytes after its end.
    #[error("it ends at byte {at}, but there are more bytes")]
    AfterEnd {
        /// The end.
        at: u64,
    },
}
