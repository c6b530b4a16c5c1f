//! The thread that moves a node's packets.

use std::io::{self, PipeReader};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datagram_batch::{BatchReceiver, BatchSender, Transmit};
use tracing::{error, info};

use super::sockets::Sockets;
use super::{Livesync, LivesyncError};
use crate::clock::{Clock, unix_time};
use crate::counters::{Count, Family};
use crate::service::Service;
use crate::wait::{Waiter, Waker, wait_for_room, waker};

/// Batches that one socket may have in one turn, and packets that are sent in one: some milliseconds each.
const BATCHES_A_TURN: usize = 8;
const PACKETS_A_TURN: usize = 256;
/// Packets that are handed to the system at once, for each destination.
const PACKETS_A_CALL: usize = 32;
/// Octets of the longest packet that is read; nodes send up to 1480.
const RECEIVED_LEN: usize = 2048;
/// How long to wait for the system to take a packet before it is given up.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to sleep at most, when much is told and when not: nobody wakes this thread up for what is told, which would
/// cost those who tell a system call.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(100);

/// How often to look at the system's clock. Until the next look, packets of a node whose clock was set back are refused.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct LivesyncThread {
    sockets: Sockets,
    mover: Mover,
    woken: PipeReader,
    stop: Arc<AtomicBool>,
}

/// Moves packets between a node and its sockets.
struct Mover {
    livesync: Livesync,
    /// Of the sockets.
    family: Family,
    clock: Clock,
    sender: BatchSender,
    /// Packets on their way to the system.
    outgoing: Vec<Vec<u8>>,
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
        let (woken, waker) = waker().map_err(LivesyncError::Thread)?;
        info!("livesync node {}, telling {:?}", livesync.id(), sockets.destinations);
        let mover = Mover { livesync, family, clock, sender: BatchSender::new(), outgoing: Vec::new() };
        Ok(Some((Self { sockets, mover, woken, stop }, waker)))
    }

    pub(crate) fn livesync(&self) -> &Livesync {
        &self.mover.livesync
    }

    /// Tells and hears until it is told to stop; then tells what is left.
    pub(crate) fn run(self) -> io::Result<()> {
        let Self { sockets, mut mover, woken, stop } = self;
        let mut receiver = BatchReceiver::new(RECEIVED_LEN);
        let mut waiter = Waiter::new(sockets.receiving.iter().map(AsFd::as_fd), &woken);
        // Of each receiving socket: whether there may be datagrams that were not read.
        let mut ready = vec![true; sockets.receiving.len()];
        let mut clock_set = None;
        let mut busy = false;
        while !stop.load(Ordering::Acquire) {
            let wait = if ready.contains(&true) { Duration::ZERO } else { mover.pause(busy) };
            waiter.wait(wait).inspect_err(|error| error!("livesync cannot wait for datagrams: {error}"))?;
            let now = mover.now();
            if clock_set.is_none_or(|set| now.saturating_sub(set) >= CLOCK_PAUSE) {
                clock_set = Some(now);
                mover.livesync.set_clock(now, unix_time());
            }
            for (at, ready) in ready.iter_mut().enumerate() {
                *ready |= waiter.is_ready(at);
                if *ready {
                    *ready = mover.receive(&sockets.receiving[at], &mut receiver);
                }
            }
            mover.livesync.handle_timeout(mover.now());
            busy = mover.send(&sockets) > 0;
        }
        while mover.send(&sockets) > 0 {}
        mover.livesync.flush();
        while mover.send(&sockets) > 0 {}
        Ok(())
    }
}

impl Mover {
    fn now(&self) -> Duration {
        self.clock.at(Instant::now())
    }

    fn pause(&self, busy: bool) -> Duration {
        let most = if busy { SHORT } else { LONG };
        let due = self.livesync.poll_timeout().map(|timeout| timeout.saturating_sub(self.now()));
        due.map_or(most, |due| due.min(most))
    }

    /// Takes what a socket has, up to a bound; says whether there may be more.
    fn receive(&mut self, socket: &UdpSocket, receiver: &mut BatchReceiver) -> bool {
        let mut found = false;
        for _ in 0..BATCHES_A_TURN {
            let received = match receiver.receive(socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.livesync.counters().add(self.family, Count::LivesyncNotReceived, 1);
                    continue;
                }
            };
            found = true;
            let now = self.now();
            for datagram in received.iter() {
                // One that was too long to be received whole counts as one of a wrong length.
                self.livesync.handle_input(now, datagram.source, datagram.whole().unwrap_or_default());
            }
            if !received.is_full() {
                return false;
            }
        }
        // Errors alone are nothing to come back for at once.
        found
    }

    /// Sends what is due, up to a bound; returns how many packets.
    fn send(&mut self, sockets: &Sockets) -> usize {
        let now = self.now();
        let (mut packets, mut not_sent) = (0, 0);
        while packets < PACKETS_A_TURN {
            self.outgoing.clear();
            while self.outgoing.len() < PACKETS_A_CALL
                && let Some(packet) = self.livesync.poll_transmit(now)
            {
                self.outgoing.push(packet.to_vec());
            }
            if self.outgoing.is_empty() {
                break;
            }
            packets += self.outgoing.len();
            not_sent += self.send_outgoing(sockets);
        }
        self.livesync.counters().add(self.family, Count::LivesyncNotSent, not_sent as u64);
        packets
    }

    /// Sends each packet to each destination; how many could not be sent. What is lost here is told again, as what is lost
    /// on its way.
    fn send_outgoing(&mut self, sockets: &Sockets) -> usize {
        let transmits = || {
            self.outgoing.iter().flat_map(|packet| {
                sockets.destinations.iter().map(|destination| Transmit::new(*destination, packet))
            })
        };
        let (mut done, mut failed) = (0, 0);
        loop {
            let sent = self.sender.send(sockets.own(), transmits().skip(done));
            done += sent.done();
            failed += sent.failed;
            if sent.no_room == 0 {
                return failed;
            }
            if !wait_for_room(sockets.own(), SEND_TIMEOUT) {
                return failed + sent.no_room;
            }
        }
    }
}
