//! One thread of a tracker: its sockets, and the turns it takes among them.

use std::io;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use mio::net::UdpSocket;
use mio::{Events, Interest, Poll, Token, Waker};
use tracing::error;

use crate::clock::Clock;
use crate::counters::{Count, Family};
use crate::handler::Handler;
use crate::mmsg::Batch;
use crate::service::Service;
use crate::sweeper::Sweeper;

/// Batches that one socket may have in one turn, so that a flood on it holds up neither the others nor the clock: some
/// 500 datagrams, a millisecond or two.
const BATCHES_A_TURN: usize = 8;

const WAKER: Token = Token(usize::MAX);

pub(crate) struct Worker {
    poll: Poll,
    sockets: Vec<Ours>,
    clock: Clock,
    handler: Handler,
    sweeper: Sweeper,
    batch: BatchLen,
    stop: Arc<AtomicBool>,
}

/// Octets of the longest reply; the batch itself is made on the worker's thread, which it can't leave.
struct BatchLen(usize);

struct Ours {
    socket: UdpSocket,
    family: Family,
    /// Whether there may be datagrams that were not read: the poll tells only of new ones.
    ready: bool,
    /// What the kernel has dropped here, as far as known; it counts in 32 bits, round and round.
    dropped: u32,
}

impl Worker {
    /// A worker, and what wakes it up to see that `stop` is set.
    pub(crate) fn new(
        service: &Arc<Service>,
        sockets: Vec<std::net::UdpSocket>,
        clock: Clock,
        sweeper: Sweeper,
        stop: Arc<AtomicBool>,
    ) -> io::Result<(Self, Waker)> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let mut ours = Vec::new();
        for (at, socket) in sockets.into_iter().enumerate() {
            let family = if socket.local_addr()?.is_ipv4() { Family::V4 } else { Family::V6 };
            let mut socket = UdpSocket::from_std(socket);
            poll.registry().register(&mut socket, Token(at), Interest::READABLE)?;
            ours.push(Ours { socket, family, ready: true, dropped: 0 });
        }
        let handler = Handler::new(Arc::clone(service));
        let batch = BatchLen(service.config().max_reply_octets);
        Ok((Self { poll, sockets: ours, clock, handler, sweeper, batch, stop }, waker))
    }

    pub(crate) fn handler(&self) -> &Handler {
        &self.handler
    }

    /// Serves until it is told to stop.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut batch = Batch::new(self.batch.0);
        let mut events = Events::with_capacity(self.sockets.len() + 1);
        loop {
            let wait = if self.sockets.iter().any(|ours| ours.ready) {
                Duration::ZERO
            } else {
                self.sweeper.pause()
            };
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                    error!("cannot wait for datagrams: {error}");
                    return Err(error);
                }
                _ => {}
            }
            if self.stop.load(Ordering::Acquire) {
                return Ok(());
            }
            for event in &events {
                if let Some(ours) = self.sockets.get_mut(event.token().0) {
                    ours.ready = true;
                }
            }
            for ours in self.sockets.iter_mut().filter(|ours| ours.ready) {
                ours.turn(&mut batch, &self.clock, &mut self.handler);
            }
            let now = Instant::now();
            self.sweeper.turn(now, self.clock.seconds_at(now));
        }
    }
}

impl Ours {
    /// Answers what is there, up to a bound.
    fn turn(&mut self, batch: &mut Batch, clock: &Clock, handler: &mut Handler) {
        for _ in 0..BATCHES_A_TURN {
            let received = match batch.receive(&self.socket.as_raw_fd()) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    return;
                }
                // What the kernel reports of an earlier reply, such as a port unreachable, or a passing lack of memory.
                Err(_) => {
                    handler.counters().add(self.family, Count::NotReceived, 1);
                    continue;
                }
            };
            if let Some(dropped) = batch.dropped(received) {
                let more = dropped.wrapping_sub(self.dropped);
                handler.counters().add(self.family, Count::DroppedByKernel, more.into());
                self.dropped = dropped;
            }
            handler.prefetch(self.family, batch.datagrams(received));
            let now = clock.seconds_at(Instant::now());
            let sent = batch.answer(&self.socket.as_raw_fd(), received, |source, datagram, reply| {
                handler.handle(now, source, datagram, reply)
            });
            handler.counters().add(self.family, Count::Sent, sent.sent);
            handler.counters().add(self.family, Count::NotSent, sent.failed);
            if received < Batch::FULL {
                self.ready = false;
                return;
            }
        }
    }
}
