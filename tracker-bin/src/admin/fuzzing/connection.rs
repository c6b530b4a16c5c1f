//! The server's side of a connection in memory.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context as Task, Poll};

use hyper::rt::{Read, ReadBufCursor, Write};

use crate::admin::Context;

/// How often the server may ask for more than there is before the client closes its side. Meanwhile it answers.
const PATIENCE: usize = 8;
/// References to the context while a change waits for the disk: of the fixture, of the connection here, of the server's
/// connection, of the request, and of the change.
const CHANGING: usize = 5;

/// A client that has sent everything, and closes its side when there is nothing more to answer.
pub(super) struct Connection {
    to_read: Vec<u8>,
    /// Bytes that arrive together.
    part: usize,
    asked: usize,
    written: Arc<Mutex<Vec<u8>>>,
    context: Arc<Context>,
}

impl Connection {
    pub(super) fn new(sent: &[u8], part: u8, context: Arc<Context>) -> Self {
        let part = if part == 0 { usize::MAX } else { part.into() };
        Self { to_read: sent.into(), part, asked: 0, written: Arc::default(), context }
    }

    /// What the server writes.
    pub(super) fn received(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.written)
    }
}

impl Read for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        task: &mut Task<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.to_read.is_empty() {
            self.asked += usize::from(Arc::strong_count(&self.context) < CHANGING);
            if self.asked >= PATIENCE {
                return Poll::Ready(Ok(()));
            }
            task.waker().wake_by_ref();
            return Poll::Pending;
        }
        let len = self.to_read.len().min(self.part).min(buffer.remaining());
        buffer.put_slice(&self.to_read[..len]);
        self.to_read.drain(..len);
        Poll::Ready(Ok(()))
    }
}

impl Write for Connection {
    fn poll_write(self: Pin<&mut Self>, _: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
