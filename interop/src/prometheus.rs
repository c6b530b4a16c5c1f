//! Prometheus, as Debian packages it.

use std::fs;
use std::io::Write;
use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::Program;
use crate::{Http, Netns};

/// Its address in the namespace, where nothing else uses the port.
const ADDRESS: &str = "127.0.0.1:9090";
const START_LIMIT: Duration = Duration::from_secs(20);

/// A running Prometheus.
pub struct Prometheus {
    /// Held for their `Drop`: the process before its directory.
    _program: Program,
    _dir: TempDir,
}

impl Prometheus {
    /// Starts it, and waits until it answers queries. It scrapes the target every second.
    #[must_use]
    pub fn start(netns: &Netns, target: SocketAddr) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = format!(
            "global: {{ scrape_interval: 1s }}\n\
             scrape_configs: [{{ job_name: tracker, static_configs: [{{ targets: [\"{target}\"] }}] }}]\n"
        );
        let file = dir.path().join("prometheus.yml");
        fs::write(&file, config).expect("a configuration can be written");
        let mut command = netns.command("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", dir.path().join("data").display()));
        command.arg(format!("--web.listen-address={ADDRESS}"));
        let program = Program::start("prometheus", &mut command);
        program.wait_for("`ready to receive web requests`", START_LIMIT, |line| {
            line.contains("ready to receive web requests").then_some(())
        });
        Self { _program: program, _dir: dir }
    }

    /// The current value of an expression, if it has exactly one.
    pub fn value(&self, http: &mut Http, expression: &str) -> Option<f64> {
        let answer = http.get_json(&format!("http://{ADDRESS}/api/v1/query?query={}", encoded(expression)));
        match &answer["data"]["result"].as_array().expect("a result")[..] {
            [only] => Some(number(&only["value"])),
            _ => None,
        }
    }

    /// Each second's value of an expression, in the last `seconds` seconds.
    pub fn values(&self, http: &mut Http, expression: &str, seconds: u64) -> Vec<f64> {
        let now = self.value(http, "vector(time())").expect("the time");
        let range = format!("start={}&end={now}&step=1", now - seconds as f64);
        let url = format!("http://{ADDRESS}/api/v1/query_range?query={}&{range}", encoded(expression));
        let answer = http.get_json(&url);
        match &answer["data"]["result"].as_array().expect("a result")[..] {
            [only] => only["values"].as_array().expect("values").iter().map(number).collect(),
            _ => Vec::new(),
        }
    }
}

/// What promtool finds wrong with metrics; nothing, if all is well.
#[must_use]
pub fn promtool_check_metrics(netns: &Netns, metrics: &str) -> String {
    let mut command = netns.command("promtool");
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("promtool can be started");
    // It reads everything before it prints.
    let mut stdin = child.stdin.take().expect("stdin is piped");
    stdin.write_all(metrics.as_bytes()).expect("promtool reads its input");
    drop(stdin);
    let output = child.wait_with_output().expect("promtool ends");
    let printed = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    if output.status.success() { printed } else { format!("{printed}{}", output.status) }
}

/// A time and a value as `[1700000000.0, "42"]`.
fn number(sample: &Value) -> f64 {
    let text = sample[1].as_str().unwrap_or_else(|| panic!("no sample: {sample}"));
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

/// A text for the query of a URL.
fn encoded(text: &str) -> String {
    let safe = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~()".contains(&byte);
    let encode = |byte: u8| if safe(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encode).collect()
}
