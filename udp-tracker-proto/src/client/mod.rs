//! A client of UDP trackers without a socket and without a clock (BEP 15): it is told the time and what came in, and says
//! what is to be sent and when it wants to be asked again.
//!
//! [`OneTracker`] talks to one address and allocates nothing; [`ManyTrackers`] (feature `alloc`) talks to any number over
//! one socket. Both are driven alike:
//!
//! 1. `announce(..)`, `scrape(..)`: ask for something.
//! 2. `poll_transmit(now, ..)` until it gives `None`: send what it gives.
//! 3. Wait for a datagram, or until `poll_timeout()`; `handle_input(now, source, datagram)` or `handle_timeout(now)`.
//! 4. Look at the events, go on with 2.
//!
//! Time is a [`Duration`](core::time::Duration) since any fixed moment, such as `start.elapsed()`. Randomness is a
//! function that returns 32 bits no outsider can guess, such as `rand::random::<u32>`: transaction ids are made of it, and
//! they are what keeps strangers from answering in the tracker's place.
//!
//! ```
//! use std::net::UdpSocket;
//! use std::time::{Duration, Instant};
//! use udp_tracker_proto::client::{Announce, Event, OneTracker, Policy};
//! use udp_tracker_proto::{InfoHash, PeerId};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let listener = UdpSocket::bind("127.0.0.1:0")?;
//! # std::thread::spawn({ let tracker = listener.try_clone()?; move || {
//! #     let mut datagram = [0; 98];
//! #     let (_, from) = tracker.recv_from(&mut datagram).unwrap();
//! #     tracker.send_to(&[&[0, 0, 0, 0], &datagram[12..16], &[9; 8][..]].concat(), from).unwrap();
//! #     let (_, from) = tracker.recv_from(&mut datagram).unwrap();
//! #     tracker.send_to(&[&[0, 0, 0, 1], &datagram[12..16], &[0, 0, 7, 8, 0, 0, 0, 1, 0, 0, 0, 2][..]].concat(), from).unwrap();
//! # }});
//! # let tracker = listener.local_addr()?;
//! let socket = UdpSocket::bind("0.0.0.0:0")?;
//! let start = Instant::now();
//! let mut client: OneTracker<'_, _> = OneTracker::new(tracker, Policy::BEP_15, rand::random::<u32>);
//! let announce = Announce {
//!     left: 3_000_000,
//!     event: udp_tracker_proto::Event::Started,
//!     key: rand::random(),
//!     ..Announce::new(InfoHash([0xe5; 20]), PeerId(*b"-XX0001-abcdefghijkl"), 6881)
//! };
//! client.announce(start.elapsed(), &announce, Duration::from_secs(60))?;
//!
//! // A whole datagram must fit in: 200 IPv6 peers have 3620 octets.
//! let mut datagram = [0; 4096];
//! let announced = loop {
//!     while let Some(len) = client.poll_transmit(start.elapsed(), &mut datagram)? {
//!         socket.send_to(&datagram[..len], client.tracker())?;
//!     }
//!     let wait = client.poll_timeout().unwrap_or_default().saturating_sub(start.elapsed());
//!     socket.set_read_timeout(Some(wait.max(Duration::from_millis(1))))?;
//!     let event = match socket.recv_from(&mut datagram) {
//!         Ok((len, source)) => client.handle_input(start.elapsed(), source, &datagram[..len]),
//!         Err(_) => client.handle_timeout(start.elapsed()),
//!     };
//!     match event {
//!         Some(Event::Announced { head, peers, .. }) => break (head, peers.len()),
//!         Some(Event::Failed { failure, .. }) => return Err(failure.to_string().into()),
//!         _ => {}
//!     }
//! };
//! assert_eq!((announced.0.interval, announced.1), (1800, 0));
//! # Ok(())
//! # }
//! ```
//!
//! # What it does
//! - A request that has no connection_id to use connects first. Ids are kept for [`CONNECTION_ID_LIFETIME`], and shared by
//!   all requests to an address. One that was kept from earlier, and that the tracker refuses or does not answer to, is
//!   thrown away, and the request tried once more with a fresh one: the tracker may have been restarted.
//! - Replies count only from the tracker's own address and with the transaction_id of a request that is waiting for one.
//!   Everything else is counted ([`OneTracker::strays`]) and changes nothing.
//! - Requests are sent again by a [`Policy`], and end, in any case, at the caller's own deadline. For the last `stopped`
//!   at shutdown, a deadline of a second or two is a good one.
//! - To announce over IPv4 and over IPv6, announce to one address of each, with the same [`Announce::key`], by which the
//!   tracker can tell that it is the same peer.

mod announce;
mod link;
#[cfg(feature = "alloc")]
mod many;
mod one;
mod pending;
mod policy;

pub use announce::Announce;
pub use link::CONNECTION_ID_LIFETIME;
#[cfg(feature = "alloc")]
pub use many::{Announced, ManyTrackers, Outcome, OwnedEvent, Transmit};
pub use one::{Event, OneTracker, StartError};
pub use policy::{Policy, Schedule};

use core::fmt;
use core::net::{SocketAddr, SocketAddrV6};

use crate::compact::Peers;
use crate::{
    AnnounceHead, AnnounceResponse, DecodeError, Dialect, ErrorResponse, InfoHash, ScrapeResponse,
    TransactionId,
};

/// Names a request to the client that it was made to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub(crate) u64);

/// Why a request has come to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// The tracker said no.
    Refused(ErrorResponse<'a>),
    /// The tracker, or what sits at its address, replied with something that is no reply to this request.
    Malformed(DecodeError),
    /// Nobody answered before the deadline, or before the policy gave up.
    TimedOut,
}

impl fmt::Display for Failure<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) if error.message.is_empty() => f.write_str("the tracker refused"),
            Self::Refused(error) => write!(f, "the tracker refused: {}", error.text()),
            Self::Malformed(error) => write!(f, "that was no tracker's reply: {error}"),
            Self::TimedOut => f.write_str("nobody answers"),
        }
    }
}

/// What a reply says of its request, refusals put apart.
fn failure(error: DecodeError, transaction_id: TransactionId) -> Failure<'static> {
    match error {
        // opentracker's way to say no without a word.
        DecodeError::Refused => Failure::Refused(ErrorResponse { transaction_id, message: &[] }),
        malformed => Failure::Malformed(malformed),
    }
}

/// A transaction_id that no living request has: random, or the next after that, so that a bad source of randomness can't
/// make it search for ever.
fn fresh_transaction_id(random: u32, mut is_taken: impl FnMut(TransactionId) -> bool) -> TransactionId {
    let mut id = TransactionId(random);
    while is_taken(id) {
        id.0 = id.0.wrapping_add(1);
    }
    id
}

/// Reads the reply to an announce: of either dialect over IPv4, of the one asked in over IPv6.
fn decode_announced(
    tracker: SocketAddr,
    asked: Dialect,
    datagram: &[u8],
) -> Result<(AnnounceHead, Peers<'_>), DecodeError> {
    if tracker.is_ipv4() {
        let response = AnnounceResponse::decode(datagram)?;
        Ok((response.head, Peers::V4(response.peers)))
    } else {
        let response = AnnounceResponse::decode_as(asked, datagram)?;
        Ok((response.head, Peers::V6(response.peers)))
    }
}

/// Reads the reply to a scrape, and sees that a reply which names torrents names those asked for.
fn decode_scraped<'a>(asked: &[InfoHash], datagram: &'a [u8]) -> Result<ScrapeResponse<'a>, DecodeError> {
    let response = ScrapeResponse::decode(datagram, asked.len())?;
    let named = response.entries().map(|(hash, _)| hash);
    if named.zip(asked).all(|(named, asked)| named.is_none_or(|named| named == *asked)) {
        Ok(response)
    } else {
        Err(DecodeError::OtherInfoHash)
    }
}

/// A mapped address is its IPv4 address: a dual-stack socket reports the one where the other was meant. Of another IPv6
/// address the flow label means nothing here, and the scope does.
fn canonical(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => (v4, v6.port()).into(),
            None => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
        },
        v4 => v4,
    }
}
