//! Sockets, and requests that wait to be sent.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::num::NonZeroU16;
use std::thread;

use datagram_batch::{BATCH, BatchReceiver, BatchSender, Received, Transmit};
use socket2::{Domain, Protocol, Socket, Type};

use crate::check::Rules;
use crate::error::LoadError;
use crate::pending::Kind;
use crate::request::Request;
use crate::settings::{Settings, Sources};

/// Bytes of a socket's receive buffer, if the system allows it: room for all answers to a large window.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Bytes of the longest answer that is received completely. Answers have at most 1232 bytes, unless a tracker is
/// configured for more.
const RECEIVED_LEN: usize = 4096;
/// The most batches read from one socket at a time, so that no socket waits long.
const BATCHES_A_LOOK: usize = 4;

/// Kinds of requests by length. Each has its own queue, because UDP_SEGMENT needs equal lengths.
const QUEUES: [Kind; 3] = [Kind::Connect, Kind::Announce, Kind::Scrape];

const fn queue_of(kind: Kind) -> usize {
    match kind {
        Kind::Connect => 0,
        Kind::Announce | Kind::Stop => 1,
        Kind::Scrape => 2,
    }
}

/// A socket, and the requests to send from it.
struct Port {
    socket: UdpSocket,
    queues: [Vec<u8>; 3],
}

/// All sockets, by source address and then by number.
pub(crate) struct Ports {
    tracker: SocketAddr,
    ports: Vec<Port>,
    /// Bytes of a request in each queue.
    lens: [NonZeroU16; 3],
    receiver: BatchReceiver,
    sender: BatchSender,
    /// Whether the kernel splits a queue into requests.
    segments: bool,
}

impl Ports {
    pub(crate) fn open(settings: &Settings, sources: Sources, rules: &Rules) -> Result<Self, LoadError> {
        let lens = QUEUES.map(|kind| {
            NonZeroU16::new(u16::try_from(Request::len(kind, rules)).unwrap_or(u16::MAX))
                .unwrap_or(NonZeroU16::MIN)
        });
        let mut ports = Vec::new();
        for from in sources.iter() {
            for _ in 0..settings.sockets {
                let socket = open(from).map_err(|source| LoadError::Socket { from, source })?;
                let queues = lens.map(|len| Vec::with_capacity(BATCH * usize::from(len.get())));
                ports.push(Port { socket, queues });
            }
        }
        Ok(Self {
            tracker: settings.tracker,
            ports,
            lens,
            receiver: BatchReceiver::new(RECEIVED_LEN),
            sender: BatchSender::new(),
            segments: settings.segments,
        })
    }

    pub(crate) fn len(&self) -> usize {
        self.ports.len()
    }

    /// Room for a request, which is sent at the next [`Ports::flush`] at the latest.
    pub(crate) fn queue(&mut self, port: usize, kind: Kind) -> &mut [u8] {
        let len = usize::from(self.lens[queue_of(kind)].get());
        let queue = &mut self.ports[port].queues[queue_of(kind)];
        let begin = queue.len();
        queue.resize(begin + len, 0);
        &mut queue[begin..]
    }

    /// Sends the waiting requests of a kind at a socket, if they fill a batch.
    pub(crate) fn flush_if_full(&mut self, port: usize, kind: Kind) -> Result<(), LoadError> {
        let queue = queue_of(kind);
        let full = BATCH * usize::from(self.lens[queue].get());
        if self.ports[port].queues[queue].len() >= full { self.flush_queue(port, queue) } else { Ok(()) }
    }

    /// Sends all waiting requests.
    pub(crate) fn flush(&mut self) -> Result<(), LoadError> {
        for port in 0..self.ports.len() {
            for queue in 0..QUEUES.len() {
                self.flush_queue(port, queue)?;
            }
        }
        Ok(())
    }

    fn flush_queue(&mut self, port: usize, queue: usize) -> Result<(), LoadError> {
        let Port { socket, queues } = &mut self.ports[port];
        let bytes = &mut queues[queue];
        let segment_len = self.lens[queue];
        let len = usize::from(segment_len.get());
        let mut done = 0;
        while done < bytes.len() {
            let rest = Transmit::new(self.tracker, &bytes[done..]);
            let sent = if self.segments {
                self.sender.send_segments(socket, rest, segment_len)
            } else {
                let requests = rest.bytes.chunks(len).map(|bytes| Transmit { bytes, ..rest });
                self.sender.send(socket, requests)
            };
            if let Some(error) = sent.error {
                return Err(LoadError::Send(error));
            }
            done += sent.sent * len;
            if sent.no_room > 0 {
                // The socket's send buffer is full; the network will empty it.
                thread::yield_now();
            }
        }
        bytes.clear();
        Ok(())
    }

    /// Receives waiting datagrams of a socket, up to a limit, and calls `each` for every batch. Returns the number of
    /// datagrams.
    pub(crate) fn receive(
        &mut self,
        port: usize,
        mut each: impl FnMut(Received<'_>) -> Result<(), LoadError>,
    ) -> Result<usize, LoadError> {
        let mut datagrams = 0;
        for _ in 0..BATCHES_A_LOOK {
            let received = match self.receiver.receive(&self.ports[port].socket) {
                Ok(received) => received,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(LoadError::Receive(error)),
            };
            each(received)?;
            datagrams += received.len();
            if !received.is_full() {
                break;
            }
        }
        Ok(datagrams)
    }
}

fn open(from: IpAddr) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(from, 0);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
    socket.bind(&address.into())?;
    Ok(socket.into())
}
