//! This workspace's tracker, as a process.

use std::net::SocketAddr;
use std::time::Duration;

use crate::program::Program;
use crate::{Netns, Signal, binaries};

/// From start to the last `listening on` line.
const START_LIMIT: Duration = Duration::from_secs(5);
/// What the tracker promises from SIGINT or SIGTERM to its end.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A running `tracker-bin`.
pub struct Tracker {
    program: Program,
    addresses: Vec<SocketAddr>,
}

impl Tracker {
    /// Starts the tracker on the given addresses (port 0: any) and waits until it serves all of them.
    #[must_use]
    pub fn start(netns: &Netns, listen: &[&str]) -> Self {
        let mut command = netns.command(binaries::path("tracker-bin"));
        for address in listen {
            command.args(["--listen", address]);
        }
        let program = Program::start("tracker-bin", &mut command);
        let mut wait = |_| program.wait_for("`listening on udp://ADDR:PORT`", START_LIMIT, listening_address);
        let addresses = listen.iter().map(&mut wait).collect();
        Self { program, addresses }
    }

    /// The address of the socket that was asked for first.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// The announce URL of the socket that was asked for first.
    #[must_use]
    pub fn url(&self) -> String {
        format!("udp://{}/announce", self.address())
    }

    /// Ends the tracker, and asserts that it does so in order and in time.
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
    fn listening_lines() {
        let address = |line| listening_address(line).map(|address| address.to_string());
        assert_eq!(address("listening on udp://127.0.0.1:6969").as_deref(), Some("127.0.0.1:6969"));
        assert_eq!(address("listening on udp://[::1]:6969").as_deref(), Some("[::1]:6969"));
        assert_eq!(address("listening on udp://localhost"), None);
        assert_eq!(address("ready"), None);
    }
}
