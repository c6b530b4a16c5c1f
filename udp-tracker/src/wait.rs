//! Waiting for datagrams, with poll(2).
//!
//! Not with epoll: a socket that is registered there runs a callback for each datagram that comes and for each that has
//! left, whether anybody waits or not, which took a busy tracker 3 to 4 % of its time by a profile
//! (`benchmarks/record/2026-11-20-tried.md`). poll(2) is only there while somebody waits, and a worker has so few sockets
//! that it is no slower then.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Ends all waiting of a thread, once and for all, when it is dropped.
pub(crate) type Waker = PipeWriter;

/// A waker, and what it wakes.
pub(crate) fn waker() -> io::Result<(PipeReader, Waker)> {
    io::pipe()
}

/// What a thread waits for.
pub(crate) struct Waiter<'a> {
    /// The sockets, and at last what wakes it up.
    awaited: Vec<PollFd<'a>>,
}

impl<'a> Waiter<'a> {
    pub(crate) fn new(sockets: impl IntoIterator<Item = BorrowedFd<'a>>, woken: &'a PipeReader) -> Self {
        let awaited = sockets.into_iter().chain([woken.as_fd()]);
        Self { awaited: awaited.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect() }
    }

    /// Waits until one of the sockets has a datagram, until it is woken up, or as long as said.
    pub(crate) fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        // Cannot fail: nobody waits for centuries.
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut self.awaited, at_most.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a socket had a datagram, or an error to tell, when the last wait ended.
    pub(crate) fn is_ready(&self, socket: usize) -> bool {
        !self.awaited[socket].revents().is_empty()
    }
}

/// Waits until a socket's send buffer has room, for so long at most; whether it has.
pub(crate) fn wait_for_room(socket: &impl AsFd, at_most: Duration) -> bool {
    let at_most = Timespec::try_from(at_most).ok();
    poll(&mut [PollFd::new(socket, PollFlags::OUT)], at_most.as_ref()).is_ok_and(|ready| ready > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn tells_who_is_ready_for_as_long_as_they_are() {
        let sockets = [(); 2].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let (woken, _waker) = waker().unwrap();
        let mut waiter = Waiter::new(sockets.iter().map(AsFd::as_fd), &woken);
        waiter.wait(Duration::ZERO).unwrap();
        assert!(!waiter.is_ready(0) && !waiter.is_ready(1));
        sockets[0].send_to(b"?", sockets[1].local_addr().unwrap()).unwrap();
        for _ in 0..2 {
            waiter.wait(LONG).unwrap();
            assert!(!waiter.is_ready(0) && waiter.is_ready(1));
        }
        sockets[1].recv(&mut [0]).unwrap();
        waiter.wait(Duration::from_micros(1)).unwrap();
        assert!(!waiter.is_ready(1));
    }

    #[test]
    fn a_dropped_waker_ends_this_wait_and_the_next() {
        let (woken, waker) = waker().unwrap();
        let waiting = thread::spawn(move || {
            let mut waiter = Waiter::new([], &woken);
            waiter.wait(LONG).unwrap();
            waiter.wait(LONG).unwrap();
        });
        drop(waker);
        waiting.join().unwrap();
    }
}
