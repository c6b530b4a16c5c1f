//! A blocking client: [`client::ManyTrackers`] over [`std::net::UdpSocket`], for programs that send a request to a
//! tracker now and then, from a thread that may block.
//!
//! ```no_run
//! use udp_tracker_proto::blocking::Tracker;
//! use udp_tracker_proto::client::Announce;
//! use udp_tracker_proto::{Event, InfoHash};
//!
//! let torrent: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
//! let mut tracker = Tracker::connect("udp://tracker.example.com:6969/announce")?;
//! let announced = tracker.announce(&Announce {
//!     event: Event::Started,
//!     ..Announce::new(torrent, *b"-XX0001-abcdefghijkl", 6881, 3_000_000)
//! })?;
//! println!("{} peers; again in {:?}", announced.peers.len(), announced.next_announce());
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
use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::time::Instant;

use crate::client::{self, Announce, Announced, ManyTrackers, OwnedEvent, Policy, RequestId};
use crate::system::{is_lasting, random};
use crate::{BufferTooSmall, DecodeError, Host, InfoHash, ScrapeEntry, TrackerUrl, UrlError};

/// The time after which a request fails, unless [`Tracker::with_timeout`] sets another.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// The longest wait for a datagram before a request checks whether it was cancelled.
const CANCEL_CHECK: Duration = Duration::from_millis(50);

/// A tracker, identified by its URL.
///
/// If its host name has several addresses, a request tries one after the other, each for an equal share of the time,
/// until one replies. The next request starts with that address.
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

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is not the URL of a UDP tracker.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// The host name has no address.
    #[error("no such host: {host} ({source})")]
    NoSuchHost {
        /// The host name in the URL.
        host: String,
        /// The resolver's error.
        source: io::Error,
    },
    /// The tracker refused.
    #[error("the tracker refused{}{text}", if text.is_empty() { "" } else { ": " })]
    Refused {
        /// The tracker's own text, with control characters escaped; may be empty.
        text: String,
    },
    /// No reply came in time.
    #[error("no reply from {host} within {waited:.1?}{}", silence_note(*closed, *strays))]
    Silence {
        /// The host in the URL, with the port.
        host: String,
        /// How long the request waited.
        waited: Duration,
        /// Whether the host reported that the port is closed.
        closed: bool,
        /// Number of datagrams from the tracker's address that were not a reply to the request.
        strays: u64,
    },
    /// The tracker sent an invalid reply.
    #[error("invalid reply: {0}")]
    Malformed(#[source] DecodeError),
    /// The request needs more bytes than a UDP datagram can have.
    #[error("request too long: {0}")]
    TooLong(#[source] BufferTooSmall),
    /// The system refused to send the request.
    #[error("cannot send to udp://{address}: {source}")]
    System {
        /// The tracker's address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// [`Canceller::cancel`] was called.
    #[error("cancelled")]
    Cancelled,
}

impl Tracker {
    /// Resolves the host name of a tracker's URL: `udp://host:port/path?query`, `host:port`, or `host` with port 80.
    ///
    /// Blocks until the system's resolver returns. Nothing is sent to the tracker before the first request.
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
            return Err(no_such_host(io::Error::other("the name has no address")));
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

    /// Sets the time after which each request fails.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the policy by which requests are sent again. The connection_id is dropped, so the next request connects
    /// first.
    #[must_use]
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.client = ManyTrackers::new(policy, random);
        self
    }

    /// The tracker's addresses. The one that replied last comes first.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// A handle with which another thread can cancel the requests of this tracker.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller(Arc::clone(&self.cancelled))
    }

    /// Announces, and waits for the reply. If `path_and_query` is empty, that of the URL is sent.
    ///
    /// # Errors
    /// Any [`Error`] except `Url` and `NoSuchHost`.
    pub fn announce(&mut self, announce: &Announce<'_>) -> Result<Announced, Error> {
        let path_and_query = self.path_and_query.clone();
        let announce = match announce.path_and_query {
            "" => announce.with_path_and_query(&path_and_query),
            _ => *announce,
        };
        self.request(
            |client, now, to, timeout| client.announce(now, to, &announce, timeout),
            |event| match event {
                OwnedEvent::Announced { request, result, .. } => Some((request, result)),
                _ => None,
            },
        )
    }

    /// Scrapes any number of torrents, and waits for their counts. The entries have the order of `info_hashes`.
    ///
    /// # Errors
    /// Any [`Error`] except `Url` and `NoSuchHost`.
    pub fn scrape(&mut self, info_hashes: &[InfoHash]) -> Result<Vec<ScrapeEntry>, Error> {
        self.request(
            |client, now, to, timeout| client.scrape(now, to, info_hashes, timeout),
            |event| match event {
                OwnedEvent::Scraped { request, result, .. } => Some((request, result)),
                _ => None,
            },
        )
    }

    /// Closes the sockets. The same as dropping the tracker.
    pub fn disconnect(self) {}

    /// Sends a request to one address after the other until one replies. `begin` begins the request; `ended` returns
    /// the result that an event carries, if any.
    fn request<T>(
        &mut self,
        begin: impl Fn(&mut ManyTrackers<fn() -> u32>, Duration, SocketAddr, Duration) -> RequestId,
        ended: impl Fn(OwnedEvent) -> Option<(RequestId, Result<T, client::Error>)>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let mut worst: Option<Error> = None;
        // An address without a socket (of a family that this machine doesn't have) gets no share of the time.
        let mut usable = Vec::new();
        for &address in &self.addresses {
            let opened = match self.sockets.entry(address) {
                Entry::Occupied(_) => Ok(()),
                Entry::Vacant(vacant) => open(address).map(|socket| {
                    vacant.insert(socket);
                }),
            };
            match opened {
                Ok(()) => usable.push(address),
                Err(source) => keep_worst(&mut worst, Error::System { address, source }),
            }
        }
        for (at, &address) in usable.iter().enumerate() {
            let others = u32::try_from(usable.len() - at - 1).unwrap_or(u32::MAX);
            let left = self.timeout.saturating_sub(begun.elapsed());
            let now = self.start.elapsed();
            let request = begin(&mut self.client, now, address, left / others.saturating_add(1));
            let answer = self.wait(request, address, others > 0, &ended);
            self.client.cancel(request);
            match answer {
                Ok(answer) => {
                    if let Some(position) = self.addresses.iter().position(|known| *known == address) {
                        self.addresses[..=position].rotate_right(1);
                    }
                    return Ok(answer);
                }
                Err(last @ (Error::Cancelled | Error::Refused { .. } | Error::TooLong(_))) => {
                    return Err(last);
                }
                Err(error) => {
                    // The socket may be bound to an address that this machine no longer has.
                    self.sockets.remove(&address);
                    keep_worst(&mut worst, error);
                }
            }
        }
        Err(match worst {
            Some(Error::Silence { host, closed, strays, .. }) => {
                Error::Silence { host, waited: begun.elapsed(), closed, strays }
            }
            Some(error) => error,
            None => Error::Cancelled, // unreachable: there is at least one address, so there was an error
        })
    }

    /// Sends and receives until the request has ended. With `hurry`, it also ends when the host reports that its port
    /// is closed.
    fn wait<T>(
        &mut self,
        request: RequestId,
        address: SocketAddr,
        hurry: bool,
        ended: impl Fn(OwnedEvent) -> Option<(RequestId, Result<T, client::Error>)>,
    ) -> Result<T, Error> {
        let begun = Instant::now();
        let strays = self.client.strays();
        let Driven { result, closed, trouble } = self.drive(request, address, hurry, ended)?;
        result.map_err(|error| match (error, trouble) {
            (client::Error::Refused { text }, _) => Error::Refused { text },
            (client::Error::Malformed(error), _) => Error::Malformed(error),
            (client::Error::TooLong(error), _) => Error::TooLong(error),
            (client::Error::TimedOut | client::Error::NotSent, Some(source)) => {
                Error::System { address, source }
            }
            (client::Error::TimedOut | client::Error::NotSent, None) => Error::Silence {
                host: self.host.clone(),
                waited: begun.elapsed(),
                closed,
                strays: self.client.strays() - strays,
            },
        })
    }

    /// The loop of [`wait`](Self::wait).
    fn drive<T>(
        &mut self,
        request: RequestId,
        address: SocketAddr,
        hurry: bool,
        ended: impl Fn(OwnedEvent) -> Option<(RequestId, Result<T, client::Error>)>,
    ) -> Result<Driven<T>, Error> {
        let socket = &self.sockets[&address];
        let mut datagram = alloc::vec![0; 65_535];
        let mut closed = false;
        let mut trouble = None;
        loop {
            if self.cancelled.swap(false, Ordering::AcqRel) {
                return Err(Error::Cancelled);
            }
            while let Some(event) = self.client.poll_event() {
                if let Some((_, result)) = ended(event).filter(|(ended, _)| *ended == request) {
                    return Ok(Driven { result, closed, trouble });
                }
            }
            let now = self.start.elapsed();
            while let Some(transmit) = self.client.poll_transmit(now, &mut datagram) {
                trouble = match socket.send(&datagram[..transmit.len]) {
                    // The host's report about an earlier datagram.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        closed = true;
                        None
                    }
                    sent => sent.err(),
                };
                // After any other error the datagram counts as lost, and is sent again.
                if trouble.as_ref().is_some_and(is_lasting) {
                    self.client.handle_send_error(&transmit);
                }
            }
            // Without a timeout there are no requests: the last one has ended, and its event is read at once.
            let due = self.client.poll_timeout().unwrap_or_default();
            let wait = due.saturating_sub(now).clamp(Duration::from_millis(1), CANCEL_CHECK);
            let received = socket.set_read_timeout(Some(wait)).and_then(|()| socket.recv(&mut datagram));
            match received {
                Ok(len) => self.client.handle_input(self.start.elapsed(), address, &datagram[..len]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    // The tracker may be starting, so wait for it, unless there is another address to try.
                    io::ErrorKind::ConnectionRefused if !hurry => closed = true,
                    io::ErrorKind::ConnectionRefused => {
                        return Ok(Driven {
                            result: Err(client::Error::TimedOut),
                            closed: true,
                            trouble: None,
                        });
                    }
                    _ => {
                        // Not a busy loop, even if the error occurs again at once.
                        std::thread::sleep(wait);
                        trouble = Some(error);
                    }
                },
            }
            self.client.handle_timeout(self.start.elapsed());
        }
    }
}

/// How a request ended at one address.
struct Driven<T> {
    result: Result<T, client::Error>,
    /// Whether the host reported that the port is closed.
    closed: bool,
    /// The last error of the system, if nothing was sent after it.
    trouble: Option<io::Error>,
}

/// Keeps the most informative error: an invalid reply rather than no reply, no reply rather than nothing sent.
fn keep_worst(worst: &mut Option<Error>, error: Error) {
    let rank = |error: &Error| match error {
        Error::Malformed(_) => 2,
        Error::Silence { .. } => 1,
        _ => 0,
    };
    if worst.as_ref().is_none_or(|worst| rank(&error) >= rank(worst)) {
        *worst = Some(error);
    }
}

fn silence_note(closed: bool, strays: u64) -> String {
    match (closed, strays) {
        (true, _) => ": the port is closed".into(),
        (false, 0) => String::new(),
        (false, strays) => alloc::format!(", but {strays} datagrams were received that are not its reply"),
    }
}

impl Canceller {
    /// Ends the current request, or if there is none the next one, with [`Error::Cancelled`] within 50 milliseconds.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A socket that is connected to this address, so that it receives from it only.
fn open(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)),
        SocketAddr::V6(_) => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)),
    }?;
    socket.connect(address)?;
    Ok(socket)
}
