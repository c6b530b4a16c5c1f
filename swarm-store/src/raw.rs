//! The unsafe code: pointers that need no alignment, and prefetching.
//!
//! A torrent's slot has 32 bytes only if the pointer to a larger swarm fits into the space of the single peer of a
//! small one, next to a tag of one byte: into eight bytes with an alignment of one, without a length. `Box` and `Vec`
//! need alignment, and `Box<[u8]>` takes sixteen bytes. With them a slot would have 40, a quarter more memory for a
//! store of one-peer torrents. So the two types here keep the address of a box as plain bytes.
//!
//! # Why this is sound
//! Each value owns one box, which was made by [`Box::into_raw`] with its provenance exposed. Nothing here copies or
//! changes the address, and no safe code can: the field is private, and the types are neither `Copy` nor `Clone`.
//! `drop` frees the box once. References to the contents borrow the value, so they end before it does, and they are
//! exclusive when they are mutable. A value may be sent to or shared with other threads if a box with the same contents
//! may be; `PhantomData` states that for the compiler.
#![allow(unsafe_code)]

use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;

use crate::memory;

/// An address, exposed.
type Address = [u8; size_of::<usize>()];

fn expose<T>(start: *mut T) -> Address {
    start.expose_provenance().to_ne_bytes()
}

fn pointer<T>(address: Address) -> *mut T {
    ptr::with_exposed_provenance_mut(usize::from_ne_bytes(address))
}

/// A box that needs no alignment.
#[derive(Debug)]
pub(crate) struct ThinBox<T> {
    address: Address,
    owns: PhantomData<Box<T>>,
}

impl<T> ThinBox<T> {
    /// `None` if there is no memory.
    pub(crate) fn new(contents: T) -> Option<Self> {
        let mut one = memory::list(1)?;
        one.push(contents);
        // A box of a slice of one has the layout of a box of that one.
        Some(Self { address: expose(Box::into_raw(one.into_boxed_slice()).cast::<T>()), owns: PhantomData })
    }
}

impl<T> Deref for ThinBox<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the address is that of a box that lives until `drop`; nothing is written while `self` is borrowed.
        unsafe { &*pointer::<T>(self.address) }
    }
}

impl<T> DerefMut for ThinBox<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and `self` is borrowed exclusively.
        unsafe { &mut *pointer::<T>(self.address) }
    }
}

impl<T> Drop for ThinBox<T> {
    fn drop(&mut self) {
        // SAFETY: the address came from `Box::into_raw`, and a value is dropped once.
        drop(unsafe { Box::from_raw(pointer::<T>(self.address)) });
    }
}

/// Bytes on the heap after their number; or no bytes, and then no heap memory.
#[derive(Debug)]
pub(crate) struct ThinBytes {
    /// The address of a `Box<[u8]>`, or zero.
    address: Address,
    owns: PhantomData<Box<[u8]>>,
}

impl ThinBytes {
    /// How many more bytes are allocated than requested.
    const HEAD: usize = size_of::<u32>();

    /// `len` zero bytes; `len` must be below 2^32 - 4. `None` if there is no memory.
    pub(crate) fn new(len: usize) -> Option<Self> {
        if len == 0 {
            return Some(Self::default());
        }
        let all = len + Self::HEAD;
        let mut bytes = memory::list(all)?;
        bytes.resize(all, 0);
        let head = u32::try_from(all).expect("few bytes").to_ne_bytes();
        bytes[..Self::HEAD].copy_from_slice(&head);
        Some(Self {
            address: expose(Box::into_raw(bytes.into_boxed_slice()).cast::<u8>()),
            owns: PhantomData,
        })
    }

    fn slice(&self) -> *mut [u8] {
        let start = pointer::<u8>(self.address);
        if start.is_null() {
            return ptr::slice_from_raw_parts_mut(ptr::dangling_mut(), 0);
        }
        // SAFETY: the box is at least as long as its head states. The head isn't written after `new`: `get_mut` begins
        // after it.
        let head = unsafe { start.cast::<[u8; Self::HEAD]>().read() };
        // A u32 fits into usize on every platform with an operating system.
        ptr::slice_from_raw_parts_mut(start, u32::from_ne_bytes(head) as usize)
    }

    /// How many bytes are allocated.
    pub(crate) fn allocated(&self) -> usize {
        self.slice().len()
    }

    pub(crate) fn get(&self) -> &[u8] {
        // SAFETY: the slice is the whole of a box that lives until `drop`, or empty; nothing is written while `self` is
        // borrowed.
        let all = unsafe { &*self.slice() };
        all.get(Self::HEAD..).unwrap_or(&[])
    }

    pub(crate) fn get_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and `self` is borrowed exclusively.
        let all = unsafe { &mut *self.slice() };
        all.get_mut(Self::HEAD..).unwrap_or(&mut [])
    }

    /// Prefetches the first bytes, without reading the memory itself.
    pub(crate) fn prefetch(&self) {
        prefetch_address(pointer::<u8>(self.address));
    }
}

impl Default for ThinBytes {
    fn default() -> Self {
        Self { address: Address::default(), owns: PhantomData }
    }
}

impl Drop for ThinBytes {
    fn drop(&mut self) {
        if self.address != Address::default() {
            // SAFETY: the address came from `Box::into_raw` of a box of that length, and a value is dropped once.
            drop(unsafe { Box::from_raw(self.slice()) });
        }
    }
}

/// Prefetches a value that will be written, all of its cache lines.
pub(crate) fn prefetch<T>(what: &T) {
    let start = ptr::from_ref(what).cast::<u8>();
    prefetch_address(start);
    if size_of::<T>() > 1 {
        prefetch_address(start.wrapping_add(size_of::<T>() - 1));
    }
}

/// Takes the cache line away from other processor cores at once, and not only when it is written.
fn prefetch_address(address: *const u8) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    // SAFETY: a prefetch of any address, mapped or not, has no observable effect. Processors without this instruction
    // ignore it.
    unsafe {
        std::arch::asm!("prefetchw [{}]", in(reg) address, options(nostack, preserves_flags, readonly));
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = address;
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn bytes_are_zero_and_all_can_be_written() {
        for len in [0, 1, 3, 4, 5, 24, 1000, 100_000] {
            let mut bytes = ThinBytes::new(len).expect("memory");
            assert_eq!(bytes.get(), vec![0; len]);
            bytes.get_mut().fill(0xff);
            assert_eq!(bytes.get(), vec![0xff; len]);
            bytes.prefetch();
        }
        assert!(ThinBytes::default().get().is_empty());
    }

    #[test]
    fn a_thin_box_is_dropped_once() {
        let shared = Arc::new(7);
        let mut boxed = ThinBox::new((Arc::clone(&shared), [1u64; 9])).expect("memory");
        boxed.1[8] = 2;
        prefetch(&*boxed);
        let moved = std::thread::spawn(move || boxed).join().expect("no panic");
        assert_eq!((*moved.0, moved.1[7..].to_vec()), (7, vec![1, 2]));
        assert_eq!(Arc::strong_count(&shared), 2);
        drop(moved);
        assert_eq!(Arc::strong_count(&shared), 1);
    }

    #[test]
    fn both_are_small_and_need_no_alignment() {
        assert_eq!((size_of::<ThinBox<u64>>(), align_of::<ThinBox<u64>>()), (size_of::<usize>(), 1));
        assert_eq!((size_of::<ThinBytes>(), align_of::<ThinBytes>()), (size_of::<usize>(), 1));
    }
}
