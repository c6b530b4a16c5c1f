//! The output of `load`: a live line on the terminal, and reports.

use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};
use tracker_load::{Gaps, Kind, Pace, Progress, Report, Settings};

/// How often the live line is updated.
const CHANGE: Duration = Duration::from_millis(500);

/// A line on stderr with the progress of a phase; hidden if stderr is not a terminal.
pub(super) struct LiveLine {
    bar: ProgressBar,
    /// When the line was last changed, and how many answers there were.
    shown: (Duration, u64),
}

impl LiveLine {
    pub(super) fn new() -> Self {
        let style = ProgressStyle::with_template("{spinner} {msg}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner());
        let terminal = io::stderr().is_terminal();
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target).with_style(style);
        Self { bar, shown: (Duration::ZERO, 0) }
    }

    pub(super) fn show(&mut self, progress: &Progress<'_>) {
        let (shown_at, shown_answers) = self.shown;
        let (elapsed, answers) = (progress.elapsed(), progress.answers());
        // A new phase starts again from 0.
        if elapsed < shown_at || answers < shown_answers {
            self.shown = (elapsed, answers);
        } else if elapsed >= shown_at + CHANGE && !self.bar.is_hidden() {
            let rate = (answers - shown_answers) as f64 / (elapsed - shown_at).as_secs_f64();
            let (lost, p99) = (progress.lost(), micros(progress.latency(0.99)));
            self.bar.set_message(format!("{rate:.0} answers/s, {lost} lost, p99 {p99:.0} us"));
            self.bar.tick();
            self.shown = (elapsed, answers);
        }
    }

    pub(super) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

/// Prints the results of the phases; as JSON, one object with a key for each phase.
pub(super) fn print(json: bool, settings: &Settings, reports: &[(&str, Report)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if !json {
        return reports.iter().try_for_each(|(phase, report)| writeln!(out, "{phase}: {report}"));
    }
    let (window, rate) = match settings.pace {
        Pace::Window(window) => (Some(window), None),
        Pace::Rate(rate) => (None, Some(rate)),
        _ => (None, None),
    };
    let load = json!({
        "torrents": settings.torrents,
        "peers": settings.peers,
        "zipf": settings.zipf,
        "num_want": settings.num_want,
        "window": window,
        "rate": rate,
        "seed": settings.seed,
    });
    let phases = reports.iter().map(|(phase, report)| ((*phase).to_owned(), to_json(report)));
    let all: Value = [("load".to_owned(), load)].into_iter().chain(phases).collect();
    writeln!(out, "{all}")
}

fn to_json(report: &Report) -> Value {
    let by_kind = |kind| json!({"sent": report.sent(kind), "answers": report.answered(kind)});
    let by_kind: Map<_, _> =
        Kind::ALL.map(|kind| (kind.name().to_owned(), by_kind(kind))).into_iter().collect();
    let latency = |quantile| micros(report.latency(quantile));
    let Gaps { longest, longest_without_own, longest_own, .. } = report.gaps();
    json!({
        "seconds": report.elapsed().as_secs_f64(),
        "sent": Kind::ALL.into_iter().map(|kind| report.sent(kind)).sum::<u64>(),
        "answers": report.answers(),
        "answers_per_second": report.answers_per_second(),
        "by_kind": by_kind,
        "lost": report.lost(),
        "resent": report.resent(),
        "late": report.late(),
        "peers": report.peers(),
        "latency_us": {
            "min": micros(report.latency_min()),
            "mean": micros(report.latency_mean()),
            "p50": latency(0.5),
            "p90": latency(0.9),
            "p99": latency(0.99),
            "p99.9": latency(0.999),
            "p99.99": latency(0.9999),
            "max": micros(report.latency_max()),
        },
        "gap_us": {
            "longest": micros(longest),
            "longest_without_own": micros(longest_without_own),
            "longest_own": micros(longest_own),
        },
    })
}

fn micros(duration: Duration) -> f64 {
    duration.as_nanos() as f64 / 1e3
}
