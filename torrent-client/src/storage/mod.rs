//! A torrent on the disk: files, and threads that read, write and hash them.

mod check;
mod files;
mod threads;

pub(crate) use check::Checker;
pub use check::{Verified, VerifyProgress, verify};
pub(crate) use files::{Access, Files};
pub(crate) use threads::Disk;
