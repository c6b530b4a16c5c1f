//! What lists of trackers check.

use std::net::SocketAddr;

use crate::dns::{NAME, Zone};
use crate::own_network::{add_public_addresses, in_own_network};
use crate::report::Report;
use crate::tracker::{Tracker, config};

const LISTEN: &str = "listen = [\"0.0.0.0:6969\", \"[::]:6969\"]\nworkers = 1\n";

fn report(host: &str, dns: SocketAddr, more: &[&str]) -> Report {
    let dns = dns.to_string();
    Report::of(&[&["--listing", "--host", host, "--dns", &dns], more].concat())
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_tracker_as_lists_want_it_is_ok() {
    in_own_network(|| {
        add_public_addresses();
        let _tracker = Tracker::start(LISTEN, 2);
        let both = ["1.2.3.4", "2a00::1"];
        // Strings of one record belong together, without a space between them.
        let texts: &[&[&str]] = &[&["v=spf1 -all"], &["BITTORRENT UD", "P:6969"]];
        let mut zone = Zone::new(&both, texts);
        for only_tcp in [false, true] {
            zone.only_tcp = only_tcp;
            let report = report(NAME, zone.clone().serve(), &[]);
            assert_eq!(report.code, Some(0), "{report:?}");
            assert!(report.one("listing_record").starts_with("ok: tracker.example: "), "{report:?}");
            assert!(report.one("listing_interval").starts_with("ok: "), "{report:?}");
            let answers = report.all("listing_answer");
            for (answer, address) in answers.iter().zip(["1.2.3.4:6969", "[2a00::1]:6969"]) {
                assert!(
                    answer.starts_with(&format!("ok: tracker.example: {address} answers in ")),
                    "{answer}"
                );
                // A tenth more at most than 1800 s.
                let interval = answer.split("interval ").nth(1).and_then(|rest| rest.strip_suffix(" s"));
                assert!((1800..=1980).contains(&interval.unwrap().parse().unwrap()), "{answer}");
            }
            assert_eq!(answers.len(), 2);
        }
    });
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn an_address_that_does_not_answer_counts_as_down() {
    in_own_network(|| {
        add_public_addresses();
        let _tracker = Tracker::start("listen = [\"1.2.3.4:6969\"]\nworkers = 1\n", 1);
        let dns = Zone::new(&["1.2.3.4", "2a00::1"], &[&["BITTORRENT UDP:6969"]]).serve();
        let file = config("listen = [\"1.2.3.4:6969\"]\nworkers = 1\n");
        let report = report(NAME, dns, &["--config", file.path().to_str().unwrap()]);
        assert_eq!(report.code, Some(1));
        let answers = report.all("listing_answer");
        // The worst first.
        let [silent, answering] = &answers[..] else { panic!("{answers:?}") };
        assert!(silent.starts_with("problem: tracker.example: [2a00::1]:6969: no reply"), "{silent}");
        assert!(answering.starts_with("ok: tracker.example: 1.2.3.4:6969"), "{answering}");
    });
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn intervals_and_refusals_that_lists_do_not_accept_are_found() {
    in_own_network(|| {
        add_public_addresses();
        let list = config("");
        let dns = Zone::new(&["1.2.3.4"], &[&["BITTORRENT UDP:6969"]]).serve();
        let listed = |settings: &str| {
            let text = format!("listen = [\"1.2.3.4:6969\"]\nworkers = 1\n{settings}");
            let _tracker = Tracker::start(&text, 1);
            let file = config(&text);
            let report = report(NAME, dns, &["--config", file.path().to_str().unwrap()]);
            assert_eq!(report.code, Some(1));
            report
        };
        let report = listed("announce_interval = 60\npeer_lifetime = 120\n");
        let interval = report.one("listing_interval");
        assert!(interval.starts_with("problem: announce_interval: clients get 60 to 66 s"), "{interval}");
        let answer = report.one("listing_answer");
        assert!(
            answer.starts_with("problem: tracker.example: 1.2.3.4:6969 replies with an interval of 6"),
            "{answer}"
        );
        let report = listed(&format!("access = \"listed\"\naccess_list = {:?}\n", list.path()));
        let answer = report.one("listing_answer");
        assert!(answer.starts_with("problem: ") && answer.contains("refused"), "{answer}");
    });
}

/// These need no addresses that can be reached.
#[test]
fn records_that_lists_do_not_accept_are_found() {
    let port_0 = config("listen = [\"127.0.0.1:0\"]\n");
    let of = |host: &str, addresses: &[&str], texts: &[&[&'static str]]| {
        let report =
            report(host, Zone::new(addresses, texts).serve(), &["--config", port_0.path().to_str().unwrap()]);
        assert_eq!(report.code, Some(1));
        report
    };
    let report = of(NAME, &["10.0.0.1", "fd00::1"], &[]);
    let addresses = report.all("listing_address");
    let expected = ["10.0.0.1", "fd00::1"]
        .map(|address| format!("problem: tracker.example: its address {address} is private"));
    assert_eq!(addresses, expected);
    assert!(
        report.one("listing_record").starts_with("warning: tracker.example has no TXT record"),
        "{report:?}"
    );
    let fix = "publish the record: tracker.example. IN TXT \"BITTORRENT UDP:6969\"";
    assert_eq!(report.fix("listing_record"), fix);

    let report = of(&format!("{NAME}:1337"), &[], &[&["BITTORRENT UDP:6969"]]);
    assert!(report.one("listing_record").contains("lacks UDP:1337"), "{report:?}");
    assert!(report.one("listing_address").contains("has no address"), "{report:?}");

    let report = of(NAME, &["10.0.0.1"], &[&["BITTORRENT DENY ALL"]]);
    assert!(report.one("listing_record").contains("says that there is no tracker"), "{report:?}");

    let report = of("other.example", &["10.0.0.1"], &[]);
    let name = "problem: other.example: there is no such name";
    assert_eq!(report.one("listing_name"), name);

    let report = of("192.0.2.1", &[], &[]);
    assert!(report.one("listing_name").contains("want a host name instead of the address"), "{report:?}");
}

#[test]
fn a_dns_server_that_does_not_answer_is_named() {
    // Holds the port, and never replies.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    let file = config("listen = [\"127.0.0.1:0\"]\n");
    let report = report(NAME, address, &["--config", file.path().to_str().unwrap()]);
    assert_eq!(report.code, Some(1));
    let name = report.one("listing_name");
    assert!(name.contains(&format!("the DNS server {address} did not answer")), "{name}");
    assert!(report.fix("listing_name").contains("--dns"), "{report:?}");
}
