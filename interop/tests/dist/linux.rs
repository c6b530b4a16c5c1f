//! Files for systemd, sysctl and nftables.

use std::fs;
use std::path::Path;
use std::process::Command;

use interop::{Lan, Tracker, client};
use tempfile::TempDir;

use crate::{dist, read, run};

const UNIT: &str = "systemd/tracker-bin.service";
const TORRENT: &str = "e5d5fdac66b48270c93842b333061ea4dd7233e9";
const DROP_INS: [&str; 2] = ["systemd/keys.conf", "systemd/privileged-port.conf"];

/// The unit in a directory of its own, with some of its drop-ins, and with a program that exists.
fn unit(drop_ins: &[&str]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let unit = read(UNIT).replace("/usr/bin/tracker-bin", "/bin/true");
    // Manual pages that are not installed are an error for systemd-analyze.
    let unit = unit.replace("Documentation=man:tracker-bin(1)\n", "");
    fs::write(dir.path().join("tracker-bin.service"), unit).unwrap();
    let drop_in_dir = dir.path().join("tracker-bin.service.d");
    fs::create_dir(&drop_in_dir).unwrap();
    for drop_in in drop_ins {
        fs::copy(dist(drop_in), drop_in_dir.join(Path::new(drop_in).file_name().unwrap())).unwrap();
    }
    dir
}

fn systemd_analyze(unit: &TempDir, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("systemd-analyze");
    command.args(arguments).arg(unit.path().join("tracker-bin.service"));
    // After this directory, the system's own units.
    run(command.env("SYSTEMD_UNIT_PATH", format!("{}:", unit.path().display())))
}

#[test]
#[ignore = "needs systemd-analyze: run scripts/test"]
fn the_unit_is_hardened_also_with_its_drop_ins() {
    for drop_ins in [&[][..], &DROP_INS] {
        let unit = unit(drop_ins);
        // In tenths: 1.5.
        let (passed, report) = systemd_analyze(&unit, &["security", "--offline=yes", "--threshold=15"]);
        assert!(passed, "{drop_ins:?}: {report}");
        let (passed, _) = systemd_analyze(&unit, &["security", "--offline=yes", "--threshold=5"]);
        assert!(!passed, "the threshold has no effect");
    }
}

#[test]
#[ignore = "needs systemd-analyze: run scripts/test"]
fn systemd_accepts_every_line_of_the_unit() {
    let (_, problems) = systemd_analyze(&unit(&DROP_INS), &["verify"]);
    // systemd before 253 reports this, and uses the line before.
    let is_known = |line: &&str| line.ends_with("Failed to parse service type, ignoring: notify-reload");
    let unknown: Vec<_> =
        problems.lines().filter(|line| !is_known(line) && line.contains("tracker-bin")).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_kernel_allows_the_default_receive_buffer() {
    let settings = read("sysctl/60-tracker-bin.conf");
    let allowed = settings.lines().find_map(|line| line.strip_prefix("net.core.rmem_max = ")).unwrap();
    let (printed, config) = run(Command::new(interop::binary("tracker-bin")).arg("config"));
    assert!(printed, "{config}");
    let requested = config.lines().find_map(|line| line.strip_prefix("receive_buffer_bytes = "));
    assert_eq!(requested, Some(allowed));
}

/// Counts the datagrams of the tracker's port in both directions, by whether they are tracked.
const COUNTERS: &str = "table inet test {
    counter tracked {}
    counter untracked {}
    chain input {
        type filter hook input priority filter;
        udp dport 6969 ct state untracked counter name untracked
        udp dport 6969 ct state != untracked counter name tracked
    }
    chain output {
        type filter hook output priority filter;
        udp sport 6969 ct state untracked counter name untracked
        udp sport 6969 ct state != untracked counter name tracked
    }
}";

#[test]
#[ignore = "needs nftables: run scripts/test"]
fn nftables_exempts_the_trackers_datagrams_from_connection_tracking() {
    let lan = Lan::new();
    let (server, clients) = (lan.machine(1), lan.machine(2));
    let nft = |arguments: &[&str]| {
        let (done, printed) = run(server.command("nft").args(arguments));
        assert!(done, "nft {arguments:?}: {printed}");
        printed
    };
    nft(&[COUNTERS]);
    let packets = || {
        let counters = nft(&["list", "counters"]);
        let count = |name: &str| -> u32 {
            let (_, after) = counters.split_once(&format!("counter {name} {{")).unwrap();
            let mut words = after.split_whitespace().skip_while(|word| *word != "packets");
            words.nth(1).unwrap().parse().unwrap()
        };
        (count("tracked"), count("untracked"))
    };
    let tracker = Tracker::start(&server, &["198.51.100.1:6969"]);
    client::scrape(&clients, &tracker.url(), &[TORRENT]).unwrap();
    let (tracked, untracked) = packets();
    assert!(tracked >= 4 && untracked == 0, "without the rules: {tracked} {untracked}");

    let rules = dist("nftables/tracker-notrack.nft");
    let rules = rules.to_str().unwrap();
    nft(&["--check", "--file", rules]);
    nft(&["--file", rules]);
    // A second time, as after a change.
    nft(&["--file", rules]);
    client::scrape(&clients, &tracker.url(), &[TORRENT]).unwrap();
    let with_rules = packets();
    assert_eq!(with_rules.0, tracked, "no more tracked datagrams: {with_rules:?}");
    assert!(with_rules.1 >= 4, "{with_rules:?}");
}
