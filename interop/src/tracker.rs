//! This workspace's tracker, as a process.

use std::ffi::OsString;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use tempfile::NamedTempFile;

use crate::program::Program;
use crate::{Netns, Signal, binaries};

/// From start to the last `listening on` line.
const START_LIMIT: Duration = Duration::from_secs(5);
/// The documented limit from SIGINT or SIGTERM to the end.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A running `tracker-bin`.
pub struct Tracker {
    program: Program,
    addresses: Vec<SocketAddr>,
    _config: Option<NamedTempFile>,
}

impl Tracker {
    /// Starts the tracker on the given addresses (port 0: any) and waits until it serves all of them.
    #[must_use]
    pub fn start(netns: &Netns, listen: &[&str]) -> Self {
        let mut command = netns.command(binaries::path("tracker-bin"));
        for address in listen {
            command.args(["--listen", address]);
        }
        Self::run("tracker-bin", command, listen.len(), None)
    }

    /// Starts the tracker on one address (port 0: any), with more lines of configuration.
    #[must_use]
    pub fn start_with(netns: &Netns, listen: &str, config: &str) -> Self {
        Self::start_with_environment(netns, listen, config, &[])
    }

    /// The same with variables of its environment.
    #[must_use]
    pub fn start_with_environment(
        netns: &Netns,
        listen: &str,
        config: &str,
        environment: &[(&str, OsString)],
    ) -> Self {
        let mut file = NamedTempFile::new().expect("a temporary file");
        write!(file, "listen = [{listen:?}]\n{config}").expect("a configuration can be written");
        let mut command = netns.command(binaries::path("tracker-bin"));
        command.arg("--config").arg(file.path()).envs(environment.iter().cloned());
        Self::run(&format!("tracker-bin on {listen}"), command, 1, Some(file))
    }

    fn run(name: &str, mut command: Command, sockets: usize, config: Option<NamedTempFile>) -> Self {
        let program = Program::start(name, &mut command);
        let wait = |_| program.wait_for("`listening on udp://ADDR:PORT`", START_LIMIT, listening_address);
        let addresses = (0..sockets).map(wait).collect();
        Self { program, addresses, _config: config }
    }

    /// The address of the first socket.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The announce URL of the first socket.
    #[must_use]
    pub fn url(&self) -> String {
        format!("udp://{}/announce", self.address())
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// The URL of the page, without a slash at its end.
    #[must_use]
    pub fn page(&self) -> String {
        self.program.wait_for("`status page URL/`", START_LIMIT, |line| {
            line.strip_prefix("status page ")?.strip_suffix('/').map(str::to_owned)
        })
    }

    /// Sends `signal`.
    pub fn signal(&self, signal: Signal) {
        self.program.signal(signal);
    }

    /// Sends `signal`, and asserts that the tracker ends in time and with exit code 0.
    pub fn stop(mut self, signal: Signal) {
        self.program.signal(signal);
        let status = self.program.wait_exit(STOP_LIMIT);
        assert!(status.success(), "tracker-bin ended with {status} after {signal}");
    }
}

fn listening_address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("listening on udp://")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_listening_lines() {
        let address = |line| listening_address(line).map(|address| address.to_string());
        assert_eq!(address("listening on udp://127.0.0.1:6969").as_deref(), Some("127.0.0.1:6969"));
        assert_eq!(address("listening on udp://[::1]:6969").as_deref(), Some("[::1]:6969"));
        assert_eq!(address("listening on udp://localhost"), None);
        assert_eq!(address("ready"), None);
    }
}
