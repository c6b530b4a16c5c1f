//! How much memory an allocation takes.

/// What an allocation of `len` bytes takes from the system: glibc's malloc adds 8 bytes of its own, and rounds up to 16
/// (on 64-bit platforms; the store allocates nothing below its minimum). Nothing is allocated for 0 bytes.
pub(crate) fn allocated(len: usize) -> usize {
    if len == 0 { 0 } else { (len + 8).next_multiple_of(16) }
}
