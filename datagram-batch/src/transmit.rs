//! Datagrams to send, [`Transmit`], and the result, [`Sent`].

use std::io;
use std::net::SocketAddr;

use crate::head::LocalAddress;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// The destination, of the socket's family.
    pub destination: SocketAddr,
    /// The address of this machine that it leaves from; with `None` the system chooses. On other systems than Linux,
    /// and with [`Method::OneByOne`](crate::Method::OneByOne), the system always chooses.
    pub source: Option<LocalAddress>,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// The result of sending. The three counts add up to the number of datagrams.
#[derive(Debug, Default)]
#[must_use]
pub struct Sent {
    /// Datagrams that the system accepted.
    pub sent: usize,
    /// Datagrams that the system refused: too long, no route, or not permitted. The others were sent nevertheless.
    pub failed: usize,
    /// Datagrams without room in the socket's buffer, always the last ones. They may be sent later.
    pub no_room: usize,
    /// Which datagrams failed: their positions among all of them, in order.
    pub failures: Vec<usize>,
    /// The error of the last datagram that failed.
    pub error: Option<io::Error>,
}

impl<'a> Transmit<'a> {
    /// A datagram whose source address the system chooses.
    #[must_use]
    pub fn new(destination: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { destination, source: None, bytes }
    }
}

impl Sent {
    /// Datagrams that need no further attempt: sent or failed.
    #[must_use]
    pub fn done(&self) -> usize {
        self.sent + self.failed
    }

    /// Records that the system refused the next `count` datagrams.
    pub(crate) fn fail(&mut self, count: usize, error: io::Error) {
        self.failures.extend(self.done()..self.done() + count);
        self.failed += count;
        self.error = Some(error);
    }

    pub(crate) fn and(mut self, other: Self) -> Self {
        let before = self.done() + self.no_room;
        self.failures.extend(other.failures.iter().map(|at| before + at));
        Self {
            sent: self.sent + other.sent,
            failed: self.failed + other.failed,
            no_room: self.no_room + other.no_room,
            failures: self.failures,
            error: other.error.or(self.error),
        }
    }
}

/// Sends a number of datagrams by calls of `send`, which takes how many are done and returns how many more the system
/// has accepted. Returns whether there is room for more.
pub(crate) fn send_each(
    count: usize,
    sent: &mut Sent,
    mut send: impl FnMut(usize) -> io::Result<usize>,
) -> bool {
    let mut done = 0;
    let mut again = false;
    while done < count {
        match send(done) {
            Ok(taken @ 1..) => {
                sent.sent += taken;
                done += taken;
                again = false;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // The error concerns an earlier datagram; the next call doesn't report it again.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !again => again = true,
            Err(error) if !is_full(&error) => {
                sent.fail(1, error);
                done += 1;
                again = false;
            }
            _ => {
                sent.no_room += count - done;
                return false;
            }
        }
    }
    true
}

/// Whether there was no room in a buffer, of the socket or of the network card.
fn is_full(error: &io::Error) -> bool {
    let no_buffers = rustix::io::Errno::NOBUFS.raw_os_error();
    error.kind() == io::ErrorKind::WouldBlock || error.raw_os_error() == Some(no_buffers)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sends four datagrams through a system that returns these results.
    fn sent(answers: &[Result<usize, rustix::io::Errno>]) -> (Sent, bool, Vec<usize>) {
        let (mut sent, mut seen) = (Sent::default(), Vec::new());
        let mut answers = answers.iter();
        let room = send_each(4, &mut sent, |done| {
            seen.push(done);
            Ok(answers.next().copied().expect("no more calls than answers")?)
        });
        assert_eq!(answers.next(), None);
        (sent, room, seen)
    }

    fn counts(sent: &Sent) -> [usize; 3] {
        [sent.sent, sent.failed, sent.no_room]
    }

    #[test]
    fn continues_after_a_partial_send_and_an_interruption() {
        use rustix::io::Errno;
        let (sent, room, seen) = sent(&[Ok(1), Err(Errno::INTR), Ok(2), Ok(1)]);
        assert_eq!((counts(&sent), room, seen), ([4, 0, 0], true, vec![0, 1, 1, 3]));
    }

    #[test]
    fn skips_a_datagram_that_is_refused() {
        use rustix::io::Errno;
        let (sent, room, seen) = sent(&[Ok(1), Err(Errno::MSGSIZE), Ok(2)]);
        assert_eq!((counts(&sent), room, seen), ([3, 1, 0], true, vec![0, 1, 2]));
        assert_eq!(sent.failures, [1]);
        assert_eq!(sent.error.unwrap().raw_os_error(), Some(Errno::MSGSIZE.raw_os_error()));
    }

    #[test]
    fn stops_where_there_is_no_room() {
        use rustix::io::Errno;
        for full in [Errno::AGAIN, Errno::NOBUFS] {
            let (sent, room, _) = sent(&[Ok(1), Err(full)]);
            assert_eq!((counts(&sent), room), ([1, 0, 3], false));
        }
    }

    #[test]
    fn tries_once_more_when_an_earlier_datagram_was_refused() {
        use rustix::io::Errno;
        let refused = Err(Errno::CONNREFUSED);
        let (sent, room, seen) = sent(&[refused, Ok(1), refused, refused, refused, Ok(2)]);
        assert_eq!((counts(&sent), room, seen), ([3, 1, 0], true, vec![0, 0, 1, 1, 2, 2]));
    }
}
