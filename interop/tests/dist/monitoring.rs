//! Files for Prometheus and Grafana.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

use crate::{dist, read, run};

fn promtool(arguments: &[&str], file: &std::path::Path) {
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
