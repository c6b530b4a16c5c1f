//! The thread that sends and receives a node's packets.

use std::io::{self, PipeReader};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use datagram_batch::{BatchReceiver, BatchSender, Transmit};
use tracing::{error, info, warn};

use super::clock::{Clock, unix_time};
use super::livesync_sockets::LivesyncSockets;
use super::wait::{Waiter, Waker, wait_for_room, waker};
use crate::count::LivesyncCount;
use crate::family::Family;
use crate::livesync::Livesync;

/// The most batches that are read from one socket in a turn, and the most packets sent in a turn: some milliseconds
/// each.
const BATCHES_A_TURN: usize = 8;
const PACKETS_A_TURN: usize = 256;
/// Packets that are passed to the system at once, for each destination.
const PACKETS_A_CALL: usize = 32;
/// Bytes of the longest packet that is read; nodes send up to 1480.
const RECEIVED_LEN: usize = 2048;
/// How long to wait for the system to accept a packet before it is dropped.
const SEND_TIMEOUT: Duration = Duration::from_secs(1);

/// How long to sleep at most, when the queue is busy and when it isn't. Handlers don't wake this thread when they queue
/// a record, because that would cost them a system call.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(100);

/// How often to read the system's clock, and to look whether the interface has changed. Packets of a node whose clock was set back are refused until the next reading.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct LivesyncThread {
    sockets: LivesyncSockets,
    mover: Mover,
    woken: PipeReader,
    stop: Arc<AtomicBool>,
}

/// Passes packets between a node and its sockets.
struct Mover {
    livesync: Livesync,
    /// The sockets' address family.
    family: Family,
    clock: Clock,
    sender: BatchSender,
    /// Packets that are being sent.
    outgoing: Vec<Vec<u8>>,
}

impl LivesyncThread {
    /// A thread for a node, and what wakes it to check `stop`.
    pub(super) fn new(
        livesync: Livesync,
        sockets: LivesyncSockets,
        clock: Clock,
        stop: Arc<AtomicBool>,
    ) -> io::Result<(Self, Waker)> {
        let family = Family::of(sockets.own().local_addr()?.ip());
        let (woken, waker) = waker()?;
        info!("livesync node {}, sending to {:?}", livesync.id(), sockets.destinations);
        let mover = Mover { livesync, family, clock, sender: BatchSender::new(), outgoing: Vec::new() };
        Ok((Self { sockets, mover, woken, stop }, waker))
    }

    /// Sends and receives until `stop` is set; then sends what is left.
    pub(super) fn run(self) -> io::Result<()> {
        let Self { sockets, mut mover, woken, stop } = self;
        let mut receiver = BatchReceiver::new(RECEIVED_LEN);
        let mut waiter = Waiter::new(sockets.receiving.iter().map(AsFd::as_fd), &woken);
        // For each receiving socket: whether there may be unread datagrams.
        let mut ready = vec![true; sockets.receiving.len()];
        let mut looked = None;
        let mut busy = false;
        while !stop.load(Ordering::Acquire) {
            let wait = if ready.contains(&true) { Duration::ZERO } else { mover.pause(busy) };
            waiter.wait(wait).inspect_err(|error| error!("livesync cannot wait for datagrams: {error}"))?;
            let now = mover.now();
            if looked.is_none_or(|looked| now.saturating_sub(looked) >= LOOK_PAUSE) {
                looked = Some(now);
                mover.livesync.set_clock(now, unix_time());
                if sockets.join_again() {
                    warn!("livesync: the interface was away; joined the group again");
                }
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

    /// Reads a socket's datagrams, up to a bound. Returns whether there may be more.
    fn receive(&mut self, socket: &UdpSocket, receiver: &mut BatchReceiver) -> bool {
        let mut found = false;
        for _ in 0..BATCHES_A_TURN {
            let received = match receiver.receive(socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.livesync.counters().add(self.family, LivesyncCount::NotReceived, 1);
                    continue;
                }
            };
            found = true;
            let now = self.now();
            for datagram in received.iter() {
                // A datagram that was too long for the buffer counts as one of invalid length.
                self.livesync.handle_input(now, datagram.source, datagram.whole().unwrap_or_default());
            }
            if !received.is_full() {
                return false;
            }
        }
        // Errors alone are no reason to read again at once.
        found
    }

    /// Sends due packets, up to a bound. Returns their number.
    fn send(&mut self, sockets: &LivesyncSockets) -> usize {
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
        self.livesync.counters().add(self.family, LivesyncCount::NotSent, not_sent as u64);
        packets
    }

    /// Sends each packet to each destination. Returns how many could not be sent. The peers in such a packet are
    /// published again later, like those in a packet that the network loses.
    fn send_outgoing(&mut self, sockets: &LivesyncSockets) -> usize {
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
