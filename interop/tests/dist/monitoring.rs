//! Files for Prometheus and Grafana.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use interop::{Lan, Netns, Tracker, poll_until};
use serde_json::{Value, json};

use crate::{dist, read, run};

fn promtool(arguments: &[&str], file: &Path) {
    let (passed, report) = run(Command::new("promtool").args(arguments).arg(file));
    assert!(passed, "promtool {arguments:?}: {report}");
}

#[test]
#[ignore = "needs promtool: run scripts/test"]
fn every_alert_fires_when_it_should() {
    promtool(&["check", "rules"], &dist("prometheus/alerts.yml"));
    promtool(&["test", "rules"], &dist("prometheus/alerts_test.yml"));
    let names = |text: &str, key: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| line.trim().strip_prefix(key)).map(str::to_owned).collect()
    };
    let alerts = names(&read("prometheus/alerts.yml"), "- alert: ");
    assert!(alerts.len() >= 9, "{alerts:?}");
    // A test with an expected alert has its labels.
    let tests = read("prometheus/alerts_test.yml");
    let fires = |alert: &String| {
        tests
            .split("- alertname: ")
            .any(|test| test.starts_with(&format!("{alert}\n")) && test.contains("exp_labels:"))
    };
    let untested: Vec<_> = alerts.iter().filter(|alert| !fires(alert)).collect();
    assert!(untested.is_empty(), "{untested:?}");
}

fn dashboard() -> Value {
    serde_json::from_str(&read("grafana/dashboard.json")).unwrap()
}

fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    dashboard["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row")
}

fn queries(panel: &Value) -> impl Iterator<Item = &str> {
    panel["targets"].as_array().unwrap().iter().map(|target| target["expr"].as_str().unwrap())
}

#[test]
fn panels_of_the_dashboard_are_complete_and_do_not_overlap() {
    let dashboard = dashboard();
    let (mut ids, mut cells) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is taken");
        let side = |name: &str| panel["gridPos"][name].as_u64().unwrap();
        assert!(side("x") + side("w") <= 24, "{title}: wider than the page");
        for x in side("x")..side("x") + side("w") {
            for y in side("y")..side("y") + side("h") {
                assert!(cells.insert((x, y)), "{title}: overlaps another");
            }
        }
    }
    for panel in panels(&dashboard) {
        let title = &panel["title"];
        assert!(queries(panel).count() > 0, "{title}: no query");
        assert!(
            panel["description"].as_str().is_some_and(|text| !text.is_empty()),
            "{title}: no description"
        );
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
    }
}

#[test]
#[ignore = "needs promtool: run scripts/test"]
fn prometheus_parses_every_query_of_the_dashboard() {
    let dashboard = dashboard();
    let queries = panels(&dashboard).flat_map(queries);
    // Prometheus knows Grafana's variable for a time range only as a time.
    let queries = queries.map(|query| query.replace("$__rate_interval", "5m"));
    let rules: Vec<_> = queries
        .enumerate()
        .map(|(at, query)| json!({ "record": format!("query:{at}"), "expr": query }))
        .collect();
    assert!(rules.len() >= 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    // JSON is YAML, too.
    serde_json::to_writer(&file, &json!({ "groups": [{ "name": "dashboard", "rules": rules }] })).unwrap();
    promtool(&["check", "rules"], file.path());
}

/// Makes the kernel track connections, so that there are figures about it.
const TRACKING: &str = "table inet test {
    chain input {
        type filter hook input priority filter
        ct state new accept
    }
}";

/// Enough for livesync to send its first packet, which it does after 15 s at the latest.
const LIMIT: Duration = Duration::from_secs(20);

fn node(machine: &Netns, host: u8, key_file: &str, state_dir: &Path) -> Tracker {
    let address = |host| format!("198.51.100.{host}");
    let config = format!(
        "state_dir = {state_dir:?}\nsnapshot_interval = 1\n[livesync]\nenabled = true\ninterface = \"{}\"\nnodes = {:?}\ngroup = \"\"\nunicast = {:?}\nkey_file = {key_file:?}\n",
        address(host),
        [address(1), address(2)],
        [address(1) + ":9696", address(2) + ":9696"],
    );
    Tracker::start_with(machine, &format!("{}:6969", address(host)), &config)
}

/// Words that begin like the names of metrics.
fn metric_names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase() && c != '_');
    words.filter(|word| word.starts_with("tracker_")).collect()
}

#[test]
#[ignore = "needs iproute2, nftables: run scripts/test"]
fn the_tracker_has_every_metric_of_the_alerts_and_the_dashboard() {
    let lan = Lan::new();
    let (machine, other) = (lan.machine(1), lan.machine(2));
    let (done, printed) = run(machine.command("nft").arg(TRACKING));
    assert!(done, "{printed}");
    let key = tempfile::NamedTempFile::new().unwrap();
    fs::write(&key, "01".repeat(32)).unwrap();
    let key = key.path().to_str().unwrap();
    let state = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let tracker = node(&machine, 1, key, state[0].path());
    let other = node(&other, 2, key, state[1].path());
    // The other node sends its announces on.
    let load = ["load", &other.url(), "--seconds", "1"];
    let (done, printed) = run(machine.command(interop::binary("client-bin")).args(load));
    assert!(done, "{printed}");

    let (alerts, text) = (read("prometheus/alerts.yml"), read("grafana/dashboard.json"));
    let used = &metric_names(&alerts) | &metric_names(&text);
    assert!(used.len() >= 20, "{used:?}");
    // Such as kind="seeder".
    let dashboard = dashboard();
    let queries = panels(&dashboard).flat_map(queries).chain([alerts.as_str()]);
    let words = queries.flat_map(|text| text.split(['{', '}', ',', ' ']));
    let labels: BTreeSet<_> =
        words.filter(|word| word.contains("=\"") && !word.starts_with("job=")).collect();
    assert!(labels.len() >= 4, "{labels:?}");
    let get = "import urllib.request; print(urllib.request.urlopen('http://127.0.0.1:6970/metrics').read().decode())";
    poll_until("every metric", LIMIT, || {
        let (_, metrics) = run(machine.command("python3").args(["-c", get]));
        let lines = metrics.lines().filter(|line| !line.starts_with('#'));
        let names: BTreeSet<_> = lines.filter_map(|line| line.split(['{', ' ']).next()).collect();
        let missing: Vec<_> = used.iter().filter(|name| !names.contains(**name)).collect();
        let missing: Vec<_> =
            missing.into_iter().chain(labels.iter().filter(|label| !metrics.contains(**label))).collect();
        if missing.is_empty() { Ok(()) } else { Err(format!("{missing:?} are missing in\n{metrics}")) }
    });
    drop(tracker);
}
