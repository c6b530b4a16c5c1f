//! An asynchronous client: [`client::ManyTrackers`] over a socket of tokio.
//!
//! One [`Client`] has one socket, for any number of simultaneous requests to any number of trackers, over IPv4 and
//! IPv6.
//!
//! ```no_run
//! use std::time::Duration;
//! use udp_tracker_proto::client::Announce;
//! use udp_tracker_proto::tokio::Client;
//! use udp_tracker_proto::{Event, InfoHash};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let torrent: InfoHash = "e5d5fdac66b48270c93842b333061ea4dd7233e9".parse()?;
//! let client = Client::new()?;
//! let announce = Announce {
//!     event: Event::Started,
//!     ..Announce::new(torrent, *b"-XX0001-abcdefghijkl", 6881, 3_000_000)
//! };
//! let timeout = Duration::from_secs(20);
//! let announced = client.announce("192.0.2.1:6969".parse()?, &announce, timeout).await?;
//! println!("{} peers; again in {:?}", announced.peers.len(), announced.next_announce());
//! # Ok(())
//! # }
//! ```
//!
//! Dropping a future cancels its request: nothing more is sent for it.

extern crate std;

use alloc::collections::BTreeMap;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use core::time::Duration;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::tokio::runtime::Handle;
use ::tokio::sync::{Notify, oneshot};
use ::tokio::task::AbortHandle;
use ::tokio::time::{Instant, sleep, sleep_until};
use socket2::{Domain, Socket, Type};

pub use ::tokio::net::UdpSocket;

use crate::client::{
    self, Announce, Announced, ManyTrackers, OwnedEvent, PerFamily, Policy, RequestId, Transmit, mapped,
};
use crate::system::{is_lasting, random};
use crate::{InfoHash, ScrapeEntry, TrackerUrl};

/// The pause after the socket failed to receive, so that a repeated error makes no busy loop.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// A client of any number of trackers, over one socket. Its clones share the socket.
///
/// A task of the runtime in which the client was created sends and receives. It ends when the last clone is dropped.
#[derive(Clone, Debug)]
pub struct Client(Arc<Driver>);

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The tracker did not reply, refused the request, or sent an invalid reply; or the request is too long.
    #[error(transparent)]
    Request(#[from] client::Error),
    /// The system refused to send the request.
    #[error("cannot send to udp://{address}: {source}")]
    Send {
        /// The tracker's address.
        address: SocketAddr,
        /// The system's error.
        source: io::Error,
    },
    /// The runtime in which the client was created has shut down.
    #[error("the client's runtime has shut down")]
    Closed,
}

/// The first address of each family of the tracker's host, by the system's resolver.
///
/// # Errors
/// The host has no address, or the resolver failed.
pub async fn resolve(url: &TrackerUrl<'_>) -> io::Result<PerFamily<SocketAddr>> {
    let host = match url.host {
        crate::Host::V6(ip) => ip.to_string(),
        other => other.to_string(),
    };
    Ok(::tokio::net::lookup_host((host, url.port)).await?.collect())
}

impl Client {
    /// A client with a new socket on a free port: a dual-stack IPv6 socket, or an IPv4 socket if the system has no
    /// IPv6. Requests are sent again by [`Policy::BEP_15`].
    ///
    /// # Errors
    /// When called outside a runtime of tokio, or when no socket can be opened.
    ///
    /// # Panics
    /// When the runtime has I/O disabled.
    pub fn new() -> io::Result<Self> {
        let socket = dual_stack().or_else(|_| std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)))?;
        socket.set_nonblocking(true)?;
        Handle::try_current().map_err(io::Error::other)?;
        Self::with_socket(UdpSocket::from_std(socket)?, Policy::BEP_15)
    }

    /// A client with the caller's socket, which must not be connected.
    ///
    /// A dual-stack IPv6 socket also reaches trackers over IPv4.
    ///
    /// The runtime must have its timer enabled.
    ///
    /// # Errors
    /// When called outside a runtime of tokio, or when the socket has no address.
    pub fn with_socket(socket: UdpSocket, policy: Policy) -> io::Result<Self> {
        let runtime = Handle::try_current().map_err(io::Error::other)?;
        let is_ipv6 = socket.local_addr()?.is_ipv6();
        let shared = Arc::new(Shared {
            socket,
            is_ipv6,
            start: Instant::now(),
            state: Mutex::new(State {
                trackers: ManyTrackers::new(policy, random),
                announces: BTreeMap::new(),
                scrapes: BTreeMap::new(),
                send_errors: BTreeMap::new(),
                closed: false,
            }),
            changed: Notify::new(),
        });
        let task = runtime.spawn(drive(CloseOnDrop(Arc::clone(&shared)))).abort_handle();
        Ok(Self(Arc::new(Driver { shared, task })))
    }

    /// The address that the socket is bound to.
    ///
    /// # Errors
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.shared.socket.local_addr()
    }

    /// Announces to a tracker, and waits for its reply for at most `timeout`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn announce(
        &self,
        tracker: SocketAddr,
        announce: &Announce<'_>,
        timeout: Duration,
    ) -> Result<Announced, Error> {
        let (sender, receiver) = oneshot::channel();
        let request = self.0.shared.begin(|state, now| {
            let request = state.trackers.announce(now, tracker, announce, timeout);
            state.announces.insert(request, sender);
            request
        });
        request.reply(receiver).await
    }

    /// Announces to a tracker over each address family in `tracker`, at the same time.
    pub async fn announce_both(
        &self,
        tracker: PerFamily<SocketAddr>,
        announce: &Announce<'_>,
        timeout: Duration,
    ) -> PerFamily<Result<Announced, Error>> {
        let announce_to = async |address: Option<SocketAddr>| match address {
            Some(address) => Some(self.announce(address, announce, timeout).await),
            None => None,
        };
        let (v4, v6) = ::tokio::join!(announce_to(tracker.v4), announce_to(tracker.v6));
        PerFamily { v4, v6 }
    }

    /// Scrapes any number of torrents, and waits for their counts for at most `timeout`. The entries have the order of
    /// `info_hashes`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn scrape(
        &self,
        tracker: SocketAddr,
        info_hashes: &[InfoHash],
        timeout: Duration,
    ) -> Result<Vec<ScrapeEntry>, Error> {
        let (sender, receiver) = oneshot::channel();
        let request = self.0.shared.begin(|state, now| {
            let request = state.trackers.scrape(now, tracker, info_hashes, timeout);
            state.scrapes.insert(request, sender);
            request
        });
        request.reply(receiver).await
    }
}

/// Ends the task when the last [`Client`] is dropped.
#[derive(Debug)]
struct Driver {
    shared: Arc<Shared>,
    task: AbortHandle,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What the futures and the task share.
#[derive(Debug)]
struct Shared {
    socket: UdpSocket,
    is_ipv6: bool,
    start: Instant,
    state: Mutex<State>,
    /// Notified when there may be something to send, or an earlier timeout.
    changed: Notify,
}

#[derive(Debug)]
struct State {
    trackers: ManyTrackers<fn() -> u32>,
    announces: BTreeMap<RequestId, oneshot::Sender<Result<Announced, Error>>>,
    scrapes: BTreeMap<RequestId, oneshot::Sender<Result<Vec<ScrapeEntry>, Error>>>,
    /// The errors of requests that could not be sent, until the requests have ended.
    send_errors: BTreeMap<RequestId, Error>,
    /// The task has ended, so no reply will come.
    closed: bool,
}

/// A request under way; dropping it cancels it.
struct Pending<'c> {
    shared: &'c Shared,
    request: RequestId,
}

impl Pending<'_> {
    async fn reply<T>(self, receiver: oneshot::Receiver<Result<T, Error>>) -> Result<T, Error> {
        receiver.await.unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.trackers.cancel(self.request);
        state.announces.remove(&self.request);
        state.scrapes.remove(&self.request);
        state.send_errors.remove(&self.request);
    }
}

impl Shared {
    fn begin(&self, begin: impl FnOnce(&mut State, Duration) -> RequestId) -> Pending<'_> {
        let mut state = self.lock();
        let request = begin(&mut state, self.start.elapsed());
        if state.closed {
            state.forget_all();
        }
        drop(state);
        self.changed.notify_one();
        Pending { shared: self, request }
    }

    /// Never held while waiting.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due.
    async fn send(&self, buffer: &mut [u8]) {
        loop {
            let Some(transmit) = self.lock().trackers.poll_transmit(self.start.elapsed(), buffer) else {
                return;
            };
            let sent = match (self.is_ipv6, transmit.to) {
                (true, to) => self.socket.send_to(&buffer[..transmit.len], mapped(to)).await,
                (false, to @ SocketAddr::V4(_)) => self.socket.send_to(&buffer[..transmit.len], to).await,
                (false, SocketAddr::V6(_)) => {
                    Err(io::Error::new(io::ErrorKind::Unsupported, "the socket has no IPv6"))
                }
            };
            // After any other error the datagram counts as lost, and is sent again.
            if let Err(source) = sent
                && is_lasting(&source)
            {
                self.lock().not_sent(transmit, source);
            }
        }
    }

    /// When to handle timeouts, unless something is received before.
    fn next_timeout(&self) -> Option<Instant> {
        self.lock().trackers.poll_timeout().and_then(|due| self.start.checked_add(due))
    }
}

impl State {
    /// Passes the results to the futures that wait for them.
    fn deliver(&mut self) {
        while let Some(event) = self.trackers.poll_event() {
            match event {
                OwnedEvent::Announced { request, result, .. } => {
                    let result = result.map_err(|error| self.error(request, error));
                    if let Some(sender) = self.announces.remove(&request) {
                        // Fails if the future is being dropped.
                        let _ = sender.send(result);
                    }
                }
                OwnedEvent::Scraped { request, result, .. } => {
                    let result = result.map_err(|error| self.error(request, error));
                    if let Some(sender) = self.scrapes.remove(&request) {
                        let _ = sender.send(result);
                    }
                }
                OwnedEvent::AddressSeen { .. } => {}
            }
        }
    }

    fn not_sent(&mut self, transmit: Transmit, source: io::Error) {
        self.trackers.handle_send_error(&transmit);
        let Transmit { to: address, request, .. } = transmit;
        // Unless it was cancelled in the meantime.
        if self.announces.contains_key(&request) || self.scrapes.contains_key(&request) {
            self.send_errors.insert(request, Error::Send { address, source });
        }
    }

    /// Ends all waiting futures with [`Error::Closed`].
    fn forget_all(&mut self) {
        self.announces.clear();
        self.scrapes.clear();
    }

    fn error(&mut self, request: RequestId, error: client::Error) -> Error {
        self.send_errors.remove(&request).unwrap_or(Error::Request(error))
    }
}

/// Closes the client when the task ends, even if it was aborted before it first ran.
struct CloseOnDrop(Arc<Shared>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.closed = true;
        state.forget_all();
    }
}

/// Sends, receives and handles timeouts until the task is aborted.
async fn drive(closing: CloseOnDrop) {
    let shared = &closing.0;
    let mut buffer = alloc::vec![0; 65_535];
    loop {
        shared.send(&mut buffer).await;
        let timeout = shared.next_timeout();
        ::tokio::select! {
            received = shared.socket.recv_from(&mut buffer) => match received {
                Ok((len, source)) => {
                    let now = shared.start.elapsed();
                    shared.lock().trackers.handle_input(now, source, &buffer[..len]);
                }
                // Usually an ICMP error for an earlier datagram, on systems that report these.
                Err(_) => sleep(PAUSE_AFTER_ERROR).await,
            },
            () = sleep_until(timeout.unwrap_or_else(Instant::now)), if timeout.is_some() => {}
            () = shared.changed.notified() => {}
        }
        let now = shared.start.elapsed();
        let mut state = shared.lock();
        state.trackers.handle_timeout(now);
        state.deliver();
    }
}

fn dual_stack() -> io::Result<std::net::UdpSocket> {
    let socket = Socket::new(Domain::IPV6, Type::DGRAM, None)?;
    socket.set_only_v6(false)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)).into())?;
    Ok(socket.into())
}
