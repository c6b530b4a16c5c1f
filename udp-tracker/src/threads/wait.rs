//! Waiting for datagrams, with poll(2).
//!
//! epoll is not used: a socket that is registered there runs a callback for each received and each sent datagram,
//! whether a thread waits or not. In a profile, this took 3 to 4 % of a busy tracker's time
//! (`benchmarks/record/2026-11-20-tried.md`). poll(2) has a cost only while a thread waits, and with a worker's few
//! sockets it is not slower then.

use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// When dropped, ends the current wait of a thread and all later ones.
pub(super) type Waker = PipeWriter;

/// A waker, and the reader that a thread waits on.
pub(super) fn waker() -> io::Result<(PipeReader, Waker)> {
    io::pipe()
}

/// What a thread waits for.
pub(super) struct Waiter<'a> {
    /// The sockets, and last the reader that wakes the thread.
    awaited: Vec<PollFd<'a>>,
}

impl<'a> Waiter<'a> {
    pub(super) fn new(sockets: impl IntoIterator<Item = BorrowedFd<'a>>, woken: &'a PipeReader) -> Self {
        let awaited = sockets.into_iter().chain([woken.as_fd()]);
        Self { awaited: awaited.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN)).collect() }
    }

    /// Waits until a socket has a datagram, until the waker is dropped, or for `at_most`.
    pub(super) fn wait(&mut self, at_most: Duration) -> io::Result<()> {
        // Fails only for durations of centuries.
        let at_most = Timespec::try_from(at_most).ok();
        match poll(&mut self.awaited, at_most.as_ref()) {
            Err(rustix::io::Errno::INTR) | Ok(_) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether a socket had a datagram or an error when the last wait ended.
    pub(super) fn is_ready(&self, socket: usize) -> bool {
        !self.awaited[socket].revents().is_empty()
    }
}

/// Waits until a socket's send buffer has room, for at most `at_most`. Returns whether it has.
pub(super) fn wait_for_room(socket: &impl AsFd, at_most: Duration) -> bool {
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
    fn a_socket_is_ready_as_long_as_it_has_a_datagram() {
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
