//! A client that waits: [`client::ManyTrackers`](crate::client::ManyTrackers) over [`std::net::UdpSocket`], for programs
//! that ask a tracker now and then and have a thread to spare for it.
//!
//! ```no_run
//! use udp_tracker_proto::blocking::Tracker;
//! use udp_tracker_proto::client::Announce;
//! use udp_tracker_proto::{Event, PeerId};
//!
//! let torrent = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
//! let mut tracker = Tracker::connect("udp://tracker.example.com:6969/announce")?;
//! let told = tracker.announce(&Announce {
//!     left: 3_000_000,
//!     event: Event::Started,
//!     ..Announce::new(torrent, PeerId(*b"-XX0001-abcdefghijkl"), 6881)
//! })?;
//! println!("{} peers; again in {} s", told.peers.len(), told.interval);
//! println!("{} seeders", tracker.scrape(&[torrent])?[0].seeders);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

extern crate std;

use alloc::collections::btree_map::{BTreeMap, Entry};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::sync::atomic::{AtomicBool, Ordering};
use core::time::Duration;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Instant;

use crate::client::{Announce, Announced, ManyTrackers, Outcome, OwnedEvent, Policy, RequestId};
use crate::{DecodeError, Host, InfoHash, ScrapeEntry, TrackerUrl, UrlError};

/// How long a request may take, if nothing else is set.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// How soon a waiting request notices that it was cancelled.
const GLANCE: Duration = Duration::from_millis(50);

/// A tracker to ask.
///
/// A name with several addresses is asked at one after the other, each for its share of the time, until one answers; the
/// next request begins with that one.
#[derive(Debug)]
pub struct Tracker {
    host: String,
    path_and_query: String,
    addresses: Vec<SocketAddr>,
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    client: ManyTrackers<fn() -> u32>,
    start: Instant,
    timeout: Duration,
    cancelled: Arc<AtomicBool>,
}

/// Cancels a [`Tracker`]'s request from another thread.
#[derive(Clone, Debug)]
pub struct Canceller(Arc<AtomicBool>);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a UDP tracker's URL.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host's name has no address.
    #[error("no such host: {host} ({source})")]
    NoSuchHost {
        /// As the URL names it.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The tracker said no: its words, fit for a terminal; maybe none.
    #[error("the tracker refused{}{words}", if words.is_empty() { "" } else { ": " })]
    Refused {
        /// The tracker's own.
        words: String,
    },
    /// Nobody answered in time.
    #[error("nobody answers at {host} within {waited:.1?}{}", if *closed { ": the port is closed" } else { "" })]
    Silence {
        /// As the URL names it, with the port.
        host: String,
        /// For how long.
        waited: Duration,
        /// Whether a machine is there that says that nobody listens.
        closed: bool,
    },
    /// What came back was no reply to the request.
    #[error("that was no tracker's reply: {0}")]
    Malformed(DecodeError),
    /// The system doesn't let us ask.
    #[error("cannot send to udp://{address}: {source}")]
    System {
        /// Whom.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// [`Canceller::cancel`] was called.
    #[error("cancelled")]
    Cancelled,
}

impl Tracker {
    /// Resolves a tracker's name: `udp://host:port/path?query`, `host:port`, or `host`, whose port is 80.
    ///
    /// Takes as long as the system's resolver takes. Nothing is sent to the tracker before the first request; that gets
    /// the connection_id.
    ///
    /// # Errors
    /// `Url` or `NoSuchHost`.
    pub fn connect(url: &str) -> Result<Self, Error> {
        let TrackerUrl { host, port, path_and_query } = TrackerUrl::parse(url)?;
        let no_such_host = |source| Error::NoSuchHost { host: host.to_string(), source };
        let addresses: Vec<SocketAddr> = match host {
            Host::V4(ip) => Vec::from([(ip, port).into()]),
            Host::V6(ip) => Vec::from([(ip, port).into()]),
            Host::Name(name) => (name, port).to_socket_addrs().map_err(no_such_host)?.collect(),
        };
        if addresses.is_empty() {
            return Err(no_such_host(io::Error::other("it has no address")));
        }
        Ok(Self {
            host: alloc::format!("{host}:{port}"),
            path_and_query: path_and_query.into(),
            addresses,
            sockets: BTreeMap::new(),
            client: ManyTrackers::new(Policy::default(), random),
            start: Instant::now(),
            timeout: DEFAULT_TIMEOUT,
            cancelled: Arc::default(),
        })
    }

    /// The same, with another bound on how long each request may take.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The same, with requests sent again by another policy. It holds from the next request on, which connects anew.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.client = ManyTrackers::new(policy, random);
        self
    }

    /// The tracker's addresses, the one that answered last before the others.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What lets other threads cancel this one's requests.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancelled))
    }

    /// Announces, and waits for the answer. An empty `path_and_query` becomes that of the URL.
    ///
    /// # Errors
    /// Everything but `Url` and `NoSuchHost`.
    pub fn announce(&mut self, announce: &Announce<'_>) -> Result<Announced, Error> {
        let path_and_query = self.path_and_query.clone();
        let announce = match announce.path_and_query {
            "" => announce.with_path_and_query(&path_and_query),
            _ => *announce,
        };
        let answer = self.ask(|client, now, to, timeout| client.announce(now, to, &announce, timeout))?;
        match answer {
            Answer::Announced(announced) => Ok(announced),
            Answer::Scraped(_) => Err(Error::Malformed(DecodeError::WrongAction { expected: 1, got: 2 })),
        }
    }

    /// Asks for the counts of any number of torrents, and waits for them; they come in the order asked for.
    ///
    /// # Errors
    /// Everything but `Url` and `NoSuchHost`.
    pub fn scrape(&mut self, info_hashes: &[InfoHash]) -> Result<Vec<ScrapeEntry>, Error> {
        let answer = self.ask(|client, now, to, timeout| client.scrape(now, to, info_hashes, timeout))?;
        match answer {
            Answer::Scraped(entries) => Ok(entries),
            Answer::Announced(_) => Err(Error::Malformed(DecodeError::WrongAction { expected: 2, got: 1 })),
        }
    }

    /// Closes the sockets and forgets the tracker, as dropping it does.
    pub fn disconnect(self) {}

    /// Asks at one address after the other.
    fn ask(
        &mut self,
        begin: impl Fn(&mut ManyTrackers<fn() -> u32>, Duration, SocketAddr, Duration) -> RequestId,
    ) -> Result<Answer, Error> {
        let begun = Instant::now();
        let mut error = Error::Cancelled;
        for at in 0..self.addresses.len() {
            let others = u32::try_from(self.addresses.len() - at - 1).unwrap_or(u32::MAX);
            let left = self.timeout.saturating_sub(begun.elapsed());
            let now = self.start.elapsed();
            let request = begin(&mut self.client, now, self.addresses[at], left / others.saturating_add(1));
            match self.wait(request, self.addresses[at], others > 0) {
                Ok(answer) => {
                    self.addresses[..=at].rotate_right(1);
                    return Ok(answer);
                }
                Err(Error::Silence { host, closed, .. }) => {
                    error = Error::Silence { host, waited: begun.elapsed(), closed };
                }
                Err(last @ (Error::Cancelled | Error::Refused { .. })) => return Err(last),
                Err(next) => error = next,
            }
        }
        Err(error)
    }

    /// Sends and receives until the request has ended; if the address's port is closed, only if `hurry` is not set.
    fn wait(&mut self, request: RequestId, address: SocketAddr, hurry: bool) -> Result<Answer, Error> {
        let begun = Instant::now();
        let outcome = self.drive(request, address, hurry);
        self.client.cancel(request);
        match outcome {
            Ok((Outcome::Announced(announced), _)) => Ok(Answer::Announced(announced)),
            Ok((Outcome::Scraped(entries), _)) => Ok(Answer::Scraped(entries)),
            Ok((Outcome::Refused(words), _)) => Err(Error::Refused { words }),
            Ok((Outcome::Malformed(error), _)) => Err(Error::Malformed(error)),
            Ok((Outcome::TimedOut, closed)) => {
                Err(Error::Silence { host: self.host.clone(), waited: begun.elapsed(), closed })
            }
            Err(source) if source.kind() == io::ErrorKind::Interrupted => Err(Error::Cancelled),
            Err(source) => Err(Error::System { address, source }),
        }
    }

    /// What has come of the request, and whether the port is closed. `Interrupted` means that it was cancelled.
    fn drive(&mut self, request: RequestId, address: SocketAddr, hurry: bool) -> io::Result<(Outcome, bool)> {
        let socket = match self.sockets.entry(address) {
            Entry::Occupied(opened) => opened.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(open(address)?),
        };
        let mut datagram = [0; 65_535];
        let mut closed = false;
        loop {
            if self.cancelled.swap(false, Ordering::AcqRel) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    OwnedEvent::Ended { request: ended, outcome, .. } if ended == request => {
                        return Ok((outcome, closed));
                    }
                    _ => {}
                }
            }
            let now = self.start.elapsed();
            while let Some(transmit) =
                self.client.poll_transmit(now, &mut datagram).map_err(io::Error::other)?
            {
                match socket.send(&datagram[..transmit.len]) {
                    // The answer of the machine to an earlier datagram.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => closed = true,
                    other => drop(other?),
                }
            }
            let due = self.client.poll_timeout().unwrap_or_default();
            let wait = due.saturating_sub(now).clamp(Duration::from_millis(1), GLANCE);
            socket.set_read_timeout(Some(wait))?;
            match socket.recv(&mut datagram) {
                Ok(len) => self.client.handle_input(self.start.elapsed(), address, &datagram[..len]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    // It may be starting. But if there is another address, that may be up already.
                    io::ErrorKind::ConnectionRefused if !hurry => closed = true,
                    io::ErrorKind::ConnectionRefused => return Ok((Outcome::TimedOut, true)),
                    _ => return Err(error),
                },
            }
            self.client.handle_timeout(self.start.elapsed());
        }
    }
}

impl Canceller {
    /// Makes the request that waits, or else the next one, end with [`Error::Cancelled`], very soon.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
}

enum Answer {
    Announced(Announced),
    Scraped(Vec<ScrapeEntry>),
}

/// A socket that receives from this address only.
fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(address)?;
    Ok(socket)
}

/// 32 bits of SipHash under a key that the system has drawn: what the standard library guards its hash maps with.
fn random() -> u32 {
    let [a, b, c, d, ..] = RandomState::new().hash_one(()).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}
