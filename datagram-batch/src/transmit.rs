//! Datagrams to send, [`Transmit`], and the result, [`Sent`].

use std::io;
use std::net::SocketAddr;

use crate::head::LocalAddress;

/// A datagram to send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transmit<'a> {
    /// Where to, of the socket's family.
    pub destination: SocketAddr,
    /// Which of the machine's addresses it leaves from; `None` leaves it to the system. Off Linux, and with
    /// [`Method::OneByOne`], the system chooses always.
    pub source: Option<LocalAddress>,
    /// All its bytes.
    pub bytes: &'a [u8],
}

/// What became of datagrams. The three counts add up to all of them.
#[derive(Debug, Default)]
#[must_use]
pub struct Sent {
    /// Datagrams that the system has taken.
    pub sent: usize,
    /// Datagrams that the system refuses: too long, no route, not permitted. The others were sent all the same.
    pub failed: usize,
    /// Datagrams for which there was no room in the socket's buffer: the last ones. They may be sent later.
    pub no_room: usize,
    /// Why the last one of those that failed did.
    pub error: Option<io::Error>,
}

impl<'a> Transmit<'a> {
    /// A datagram that leaves from the address that the system chooses.
    #[must_use]
    pub fn new(destination: SocketAddr, bytes: &'a [u8]) -> Self {
        Self { destination, source: None, bytes }
    }
}

impl Sent {
    /// Datagrams that need no other try: sent, or refused.
    #[must_use]
    pub fn done(&self) -> usize {
        self.sent + self.failed
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            sent: self.sent + other.sent,
            failed: self.failed + other.failed,
            no_room: self.no_room + other.no_room,
            error: other.error.or(self.error),
        }
    }
}

/// Sends a number of datagrams by calls of `send`, which is given how many are done and returns how many more the system
/// has taken. Whether there is room for more.
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
            // Speaks of an earlier datagram, and is no longer reported at the next call.
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused && !again => again = true,
            Err(error) if !is_full(&error) => {
                sent.failed += 1;
                sent.error = Some(error);
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

    /// Sends four datagrams by a system that answers as in the list.
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
