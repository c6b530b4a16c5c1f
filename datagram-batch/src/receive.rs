//! Receiving: [`BatchReceiver`], and the [`Received`] datagrams that borrow from it.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::SystemTime;

use rustix::fd::AsFd;

use crate::head::{Count, Head, LocalAddress};
use crate::{BATCH, Method, one_by_one};

/// Receives datagrams in batches, into buffers of its own.
pub struct BatchReceiver {
    method: Method,
    max_len: usize,
    /// A buffer for each datagram, one byte longer than [`BatchReceiver::max_len`].
    buffers: Box<[u8]>,
    heads: Box<[Head; BATCH]>,
}

/// Datagrams that one call received, in the order of their arrival.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    receiver: &'a BatchReceiver,
    len: usize,
    dropped: Option<u32>,
    arrived: Option<SystemTime>,
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// The source address in its IP header, which can be forged.
    pub source: SocketAddr,
    /// The address that it was sent to, if the socket [reports it](crate::report_local_address).
    pub local: Option<LocalAddress>,
    /// Its first bytes; all of them unless it is truncated.
    pub bytes: &'a [u8],
    /// Whether it was longer than the receiver's buffer.
    pub truncated: bool,
}

impl<'a> Datagram<'a> {
    /// All its bytes; `None` if it is truncated.
    #[must_use]
    pub fn whole(&self) -> Option<&'a [u8]> {
        (!self.truncated).then_some(self.bytes)
    }
}

impl BatchReceiver {
    /// A receiver for datagrams of up to `max_len` bytes, with the system's best method. It allocates [`BATCH`] times
    /// `max_len` bytes and about 5 KB, once.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        let buffers = vec![0; (max_len + 1) * BATCH].into_boxed_slice();
        Self { method: Method::default(), max_len, buffers, heads: Box::new([Head::EMPTY; BATCH]) }
    }

    /// The same receiver with another method.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Bytes of the longest datagram that is received whole.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Receives the datagrams that are there, up to [`BATCH`]. If there are none, a blocking socket waits for one.
    ///
    /// # Errors
    /// `WouldBlock` when no datagram is there, on a non-blocking socket or after a read timeout. Other errors concern
    /// earlier datagrams, such as `ConnectionRefused` on a connected socket, or are temporary, such as a lack of
    /// memory: try again after them. A call that a signal interrupts is repeated.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<Received<'_>> {
        let stride = self.max_len + 1;
        let Count { datagrams, dropped, arrived } = loop {
            let result = match self.method {
                #[cfg(target_os = "linux")]
                Method::Batch => {
                    crate::linux::receive(socket.as_fd(), &mut self.buffers, stride, &mut self.heads)
                }
                _ => one_by_one::receive(socket, &mut self.buffers, stride, &mut self.heads[..]),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        for head in &mut self.heads[..datagrams] {
            head.truncated |= head.len > self.max_len;
            head.len = head.len.min(self.max_len);
        }
        Ok(Received { receiver: self, len: datagrams, dropped, arrived })
    }
}

impl fmt::Debug for BatchReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, max_len, .. } = self;
        f.debug_struct("BatchReceiver").field("method", method).field("max_len", max_len).finish()
    }
}

impl<'a> Received<'a> {
    /// The number of datagrams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no datagram. Never true after a successful call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there may be more to receive at once. After a batch that isn't full there are none.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.len == BATCH
    }

    /// The datagrams.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Datagram<'a>> + Clone + use<'a> {
        let BatchReceiver { max_len, buffers, heads, .. } = self.receiver;
        heads[..self.len].iter().zip(buffers.chunks_exact(max_len + 1)).map(|(head, buffer)| Datagram {
            source: head.source,
            local: head.local,
            bytes: &buffer[..head.len],
            truncated: head.truncated,
        })
    }

    /// How many datagrams the socket had dropped in total, because its buffer was full, when the last datagram here
    /// arrived; modulo 2^32. `None` before the first drop, or if the socket doesn't [report them](crate::report_drops).
    #[must_use]
    pub fn dropped(&self) -> Option<u32> {
        self.dropped
    }

    /// When the first datagram here arrived at this machine, by the system's clock. `None` if the socket doesn't
    /// [report it](crate::report_arrival).
    #[must_use]
    pub fn arrived(&self) -> Option<SystemTime> {
        self.arrived
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
