//! A network of its own for each test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::unistd::geteuid;

/// Sets the network up, reports, and then keeps it alive until its standard input closes.
///
/// 127.0.0.0/8 and `::1` come with the interface. The 192.0.2.0/24 addresses (TEST-NET-1) are there because transmission
/// refuses peers with a loopback address, and because programs with addresses of their own are easier to tell apart.
const HOLD: &str = "ip link set lo up \
    && for host in 1 2 3 4 5 6 7 8; do ip address add 192.0.2.$host/24 dev lo || exit; done \
    && echo ready && read -r _";

/// A network namespace with nothing but a loopback interface, holding 127.0.0.0/8, `::1` and 192.0.2.1 to 192.0.2.8.
///
/// It lives as long as this value, and no longer than the test's process however that ends: the process that holds the
/// namespace reads from a pipe whose other end is here. Needs root, or a kernel that lets users make user namespaces.
pub struct Netns {
    holder: Child,
}

impl Netns {
    /// Makes a namespace and brings its interface up.
    #[must_use]
    pub fn new() -> Self {
        let mut unshare = Command::new("unshare");
        if !geteuid().is_root() {
            // The capabilities are for `ip`; the user's own id is kept so that files belong to who expects it.
            unshare.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        let mut holder = unshare
            .args(["--net", "--", "sh", "-c", HOLD])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("unshare (package util-linux) can be started");
        let mut line = String::new();
        let stdout = holder.stdout.take().expect("stdout is piped");
        // Ends as soon as the holder is ready, or has failed and closed its output.
        BufReader::new(stdout).read_line(&mut line).expect("the holder's output can be read");
        if line != "ready\n" {
            let mut reason = String::new();
            let mut stderr = holder.stderr.take().expect("stderr is piped");
            stderr.read_to_string(&mut reason).expect("the holder's errors can be read");
            let status = holder.wait().expect("the holder can be waited for");
            panic!(
                "no network namespace ({status}): {}\nThese tests need root, or user namespaces for ordinary users, \
                 and the packages iproute2 and util-linux.",
                reason.trim()
            );
        }
        Self { holder }
    }

    /// A command that will run `program` in this network. It dies with the thread that starts it.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        // Both nsenter and setpriv become the program by exec: the process started is the process named.
        command.args(["--net", "--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }
}

impl Default for Netns {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        // Closing its input ends the holder; killing it as well costs nothing and cannot hang.
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::UdpSocket;

    #[test]
    #[ignore = "needs unshare, nsenter, ip: run scripts/test"]
    fn a_namespace_has_only_loopback() {
        let netns = Netns::new();
        let output = netns.command("ip").args(["-brief", "link"]).output().unwrap();
        let links = String::from_utf8(output.stdout).unwrap();
        assert_eq!(links.lines().count(), 1, "{links}");
        assert!(links.starts_with("lo "), "{links}");
    }

    #[test]
    #[ignore = "needs unshare, nsenter, ip: run scripts/test"]
    fn addresses_inside_stay_inside() {
        let netns = Netns::new();
        let output = netns.command("ip").args(["-brief", "address"]).output().unwrap();
        let addresses = String::from_utf8(output.stdout).unwrap();
        for wanted in ["127.0.0.1/8", "::1/128", "192.0.2.1/24", "192.0.2.8/24"] {
            assert!(addresses.contains(wanted), "no {wanted} in {addresses}");
        }
        assert!(UdpSocket::bind("192.0.2.1:0").is_err(), "192.0.2.1 exists outside of the namespace");
    }
}
