//! A running tracker and its configuration file.

use std::fs::{self, Permissions};
use std::io::Write;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use tempfile::NamedTempFile;

use crate::running::{PROGRAM, Running};

/// A configuration file with this text, for all users.
pub(crate) fn config(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
    file
}

/// A tracker that is killed on drop.
pub(crate) struct Tracker {
    pub(crate) running: Running,
    /// In the order of the configuration.
    pub(crate) addresses: Vec<SocketAddr>,
}

impl Tracker {
    /// Starts a tracker that will listen on so many addresses.
    pub(crate) fn start(config: &str, addresses: usize) -> Self {
        let file = self::config(config);
        Self::with(Command::new(PROGRAM).arg("--config").arg(file.path()), addresses)
    }

    /// Starts a tracker by a command that runs the program.
    pub(crate) fn with(command: &mut Command, addresses: usize) -> Self {
        let mut running = Running::spawn(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let addresses = (0..addresses).map(|_| running.address()).collect();
        Self { running, addresses }
    }
}
