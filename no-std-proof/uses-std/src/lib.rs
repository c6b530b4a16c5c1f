//! An ordinary crate: it uses std, as any crate without `#![no_std]` does.

/// Something that only std can do.
#[must_use]
pub fn now() -> std::time::SystemTime {
    std::time::SystemTime::now()
}
