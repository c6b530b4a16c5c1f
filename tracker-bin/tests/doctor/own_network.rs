//! Network namespaces. They vanish when their processes end.

use std::any::type_name;
use std::env;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::running::poll_until;

const INSIDE: &str = "DOCTOR_TEST_INSIDE";

/// Runs a script, and panics if it fails.
#[track_caller]
pub(crate) fn run(script: &str) {
    let output = Command::new("sh").args(["-ec", script]).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Runs a test in a process of its own, with a network that has loopback only, and with its own /sys and /run. `body`
/// must be a closure in the test's function.
pub(crate) fn in_own_network<F: FnOnce()>(body: F) {
    if env::var_os(INSIDE).is_some() {
        run("ip link set lo up; mount -t sysfs sysfs /sys; mount -t tmpfs tmpfs /run");
        return body();
    }
    let name = type_name::<F>().split_once("::").unwrap().1;
    let name = name.strip_suffix("::{{closure}}").expect("a closure");
    let mut inside = Command::new("unshare");
    inside.args(["--net", "--mount"]).arg(env::current_exe().unwrap());
    let output = inside.args(["--exact", name, "--ignored"]).env(INSIDE, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    // No test has another name.
    assert!(text.contains("1 passed"), "{text}");
}

/// Gives loopback two addresses of the internet.
pub(crate) fn add_public_addresses() {
    run("ip address add 1.2.3.4/32 dev lo; ip address add 2a00::1/128 dev lo nodad");
    // The kernel adds the route to an IPv6 address later, seconds later while it removes another namespace.
    poll_until("the address is reachable", || {
        let output = Command::new("ip").args(["-6", "route", "get", "2a00::1"]).output().unwrap();
        let route = String::from_utf8(output.stdout).unwrap();
        if route.starts_with("local ") { Ok(()) } else { Err(route) }
    });
}

/// Another machine, connected to this network namespace. It has 198.51.100.2, and this one 198.51.100.1.
pub(crate) struct Neighbour {
    holder: Child,
}

impl Neighbour {
    pub(crate) fn new() -> Self {
        let mut holder = Command::new("unshare");
        // It ends with its standard input, and so with this process.
        holder.args(["--net", "sh", "-c", "ip link set lo up && echo ready && read -r _"]);
        let mut holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        let neighbour = Self { holder };
        let pid = neighbour.holder.id();
        run(&format!(
            "ip link add eth0 type veth peer name eth0 netns {pid}
             ip address add 198.51.100.1/24 dev eth0; ip link set eth0 up"
        ));
        neighbour.run("ip address add 198.51.100.2/24 dev eth0; ip link set eth0 up");
        neighbour
    }

    /// Runs a bash script on the neighbour.
    #[track_caller]
    pub(crate) fn run(&self, script: &str) {
        let mut command = Command::new("nsenter");
        command.args(["--net", "--target", &self.holder.id().to_string(), "bash", "-ec", script]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}
