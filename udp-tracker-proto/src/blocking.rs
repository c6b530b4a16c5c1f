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
    #[error("nobody answers at {host} within {waited:.1?}{}", silence_note(*closed, *strays))]
    Silence {
        /// As the URL names it, with the port.
        host: String,
        /// For how long.
        waited: Duration,
        /// Whether a machine is there that says that nobody listens.
        closed: bool,
        /// Datagrams that came from there and were no reply to the request.
        strays: u64,
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
        let mut worst: Option<Error> = None;
        // Addresses that can't be sent to at all (a family that the machine doesn't have) take no share of the time.
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
            let answer = self.wait(request, address, others > 0);
            self.client.cancel(request);
            match answer {
                Ok(answer) => {
                    if let Some(position) = self.addresses.iter().position(|known| *known == address) {
                        self.addresses[..=position].rotate_right(1);
                    }
                    return Ok(answer);
                }
                Err(last @ (Error::Cancelled | Error::Refused { .. })) => return Err(last),
                Err(error) => {
                    // Its address of ours may be one that we don't have any more.
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
            None => Error::Cancelled, // there is an address at least, so there was an error
        })
    }

    /// Sends and receives until the request has ended; with `hurry`, only until the address says that its port is closed.
    fn wait(&mut self, request: RequestId, address: SocketAddr, hurry: bool) -> Result<Answer, Error> {
        let begun = Instant::now();
        let strays = self.client.strays();
        let (outcome, closed, trouble) = self.drive(request, address, hurry)?;
        match outcome {
            Outcome::Announced(announced) => Ok(Answer::Announced(announced)),
            Outcome::Scraped(entries) => Ok(Answer::Scraped(entries)),
            Outcome::Refused(words) => Err(Error::Refused { words }),
            Outcome::Malformed(error) => Err(Error::Malformed(error)),
            Outcome::TimedOut => Err(match trouble {
                Some(source) => Error::System { address, source },
                None => Error::Silence {
                    host: self.host.clone(),
                    waited: begun.elapsed(),
                    closed,
                    strays: self.client.strays() - strays,
                },
            }),
        }
    }

    /// What has come of the request, whether the port is closed, and what the system has last said against it.
    fn drive(
        &mut self,
        request: RequestId,
        address: SocketAddr,
        hurry: bool,
    ) -> Result<(Outcome, bool, Option<io::Error>), Error> {
        let socket = &self.sockets[&address];
        let mut datagram = alloc::vec![0; 65_535];
        let mut closed = false;
        // Of a passing kind, it may be: what is lost so is sent again as what is lost on its way.
        let mut trouble = None;
        loop {
            if self.cancelled.swap(false, Ordering::AcqRel) {
                return Err(Error::Cancelled);
            }
            while let Some(event) = self.client.poll_event() {
                match event {
                    OwnedEvent::Ended { request: ended, outcome, .. } if ended == request => {
                        return Ok((outcome, closed, trouble));
                    }
                    _ => {}
                }
            }
            let now = self.start.elapsed();
            let too_long = |error| Error::System { address, source: io::Error::other(error) };
            while let Some(transmit) = self.client.poll_transmit(now, &mut datagram).map_err(too_long)? {
                trouble = match socket.send(&datagram[..transmit.len]) {
                    // The answer of the machine to an earlier datagram.
                    Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                        closed = true;
                        None
                    }
                    sent => sent.err(),
                };
            }
            let due = self.client.poll_timeout().unwrap_or_default();
            let wait = due.saturating_sub(now).clamp(Duration::from_millis(1), GLANCE);
            let received = socket.set_read_timeout(Some(wait)).and_then(|()| socket.recv(&mut datagram));
            match received {
                Ok(len) => self.client.handle_input(self.start.elapsed(), address, &datagram[..len]),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted => {}
                    // It may be starting. But if there is another address, that may be up already.
                    io::ErrorKind::ConnectionRefused if !hurry => closed = true,
                    io::ErrorKind::ConnectionRefused => return Ok((Outcome::TimedOut, true, None)),
                    _ => {
                        // Not known to repeat itself at once, but if it does, this is no busy loop.
                        std::thread::sleep(wait);
                        trouble = Some(error);
                    }
                },
            }
            self.client.handle_timeout(self.start.elapsed());
        }
    }
}

/// Keeps what says the most: that something answered, before that nobody did, before that nothing could be sent.
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
        (false, strays) => alloc::format!(", but {strays} datagrams came that were no reply"),
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
