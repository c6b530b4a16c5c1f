//! The addresses of this machine: which are listened on, and which answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use udp_tracker_proto::blocking::Error;

use super::ask::ask_all;
use super::finding::Finding;
use super::global::not_global;
use super::machine::Machine;
use super::running::Running;

/// How long an address of this machine may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);

/// The most addresses that are asked.
const MAX_ASKED: usize = 64;

/// A warning if this machine has IPv6, but the tracker doesn't listen on it.
pub(super) fn ipv6(machine: &Machine, listening: &[SocketAddr]) -> Option<Finding> {
    const ID: &str = "ipv6";
    let own =
        machine.addresses.iter().find(|address| address.is_ipv6() && not_global(**address).is_none())?;
    if listening.iter().any(SocketAddr::is_ipv6) {
        return Some(Finding::ok(ID, format!("listens on IPv6; this machine's address is {own}")));
    }
    let port = listening.first().map_or(udp_tracker::DEFAULT_PORT, SocketAddr::port);
    let what = format!("this machine has the IPv6 address {own}, but the tracker listens on IPv4 only");
    Some(Finding::warning(ID, what, format!("add \"[::]:{port}\" to listen")))
}

/// Asks the tracker at each address of this machine. Some of the addresses of one port may fail; if the tracker isn't
/// running, only that is reported.
pub(super) fn answers(
    machine: &Machine,
    listening: &[SocketAddr],
    running: Option<&Running>,
) -> Vec<Finding> {
    const ID: &str = "answers";
    let Some(running) = running else {
        let what = "the tracker is not running, so its addresses, sockets and answers were not checked";
        return vec![Finding::ok(ID, what)];
    };
    let mut asked = asked(&machine.addresses, listening);
    let left_out = asked.len().saturating_sub(MAX_ASKED);
    asked.truncate(MAX_ASKED);
    let replies = ask_all(&asked, PATIENCE);
    let mut answered = Vec::new();
    let mut findings = Vec::new();
    for (address, reply) in replies {
        match reply {
            // A refusal is an answer: the torrent may not be served.
            Ok(_) | Err(Error::Refused { .. }) => answered.push(address),
            Err(error) => findings.push(silent(address, &error, running)),
        }
    }
    if !answered.is_empty() {
        let list: Vec<_> = answered.iter().map(ToString::to_string).collect();
        let more = if left_out == 0 { String::new() } else { format!("; {left_out} more were not asked") };
        findings.push(Finding::ok(ID, format!("answers at {}{more}", list.join(", "))));
    }
    findings
}

fn silent(address: SocketAddr, error: &Error, running: &Running) -> Finding {
    const ID: &str = "silent_address";
    let what = format!("no answer at udp://{address}: {error}");
    let is_open = running.sockets.iter().any(|socket| {
        let local = socket.local;
        local.port() == address.port()
            && local.is_ipv4() == address.is_ipv4()
            && (local.ip().is_unspecified() || local.ip() == address.ip())
    });
    let fix = match &running.process {
        _ if !is_open => "restart the tracker: it was started when the address was not there".into(),
        Some(process) if process.name != "tracker-bin" => format!(
            "stop {} (process {}), which has the port, or choose another port",
            process.name, process.pid
        ),
        _ => format!("look for a firewall rule that drops it: nft list ruleset | grep -n {}", address.port()),
    };
    Finding::problem(ID, what, fix)
}

/// The addresses to ask: for each wildcard, all addresses of the machine of its family.
fn asked(own: &[IpAddr], listening: &[SocketAddr]) -> Vec<SocketAddr> {
    let expand = |address: &SocketAddr| -> Vec<SocketAddr> {
        if !address.ip().is_unspecified() {
            return vec![*address];
        }
        let family = own.iter().filter(|own| own.is_ipv4() == address.is_ipv4());
        family.map(|own| (*own, address.port()).into()).collect()
    };
    let mut asked: Vec<_> = listening.iter().flat_map(expand).collect();
    asked.sort_unstable();
    asked.dedup();
    asked
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::machine::tests::Pretend;

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn warns_of_a_global_ipv6_address_that_is_not_listened_on() {
        let of = |own: &str, listening: &[&str]| {
            let mut pretend = Pretend::with(&[]);
            pretend.machine.addresses = vec![own.parse().unwrap()];
            ipv6(&pretend.machine, &sockets(listening))
        };
        let finding = of("2a00::1", &["0.0.0.0:6969"]).unwrap();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.fix.as_deref(), Some("add \"[::]:6969\" to listen"));
        assert_eq!(of("2a00::1", &["0.0.0.0:6969", "[::]:6969"]).unwrap().severity, Severity::Ok);
        assert_eq!(of("::1", &["0.0.0.0:6969"]), None);
        assert_eq!(of("fd00::1", &["0.0.0.0:6969"]), None);
        assert_eq!(of("1.2.3.4", &["0.0.0.0:6969"]), None);
    }

    #[test]
    fn asks_each_address_of_the_machine_once() {
        let own = ["127.0.0.1", "1.2.3.4", "::1"].map(|address| address.parse().unwrap());
        let asked = asked(&own, &sockets(&["0.0.0.0:6969", "1.2.3.4:6969", "[::]:80", "9.9.9.9:1"]));
        let expected = ["1.2.3.4:6969", "9.9.9.9:1", "127.0.0.1:6969", "[::1]:80"];
        assert_eq!(asked, sockets(&expected));
    }

    #[test]
    fn reports_that_no_tracker_is_running() {
        let findings = answers(&Pretend::with(&[]).machine, &sockets(&["127.0.0.1:6969"]), None);
        assert_eq!(findings.len(), 1);
        assert!(findings[0].what.contains("not running"), "{}", findings[0]);
    }
}
