//! The thread that moves a node's packets.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::{error, info};

use super::sockets::Sockets;
use super::{Livesync, LivesyncError};
use crate::clock::{Clock, unix_time};
use crate::counters::{Count, Family};
use crate::mmsg::Batch;
use crate::service::Service;

/// Batches that one socket may have in one turn, and packets that are sent in one: some milliseconds each.
const BATCHES_A_TURN: usize = 8;
const PACKETS_A_TURN: usize = 256;

/// How long to sleep at most, when much is told and when not: nobody wakes this thread up for what is told, which would
/// cost those who tell a system call.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(100);

/// How often to look at the system's clock.
const CLOCK_PAUSE: Duration = Duration::from_secs(60);

const WAKER: Token = Token(usize::MAX);

pub(crate) struct LivesyncThread {
    poll: Poll,
    sockets: Sockets,
    /// Of the sockets.
    family: Family,
    /// Of each receiving socket: whether there may be datagrams that were not read. The poll tells only of new ones.
    ready: Vec<bool>,
    livesync: Livesync,
    clock: Clock,
    stop: Arc<AtomicBool>,
}

impl LivesyncThread {
    /// Opens a node's sockets, if livesync is enabled; and what wakes it up to see that `stop` is set.
    pub(crate) fn new(
        service: &Arc<Service>,
        clock: Clock,
        stop: Arc<AtomicBool>,
    ) -> Result<Option<(Self, Waker)>, LivesyncError> {
        let Some(livesync) = Livesync::new(service, clock.at(Instant::now())) else { return Ok(None) };
        let config = &service.config().livesync;
        let family = if config.interface.is_some_and(|own| own.is_ipv6()) { Family::V6 } else { Family::V4 };
        let sockets = Sockets::open(config)?;
        let register = || {
            let poll = Poll::new()?;
            for (at, socket) in sockets.receiving.iter().enumerate() {
                let source = socket.as_raw_fd();
                poll.registry().register(&mut SourceFd(&source), Token(at), Interest::READABLE)?;
            }
            let waker = Waker::new(poll.registry(), WAKER)?;
            Ok((poll, waker))
        };
        let (poll, waker) = register().map_err(LivesyncError::Thread)?;
        info!("livesync node {}, telling {:?}", livesync.id(), sockets.destinations);
        let ready = vec![true; sockets.receiving.len()];
        Ok(Some((Self { poll, sockets, family, ready, livesync, clock, stop }, waker)))
    }

    pub(crate) fn livesync(&self) -> &Livesync {
        &self.livesync
    }

    /// Tells and hears until it is told to stop; then tells what is left.
    pub(crate) fn run(mut self) -> io::Result<()> {
        // Nothing is answered; a batch wants some room for replies.
        let mut batch = Batch::new(1);
        let mut events = Events::with_capacity(self.sockets.receiving.len() + 1);
        let mut clock_set = None;
        let mut busy = false;
        loop {
            let wait = if self.ready.contains(&true) { Duration::ZERO } else { self.pause(busy) };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    error!("livesync cannot wait for datagrams: {error}");
                    return Err(error);
                }
                _ => {}
            }
            if self.stop.load(Ordering::Acquire) {
                while self.send() > 0 {}
                self.livesync.flush();
                while self.send() > 0 {}
                return Ok(());
            }
            for event in &events {
                if let Some(ready) = self.ready.get_mut(event.token().0) {
                    *ready = true;
                }
            }
            let now = self.now();
            if clock_set.is_none_or(|set| now.saturating_sub(set) >= CLOCK_PAUSE) {
                clock_set = Some(now);
                self.livesync.set_clock(now, unix_time());
            }
            for at in 0..self.ready.len() {
                if self.ready[at] {
                    self.ready[at] = self.receive(at, &mut batch);
                }
            }
            self.livesync.handle_timeout(self.now());
            busy = self.send() > 0;
        }
    }

    fn now(&self) -> Duration {
        self.clock.at(Instant::now())
    }

    fn pause(&self, busy: bool) -> Duration {
        let most = if busy { SHORT } else { LONG };
        let due = self.livesync.poll_timeout().map(|timeout| timeout.saturating_sub(self.now()));
        due.map_or(most, |due| due.min(most))
    }

    /// Takes what a socket has, up to a bound; says whether there may be more.
    fn receive(&mut self, at: usize, batch: &mut Batch) -> bool {
        let socket = self.sockets.receiving[at].as_raw_fd();
        for _ in 0..BATCHES_A_TURN {
            let received = match batch.receive(&socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.livesync.counters().add(self.family, Count::LivesyncNotReceived, 1);
                    continue;
                }
            };
            let now = self.now();
            batch.answer(&socket, received, |source, datagram, _| {
                self.livesync.handle_input(now, source, datagram);
                0
            });
            if received < Batch::FULL {
                return false;
            }
        }
        true
    }

    /// Sends what is due, up to a bound; returns how many packets.
    fn send(&mut self) -> usize {
        let now = self.now();
        let mut not_sent = 0;
        let mut packets = 0;
        while packets < PACKETS_A_TURN
            && let Some(packet) = self.livesync.poll_transmit(now)
        {
            packets += 1;
            for destination in &self.sockets.destinations {
                // What is lost here is told again, as what is lost on its way.
                not_sent += u64::from(self.sockets.own().send_to(packet, destination).is_err());
            }
        }
        self.livesync.counters().add(self.family, Count::LivesyncNotSent, not_sent);
        packets
    }
}
