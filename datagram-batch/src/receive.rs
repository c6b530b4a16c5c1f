//! Receiving: [`BatchReceiver`], and the [`Received`] datagrams that it lends.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use rustix::fd::AsFd;

use crate::head::{Count, Head, LocalAddress};
use crate::{BATCH, Method, one_by_one};

/// Receives datagrams in batches, into buffers of its own.
pub struct BatchReceiver {
    method: Method,
    max_len: usize,
    /// A buffer for each datagram, each one byte longer than [`BatchReceiver::max_len`].
    buffers: Box<[u8]>,
    heads: Box<[Head; BATCH]>,
}

/// Datagrams that one call received, in the order of their arrival.
#[derive(Clone, Copy)]
pub struct Received<'a> {
    receiver: &'a BatchReceiver,
    len: usize,
    dropped: Option<u32>,
}

/// A received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Datagram<'a> {
    /// Where it came from, as its IP header claims.
    pub source: SocketAddr,
    /// The address that it came to, if the socket [reports it](crate::report_local_address).
    pub local: Option<LocalAddress>,
    /// Its first bytes, all of them unless it is truncated.
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
    /// A receiver for datagrams of up to `max_len` bytes, by the system's best method. It allocates [`BATCH`] times as much
    /// and some 5 KB, once.
    #[must_use]
    pub fn new(max_len: usize) -> Self {
        let buffers = vec![0; (max_len + 1) * BATCH].into_boxed_slice();
        Self { method: Method::default(), max_len, buffers, heads: Box::new([Head::EMPTY; BATCH]) }
    }

    /// The same, by another method.
    #[must_use]
    pub fn with_method(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Bytes of the longest datagram that is received whole.
    #[must_use]
    pub fn max_len(&self) -> usize {
        self.max_len
    }

    /// Receives what is there, up to [`BATCH`] datagrams. If nothing is there, a blocking socket waits for one datagram.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there, on a non-blocking socket or after a read timeout. Other errors are what the
    /// system reports of earlier datagrams, such as `ConnectionRefused` on a connected socket, or a passing lack of
    /// memory; it is of use to try again. A call that a signal interrupts is repeated.
    pub fn receive(&mut self, socket: &impl AsFd) -> io::Result<Received<'_>> {
        let stride = self.max_len + 1;
        let Count { datagrams, dropped } = loop {
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
        Ok(Received { receiver: self, len: datagrams, dropped })
    }
}

impl fmt::Debug for BatchReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { method, max_len, .. } = self;
        f.debug_struct("BatchReceiver").field("method", method).field("max_len", max_len).finish()
    }
}

impl<'a> Received<'a> {
    /// How many datagrams.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no datagram, which no successful call returns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether there may be more to receive at once: there are none after a batch that isn't full.
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

    /// How many datagrams the socket had dropped in all, because its buffer was full, when the last of these came; modulo
    /// 2^32. `None` while it has not dropped any, or unless it [reports them](crate::report_drops).
    #[must_use]
    pub fn dropped(&self) -> Option<u32> {
        self.dropped
    }
}

impl fmt::Debug for Received<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}
