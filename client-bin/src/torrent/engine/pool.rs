//! Buffers for blocks, as many as the memory budget allows.

use crate::torrent::storage::{BUFFER, Buffer};

/// Buffers that are made when first needed, and used again.
#[derive(Debug)]
pub(super) struct Pool {
    free: Vec<Buffer>,
    may_make: usize,
}

impl Pool {
    /// At most so many octets.
    pub(super) fn new(octets: usize) -> Self {
        Self { free: Vec::new(), may_make: octets / BUFFER }
    }

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

    pub(super) fn put(&mut self, buffer: Buffer) {
        self.free.push(buffer);
    }
}
