//! One thread of a tracker: its sockets, and how it alternates between them.

use std::io::{self, PipeReader};
use std::net::UdpSocket;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use datagram_batch::{BATCH, BatchReceiver, BatchSender, Transmit, report_arrival};
use tracing::error;

use super::arrivals::Arrivals;
use super::clock::{Clock, unix_time};
use super::filter::set_filter;
use super::load::Windows;
use super::pace::{Next, Pace};
use super::stats::WorkerStats;
use super::sweeper::Sweeper;
use super::wait::{Waiter, Waker, waker};
use crate::count::Count;
use crate::family::Family;
use crate::handler::Handler;

/// The most batches that are read from one socket in a turn, so that a flood on one socket delays neither the others
/// nor the clock: some 500 datagrams, one or two milliseconds.
const BATCHES_A_TURN: usize = 8;

/// How often to check whether the system's clock was set.
const CLOCK_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Worker {
    sockets: Vec<Arc<UdpSocket>>,
    clock: Clock,
    /// How long datagrams may gather.
    gather: Duration,
    handler: Handler,
    sweeper: Sweeper,
    woken: PipeReader,
    stop: Arc<AtomicBool>,
    stats: Arc<WorkerStats>,
}

/// The longest datagram that is read, in bytes. The longest useful request, a scrape of 74 torrents, has 1496.
const RECEIVED_LEN: usize = 2048;

/// Buffers for a batch of datagrams and the replies to them.
struct Batch {
    receiver: BatchReceiver,
    sender: BatchSender,
    replies: Box<[u8]>,
    /// Bytes of each reply's buffer.
    reply_len: usize,
}

/// A listening socket.
struct Listener<'a> {
    socket: &'a UdpSocket,
    family: Family,
    /// Datagrams that the kernel has dropped at this socket, modulo 2^32, as last reported.
    dropped: u32,
}

impl Worker {
    /// A worker, and what wakes it to check `stop`.
    pub(super) fn new(
        handler: Handler,
        sockets: Vec<Arc<UdpSocket>>,
        clock: Clock,
        gather: Duration,
        sweeper: Sweeper,
        (stop, stats): (Arc<AtomicBool>, Arc<WorkerStats>),
    ) -> io::Result<(Self, Waker)> {
        let (woken, waker) = waker()?;
        Ok((Self { sockets, clock, gather, handler, sweeper, woken, stop, stats }, waker))
    }

    /// Serves until `stop` is set.
    pub(super) fn run(self) -> io::Result<()> {
        let Self { sockets, clock, gather, mut handler, mut sweeper, woken, stop, stats } = self;
        let mut batch = Batch::new(handler.max_reply_bytes());
        let mut waiter = Waiter::new(sockets.iter().map(|socket| socket.as_fd()), &woken);
        wake_up_punctually();
        let mut all = sockets.iter().map(|socket| Listener::new(socket)).collect::<io::Result<Vec<_>>>()?;
        let mut pace = Pace::new(Instant::now(), gather);
        let mut arrivals = Arrivals::new(Instant::now());
        let mut windows = Family::ALL.map(|_| Windows::new(Instant::now()));
        // Sockets that another process had may have a filter.
        Family::ALL.iter().for_each(|family| set_filter(&sockets, *family, &[]));
        let mut clock_read = None;
        let mut turned = Instant::now();
        while !stop.load(Ordering::Acquire) {
            let (waited, idle) = match pace.next() {
                Next::Look => (false, Duration::ZERO),
                Next::Gather(pause) => (false, timed(|| thread::sleep(pause)).1),
                Next::Wait => {
                    let (result, idle) = timed(|| waiter.wait(sweeper.pause()));
                    result.inspect_err(|error| error!("cannot wait for datagrams: {error}"))?;
                    (true, idle)
                }
            };
            let (mut found, mut more) = (0, false);
            for (at, listener) in all.iter_mut().enumerate() {
                if !waited || waiter.is_ready(at) {
                    let turn = listener.turn(
                        &mut batch,
                        (&clock, &arrivals, &windows[listener.family as usize]),
                        &mut handler,
                        &stats,
                    );
                    found += turn.found;
                    more |= turn.more;
                    windows[listener.family as usize].looked(turn.more, turn.dropped);
                }
            }
            let now = Instant::now();
            pace.looked(now, idle, found, more);
            for (family, windows) in Family::ALL.into_iter().zip(&mut windows) {
                let Some((load, times)) = windows.ended(now) else { continue };
                (0..times).for_each(|_| handler.end_window(family, load));
                if let Some(passes) = handler.changed_passes(family) {
                    let passes: Vec<_> = passes.collect();
                    set_filter(&sockets, family, &passes);
                    windows.filter = !passes.is_empty();
                }
            }
            if let Some(on) = arrivals.looked(now, found) {
                report_arrivals(&sockets, on);
            }
            stats.count_turn(&clock, now, now.duration_since(turned).saturating_sub(idle));
            turned = now;
            sweeper.turn(now, clock.seconds_at(now));
            if clock_read.is_none_or(|read| now.duration_since(read) >= CLOCK_PAUSE) {
                clock_read = Some(now);
                handler.set_clock(clock.at(now), unix_time());
            }
        }
        Ok(())
    }
}

/// The result of a call, and how long it took.
fn timed<T>(call: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

/// Switches the reporting of times of arrival on or off.
fn report_arrivals(sockets: &[Arc<UdpSocket>], on: bool) {
    for socket in sockets {
        // If this fails, there are fewer figures of latency.
        let _ = report_arrival(socket, on);
    }
}

/// Makes pauses end in time. By default the system makes them up to 50 microseconds longer, to end several together.
fn wake_up_punctually() {
    // If this fails, pauses are only longer.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(1000));
}

impl Batch {
    fn new(reply_len: usize) -> Self {
        let replies = vec![0; reply_len * BATCH].into_boxed_slice();
        Self { receiver: BatchReceiver::new(RECEIVED_LEN), sender: BatchSender::new(), replies, reply_len }
    }
}

/// The result of reading from a socket.
struct Turn {
    /// Datagrams.
    found: usize,
    /// Whether there may be unread datagrams.
    more: bool,
    /// Whether the kernel has dropped datagrams since the last turn.
    dropped: bool,
}

impl<'a> Listener<'a> {
    fn new(socket: &'a UdpSocket) -> io::Result<Self> {
        Ok(Self { socket, family: Family::of(socket.local_addr()?.ip()), dropped: 0 })
    }

    /// Answers the datagrams that are there, up to a bound.
    fn turn(
        &mut self,
        batch: &mut Batch,
        (clock, arrivals, windows): (&Clock, &Arrivals, &Windows),
        handler: &mut Handler,
        stats: &WorkerStats,
    ) -> Turn {
        let (mut found, dropped_before) = (0, self.dropped);
        for _ in 0..BATCHES_A_TURN {
            let received = match batch.receiver.receive(self.socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Turn { found, more: false, dropped: self.dropped != dropped_before };
                }
                // An error of an earlier reply, such as port unreachable, or a temporary lack of memory.
                Err(_) => {
                    handler.count_more(self.family, Count::NotReceived, 1);
                    handler.publish_counts();
                    continue;
                }
            };
            found += received.len();
            stats.count_batch(received.len());
            if let Some(dropped) = received.dropped() {
                let more = dropped.wrapping_sub(self.dropped);
                // The kernel counts what it drops by a filter, too.
                let count = if windows.filter { Count::ShedByKernel } else { Count::DroppedByKernel };
                handler.count_more(self.family, count, usize::try_from(more).unwrap_or(usize::MAX));
                self.dropped = dropped;
            }
            handler.begin_batch();
            // A datagram that was too long for the buffer is handled as an empty one, which is counted.
            handler
                .prefetch(self.family, received.iter().map(|datagram| datagram.whole().unwrap_or_default()));
            let begun = Instant::now();
            let now = clock.seconds_at(begun);
            let mut answered = [None; BATCH];
            let replies = batch.replies.chunks_exact_mut(batch.reply_len).zip(&mut answered);
            for (datagram, (reply, answered)) in received.iter().zip(replies) {
                let bytes = datagram.whole().unwrap_or_default();
                let handled = handler.handle_in_batch(now, datagram.source, bytes, reply);
                *answered = (handled.reply_len > 0).then_some(handled);
            }
            let replies = batch.replies.chunks_exact(batch.reply_len).zip(answered);
            let replies = received.iter().zip(replies).filter_map(|(datagram, (reply, answered))| {
                let bytes = &reply[..answered?.reply_len];
                Some(Transmit { source: datagram.local, ..Transmit::new(datagram.source, bytes) })
            });
            let sent = batch.sender.send(self.socket, replies);
            if sent.failed + sent.no_room > 0 {
                let answered = answered.iter().flatten().enumerate();
                answered
                    .filter(|(at, _)| *at >= sent.done() || sent.failures.contains(at))
                    .for_each(|(_, handled)| handler.count_not_sent(*handled));
            }
            handler.publish_counts();
            // The system's clock may have been set meanwhile; then there is nothing to measure.
            if arrivals.are_reported(begun)
                && let Some(Ok(time)) =
                    received.arrived().map(|arrived| SystemTime::now().duration_since(arrived))
            {
                stats.count_latency(time);
            }
            if !received.is_full() {
                return Turn { found, more: false, dropped: self.dropped != dropped_before };
            }
        }
        // Errors alone are no reason to read again at once.
        Turn { found, more: found > 0, dropped: self.dropped != dropped_before }
    }
}
