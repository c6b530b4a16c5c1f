//! Buffers for blocks, limited by the memory budget.

use crate::disk::{BUFFER, Buffer};

/// Buffers that are allocated when first needed, and reused.
#[derive(Debug)]
pub(super) struct Pool {
    free: Vec<Buffer>,
    may_make: usize,
}

impl Pool {
    /// A pool of at most `buffers` buffers.
    pub(super) fn new(buffers: usize) -> Self {
        Self { free: Vec::new(), may_make: buffers }
    }

    /// Whether all buffers are in use.
    pub(super) fn is_empty(&self) -> bool {
        self.free.is_empty() && self.may_make == 0
    }

    pub(super) fn take(&mut self) -> Option<Buffer> {
        if let Some(buffer) = self.free.pop() {
            return Some(buffer);
        }
        self.may_make = self.may_make.checked_sub(1)?;
        vec![0; BUFFER].try_into().ok()
    }

    /// A buffer that begins with these bytes; `None`, without taking one, if they don't fit.
    pub(super) fn take_filled(&mut self, bytes: &[u8]) -> Option<Buffer> {
        if bytes.len() > BUFFER {
            return None;
        }
        let mut buffer = self.take()?;
        buffer[..bytes.len()].copy_from_slice(bytes);
        Some(buffer)
    }

    /// Returns a buffer to the pool.
    pub(super) fn put(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_bytes_take_no_buffer() {
        let mut pool = Pool::new(1);
        assert!(pool.take_filled(&[1; BUFFER + 1]).is_none());
        assert!(!pool.is_empty());
        let buffer = pool.take_filled(&[1, 2]).unwrap();
        assert_eq!(buffer[..3], [1, 2, 0]);
        assert!(pool.is_empty());
    }
}
