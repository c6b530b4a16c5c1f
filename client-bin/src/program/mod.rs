//! The commands for torrents and .torrent files.

mod create;
mod log;
mod progress;
mod session;
mod show;
mod verify;

use std::error::Error;
use std::process::ExitCode;

pub(crate) use create::{Create, create};
pub(crate) use session::{Download, Seed, download, seed};
pub(crate) use show::{Show, show};
pub(crate) use verify::{Verify, verify};

/// How a command ends.
type Outcome = Result<ExitCode, Box<dyn Error>>;
