//! Tracker-to-tracker sync packets in opentracker's format, by which several trackers act as one.
//!
//! A tracker reports the announces of its clients to the other trackers of its cluster, in packets of up to 52
//! [`Record`]s, by UDP multicast or to a list of nodes. opentrackers may be among them. [`Sender`] fills packets, and
//! [`receive`] checks and reads received ones. Nothing here has a socket, a clock or an allocator: the caller passes
//! the time in, and packets are borrowed.
//!
//! ```
//! use core::time::Duration;
//! use livesync_proto::{Family, Flags, MAX_PACKET_LEN, Record, Sender, TrackerId, receive};
//!
//! let (ours, theirs) = (TrackerId([1, 1, 1, 1]), TrackerId([2, 2, 2, 2]));
//! let record = Record {
//!     info_hash: "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?,
//!     peer: "192.0.2.7:6881".parse()?,
//!     flags: Flags::SEEDING,
//! };
//!
//! let mut sender = Sender::new(Duration::ZERO, ours, None, MAX_PACKET_LEN);
//! sender.push(&record)?;
//! let timeout = sender.poll_timeout().expect("a record is waiting");
//! assert_eq!(timeout, Duration::from_secs(15));
//! sender.handle_timeout(timeout);
//! let packet = sender.poll_transmit(timeout).expect("15 seconds have passed");
//!
//! let packet = receive(packet, theirs, None)?;
//! assert_eq!(packet.id, ours);
//! assert_eq!(packet.records.family(), Family::V4);
//! assert!(packet.records.eq([record]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # With a key
//!
//! The protocol itself trusts every sender with the right source address. Nodes that share a [`Key`] authenticate their
//! packets with a trailer, which opentracker ignores. They accept only authenticated packets, each once, while it is
//! fresh. So an opentracker accepts the packets of nodes with a key, but these nodes don't accept its packets.
//!
//! ```
//! use core::time::Duration;
//! use livesync_proto::{
//!     CLOCK_TOLERANCE, Key, MAX_PACKET_LEN, NotFresh, ReplayGuard, Sender, Authenticator, TrackerId, receive,
//! };
//! # use livesync_proto::{Flags, Record, Refused};
//! # let (ours, theirs) = (TrackerId([1, 1, 1, 1]), TrackerId([2, 2, 2, 2]));
//! # let record = Record {
//! #     info_hash: "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?,
//! #     peer: "192.0.2.7:6881".parse()?,
//! #     flags: Flags::SEEDING,
//! # };
//!
//! let key: Key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f".parse()?;
//! let now = Duration::ZERO;
//! let unix = Duration::from_secs(1_750_000_000); // the system's clock at `now`
//!
//! // One node.
//! let authenticator = Authenticator::new(key.clone(), now, unix);
//! let mut sender = Sender::new(now, ours, Some(authenticator), MAX_PACKET_LEN);
//! sender.push(&record)?;
//! sender.flush();
//! let datagram = sender.poll_transmit(now).expect("a record is waiting");
//!
//! // Another node, which was started a minute ago.
//! let mut guard = ReplayGuard::<16>::new(now, CLOCK_TOLERANCE);
//! let (now, unix) = (now + Duration::from_secs(60), unix + Duration::from_secs(60));
//! let packet = receive(datagram, theirs, Some(&key))?;
//! let sequence = packet.sequence.expect("a key is used");
//! guard.admit(now, unix, packet.id, sequence)?;
//! assert!(packet.records.eq([record]));
//!
//! // The same packet again; a changed one; and a receiver without the key.
//! assert_eq!(guard.admit(now, unix, packet.id, sequence), Err(NotFresh::Replayed));
//! let mut changed = datagram.to_vec();
//! changed[34] ^= 0x20;
//! assert_eq!(receive(&changed, theirs, Some(&key)).map(drop), Err(Refused::BadMac));
//! assert!(receive(datagram, theirs, None)?.records.eq([record]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The MAC is HMAC-SHA-256-128 (RFC 4868), because it has a specification, published vectors and hardware support. Its
//! implementation (`hmac`, `sha2`) is maintained by RustCrypto. To authenticate or check a full packet takes about a
//! microsecond on a processor with SHA instructions, which is 20 ns a record.
//!
//! # Not supported
//! - Packets of opentracker's IPv6 builds before 2024, which put 40-byte records under type 0.
//! - BEACON, INQUIRE and TELL packets of 2008, and the TCP streams of opentracker's `proxy.c`.
//! - Encryption: anyone on the path can read packets.
//! - Changing the key of a running cluster: a node has one key at a time, so nodes with the old key and nodes with the
//!   new key refuse each other's packets.

#![no_std]
#![forbid(unsafe_code)]

mod key;
mod packet;
mod record;
mod replay;
mod sender;

pub use key::{Authenticator, Key, ParseKeyError, Sequence, TRAILER_LEN};
pub use packet::{Packet, Records, Refused, TrackerId, receive};
pub use record::{Family, Flags, Record};
pub use replay::{CLOCK_TOLERANCE, NotFresh, ReplayGuard, ReplayWindow};
pub use sender::{MAX_DELAY, MAX_LEAD, MAX_PACKET_LEN, PacketWaits, Sender};
pub use torrent_ids::InfoHash;

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
