//! The bytes to send to one peer, without copies of blocks.

use std::collections::VecDeque;
use std::io::IoSlice;

use crate::disk::Buffer;

/// The most slices in one write. Systems accept 1024; this many fill any socket's buffer.
const SLICES: usize = 64;

/// Messages and blocks, in the order of sending.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Bytes of the first chunk that are sent already.
    sent: usize,
    blocks: usize,
    /// Bytes of messages.
    messages: usize,
}

#[derive(Debug)]
enum Chunk {
    Messages(Vec<u8>),
    Block(Buffer, usize),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Messages(bytes) => bytes,
            Self::Block(buffer, length) => &buffer[..*length],
        }
    }
}

/// Bytes to write to a peer's connection, in order, as slices for one vectored write.
///
/// Report the number of bytes written with [`Engine::handle_transmitted`](super::Engine::handle_transmitted), even if
/// it is less than all.
#[derive(Debug)]
pub struct Transmit<'a> {
    slices: [IoSlice<'a>; SLICES],
    used: usize,
}

impl Default for Transmit<'_> {
    fn default() -> Self {
        Self { slices: [IoSlice::new(&[]); SLICES], used: 0 }
    }
}

impl<'a> std::ops::Deref for Transmit<'a> {
    type Target = [IoSlice<'a>];

    fn deref(&self) -> &[IoSlice<'a>] {
        &self.slices[..self.used]
    }
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Blocks that are not completely sent.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Bytes of messages that wait to be sent, without blocks.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        self.messages += message.len();
        match self.chunks.back_mut() {
            Some(Chunk::Messages(bytes)) => bytes.extend_from_slice(message),
            _ if message.is_empty() => {}
            _ => self.chunks.push_back(Chunk::Messages(message.to_vec())),
        }
    }

    pub(super) fn push_block(&mut self, head: &[u8], buffer: Buffer, length: usize) {
        self.push(head);
        self.chunks.push_back(Chunk::Block(buffer, length));
        self.blocks += 1;
    }

    /// The next bytes to write, at most `limit`.
    pub(super) fn slices(&self, limit: usize) -> Transmit<'_> {
        let mut transmit = Transmit::default();
        let (mut left, mut skip) = (limit, self.sent);
        for (slice, chunk) in transmit.slices.iter_mut().zip(&self.chunks) {
            let bytes = &chunk.bytes()[skip..];
            let bytes = &bytes[..bytes.len().min(left)];
            if bytes.is_empty() {
                break;
            }
            *slice = IoSlice::new(bytes);
            left -= bytes.len();
            skip = 0;
            transmit.used += 1;
        }
        transmit
    }

    /// Removes `bytes` written bytes; returns how many of them belong to blocks. Buffers of completely written blocks
    /// go to `free`.
    pub(super) fn advance(&mut self, mut bytes: usize, mut free: impl FnMut(Buffer)) -> usize {
        let mut payload = 0;
        while let Some(chunk) = self.chunks.front() {
            let here = (chunk.bytes().len() - self.sent).min(bytes);
            self.sent += here;
            bytes -= here;
            if let Chunk::Block(..) = chunk {
                payload += here;
            }
            if self.sent < chunk.bytes().len() {
                break;
            }
            self.sent = 0;
            match self.chunks.pop_front() {
                Some(Chunk::Block(buffer, _)) => {
                    self.blocks -= 1;
                    free(buffer);
                }
                Some(Chunk::Messages(bytes)) => self.messages -= bytes.len(),
                None => {}
            }
        }
        payload
    }

    /// Removes everything and passes all buffers to `free`.
    pub(super) fn clear(&mut self, mut free: impl FnMut(Buffer)) {
        for chunk in self.chunks.drain(..) {
            if let Chunk::Block(buffer, _) = chunk {
                free(buffer);
            }
        }
        self.blocks = 0;
        self.messages = 0;
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::BUFFER;

    #[test]
    fn small_writes_keep_the_order() {
        let mut outbox = Outbox::default();
        outbox.push(b"");
        assert!(outbox.is_empty());
        outbox.push(b"ab");
        outbox.push(b"c");
        outbox.push_block(b"head", Box::new([b'x'; BUFFER]), 5);
        outbox.push(b"tail");
        assert_eq!(outbox.blocks(), 1);
        let (mut written, mut freed, mut payload) = (Vec::new(), 0, 0);
        while !outbox.is_empty() {
            let before = written.len();
            let slices = outbox.slices(2);
            slices.iter().for_each(|slice| written.extend_from_slice(slice));
            assert!(written.len() - before <= 2);
            payload += outbox.advance(written.len() - before, |_| freed += 1);
        }
        assert_eq!(written, b"abcheadxxxxxtail");
        assert_eq!((freed, payload, outbox.blocks(), outbox.messages()), (1, 5, 0, 0));
    }
}
