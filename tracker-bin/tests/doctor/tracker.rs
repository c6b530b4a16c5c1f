//! A running tracker and its configuration file.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use crate::report::PROGRAM;

/// Limits every wait.
const PATIENCE: Duration = Duration::from_secs(20);

/// A configuration file with this text, for all users.
pub(crate) fn config(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    fs::set_permissions(file.path(), Permissions::from_mode(0o644)).unwrap();
    file
}

/// A tracker that is killed on drop.
pub(crate) struct Tracker {
    pub(crate) child: Child,
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
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let address = |line: String| {
            line.strip_prefix("listening on udp://").expect("where it listens").parse().unwrap()
        };
        let addresses: Vec<_> = lines.take(addresses).map(address).collect();
        Self { child, addresses }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(kill.success());
    }

    /// Ends it and returns its log.
    pub(crate) fn end(mut self) -> String {
        self.signal("-TERM");
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        log
    }
}

impl Drop for Tracker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Polls until a state of the kernel or of another process is reached.
pub(crate) fn poll_until(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(seen) = holds() {
        assert!(Instant::now() < deadline, "{what}; last seen: {seen}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
