//! Talking to the trackers: names, sockets, announces.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use mio::net::UdpSocket;
use mio::{Interest, Registry, Token, Waker};
use tracing::{debug, info, warn};
use udp_tracker_proto::client::{
    Announce, Announced, Error, ManyTrackers, OwnedEvent, Policy, RequestId, Schedule,
};
use udp_tracker_proto::{Event, Host, TrackerUrl};

use super::sockets;
use crate::announcer::{Announcer, Ask};

/// How long a tracker may take: BEP 15's first wait, and some for the answer to the second try.
const PATIENCE: Duration = Duration::from_secs(20);
/// In a hurry, when we leave: several tries within the few seconds that there are.
const HURRIED: Policy =
    Policy::both(Schedule { first: Duration::from_millis(500), factor: 2, transmissions: 4 });
/// Datagrams that are read at once, so that a flood of them keeps nothing else waiting.
const AT_ONCE: usize = 64;
/// The longest datagram.
const DATAGRAM: usize = 65_535;

/// A torrent's trackers.
pub(super) struct Trackers {
    announcer: Announcer,
    places: Vec<Place>,
    client: ManyTrackers<fn() -> u32>,
    sockets: Vec<UdpSocket>,
    resolver: Resolver,
    /// Announces under way: to which tracker, and which of our questions they are for.
    requests: BTreeMap<RequestId, (usize, u64)>,
    question: u64,
    /// The sockets may have something.
    readable: bool,
    leaving: bool,
    buffer: Vec<u8>,
    pub(super) announced: u32,
    pub(super) failures: u32,
}

/// Where a tracker is.
struct Place {
    url: String,
    /// One for each family; empty until they are looked up.
    addresses: Vec<SocketAddr>,
}

/// Looks names up on threads of its own.
struct Resolver {
    sender: Sender<(Ask, io::Result<Vec<SocketAddr>>)>,
    found: Receiver<(Ask, io::Result<Vec<SocketAddr>>)>,
    waker: Arc<Waker>,
}

impl Trackers {
    /// Opens the sockets. Trackers that are none of UDP are left out, with a warning.
    pub(super) fn new(
        tiers: &[Vec<String>],
        ip: Option<IpAddr>,
        registry: &Registry,
        tokens: [Token; 2],
        waker: Arc<Waker>,
    ) -> io::Result<Self> {
        let usable = |url: &&String| {
            let usable = TrackerUrl::parse(url).inspect_err(|error| warn!("{url} is left out: {error}"));
            usable.is_ok()
        };
        let tiers: Vec<Vec<&String>> =
            tiers.iter().map(|tier| tier.iter().filter(usable).collect()).collect();
        let lengths: Vec<usize> = tiers.iter().map(Vec::len).collect();
        let place = |url: &String| Place { url: url.clone(), addresses: Vec::new() };
        let any = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
        let mut sockets = Vec::new();
        let local: Vec<IpAddr> = ip.map_or_else(|| any.to_vec(), |ip| vec![ip]);
        for (ip, token) in local.into_iter().zip(tokens) {
            match sockets::for_trackers(ip) {
                Ok(mut socket) => {
                    registry.register(&mut socket, token, Interest::READABLE)?;
                    sockets.push(socket);
                }
                Err(error) => debug!("no tracker is asked from {ip}: {error}"),
            }
        }
        let (sender, found) = mpsc::channel();
        Ok(Self {
            announcer: Announcer::new(&lengths, rand::random()),
            places: tiers.into_iter().flatten().map(place).collect(),
            client: ManyTrackers::new(Policy::BEP_15, rand::random::<u32>),
            sockets,
            resolver: Resolver { sender, found, waker },
            requests: BTreeMap::new(),
            question: 0,
            readable: false,
            leaving: false,
            buffer: vec![0; DATAGRAM],
            announced: 0,
            failures: 0,
        })
    }

    /// Reads what came, does what is due, and calls `found` for each peer that a tracker names. `report` is what to tell
    /// the trackers about us.
    pub(super) fn turn(&mut self, now: Duration, report: &Announce<'_>, mut found: impl FnMut(SocketAddr)) {
        self.read(now);
        self.client.handle_timeout(now);
        while let Ok((ask, addresses)) = self.resolver.found.try_recv() {
            self.resolved(now, ask, addresses, report);
        }
        while let Some(event) = self.client.poll_event() {
            if let OwnedEvent::Announced { request, result, .. } = event {
                self.ended(now, request, result, &mut found);
            }
        }
        if let Some(ask) = self.announcer.next(now) {
            self.ask(now, ask, report);
        }
        self.send(now);
    }

    /// One of the sockets has something to read.
    pub(super) fn readable(&mut self) {
        self.readable = true;
    }

    /// When there is something to do without anything coming in.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.announcer.poll_timeout().into_iter().chain(self.client.poll_timeout()).min()
    }

    /// See [`Announcer::completed`].
    pub(super) fn completed(&mut self, now: Duration) {
        self.announcer.completed(now);
    }

    /// See [`Announcer::want_peers`].
    pub(super) fn want_peers(&mut self, now: Duration) {
        self.announcer.want_peers(now);
    }

    /// Whether the download's end is still to be told, and may be soon.
    pub(super) fn owes_completed(&self) -> bool {
        self.announcer.owes_completed() && self.announced > 0
    }

    /// Tells the trackers that know us that we leave, and nothing else from now on.
    pub(super) fn stop(&mut self, now: Duration, report: &Announce<'_>) {
        self.leaving = true;
        self.requests.clear();
        self.client = ManyTrackers::new(HURRIED, rand::random::<u32>);
        for ask in self.announcer.stop() {
            if !self.places[ask.tracker].addresses.is_empty() {
                self.announce(now, ask, report);
            }
        }
        self.send(now);
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    fn ask(&mut self, now: Duration, ask: Ask, report: &Announce<'_>) {
        if self.places[ask.tracker].addresses.is_empty() {
            self.resolver.look_up(ask, &self.places[ask.tracker].url);
        } else {
            self.announce(now, ask, report);
        }
    }

    fn resolved(
        &mut self,
        now: Duration,
        ask: Ask,
        addresses: io::Result<Vec<SocketAddr>>,
        report: &Announce<'_>,
    ) {
        if self.leaving {
            return;
        }
        let place = &mut self.places[ask.tracker];
        match addresses {
            Ok(addresses) => {
                let of = |v4: bool| addresses.iter().copied().find(move |address| address.is_ipv4() == v4);
                let reachable = |address: &SocketAddr| {
                    let same = |socket: &UdpSocket| {
                        socket.local_addr().is_ok_and(|at| at.is_ipv4() == address.is_ipv4())
                    };
                    self.sockets.iter().any(same)
                };
                place.addresses = of(true).into_iter().chain(of(false)).filter(reachable).collect();
            }
            Err(error) => warn!("{}: {error}", place.url),
        }
        if place.addresses.is_empty() {
            self.failures += 1;
            self.announcer.failed(now);
        } else {
            self.announce(now, ask, report);
        }
    }

    /// To each of its addresses: the swarms of IPv4 and IPv6 are apart.
    fn announce(&mut self, now: Duration, ask: Ask, report: &Announce<'_>) {
        let Place { url, addresses } = &self.places[ask.tracker];
        info!("{url} is told: {:?}", ask.event);
        let path_and_query = TrackerUrl::parse(url).map_or("", |url| url.path_and_query);
        let num_want = if ask.event == Event::Stopped { 0 } else { report.num_want };
        let announce = Announce { event: ask.event, num_want, path_and_query, ..*report };
        self.question += 1;
        for address in addresses {
            let request = self.client.announce(now, *address, &announce, PATIENCE);
            self.requests.insert(request, (ask.tracker, self.question));
        }
    }

    fn ended(
        &mut self,
        now: Duration,
        request: RequestId,
        result: Result<Announced, Error>,
        found: &mut impl FnMut(SocketAddr),
    ) {
        let Some((tracker, question)) = self.requests.remove(&request) else { return };
        let url = &self.places[tracker].url;
        match result {
            Ok(announced) => {
                debug!("{url} names {} peers", announced.peers.len());
                self.announced += 1;
                announced.peers.iter().copied().for_each(found);
                // The first of its addresses to answer counts for all.
                if question == self.question {
                    self.question += 1;
                    self.announcer.answered(now, Duration::from_secs(announced.interval.into()));
                }
                return;
            }
            Err(error) => warn!("{url}: {error}"),
        }
        self.failures += 1;
        let is_last = self.requests.values().all(|(_, other)| *other != question);
        if question == self.question && is_last {
            // It may be elsewhere by now.
            self.places[tracker].addresses.clear();
            self.announcer.failed(now);
        }
    }

    fn read(&mut self, now: Duration) {
        if !std::mem::take(&mut self.readable) {
            return;
        }
        for socket in &self.sockets {
            // An error that an earlier datagram brought back (nobody there) is not the socket's end.
            for at in 0..AT_ONCE {
                // The rest is read at the next turn.
                self.readable |= at + 1 == AT_ONCE;
                match socket.recv_from(&mut self.buffer) {
                    Ok((length, source)) => self.client.handle_input(now, source, &self.buffer[..length]),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
    }

    fn send(&mut self, now: Duration) {
        while let Some(transmit) = self.client.poll_transmit(now, &mut self.buffer) {
            let same = |socket: &&UdpSocket| {
                socket.local_addr().is_ok_and(|at| at.is_ipv4() == transmit.to.is_ipv4())
            };
            if let Some(socket) = self.sockets.iter().find(same) {
                // What is not sent is lost as any datagram may be, and sent again.
                let _ = socket.send_to(&self.buffer[..transmit.len], transmit.to);
            }
        }
    }
}

impl Resolver {
    /// The answer comes to `found`, and the waker is woken.
    fn look_up(&self, ask: Ask, url: &str) {
        let literal = TrackerUrl::parse(url).ok().and_then(|url| match url.host {
            Host::V4(ip) => Some(SocketAddr::from((ip, url.port))),
            Host::V6(ip) => Some(SocketAddr::from((ip, url.port))),
            Host::Name(_) => None,
        });
        if let Some(address) = literal {
            let _ = self.sender.send((ask, Ok(vec![address])));
            let _ = self.waker.wake();
            return;
        }
        let (url, sender, waker) = (url.to_owned(), self.sender.clone(), Arc::clone(&self.waker));
        let look_up = move || {
            let found = match TrackerUrl::parse(&url) {
                Ok(url) => (url.host.to_string(), url.port).to_socket_addrs().map(Iterator::collect),
                Err(error) => Err(io::Error::other(error)),
            };
            let _ = sender.send((ask, found));
            let _ = waker.wake();
        };
        if let Err(error) = thread::Builder::new().name("resolver".into()).spawn(look_up) {
            let _ = self.sender.send((ask, Err(error)));
        }
    }
}
