//! Messages between a running tracker and its successor, over a stream.
//!
//! | bytes | |
//! |---|---|
//! | 1 | [`Kind`] |
//! | 4 | length of the content in bytes, little-endian, at most 1 MiB |
//! | | content |
//!
//! Open files accompany the messages [`Kind::Sockets`], at most 64 each.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};

/// The first number that both say. A tracker hands over to its own version only: the stream has no other compatibility.
pub(super) const VERSION: &[u8] = concat!("tracker-bin ", env!("CARGO_PKG_VERSION"), " 1").as_bytes();

/// The most bytes of a message's content. A piece of a snapshot has up to half a megabyte.
const MOST_CONTENT: usize = 1 << 20;
/// Of kind and length.
const HEAD_LEN: usize = 5;
/// The most open files with one message. The kernel allows 253.
pub(super) const MOST_FILES: usize = 64;
/// The most open files of a connection: 1024 workers on some addresses.
const MOST_FILES_IN_ALL: usize = 1 << 14;
/// How long the other side may take for a step in which it has nothing to wait for.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// What a message means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    /// From the successor: [`VERSION`].
    Hello = 1,
    /// From the running tracker, instead of anything else: why it goes on. A sentence.
    Refused = 2,
    /// From the running tracker: some of its sockets.
    Sockets = 3,
    /// From the running tracker: these were all sockets. The content is how to reach the service manager.
    AllSockets = 4,
    /// From the successor: it is ready to serve, and takes the swarms.
    Ready = 5,
    /// From the running tracker: a part of a snapshot.
    Snapshot = 6,
    /// From the running tracker: changes since.
    Changes = 7,
    /// From the running tracker: it doesn't read from its sockets any more, and nothing else follows.
    Paused = 8,
    /// From the successor: it serves.
    Serving = 9,
    /// From the running tracker: it ends. Without this message it goes on.
    Over = 10,
}

impl Kind {
    fn of(byte: u8) -> Option<Self> {
        let all = [
            Self::Hello,
            Self::Refused,
            Self::Sockets,
            Self::AllSockets,
            Self::Ready,
            Self::Snapshot,
            Self::Changes,
            Self::Paused,
            Self::Serving,
            Self::Over,
        ];
        all.into_iter().find(|kind| *kind as u8 == byte)
    }
}

/// A stream of messages.
pub(super) struct Connection {
    stream: UnixStream,
    /// The content of the last message.
    content: Vec<u8>,
    files: VecDeque<OwnedFd>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, content: Vec::new(), files: VecDeque::new() })
    }

    pub(super) fn set_patience(&self, patience: Duration) -> io::Result<()> {
        self.stream.set_read_timeout(Some(patience))
    }

    pub(super) fn send(&self, kind: Kind, content: &[u8]) -> io::Result<()> {
        self.send_with(kind, content, &[])
    }

    /// Sends a message with at most [`MOST_FILES`] open files.
    pub(super) fn send_with(&self, kind: Kind, content: &[u8], files: &[BorrowedFd<'_>]) -> io::Result<()> {
        let len = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut head = [kind as u8; HEAD_LEN];
        head[1..].copy_from_slice(&len.to_le_bytes());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if !files.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(files)) {
            return Err(io::Error::other("too many open files for one message"));
        }
        // The files go with the first byte.
        let mut rest: &[u8] = &head;
        let mut content = Some(content);
        while !rest.is_empty() || content.is_some() {
            if rest.is_empty() {
                rest = content.take().unwrap_or_default();
                continue;
            }
            match sendmsg(&self.stream, &[IoSlice::new(rest)], &mut ancillary, SendFlags::NOSIGNAL) {
                Ok(sent) => rest = rest.get(sent..).unwrap_or_default(),
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(timed_out(error)),
            }
            ancillary.clear();
        }
        Ok(())
    }

    /// The next message. The other side's end is an error.
    pub(super) fn receive(&mut self) -> io::Result<(Kind, &[u8])> {
        let mut head = [0; HEAD_LEN];
        self.fill(&mut head)?;
        let [kind, len @ ..] = head;
        let invalid =
            || io::Error::new(io::ErrorKind::InvalidData, "it sends something else than this version");
        let kind = Kind::of(kind).ok_or_else(invalid)?;
        let len = usize::try_from(u32::from_le_bytes(len)).ok().filter(|len| *len <= MOST_CONTENT);
        let mut content = std::mem::take(&mut self.content);
        content.resize(len.ok_or_else(invalid)?, 0);
        let filled = self.fill(&mut content);
        self.content = content;
        filled?;
        Ok((kind, &self.content))
    }

    /// The open files that came with messages so far.
    pub(super) fn files(&mut self) -> impl Iterator<Item = OwnedFd> {
        self.files.drain(..)
    }

    /// Waits until the other side has closed the stream.
    pub(super) fn wait_for_end(&mut self) -> io::Result<()> {
        match self.fill(&mut [0]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(error),
            Ok(()) => Err(io::ErrorKind::InvalidData.into()),
        }
    }

    fn fill(&mut self, mut out: &mut [u8]) -> io::Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
        while !out.is_empty() {
            let mut ancillary = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(&self.stream, &mut [IoSliceMut::new(out)], &mut ancillary, flags);
            let received = match received {
                Ok(received) => received.bytes,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(timed_out(error)),
            };
            for message in ancillary.drain() {
                if let RecvAncillaryMessage::ScmRights(files) = message {
                    self.files.extend(files);
                }
            }
            if received == 0 {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it has closed the connection"));
            }
            if self.files.len() > MOST_FILES_IN_ALL {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "it sends too many open files"));
            }
            out = out.get_mut(received..).unwrap_or_default();
        }
        Ok(())
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn timed_out(error: rustix::io::Errno) -> io::Error {
    match error {
        rustix::io::Errno::AGAIN => io::Error::new(io::ErrorKind::TimedOut, "it doesn't answer"),
        error => error.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    fn pair() -> (Connection, Connection) {
        let (one, other) = UnixStream::pair().unwrap();
        (Connection::new(one).unwrap(), Connection::new(other).unwrap())
    }

    #[test]
    fn messages_arrive_with_their_open_files() {
        let (one, mut other) = pair();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        one.send_with(Kind::Sockets, b"", &[socket.as_fd(); MOST_FILES]).unwrap();
        one.send(Kind::AllSockets, b"content").unwrap();
        assert_eq!(other.receive().unwrap(), (Kind::Sockets, &b""[..]));
        assert_eq!(other.receive().unwrap(), (Kind::AllSockets, &b"content"[..]));
        let files: Vec<UdpSocket> = other.files().map(UdpSocket::from).collect();
        assert_eq!(files.len(), MOST_FILES);
        assert_eq!(files[63].local_addr().unwrap(), socket.local_addr().unwrap());
        drop(one);
        other.wait_for_end().unwrap();
        assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn long_messages_arrive_whole() {
        let (one, mut other) = pair();
        let content: Vec<u8> = (0..MOST_CONTENT).map(|at| at.to_le_bytes()[0]).collect();
        let sent = content.clone();
        let sending = std::thread::spawn(move || one.send(Kind::Snapshot, &sent).unwrap());
        assert_eq!(other.receive().unwrap(), (Kind::Snapshot, &content[..]));
        sending.join().unwrap();
    }

    #[test]
    fn other_bytes_are_refused_without_allocating_what_they_ask_for() {
        for bytes in [[0, 0, 0, 0, 0], [200, 1, 0, 0, 0], [6, 0xff, 0xff, 0xff, 0xff]] {
            let (one, mut other) = pair();
            rustix::io::write(&one, &bytes).unwrap();
            assert_eq!(other.receive().unwrap_err().kind(), io::ErrorKind::InvalidData);
        }
    }
}
