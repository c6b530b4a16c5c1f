//! The BitTorrent UDP tracker protocol, for clients and trackers: [BEP 15], its extension [BEP 41], and the 2004
//! dialect that preceded them.
//!
//! The codec opens no socket, reads no clock and allocates nothing. The same holds for the client in [`client`], except
//! that [`client::ManyTrackers`] allocates (feature `alloc`). [`blocking`] (feature `std`, a default) and `tokio`
//! (feature `tokio`) are ready-to-use clients with sockets. Decoding borrows from the datagram; encoding writes into
//! the caller's buffer and returns the number of bytes written. Numbers are in host order. Peers stay in compact form
//! ([`compact`]) until they are converted to socket addresses.
//!
//! # Send requests to a tracker
//!
//! ```no_run
//! use udp_tracker_proto::blocking::Tracker;
//! use udp_tracker_proto::client::Announce;
//! use udp_tracker_proto::{Event, InfoHash};
//!
//! let torrent: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
//! let mut tracker = Tracker::connect("udp://tracker.example.com:6969/announce")?;
//! let left = 3_000_000; // bytes to download; 0 for a seeder
//! let announced = tracker.announce(&Announce {
//!     event: Event::Started,
//!     ..Announce::new(torrent, *b"-XX0001-abcdefghijkl", 6881, left)
//! })?;
//! println!("{} peers; again in {:?}", announced.peers.len(), announced.next_announce());
//! println!("{} seeders", tracker.scrape(&[torrent])?[0].seeders);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! This needs the feature `std`, and a thread that may block. [`client`] does the same without a socket and without a
//! clock, for any event loop.
//!
//! # The codec, from a client's side
//!
//! ```
//! use udp_tracker_proto::{ConnectRequest, ConnectResponse, TransactionId};
//!
//! let mut datagram = [0; 16];
//! let request = ConnectRequest::new(TransactionId(0xad7e85d6));
//! assert_eq!(request.encode(&mut datagram)?, 16);
//!
//! // .. send it, and this comes back:
//! let reply = [0, 0, 0, 0, 0xad, 0x7e, 0x85, 0xd6, 0x3b, 0xe0, 0x6a, 0x37, 0x39, 0x33, 0xe4, 0x98];
//! let response = ConnectResponse::decode(&reply)?;
//! assert_eq!(response.transaction_id, request.transaction_id);
//! assert_eq!(response.connection_id.to_string(), "3be06a373933e498");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # The codec, from a tracker's side
//!
//! ```
//! use udp_tracker_proto::{ErrorResponse, Request, RequestError};
//!
//! /// Bytes of the reply in `out`; 0 for no reply.
//! fn answer(datagram: &[u8], out: &mut [u8]) -> usize {
//!     match Request::decode(datagram) {
//!         Ok(Request::Connect(_request)) => 0,  // ..
//!         Ok(Request::Announce(_request)) => 0, // ..
//!         Ok(Request::Scrape(_request)) => 0,   // ..
//!         // May be answered if the connection_id is valid:
//!         Err(RequestError::Sendable { transaction_id, reason, .. }) => {
//!             ErrorResponse::encode_display(transaction_id, &reason, out).unwrap_or(0)
//!         }
//!         Err(RequestError::Unsendable(_)) => 0,
//!     }
//! }
//! # let mut out = [0; 64];
//! # assert_eq!(answer(&[0; 15], &mut out), 0);
//! ```
//!
//! # Dialects
//!
//! All current programs implement BEP 15. The [2004 dialect](Dialect::Draft2004) is that of the libtorrent document of
//! 2004, older than BEP 15: announces have no key, and replies to them no counts. The length distinguishes the
//! dialects.
//!
//! # Not supported
//!
//! Drafts that no program implements: authentication by user name, and "continuation" datagrams without a header.
//!
//! [BEP 15]: https://www.bittorrent.org/beps/bep_0015.html
//! [BEP 41]: https://www.bittorrent.org/beps/bep_0041.html

#![no_std]
#![forbid(unsafe_code)]

#[cfg(feature = "alloc")]
extern crate alloc;

mod announce_request;
mod announce_response;
#[cfg(feature = "std")]
pub mod blocking;
pub mod client;
mod connect;
mod decode_error;
mod error_response;
mod id;
mod options;
mod request;
mod response;
mod scrape_request;
mod scrape_response;
#[cfg(feature = "std")]
mod system;
#[cfg(feature = "tokio")]
pub mod tokio;
mod url;

pub use announce_request::{AnnounceRequest, Event};
pub use announce_response::{AnnounceHead, AnnounceResponse, Counts};
pub use connect::{ConnectRequest, ConnectResponse, PROTOCOL_ID};
pub use decode_error::{BufferTooSmall, DecodeError, RequestError};
pub use error_response::ErrorResponse;
pub use id::{ConnectionId, TransactionId};
pub use options::{AnnounceOption, OptionOverrun, Options, url_data_len, write_url_data};
pub use request::Request;
pub use response::{Response, ResponseHead};
pub use scrape_request::{MAX_SCRAPE_HASHES, ScrapeRequest};
pub use scrape_response::{ScrapeEntry, ScrapeResponse};
pub use torrent_ids::{InfoHash, ParseIdError, PeerId, compact};
pub use url::{DEFAULT_PORT, Host, TrackerUrl, UrlError};

/// The README's snippets compile.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Values of the `action` field of requests and replies (BEP 15).
mod action {
    pub(crate) const CONNECT: u32 = 0;
    pub(crate) const ANNOUNCE: u32 = 1;
    pub(crate) const SCRAPE: u32 = 2;
    pub(crate) const ERROR: u32 = 3;
}

/// The layout of a message: that of BEP 15, or the older one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// BEP 15, which every current client and tracker implements.
    #[default]
    Bep15,
    /// The libtorrent document of 2004 (`udp_tracker_protocol.rst`): announces have no key, replies to them no counts,
    /// and scrape replies repeat the info_hash.
    Draft2004,
}
