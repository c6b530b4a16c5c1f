//! A client of UDP trackers without a socket and without a clock (BEP 15): the caller passes in the time and the
//! datagrams received, and gets the datagrams to be sent and the time of the next call.
//!
//! [`OneTracker`] sends requests to one address and allocates nothing; [`ManyTrackers`] (feature `alloc`) sends
//! requests to any number of addresses over one socket. Both are used in the same way:
//!
//! 1. Begin requests: `announce(..)`, `scrape(..)`.
//! 2. Call `poll_transmit(now, ..)` until it returns `None`, and send each datagram. If the system refuses to send one
//!    for a permanent reason, call `handle_send_error(..)`.
//! 3. Wait for a datagram until the time that `poll_timeout()` returns. If one arrives, call
//!    `handle_input(now, source, datagram)`; if not, call `handle_timeout(now)`.
//! 4. Handle the events. Continue with step 2.
//!
//! [`blocking`](crate::blocking) (feature `std`) and `tokio` (feature `tokio`) are ready-to-use drivers.
//!
//! Time is a [`Duration`](core::time::Duration) since any fixed moment, such as `start.elapsed()`. Randomness is a
//! function that returns 32 unpredictable bits, such as `rand::random::<u32>`. Transaction_ids are made from it;
//! because they can't be guessed, others can't forge a tracker's replies.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//! use udp_tracker_proto::Event;
//! use udp_tracker_proto::client::{Announce, BorrowedEvent, OneTracker, Policy};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = UdpSocket::bind("127.0.0.1:0")?;
//! # std::thread::spawn({ let tracker = listener.try_clone()?; move || {
//! #     let mut datagram = [0; 98];
//! #     let (_, from) = tracker.recv_from(&mut datagram).unwrap();
//! #     tracker.send_to(&[&[0, 0, 0, 0], &datagram[12..16], &[9; 8][..]].concat(), from).unwrap();
//! #     let (_, from) = tracker.recv_from(&mut datagram).unwrap();
//! #     tracker.send_to(&[&[0, 0, 0, 1], &datagram[12..16], &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2][..]].concat(),
//! from).unwrap();
//! # }});
//! # let tracker = listener.local_addr()?;
//! let socket = UdpSocket::bind("0.0.0.0:0")?;
//! let start = Instant::now();
//! let mut client: OneTracker<'_, _> = OneTracker::new(tracker, Policy::BEP_15, rand::random::<u32>);
//! let announce = Announce {
//!     event: Event::Started,
//!     key: rand::random(),
//!     ..Announce::new([0xe5; 20], *b"-XX0001-abcdefghijkl", 6881, 3_000_000)
//! };
//! client.announce(start.elapsed(), &announce, Duration::from_secs(60))?;
//!
//! // Large enough for a complete reply: 200 IPv6 peers have 3620 bytes.
//! let mut datagram = [0; 4096];
//! let announced = loop {
//!     while let Some(transmit) = client.poll_transmit(start.elapsed(), &mut datagram) {
//!         socket.send_to(&datagram[..transmit.len], transmit.to)?;
//!     }
//!     let wait = client.poll_timeout().unwrap_or_default().saturating_sub(start.elapsed());
//!     socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
//!     let event = match socket.recv_from(&mut datagram) {
//!         Ok((len, source)) => client.handle_input(start.elapsed(), source, &datagram[..len]),
//!         Err(_) => client.handle_timeout(start.elapsed()),
//!     };
//!     match event {
//!         Some(BorrowedEvent::Announced { head, peers, .. }) => break (head, peers.len()),
//!         Some(BorrowedEvent::Failed { failure, .. }) => return Err(failure.to_string().into()),
//!         _ => {}
//!     }
//! };
//! assert_eq!((announced.0.interval, announced.1), (1800, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # Behaviour
//! - A request without a valid connection_id connects first. A connection_id is kept for [`CONNECTION_ID_LIFETIME`] and
//!   shared by all requests to an address. A kept connection_id is dropped if the tracker does not reply to it, or if
//!   it refuses the request with a text that names the connection_id or without a text. The request is then tried once
//!   more with a new one, since the tracker may have been restarted. A refusal for another reason ends the request and
//!   keeps the connection_id.
//! - A reply is accepted only from the tracker's own address and with the transaction_id of a request that waits for
//!   one. Any other datagram is counted ([`OneTracker::strays`]) and changes nothing.
//! - Requests are sent again by a [`Policy`]. They end at the caller's deadline at the latest. For the last `stopped`
//!   at shutdown, use a deadline of one or two seconds.
//! - A request that is too long for a datagram or for the caller's buffer fails at once, with both lengths.
//! - To announce over IPv4 and over IPv6, announce to one address of each ([`PerFamily`]), with the same
//!   [`Announce::key`], by which the tracker recognises the same peer. One dual-stack IPv6 socket reaches both: send to
//!   [`mapped`] addresses, and pass on source addresses as the socket reports them.

mod announce;
mod exchange;
mod failure;
mod family;
mod interval;
mod link;
#[cfg(feature = "alloc")]
mod many;
mod one;
mod policy;

pub use announce::Announce;
#[cfg(feature = "alloc")]
pub use failure::Error;
pub use failure::Failure;
pub use family::{PerFamily, mapped};
pub use interval::{MAX_INTERVAL, MIN_INTERVAL, clamp_interval};
pub use link::CONNECTION_ID_LIFETIME;
#[cfg(feature = "alloc")]
pub use many::{Announced, ManyTrackers, OwnedEvent};
pub use one::{BorrowedEvent, OneTracker, StartError};
pub use policy::{Policy, Schedule};

use core::net::SocketAddr;

/// Identifies a request. Unique within the client that began it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transmit {
    /// The destination address.
    pub to: SocketAddr,
    /// Length in bytes, from the start of the buffer.
    pub len: usize,
    /// The request that it belongs to. Other requests may share a connect.
    pub request: RequestId,
}
