//! What is to be sent to one peer.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Write};

use crate::storage::Buffer;

/// Slices in one write; systems take 1024, and more than these fill any socket's buffer.
const SLICES: usize = 64;

/// Messages and blocks, in the order in which they were said.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    chunks: VecDeque<Chunk>,
    /// Octets of the first chunk that are sent.
    sent: usize,
    blocks: usize,
    /// Octets of messages.
    messages: usize,
}

#[derive(Debug)]
enum Chunk {
    Messages(Vec<u8>),
    Block(Buffer, usize),
}

impl Chunk {
    fn octets(&self) -> &[u8] {
        match self {
            Self::Messages(octets) => octets,
            Self::Block(buffer, length) => &buffer[..*length],
        }
    }
}

/// What a write did.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// Octets sent.
    pub(super) octets: usize,
    /// Of these, octets of blocks.
    pub(super) payload: usize,
}

impl Outbox {
    pub(super) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// Blocks that are not wholly sent.
    pub(super) fn blocks(&self) -> usize {
        self.blocks
    }

    /// Octets that wait to be sent, blocks left out.
    pub(super) fn messages(&self) -> usize {
        self.messages
    }

    pub(super) fn push(&mut self, message: &[u8]) {
        self.messages += message.len();
        match self.chunks.back_mut() {
            Some(Chunk::Messages(octets)) => octets.extend_from_slice(message),
            _ if message.is_empty() => {}
            _ => self.chunks.push_back(Chunk::Messages(message.to_vec())),
        }
    }

    pub(super) fn push_block(&mut self, head: &[u8], buffer: Buffer, length: usize) {
        self.push(head);
        self.chunks.push_back(Chunk::Block(buffer, length));
        self.blocks += 1;
    }

    /// Writes once, at most `limit` octets; buffers of blocks that are sent go to `free`.
    pub(super) fn write(
        &mut self,
        stream: &mut impl Write,
        limit: usize,
        mut free: impl FnMut(Buffer),
    ) -> io::Result<Written> {
        let (mut left, mut skip) = (limit, self.sent);
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            let octets = &chunk.octets()[skip..];
            let octets = &octets[..octets.len().min(left)];
            if octets.is_empty() {
                break;
            }
            *slice = IoSlice::new(octets);
            left -= octets.len();
            skip = 0;
            used += 1;
        }
        let octets = stream.write_vectored(&slices[..used])?;
        Ok(Written { octets, payload: self.advance(octets, &mut free) })
    }

    /// Octets are sent; how many of them were of blocks.
    fn advance(&mut self, mut octets: usize, free: &mut impl FnMut(Buffer)) -> usize {
        let mut payload = 0;
        while let Some(chunk) = self.chunks.front() {
            let here = (chunk.octets().len() - self.sent).min(octets);
            self.sent += here;
            octets -= here;
            if let Chunk::Block(..) = chunk {
                payload += here;
            }
            if self.sent < chunk.octets().len() {
                break;
            }
            self.sent = 0;
            match self.chunks.pop_front() {
                Some(Chunk::Block(buffer, _)) => {
                    self.blocks -= 1;
                    free(buffer);
                }
                Some(Chunk::Messages(octets)) => self.messages -= octets.len(),
                None => {}
            }
        }
        payload
    }

    /// Gives back all buffers.
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
    use crate::storage::BUFFER;

    /// Takes a few octets at a time.
    struct Slow(Vec<u8>, usize);

    impl Write for Slow {
        fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
            let taken = octets.len().min(self.1);
            self.0.extend_from_slice(&octets[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn everything_goes_in_order_however_slowly() {
        let mut outbox = Outbox::default();
        outbox.push(b"");
        assert!(outbox.is_empty());
        outbox.push(b"ab");
        outbox.push(b"c");
        outbox.push_block(b"head", Box::new([b'x'; BUFFER]), 5);
        outbox.push(b"tail");
        assert_eq!(outbox.blocks(), 1);
        let (mut slow, mut freed, mut payload) = (Slow(Vec::new(), 3), 0, 0);
        while !outbox.is_empty() {
            let written = outbox.write(&mut slow, 2, |_| freed += 1).unwrap();
            assert!(written.octets <= 2);
            payload += written.payload;
        }
        assert_eq!(slow.0, b"abcheadxxxxxtail");
        assert_eq!((freed, payload, outbox.blocks(), outbox.messages()), (1, 5, 0, 0));
    }
}
