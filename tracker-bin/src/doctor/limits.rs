//! What the system allows the tracker's process.

use std::net::SocketAddr;

use super::finding::Finding;
use super::machine::Machine;
use super::process::{Capability, Process};

/// Files that are open besides the workers' own: streams, lists, livesync, and connections to the status page.
const OTHER_FILES: u64 = 64;

/// Files of a worker besides its sockets.
const FILES_PER_WORKER: u64 = 2;

/// Checks that a process may open as many files as the tracker needs.
pub(super) fn open_files(
    machine: &Machine,
    process: &Process,
    workers: usize,
    addresses: usize,
) -> Option<Finding> {
    const ID: &str = "open_files";
    let limit = process.max_open_files(machine)?;
    let (workers, addresses) = (workers as u64, addresses as u64);
    let needed = workers * (addresses + FILES_PER_WORKER) + OTHER_FILES;
    if limit >= needed {
        return Some(Finding::ok(ID, format!("open files: {limit} allowed, at most {needed} needed")));
    }
    let what = format!(
        "only {limit} open files are allowed, but {workers} workers with {addresses} addresses need up to {needed}"
    );
    let fix = format!("ulimit -n {needed} before the start, or LimitNOFILE={needed} in the systemd unit");
    Some(Finding::problem(ID, what, fix))
}

/// Checks that a process may listen on the ports. For a tracker that is not running yet.
pub(super) fn privileged_ports(
    machine: &Machine,
    process: &Process,
    listening: &[SocketAddr],
) -> Option<Finding> {
    const ID: &str = "privileged_port";
    let first_free = machine.number("proc/sys/net/ipv4/ip_unprivileged_port_start").unwrap_or(1024);
    let privileged = listening.iter().map(SocketAddr::port).filter(|port| *port != 0);
    let port = privileged.filter(|port| u64::from(*port) < first_free).min()?;
    if process.has(machine, Capability::NetBindService) {
        return Some(Finding::ok(
            ID,
            format!("port {port}: this user may listen on ports below {first_free}"),
        ));
    }
    let what = format!("port {port} is below {first_free}, and this user may not listen there");
    let fix = format!(
        "AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or sysctl -w \
         net.ipv4.ip_unprivileged_port_start={port}"
    );
    Some(Finding::problem(ID, what, fix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::machine::tests::Pretend;

    fn pretend(limit: &str, capabilities: &str) -> (Pretend, Process) {
        let limits =
            format!("Max open files            {limit}                 524288               files\n");
        let pretend = Pretend::with(&[
            ("proc/9/limits", &limits),
            ("proc/9/status", &format!("CapEff:\t{capabilities}\n")),
            ("proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n"),
        ]);
        pretend.link("proc/self", "9");
        let process = Process::own(&pretend.machine);
        (pretend, process)
    }

    #[test]
    fn too_few_open_files_are_a_problem() {
        let (pretend, process) = pretend("1024", "0");
        let of = |workers, addresses| open_files(&pretend.machine, &process, workers, addresses).unwrap();
        assert_eq!(of(240, 2).severity, Severity::Ok);
        let finding = of(241, 2);
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.fix.unwrap().contains("LimitNOFILE=1028"));
    }

    #[test]
    fn a_port_below_the_limit_needs_the_capability() {
        let of = |capabilities: &str, address: &str| {
            let (pretend, process) = pretend("1024", capabilities);
            privileged_ports(&pretend.machine, &process, &[address.parse().unwrap()])
                .map(|found| found.severity)
        };
        assert_eq!(of("0000000000000000", "0.0.0.0:80"), Some(Severity::Problem));
        assert_eq!(of("0000000000000400", "0.0.0.0:80"), Some(Severity::Ok));
        assert_eq!(of("0000000000000000", "0.0.0.0:1024"), None);
        assert_eq!(of("0000000000000000", "0.0.0.0:0"), None);
    }
}
