//! Addresses, the firewall, and containers.

use crate::own_network::{Neighbour, add_public_addresses, in_own_network, run};
use crate::report::Report;
use crate::tracker::{Tracker, config};

#[test]
#[ignore = "needs root: run scripts/test"]
fn without_a_tracker_nothing_is_a_problem() {
    in_own_network(|| {
        let report = Report::of(&[]);
        assert!(report.one("answers").starts_with("ok: the tracker is not running"), "{report:?}");
        assert_eq!((report.code, report.has_problem()), (Some(0), false), "{report:?}");
    });
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn ipv6_that_is_not_listened_on_is_found() {
    in_own_network(|| {
        add_public_addresses();
        let file = config("listen = [\"0.0.0.0:6969\"]\nworkers = 1\n");
        let report = Report::of(&["--config", file.path().to_str().unwrap()]);
        let expected =
            "warning: this machine has the IPv6 address 2a00::1, but the tracker listens on IPv4 only";
        assert_eq!(report.one("ipv6"), expected);
        assert_eq!(report.fix("ipv6"), "add \"[::]:6969\" to listen");
        let report = Report::of(&[]);
        assert!(report.one("ipv6").starts_with("ok: "), "{report:?}");
    });
}

#[test]
#[ignore = "needs root and nft: run scripts/test"]
fn an_address_behind_a_firewall_is_found() {
    in_own_network(|| {
        add_public_addresses();
        let listen = "listen = [\"0.0.0.0:6969\", \"[::]:6969\"]\nworkers = 1\n";
        let _tracker = Tracker::start(listen, 2);
        let report = Report::of(&[]);
        assert_eq!(
            report.one("answers"),
            "ok: answers at 1.2.3.4:6969, 127.0.0.1:6969, [::1]:6969, [2a00::1]:6969"
        );
        assert_eq!(report.code, Some(0), "{report:?}");

        run("nft 'table inet filter { chain input { type filter hook input priority 0; }; }'
             nft add rule inet filter input ip6 daddr 2a00::1 udp dport 6969 drop");
        let report = Report::of(&[]);
        assert_eq!(report.code, Some(1));
        let silent = report.one("silent_address");
        assert!(silent.starts_with("problem: no answer at udp://[2a00::1]:6969: no reply from"), "{silent}");
        let fix = report.fix("silent_address");
        let command = fix.split_once(": ").unwrap().1;
        run(&format!("{command} | grep -q drop"));
        assert_eq!(report.one("answers"), "ok: answers at 1.2.3.4:6969, 127.0.0.1:6969, [::1]:6969");
    });
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_family_that_came_after_the_start_needs_a_restart() {
    in_own_network(|| {
        run(
            "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6",
        );
        let _tracker = Tracker::start("workers = 1\nlisten = [\"0.0.0.0:6969\"]\n", 1);
        run(
            "echo 0 > /proc/sys/net/ipv6/conf/all/disable_ipv6; echo 0 > /proc/sys/net/ipv6/conf/lo/disable_ipv6",
        );
        add_public_addresses();
        // The configuration of both families, in which IPv6 may be missing.
        let report = Report::of(&[]);
        let silent = report.all("silent_address");
        assert!(silent.iter().any(|silent| silent.contains("udp://[2a00::1]:6969")), "{report:?}");
        assert!(report.fix("silent_address").starts_with("restart the tracker"), "{report:?}");
    });
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_container_with_translated_addresses_is_found() {
    in_own_network(|| {
        // /run belongs to this test.
        run("touch /run/.containerenv");
        let _host = Neighbour::new();
        run(
            "ip address flush dev eth0; ip address add 172.17.0.2/16 dev eth0; ip route add default via 172.17.0.1",
        );
        let report = Report::of(&[]);
        let found = report.one("container");
        assert!(found.starts_with("warning: in a container with the private address 172.17.0.2"), "{found}");
        assert!(found.contains("all peers seem to be 172.17.0.1"), "{found}");
        assert!(report.fix("container").contains("--network host"));
        run("ip address add 1.2.3.4/32 dev eth0");
        assert!(Report::of(&[]).one("container").starts_with("ok: "));
    });
}
