//! Runs an [`Engine`]: one thread handles all sockets, [other threads](crate::storage) do the disk work.

mod control;
mod links;
mod resolver;
mod setup;
mod sockets;
mod utp;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::net::{TcpListener, UdpSocket};
use mio::{Events, Interest, Poll, Token};
use tracing::debug;

pub(crate) use self::control::{Changed, Command, Control};
pub use self::setup::SetupError;
pub use self::sockets::ListenError;

use self::control::Order;
use self::links::Links;
use self::resolver::Resolver;
use self::utp::NoUtp;
use crate::engine::{Action, Ended, Engine, SessionError};
use crate::pieces::PeerKey;
use crate::status::{Phase, Status};
use crate::storage::Disk;

const WAKER: Token = Token(0);
const LISTENERS: [Token; 2] = [Token(1), Token(2)];
const TRACKERS: [Token; 2] = [Token(3), Token(4)];
const UTP: [Token; 2] = [Token(5), Token(6)];
/// A peer's token is its key plus this.
const FIRST_PEER: usize = 7;

/// How often to try sockets again that could not be served when they became ready.
const LATE: Duration = Duration::from_millis(500);
/// The most datagrams read at once, so that a flood of them doesn't delay everything else.
const AT_ONCE: usize = 64;
/// The longest datagram.
const DATAGRAM: usize = 65_535;

/// An engine, with the sockets and threads that drive it. All work happens on the thread that calls [`run`](Self::run),
/// except that of the disk threads and the resolver's threads.
pub(crate) struct Session {
    engine: Engine,
    start: Instant,
    now: Duration,
    poll: Poll,
    links: Links,
    listeners: Vec<TcpListener>,
    is_listening: bool,
    addresses: Vec<SocketAddr>,
    trackers: Vec<UdpSocket>,
    /// The tracker sockets may have datagrams.
    trackers_readable: bool,
    datagram: Vec<u8>,
    no_utp: NoUtp,
    resolver: Resolver,
    disk: Disk,
    control: Arc<Control>,
    next_late: Duration,
}

impl Session {
    /// The addresses on which we listen.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    pub(crate) fn control(&self) -> Arc<Control> {
        Arc::clone(&self.control)
    }

    /// Checks, downloads, seeds and ends.
    ///
    /// # Errors
    /// When the disk fails; `stopped` is announced to the trackers before. When the system can't wait for sockets; the
    /// session ends at once then.
    pub(crate) fn run(mut self) -> Result<Ended, SessionError> {
        let mut events = Events::with_capacity(1024);
        loop {
            self.take_actions();
            self.send_datagrams();
            self.hand_over_jobs();
            if let Some(outcome) = self.engine.outcome() {
                self.report();
                return outcome;
            }
            let timeout = self.timeout();
            match self.poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    return Err(SessionError::Poll(error));
                }
                _ => {}
            }
            self.now = self.start.elapsed();
            for event in &events {
                self.handle(event);
            }
            if !self.obey() {
                return Ok(Ended::Stopped);
            }
            self.take_results();
            self.read_datagrams();
            if self.now >= self.engine.poll_timeout() {
                self.engine.handle_timeout(self.now);
            }
            if self.now >= self.next_late {
                self.next_late = self.now + LATE;
                self.accept_late();
                self.no_utp.answer();
            }
            self.take_actions();
            self.serve_peers();
        }
    }

    fn handle(&mut self, event: &Event) {
        match event.token() {
            WAKER => {}
            token if LISTENERS.contains(&token) => self.accept(token),
            token if TRACKERS.contains(&token) => self.trackers_readable = true,
            token if UTP.contains(&token) => self.no_utp.answer(),
            Token(token) => self.links.handle(PeerKey(token - FIRST_PEER), event),
        }
    }

    /// How long to wait for events.
    fn timeout(&self) -> Duration {
        if self.links.again || self.trackers_readable {
            return Duration::ZERO;
        }
        self.engine.poll_timeout().min(self.next_late).saturating_sub(self.start.elapsed())
    }

    /// Carries out commands and orders. False if the session must end at once.
    fn obey(&mut self) -> bool {
        for command in self.control.take_commands() {
            match command {
                Command::AddPeer(address) => self.engine.add_peer(self.now, address),
                Command::SetRates { download, upload } => self.engine.set_rates(self.now, download, upload),
            }
        }
        match self.control.order() {
            Order::Run => true,
            Order::Stop => {
                self.engine.stop(self.now);
                true
            }
            Order::Kill => false,
        }
    }

    fn take_results(&mut self) {
        while let Some(done) = self.disk.poll() {
            self.engine.handle_done(self.now, done);
        }
        while let Some(found) = self.resolver.poll() {
            self.engine.handle_looked_up(self.now, found.tracker, found.addresses);
        }
    }

    fn take_actions(&mut self) {
        let mut changed = false;
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Connect { peer, address } => {
                    let connected = self.links.connect(peer, address, self.poll.registry());
                    if let Err(error) = connected {
                        debug!("{address}: {error}");
                        self.engine.handle_closed(self.now, peer);
                    }
                }
                Action::Close(peer) => self.links.close(peer, self.poll.registry()),
                Action::Listen => self.listen(),
                Action::LookUp { tracker, host, port } => self.resolver.look_up(tracker, host, port),
                Action::Report => changed = true,
            }
        }
        if changed {
            self.report();
        }
    }

    fn serve_peers(&mut self) {
        while let Some(peer) = self.engine.poll_ready(self.now) {
            self.links.activate(peer);
        }
        self.links.serve(self.now, &mut self.engine, self.poll.registry());
        // Input from one peer may produce output for others.
        while let Some(peer) = self.engine.poll_ready(self.now) {
            self.links.activate(peer);
            self.links.again = true;
        }
    }

    fn hand_over_jobs(&mut self) {
        while let Some(job) = self.engine.poll_job() {
            self.disk.add(job);
        }
        self.disk.flush();
    }

    fn listen(&mut self) {
        self.is_listening = true;
        for (listener, token) in self.listeners.iter_mut().zip(LISTENERS) {
            // If that fails, connections are accepted with a delay.
            let _ = self.poll.registry().register(listener, token, Interest::READABLE);
        }
    }

    /// Accepts all waiting connections.
    fn accept(&mut self, token: Token) {
        let at = LISTENERS.iter().position(|listener| *listener == token);
        let Some(listener) = at.and_then(|at| self.listeners.get(at)) else { return };
        loop {
            let (stream, address) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                // The peer has closed that connection already.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                // No file descriptors are left: tried again later.
                Err(error) => return debug!("cannot accept: {error}"),
            };
            if let Some(peer) = self.engine.handle_accepted(self.now, address)
                && let Err(error) = self.links.accept(peer, stream, self.poll.registry())
            {
                debug!("{address}: {error}");
                self.engine.handle_closed(self.now, peer);
            }
        }
    }

    /// Accepts connections that could not be accepted when they arrived.
    fn accept_late(&mut self) {
        if self.is_listening {
            LISTENERS.into_iter().take(self.listeners.len()).for_each(|token| self.accept(token));
        }
    }

    fn read_datagrams(&mut self) {
        if !std::mem::take(&mut self.trackers_readable) {
            return;
        }
        for socket in &self.trackers {
            for at in 0..AT_ONCE {
                // The rest is read at the next turn.
                self.trackers_readable |= at + 1 == AT_ONCE;
                match socket.recv_from(&mut self.datagram) {
                    Ok((length, source)) => {
                        self.engine.handle_datagram(self.now, source, &self.datagram[..length]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    // An earlier datagram was rejected by its destination. The socket still works.
                    Err(_) => {}
                }
            }
        }
    }

    fn send_datagrams(&mut self) {
        while let Some(datagram) = self.engine.poll_datagram(self.now, &mut self.datagram) {
            let same = |socket: &&UdpSocket| {
                socket.local_addr().is_ok_and(|at| at.is_ipv4() == datagram.to.is_ipv4())
            };
            if let Some(socket) = self.trackers.iter().find(same) {
                // A datagram that is not sent counts as lost; the request is sent again.
                let _ = socket.send_to(&self.datagram[..datagram.len], datagram.to);
            }
        }
    }

    fn report(&mut self) {
        let status: Status = self.engine.status(self.now);
        let peers = if status.phase == Phase::Checking { Vec::new() } else { self.engine.peers(self.now) };
        self.control.report(status, peers, self.engine.trackers());
    }
}
