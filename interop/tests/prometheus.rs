//! A real Prometheus that watches the tracker under load.

use std::time::Duration;

use interop::client::{Load, Loaded};
use interop::{Http, Netns, Program, Prometheus, Tracker, poll_until, promtool_check_metrics};

const LIMIT: Duration = Duration::from_secs(30);
const PYTHON: &str = "/usr/bin/python3";
const WRONG_REQUESTS: &str = include_str!("../scripts/wrong_requests.py");
/// Of each kind of them.
const WRONG: f64 = 500.0;

#[test]
#[ignore = "needs prometheus: run scripts/test"]
fn its_sums_hold_at_every_scrape_and_equal_those_of_the_load() {
    let netns = Netns::new();
    let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", "workers = 2\n");
    let (page, mut http) = (tracker.page(), Http::start(&netns));
    let address = page.strip_prefix("http://").and_then(|address| address.parse().ok()).expect("an address");
    let prometheus = Prometheus::start(&netns, address);
    let mut value = |expression: &str| prometheus.value(&mut http, expression);
    poll_until("the first scrape", LIMIT, || match value("up") {
        Some(1.0) => Ok(()),
        other => Err(format!("{other:?}")),
    });

    let options = [
        "--mix",
        "2:10:2:1",
        "--torrents",
        "100",
        "--rate",
        "3000",
        "--seconds",
        "6",
        "--sources",
        "127.0.1.1",
    ];
    let load = Load::start(&netns, &tracker.url(), &options);
    let mut python = netns.command(PYTHON);
    python.args(["-c", WRONG_REQUESTS, "127.0.0.1", "6969", &WRONG.to_string()]);
    assert!(Program::start("wrong requests", &mut python).wait_exit(LIMIT).success());
    let Loaded { sent, lost, by_kind } = load.wait_done(LIMIT);
    assert_eq!(lost, 0);

    // The generator has got a connection_id for its address before it began to count.
    let received = (sent + 1) as f64 + 2.0 * WRONG;
    let received_by_tracker = "sum(tracker_datagrams_received_total)";
    poll_until("the last scrape", LIMIT, || match value(received_by_tracker) {
        Some(found) if found == received => Ok(()),
        other => Err(format!("{other:?}, not {received}")),
    });
    let mut of = |metric: &str| value(&format!("sum({metric})")).unwrap_or_else(|| panic!("no {metric}"));
    let answers = |kinds: &[&str]| kinds.iter().map(|kind| by_kind[*kind].answers).sum::<u64>() as f64;
    assert_eq!(of("tracker_answered_total{action=\"connect\"}"), answers(&["connect"]) + 1.0);
    assert_eq!(of("tracker_answered_total{action=\"announce\"}"), answers(&["announce", "stop"]));
    assert_eq!(of("tracker_answered_total{action=\"scrape\"}"), answers(&["scrape"]));
    assert_eq!(of("tracker_requests_total"), sent as f64 + 1.0 + WRONG);
    assert_eq!(of("tracker_rejected_total{reason=\"bad_connection_id\"}"), WRONG);
    assert_eq!(of("tracker_ignored_total{reason=\"bad_length\"}"), WRONG);
    assert_eq!((of("tracker_not_sent_total"), of("tracker_kernel_dropped_total")), (0.0, 0.0));
    let torrents = of("tracker_torrents{family=\"ipv4\"}");
    assert!((1.0..=100.0).contains(&torrents), "{torrents}");

    let parts =
        ["answered", "rejected", "ignored", "not_sent"].map(|part| format!(" - sum(tracker_{part}_total)"));
    let difference = prometheus.values(&mut http, &format!("{received_by_tracker}{}", parts.concat()), 60);
    assert!(difference.len() >= 5 && difference.iter().all(|value| *value == 0.0), "{difference:?}");
    // The scrapes were spread over the load.
    let mut received = prometheus.values(&mut http, received_by_tracker, 60);
    received.dedup();
    assert!(received.len() >= 4, "{received:?}");

    assert_eq!(promtool_check_metrics(&netns, &http.get(&format!("{page}/metrics"))), "");
}
