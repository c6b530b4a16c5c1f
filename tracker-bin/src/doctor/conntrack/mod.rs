//! Connection tracking in the kernel. It keeps an entry for each client of a UDP port, and when its table is full,
//! datagrams of new clients are dropped without a trace in the tracker's log.

mod rules;
mod table;

use std::net::SocketAddr;

use super::finding::Finding;
use super::machine::Machine;
use rules::{Exempt, Rules};
use table::{Seen, seen};

const COUNT: &str = "proc/sys/net/netfilter/nf_conntrack_count";
const MAX: &str = "proc/sys/net/netfilter/nf_conntrack_max";
const TABLE: &str = "proc/net/nf_conntrack";

/// How full the table is, in percent: from here on a warning, and from there on a problem.
const FULL_WARNING: u64 = 70;
const FULL_PROBLEM: u64 = 90;

/// How full the table is, and what was dropped because it was full. Nothing without connection tracking.
pub(super) fn fill(machine: &Machine) -> Vec<Finding> {
    let (Some(count), Some(max)) = (machine.number(COUNT), machine.number(MAX)) else {
        return Vec::new();
    };
    let larger = max.saturating_mul(4).max(262_144);
    let raise = format!(
        "sysctl -w net.netfilter.nf_conntrack_max={larger}, or exempt the tracker's port: see notrack"
    );
    let percent = count.saturating_mul(100) / max.max(1);
    let what = format!("conntrack: {count} of {max} entries are used");
    let fill = match percent {
        FULL_PROBLEM.. => Finding::problem(
            "conntrack_fill",
            format!("{what}; without free ones, new clients get no answer"),
            &*raise,
        ),
        FULL_WARNING.. => Finding::warning("conntrack_fill", what, &*raise),
        _ => Finding::ok("conntrack_fill", what),
    };
    let statistics = machine.text("proc/net/stat/nf_conntrack").unwrap_or_default();
    let dropped = table::dropped(&statistics).filter(|dropped| *dropped > 0).map(|dropped| {
        let what = format!(
            "conntrack: {dropped} packets were dropped since the machine was started: its table was full"
        );
        Finding::warning("conntrack_drops", what, raise)
    });
    [fill].into_iter().chain(dropped).collect()
}

/// Whether the clients of the tracker's ports take entries. Reads the table and the rules of the firewall, which needs
/// root.
pub(super) fn notrack(machine: &Machine, listening: &[SocketAddr]) -> Vec<Finding> {
    // Without entries, no rule needs connection tracking. If the tracker is running, it was asked before.
    if machine.number(COUNT).unwrap_or_default() == 0 {
        return vec![Finding::ok(ID, "connection tracking is not in use")];
    }
    let table = machine.text(TABLE);
    let rules = Rules::read();
    let mut ports: Vec<_> = listening.iter().map(SocketAddr::port).filter(|port| *port != 0).collect();
    ports.sort_unstable();
    ports.dedup();
    let of_port = |port| {
        let seen = table.as_deref().map(|table| seen(table, port, &machine.addresses));
        let families = listening.iter().filter(|address| address.port() == port).map(SocketAddr::is_ipv4);
        let exempt: Option<Vec<_>> =
            rules.as_ref().map(|rules| families.map(|is_ipv4| rules.exempt(port, is_ipv4)).collect());
        judge(port, seen, exempt.as_deref())
    };
    ports.into_iter().map(of_port).collect()
}

const ID: &str = "notrack";

/// `seen`: the entries of clients on other machines. `exempt`: for each family, whether rules exempt the port. Either
/// is `None` if it can't be read.
fn judge(port: u16, seen: Option<Seen>, exempt: Option<&[Exempt]>) -> Finding {
    let exempts = |part: fn(&Exempt) -> bool| exempt.is_some_and(|families| families.iter().all(part));
    let fix = fix(port);
    match seen {
        Some(seen) if seen.requests > 0 => {
            let what = format!("conntrack: each client of port {port} takes an entry, {} now", seen.requests);
            Finding::warning(ID, what, fix)
        }
        Some(seen) if seen.replies > 0 => {
            let what =
                format!("conntrack: replies from port {port} take an entry each, {} now", seen.replies);
            Finding::warning(ID, what, fix)
        }
        _ if exempts(|family| family.requests && family.replies) => {
            Finding::ok(ID, format!("conntrack: rules exempt port {port}"))
        }
        _ if exempts(|family| family.requests) => {
            let what = format!("conntrack: rules exempt requests to port {port}, but not the replies");
            Finding::warning(ID, what, fix)
        }
        _ if exempt.is_some() => {
            let what = format!(
                "conntrack is in use, and no rule exempts port {port}: each client will take an entry"
            );
            Finding::warning(ID, what, fix)
        }
        _ => {
            let what =
                format!("conntrack is in use; whether it tracks the clients of port {port} can't be seen");
            Finding::warning(
                ID,
                what,
                "run tracker-bin doctor as root, on a machine with nft or iptables-save",
            )
        }
    }
}

fn fix(port: u16) -> String {
    format!(
        "nft 'table inet tracker_notrack {{ chain requests {{ type filter hook prerouting priority raw; udp dport \
         {port} notrack; }}; chain replies {{ type filter hook output priority raw; udp sport {port} notrack; }}; }}'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::finding::Severity;
    use crate::doctor::machine::tests::Pretend;

    #[test]
    fn a_full_table_is_a_problem() {
        let of = |count: &str| {
            let pretend = Pretend::with(&[(COUNT, count), (MAX, "1000\n")]);
            let findings = fill(&pretend.machine);
            assert_eq!(findings.len(), 1);
            (findings[0].severity, findings[0].fix.clone())
        };
        assert_eq!(of("699\n"), (Severity::Ok, None));
        assert_eq!(of("700\n").0, Severity::Warning);
        assert_eq!(of("1000\n").0, Severity::Problem);
        assert!(of("1000\n").1.unwrap().starts_with("sysctl -w net.netfilter.nf_conntrack_max=262144,"));
        assert_eq!(fill(&Pretend::with(&[]).machine), []);
    }

    #[test]
    fn dropped_packets_are_reported() {
        let header = "entries  clashres found new invalid ignore delete chainlength insert insert_failed drop \
                      early_drop";
        let zeros = "00000000 ".repeat(8);
        let line = format!("00000007  {zeros}00000000 0000000a 00000000");
        let statistics = format!("{header}\n{line}\n{line}\n");
        let files = [(COUNT, "7"), (MAX, "1000"), ("proc/net/stat/nf_conntrack", &*statistics)];
        let findings = fill(&Pretend::with(&files).machine);
        assert_eq!(findings.len(), 2);
        assert!(findings[1].what.contains(" 20 packets were dropped"), "{}", findings[1]);
    }

    #[test]
    fn entries_of_clients_count_more_than_rules() {
        let both = Exempt { requests: true, replies: true };
        let half = Exempt { requests: true, replies: false };
        let none = Exempt { requests: false, replies: false };
        let words = |seen, exempt: Option<&[Exempt]>| {
            let finding = judge(6969, seen, exempt);
            (finding.severity, finding.what)
        };
        let nothing = Some(Seen { requests: 0, replies: 0 });
        let requests = Some(Seen { requests: 3, replies: 1 });
        let replies = Some(Seen { requests: 0, replies: 2 });
        assert_eq!(words(nothing, Some(&[both, both])).0, Severity::Ok);
        assert_eq!(words(None, Some(&[both])).0, Severity::Ok);
        for (seen, exempt, expected) in [
            (requests, Some(&[both, both][..]), "each client of port 6969 takes an entry, 3 now"),
            (replies, Some(&[both, both][..]), "replies from port 6969 take an entry each, 2 now"),
            (nothing, Some(&[both, half][..]), "but not the replies"),
            (nothing, Some(&[both, none][..]), "no rule exempts port 6969"),
            (nothing, None, "can't be seen"),
            (None, None, "can't be seen"),
        ] {
            let (severity, what) = words(seen, exempt);
            assert_eq!(severity, Severity::Warning);
            assert!(what.contains(expected), "{what}");
        }
    }
}
