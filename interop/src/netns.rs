//! A separate network for each test.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

use nix::unistd::geteuid;

/// Sets the network up, reports, and then keeps it alive until its standard input closes.
///
/// 127.0.0.0/8 and `::1` come with the interface. The 192.0.2.0/24 addresses (TEST-NET-1) are there because
/// transmission refuses peers with a loopback address, and because programs with different addresses are easier to
/// distinguish.
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
            // `ip` needs the capabilities. The user's own id is kept, so that new files belong to that user.
            unshare.args(["--user", "--map-current-user", "--keep-caps"]);
        }
        Self::hold(unshare)
    }

    /// `unshare`: the command that makes the namespaces.
    fn hold(mut unshare: Command) -> Self {
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

    /// A command that will run `program` in this network. The program is killed when the thread that starts it ends.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg("--target").arg(self.holder.id().to_string());
        if !geteuid().is_root() {
            command.args(["--user", "--preserve-credentials"]);
        }
        // nsenter and setpriv replace themselves by exec, so the child process is the program itself.
        command.args(["--net", "--", "setpriv", "--pdeathsig", "KILL", "--"]).arg(program);
        command
    }

    /// Runs a script in this network, and panics if it fails.
    fn run(&self, script: &str) {
        let output = self.command("sh").args(["-ec", script]).output().expect("sh can be started");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{script}: {stderr}");
    }
}

/// Several simulated machines on one Ethernet: network namespaces, connected by a bridge in another namespace.
pub struct Lan {
    bridge: Netns,
}

impl Lan {
    /// Makes a bridge to which nothing is connected.
    #[must_use]
    pub fn new() -> Self {
        let bridge = Netns::new();
        bridge.run("ip link add lan type bridge; ip link set lan up");
        Self { bridge }
    }

    /// A machine with the address 198.51.100.`host` (TEST-NET-2) besides those of every [`Netns`].
    #[must_use]
    pub fn machine(&self, host: u8) -> Netns {
        // Created inside the bridge's namespace, so that it belongs to the same user namespace.
        let machine = Netns::hold(self.bridge.command("unshare"));
        self.plug(host, &machine);
        machine
    }

    fn plug(&self, host: u8, machine: &Netns) {
        let holder = machine.holder.id();
        self.bridge.run(&format!(
            "ip link add to{host} type veth peer name lan netns {holder}; ip link set to{host} master lan up"
        ));
        machine.run(&format!("ip address add 198.51.100.{host}/24 dev lan; ip link set lan up"));
    }

    /// Removes the machine's interface, and returns what adds it again, as another one with the same address.
    pub fn unplug<'a>(&'a self, host: u8, machine: &'a Netns) -> impl FnOnce() + use<'a> {
        self.bridge.run(&format!("ip link delete to{host}"));
        move || self.plug(host, machine)
    }

    /// Disconnects the machine from the bridge, or connects it again.
    pub fn connect(&self, host: u8, connected: bool) {
        self.bridge.run(&format!("ip link set to{host} {}", if connected { "up" } else { "down" }));
    }
}

impl Default for Lan {
    fn default() -> Self {
        Self::new()
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
