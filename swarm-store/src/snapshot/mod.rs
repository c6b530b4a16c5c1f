//! Snapshots: all that a store holds, as bytes for a file or for another machine.
//!
//! [`SnapshotWriter`] turns stores into bytes, [`SnapshotReader`] takes bytes in pieces of any length, and
//! [`SwarmStore::restore_swarms`](crate::SwarmStore::restore_swarms) puts what they contain into a store. None of them
//! has a file, a socket or a clock, and each needs about half a megabyte of memory at most, whatever is read.
//!
//! ```
//! use swarm_store::{Limits, Moment, Part, SnapshotCursor, SnapshotReader, SnapshotWriter, SwarmStore, ThreadContext};
//!
//! # fn main() -> Result<(), swarm_store::SnapshotError> {
//! let store = SwarmStore::<6>::new([7; 16], 2700, Limits::default());
//! let written = Moment { unix: 1_800_000_000, ..Moment::default() };
//! let mut writer = SnapshotWriter::new(1_800_000_000);
//! let mut bytes = writer.begin(&written).to_vec();
//! let mut cursor = SnapshotCursor::new();
//! while let Some(chunk) = writer.swarms(&store, &mut cursor) {
//!     bytes.extend_from_slice(chunk);
//! }
//! bytes.extend_from_slice(writer.end());
//!
//! let restored = SwarmStore::<6>::new([8; 16], 2700, Limits::default());
//! let now = Moment { unix: 1_800_000_060, ..Moment::default() };
//! let (mut reader, mut input, mut elapsed) = (SnapshotReader::new(), &bytes[..], 0);
//! while let Some(part) = reader.next(&mut input)? {
//!     match part {
//!         Part::Begin(written) => elapsed = now.seconds_since(&written).expect("the clock is right"),
//!         Part::Swarms(swarms) => {
//!             restored.restore_swarms(1_800_000_060, elapsed, &swarms, &mut ThreadContext::new(1));
//!         }
//!         _ => {}
//!     }
//! }
//! reader.finish()?;
//! # Ok(())
//! # }
//! ```
//!
//! # Format
//! Version 1. All numbers are unsigned and little-endian, on every machine. The stream is a head, any number of frames
//! with swarms, and a last frame.
//!
//! | bytes | head |
//! |---|---|
//! | 8 | `\x89SWARMS\n` |
//! | 2 | version |
//! | 8 | when it was written: seconds since 1970 |
//! | 16 | the boot of the machine that wrote it: a random id, zeros if unknown |
//! | 8 | seconds since that boot |
//! | 8 | checksum |
//!
//! | bytes | frame |
//! |---|---|
//! | 1 | 6: swarms of IPv4 peers, 18: of IPv6 peers, 0: the end |
//! | 3 | length of the content, at most 524,288 |
//! | | content |
//! | 8 | checksum |
//!
//! A checksum is SipHash-1-3 of all bytes of the head or of the frame before it. Its key is the checksum before (in the
//! head, 0) and 0. So each checksum depends on all bytes before it: a frame that is missing, repeated, moved, or left
//! over from another snapshot is noticed, like any other damage. The key is no secret: a checksum finds damage, and does
//! not authenticate.
//!
//! The content of the last frame is the number of torrent records and of peers in all frames, 8 bytes each. The content
//! of the others is the unit of ages in seconds (4 bytes), and records:
//!
//! | bytes | a torrent |
//! |---|---|
//! | 20 | info_hash |
//! | 2 | bits 0 to 10: number of peers, at most 1024; bit 11: there is a completed count; the others are 0 |
//! | 3 | completed count, if there is one |
//! | 2 | if there are no peers: for how long, in units of age; at most 16,383 |
//! | 6 or 18 | each peer: address and port in compact form |
//! | 2 | its state: bits 0 to 13: age at the time in the head; bit 14: it is a seeder; bit 15: counted as completed |
//!
//! The address and the state of a peer are next to each other. A torrent of many peers has several records; the first
//! one has its completed count. So a torrent with one peer takes 30 bytes for IPv4 and 42 for IPv6.
//!
//! # Ages
//! A peer that announces while a snapshot is written has age 0 in it, as if it had announced when the writing began: it
//! seems older than it is, never younger. A reader adds the time that has passed since, by [`Moment::seconds_since`].
//!
//! # What the file gives away
//! It has no keys. Torrents are in the order of their hashes, and so are the peers of large swarms; the keys of these
//! hashes are secret and live as long as the store. As SipHash is a pseudo-random function, its order says nothing about
//! the key or about other hashes. A restored store has other keys, and its order is independent of that of the file.
//!
//! # What an attacker controls
//! Who can write the file, or send the stream, controls what is stored; the caller must protect it. Bytes of any content
//! cause no panic, and no more memory than one frame. Remote hosts control the info_hashes, addresses and counts in it.
//! Each step of writing and of restoring locks one shard for a bounded number of items, whatever they choose.

mod checksum;
mod error;
mod moment;
mod read;
mod record;
mod restore;
mod write;

pub use error::SnapshotError;
pub use moment::Moment;
pub use read::{Part, SnapshotReader, Swarms};
pub use restore::Restored;
pub use write::{SnapshotCursor, SnapshotWriter};

/// The first bytes. The first one is no ASCII and the last one a line feed, so that a transfer as text is noticed.
const MAGIC: [u8; 8] = *b"\x89SWARMS\n";
const VERSION: u16 = 1;
/// Of the head, with its checksum.
const HEAD: usize = 50;
/// Of a frame's kind and length.
const FRAME_HEAD: usize = 4;
/// The kind of the last frame. Those of the others are the bytes of a peer.
const END: u8 = 0;
/// The content of the last frame.
const END_LEN: usize = 16;
/// The most bytes of a frame's content.
const MOST_CONTENT: usize = 1 << 19;
