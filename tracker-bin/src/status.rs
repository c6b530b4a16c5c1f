//! `tracker-bin status`: what a running tracker does, as a table.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal};
use std::thread;
use std::time::Duration;

use hyper::Method;
use serde_json::Value;

use crate::command::{self, Status};

/// From one table to the next.
const PAUSE: Duration = Duration::from_secs(2);
/// Clears a terminal.
const CLEAR: &str = "\x1b[H\x1b[2J";

pub(crate) fn status(arguments: &Status) -> Result<(), Box<dyn Error>> {
    let client = arguments.running.reader()?;
    loop {
        let text = match client.request(Method::GET, "/api/status", None) {
            Ok(status) if arguments.json => format!("{status}\n"),
            Ok(status) => table(&status),
            // The tracker may be restarting.
            Err(error) if arguments.watch && !arguments.json => format!("{error}\n"),
            Err(error) => return Err(error),
        };
        let clear = arguments.watch && !arguments.json && io::stdout().is_terminal();
        command::print(&format!("{}{text}", if clear { CLEAR } else { "" }))?;
        if !arguments.watch {
            return Ok(());
        }
        thread::sleep(PAUSE);
    }
}

/// The status for people.
fn table(status: &Value) -> String {
    let mut text = String::new();
    let number = |value: &Value| value.as_f64().map_or_else(|| "-".into(), grouped);
    let of = |path: &str| number(status.pointer(path).unwrap_or(&Value::Null));
    let mut row = |name: &str, value: String| {
        let _ = writeln!(text, "{name:<24}{value}");
    };
    row("version", status["version"].as_str().unwrap_or("?").into());
    row("up", duration(status["uptime_seconds"].as_f64().unwrap_or(0.0)));
    for address in status["listening"].as_array().into_iter().flatten() {
        row("listening", address.as_str().unwrap_or("?").into());
    }
    for (family, name) in [("ipv4", "IPv4"), ("ipv6", "IPv6")] {
        let of = |what: &str| of(&format!("/families/{family}/{what}"));
        row(
            name,
            format!("{} torrents, {} seeders, {} leechers", of("torrents"), of("seeders"), of("leechers")),
        );
    }
    let names = ["received", "answered", "rejected", "ignored", "not_sent", "dropped_by_kernel"];
    for name in names {
        let total = match &status["requests"][name] {
            Value::Object(by_reason) => by_reason.values().filter_map(Value::as_f64).sum(),
            value => value.as_f64().unwrap_or(0.0),
        };
        row(
            &name.replace('_', " "),
            format!("{} a second, {} in total", of(&format!("/rates/{name}")), grouped(total)),
        );
    }
    for kind in ["rejected", "ignored"] {
        for (reason, n) in status["requests"][kind].as_object().into_iter().flatten() {
            if n.as_u64() > Some(0) {
                row(&format!("  {kind}, {}", reason.replace('_', " ")), number(n));
            }
        }
    }
    row(
        "reply after",
        format!(
            "{} us (half), {} us (99 %), at most",
            of("/rates/p50_microseconds"),
            of("/rates/p99_microseconds")
        ),
    );
    for (at, worker) in status["workers"].as_array().into_iter().flatten().enumerate() {
        let busy = worker["busy"].as_f64().unwrap_or(0.0) * 100.0;
        let batch = worker["batch"].as_f64().unwrap_or(0.0);
        row(&format!("worker {at}"), format!("{busy:.0} % busy, {batch:.1} datagrams a batch"));
    }
    let megabytes = |path: &str| {
        status
            .pointer(path)
            .and_then(Value::as_f64)
            .map_or("-".into(), |bytes| format!("{:.1} MB", bytes / 1e6))
    };
    row(
        "memory",
        format!(
            "{}, of which the store {}",
            megabytes("/memory/resident_bytes"),
            megabytes("/memory/store_bytes")
        ),
    );
    for node in status["livesync"].as_array().into_iter().flatten() {
        let silent = node["seconds_since_packet"]
            .as_u64()
            .map_or("never heard".into(), |seconds| format!("heard {seconds} s ago"));
        row(
            &format!("node {}", node["address"].as_str().unwrap_or("?")),
            format!("{silent}, {} records", number(&node["records"])),
        );
    }
    for finding in status["findings"].as_array().into_iter().flatten() {
        let of = |key: &str| finding[key].as_str().unwrap_or_default();
        let fix = if of("fix").is_empty() { String::new() } else { format!("; to fix it: {}", of("fix")) };
        let _ = writeln!(text, "{}: {}{fix}", of("severity"), of("what"));
    }
    text
}

/// A number with a space between groups of three digits.
fn grouped(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

fn duration(seconds: f64) -> String {
    let seconds = Duration::from_secs_f64(seconds.max(0.0)).as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_easy_to_read() {
        assert_eq!(["0", "999", "1 000", "12 345 678"], [0.0, 999.0, 1000.0, 12_345_678.0].map(grouped)[..]);
        let seconds = [5.0, 65.0, 3700.0, 90_000.0];
        assert_eq!(["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"], seconds.map(duration)[..]);
    }

    #[test]
    fn an_answer_of_another_program_is_a_table_of_gaps() {
        for text in ["{}", "[]", "{\"workers\": 5, \"requests\": {\"rejected\": 3}}"] {
            assert!(table(&serde_json::from_str(text).unwrap()).contains("received"));
        }
    }
}
