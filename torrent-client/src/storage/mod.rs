//! A torrent on the disk: files, and threads that read, write and hash them.

mod check;
mod disk;
mod error;
mod files;

pub(crate) use check::Checker;
pub use check::{Verified, VerifyProgress, verify};
pub(crate) use disk::{BUFFER, Buffer, Disk, Done, Job, Verdict};
pub use error::StorageError;
pub(crate) use files::{Access, Files};
