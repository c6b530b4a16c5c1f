//! One thread of a tracker: its sockets, and the turns it takes among them.

use std::io::{self, PipeReader};
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use datagram_batch::{BATCH, BatchReceiver, BatchSender, Transmit};
use tracing::error;

use crate::clock::{Clock, unix_time};
use crate::counters::{Count, Family};
use crate::handler::Handler;
use crate::pace::{NAP, Next, Pace};
use crate::service::Service;
use crate::sweeper::Sweeper;
use crate::wait::{Waiter, Waker, waker};

/// Batches that one socket may have in one turn, so that a flood on it holds up neither the others nor the clock: some
/// 500 datagrams, a millisecond or two.
const BATCHES_A_TURN: usize = 8;

/// How often to see whether the system's clock was set.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Worker {
    sockets: Vec<UdpSocket>,
    clock: Clock,
    handler: Handler,
    sweeper: Sweeper,
    woken: PipeReader,
    stop: Arc<AtomicBool>,
}

/// Octets of the longest datagram that is read; the longest sensible request, a scrape of 74 torrents, has 1496.
const RECEIVED_LEN: usize = 2048;

/// Buffers for a batch of datagrams and the replies to them.
struct Batch {
    receiver: BatchReceiver,
    sender: BatchSender,
    replies: Box<[u8]>,
    /// Octets of each reply's buffer.
    reply_len: usize,
}

struct Ours<'a> {
    socket: &'a UdpSocket,
    family: Family,
    /// What the kernel has dropped here, as far as known; it counts in 32 bits, round and round.
    dropped: u32,
}

impl Worker {
    /// A worker, and what wakes it up to see that `stop` is set.
    pub(crate) fn new(
        service: &Arc<Service>,
        sockets: Vec<UdpSocket>,
        clock: Clock,
        sweeper: Sweeper,
        stop: Arc<AtomicBool>,
    ) -> io::Result<(Self, Waker)> {
        let (woken, waker) = waker()?;
        let handler = Handler::new(Arc::clone(service));
        Ok((Self { sockets, clock, handler, sweeper, woken, stop }, waker))
    }

    pub(crate) fn handler(&self) -> &Handler {
        &self.handler
    }

    /// Serves until it is told to stop.
    pub(crate) fn run(self) -> io::Result<()> {
        let Self { sockets, clock, mut handler, mut sweeper, woken, stop } = self;
        let mut batch = Batch::new(handler.max_reply_octets());
        let mut waiter = Waiter::new(sockets.iter().map(AsFd::as_fd), &woken);
        let mut all = sockets.iter().map(Ours::new).collect::<io::Result<Vec<_>>>()?;
        let mut pace = Pace::new(Instant::now());
        let mut clock_read = None;
        while !stop.load(Ordering::Acquire) {
            let waited = match pace.next() {
                Next::Look => false,
                Next::Nap => {
                    thread::sleep(NAP);
                    false
                }
                Next::Wait => {
                    waiter.wait(sweeper.pause()).inspect_err(|error| {
                        error!("cannot wait for datagrams: {error}");
                    })?;
                    true
                }
            };
            let (mut found, mut more) = (0, false);
            for (at, ours) in all.iter_mut().enumerate() {
                if !waited || waiter.is_ready(at) {
                    let turn = ours.turn(&mut batch, &clock, &mut handler);
                    found += turn.found;
                    more |= turn.more;
                }
            }
            let now = Instant::now();
            pace.looked(now, found, more);
            sweeper.turn(now, clock.seconds_at(now));
            if clock_read.is_none_or(|read| now.duration_since(read) >= CLOCK_PAUSE) {
                clock_read = Some(now);
                handler.set_clock(clock.at(now), unix_time());
            }
        }
        Ok(())
    }
}

impl Batch {
    fn new(reply_len: usize) -> Self {
        let replies = vec![0; reply_len * BATCH].into_boxed_slice();
        Self { receiver: BatchReceiver::new(RECEIVED_LEN), sender: BatchSender::new(), replies, reply_len }
    }
}

/// What a look at a socket showed.
struct Turn {
    /// Datagrams.
    found: usize,
    /// Whether there may be datagrams that were not read.
    more: bool,
}

impl<'a> Ours<'a> {
    fn new(socket: &'a UdpSocket) -> io::Result<Self> {
        let family = if socket.local_addr()?.is_ipv4() { Family::V4 } else { Family::V6 };
        Ok(Self { socket, family, dropped: 0 })
    }

    /// Answers what is there, up to a bound.
    fn turn(&mut self, batch: &mut Batch, clock: &Clock, handler: &mut Handler) -> Turn {
        let mut found = 0;
        for _ in 0..BATCHES_A_TURN {
            let received = match batch.receiver.receive(self.socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Turn { found, more: false };
                }
                // What the kernel reports of an earlier reply, such as a port unreachable, or a passing lack of memory.
                Err(_) => {
                    handler.counters().add(self.family, Count::NotReceived, 1);
                    continue;
                }
            };
            found += received.len();
            if let Some(dropped) = received.dropped() {
                let more = dropped.wrapping_sub(self.dropped);
                handler.counters().add(self.family, Count::DroppedByKernel, more.into());
                self.dropped = dropped;
            }
            // One that was too long to be received whole is handled as an empty one, which is counted.
            handler
                .prefetch(self.family, received.iter().map(|datagram| datagram.whole().unwrap_or_default()));
            let now = clock.seconds_at(Instant::now());
            let mut lens = [0; BATCH];
            let replies = batch.replies.chunks_exact_mut(batch.reply_len).zip(&mut lens);
            for (datagram, (reply, len)) in received.iter().zip(replies) {
                *len = handler.handle(now, datagram.source, datagram.whole().unwrap_or_default(), reply);
            }
            let replies = batch.replies.chunks_exact(batch.reply_len).zip(lens);
            let replies = received.iter().zip(replies).filter(|(_, (_, len))| *len > 0);
            let sent = batch.sender.send(
                self.socket,
                replies.map(|(datagram, (reply, len))| Transmit {
                    source: datagram.local,
                    ..Transmit::new(datagram.source, &reply[..len])
                }),
            );
            handler.counters().add(self.family, Count::Sent, sent.sent as u64);
            handler.counters().add(self.family, Count::NotSent, (sent.failed + sent.no_room) as u64);
            if !received.is_full() {
                return Turn { found, more: false };
            }
        }
        // Errors alone are nothing to come back for at once.
        Turn { found, more: found > 0 }
    }
}
