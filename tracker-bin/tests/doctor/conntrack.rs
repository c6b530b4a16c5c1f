//! Connection tracking, switched on by a rule of the firewall as in most of them.

use std::fs;
use std::net::UdpSocket;

use crate::own_network::{Neighbour, in_own_network, run};
use crate::report::{Copy, Report};
use crate::running::poll_until;
use crate::tracker::{Tracker, config};

const LISTEN: &str = "listen = [\"198.51.100.1:6969\"]\nworkers = 1\n";

/// A rule that needs connection tracking. Entries end after a second.
const TRACK: &str = "nft 'table inet filter { chain input { type filter hook input priority 0; \
                     ct state established accept; }; }'
                     echo 1 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout
                     echo 1 > /proc/sys/net/netfilter/nf_conntrack_udp_timeout_stream";

/// A connect request.
const ASK: &str =
    r"printf '\0\0\004\027\047\020\031\200\0\0\0\0\001\002\003\004' > /dev/udp/198.51.100.1/6969";

/// Lets the neighbour ask the tracker until the doctor reports this.
fn ask_until(neighbour: &Neighbour, file: &str, expected: &str) {
    poll_until(expected, || {
        neighbour.run(ASK);
        let found = Report::of(&["--config", file]).one("notrack");
        if found.starts_with(expected) { Ok(()) } else { Err(found) }
    });
}

#[test]
#[ignore = "needs root and nft: run scripts/test"]
fn tracked_clients_are_found_and_the_fix_exempts_them() {
    in_own_network(|| {
        let neighbour = Neighbour::new();
        let file = config(LISTEN);
        let file = file.path().to_str().unwrap();
        let _tracker = Tracker::start(LISTEN, 1);
        neighbour.run(ASK);
        let report = Report::of(&["--config", file]);
        assert_eq!(report.one("notrack"), "ok: connection tracking is not in use");

        run(TRACK);
        ask_until(&neighbour, file, "warning: conntrack: each client of port 6969 takes an entry, ");
        let report = Report::of(&["--config", file]);
        assert!(report.one("conntrack_fill").starts_with("ok: conntrack: "), "{report:?}");
        run(&report.fix("notrack"));
        // Something else that is tracked, so that the table is not empty.
        poll_until("the port is exempt", || {
            neighbour.run("echo > /dev/udp/198.51.100.1/7000");
            neighbour.run(ASK);
            let found = Report::of(&["--config", file]).one("notrack");
            if found == "ok: conntrack: rules exempt port 6969" { Ok(()) } else { Err(found) }
        });

        run("nft flush chain inet tracker_notrack replies");
        ask_until(&neighbour, file, "warning: conntrack: replies from port 6969 take an entry each, ");
    });
}

#[test]
#[ignore = "needs root and nft: run scripts/test"]
fn a_port_that_no_rule_exempts_is_found_before_clients_come() {
    in_own_network(|| {
        run("ip address add 198.51.100.1/24 dev lo");
        run(TRACK);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = config(LISTEN);
        poll_until("an entry of another program", || {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let report = Report::of(&["--config", file.path().to_str().unwrap()]);
            let found = report.one("notrack");
            let expected =
                "warning: conntrack is in use, and no rule exempts port 6969: each client will take an entry";
            if found == expected { Ok(()) } else { Err(found) }
        });
    });
}

#[test]
#[ignore = "needs root and nft: run scripts/test"]
fn without_privileges_the_rules_cannot_be_seen() {
    in_own_network(|| {
        run(TRACK);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let file = config(LISTEN);
        let copy = Copy::new();
        poll_until("an entry of another program", || {
            socket.send_to(b"x", socket.local_addr().unwrap()).unwrap();
            let mut command = copy.as_nobody(&[]);
            let report = Report::by(command.args(["doctor", "--json", "--config"]).arg(file.path()));
            let found = report.one("notrack");
            let expected = "whether it tracks the clients of port 6969 can't be seen";
            if found.ends_with(expected) && report.fix("notrack").contains("as root") {
                Ok(())
            } else {
                Err(found)
            }
        });
    });
}

/// The size of the table is the same in all namespaces, and can't be lowered in one.
#[test]
#[ignore = "needs root and nft: run scripts/test"]
fn a_table_that_fills_up_is_found() {
    in_own_network(|| {
        run(
            "nft 'table inet filter { chain input { type filter hook input priority 0; ct state established accept; \
             udp dport 1-65535 drop; }; }'",
        );
        let max = fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_max").unwrap();
        let max: usize = max.trim().parse().unwrap();
        assert!(max <= 4_000_000, "this machine's table of {max} entries takes too long to fill");
        // Every pair of ports is an entry.
        let mut wanted = max * 72 / 100;
        while wanted > 0 {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let some = wanted.min(60_000);
            for port in 1..=u16::try_from(some).unwrap() {
                // Datagrams without a reader are no error.
                let _ = socket.send_to(b"x", ("127.0.0.1", port));
            }
            wanted -= some;
        }
        let report = Report::of(&[]);
        let found = report.one("conntrack_fill");
        assert!(found.starts_with("warning: conntrack: "), "{found}");
        assert!(found.ends_with(&format!(" of {max} entries are used")), "{found}");
    });
}
