//! The log, on standard error.

use std::collections::HashMap;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::prelude::*;
use tracing_subscriber::{EnvFilter, fmt};

use crate::config::LogFormat;
use crate::output::Output;

/// The most lines that one place in the program logs in a minute. More would only fill the disk.
const LINES_A_MINUTE: u32 = 30;
const MINUTE: Duration = Duration::from_secs(60);

/// Starts to log to `stderr`, without waiting for it.
pub(crate) fn start(format: LogFormat, stderr: &Output) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let levels = is_journal();
    let writer = Lines { stderr: stderr.clone(), levels };
    let registry = tracing_subscriber::registry().with(filter);
    let limit = Limit { places: Mutex::default(), stderr: stderr.clone() };
    match format {
        LogFormat::Text => {
            let colours = io::stderr().is_terminal();
            // The journal has its own times.
            let layer = fmt::layer().with_ansi(colours).log_internal_errors(false).with_writer(writer);
            if levels {
                registry.with(layer.without_time().with_level(false).with_filter(limit)).init();
            } else {
                registry.with(layer.with_filter(limit)).init();
            }
        }
        LogFormat::Json => {
            let layer =
                fmt::layer().json().flatten_event(true).log_internal_errors(false).with_writer(writer);
            registry.with(layer.with_filter(limit)).init();
        }
    }
}

/// Whether standard error leads to the journal, as systemd.exec(5) defines it: a program started by a service may have
/// another one, and the same variable.
fn is_journal() -> bool {
    let stream = env::var("JOURNAL_STREAM").ok();
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    stream
        .zip(stderr)
        .is_some_and(|(stream, stderr)| stream == format!("{}:{}", stderr.st_dev, stderr.st_ino))
}

/// Makes a writer for each line.
#[derive(Clone, Debug)]
struct Lines {
    stderr: Output,
    /// Whether each line begins with its level in the form of sd-daemon(3), by which the journal knows it.
    levels: bool,
}

impl MakeWriter<'_> for Lines {
    type Writer = Prefixed<Output>;

    fn make_writer(&self) -> Self::Writer {
        Prefixed { prefix: "", stream: self.stderr.clone() }
    }

    fn make_writer_for(&self, line: &Metadata<'_>) -> Self::Writer {
        let prefix = if self.levels { level(*line.level()) } else { "" };
        Prefixed { prefix, stream: self.stderr.clone() }
    }
}

/// The numbers of syslog(3).
fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "<3>",
        Level::WARN => "<4>",
        Level::INFO => "<6>",
        Level::DEBUG | Level::TRACE => "<7>",
    }
}

/// Puts a prefix before a line, which is written with one call.
struct Prefixed<W> {
    prefix: &'static str,
    stream: W,
}

impl<W: Write> Write for Prefixed<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.stream.write_all(&[self.prefix.as_bytes(), line].concat())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

/// Limits how often each place in the program logs. More lines are dropped, and counted.
struct Limit {
    places: Mutex<HashMap<Place, (Instant, u32)>>,
    stderr: Output,
}

/// A module and a line.
type Place = (&'static str, Option<u32>);

impl Limit {
    fn admits(&self, place: Place, now: Instant) -> bool {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, lines) = places.entry(place).or_insert((now, 0));
        if now.duration_since(*since) >= MINUTE {
            (*since, *lines) = (now, 0);
        }
        *lines += 1;
        *lines <= LINES_A_MINUTE
    }
}

impl<S> Filter<S> for Limit {
    fn enabled(&self, _: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        true
    }

    fn event_enabled(&self, event: &tracing::Event<'_>, _: &Context<'_, S>) -> bool {
        let place = event.metadata();
        let admits = self.admits((place.target(), place.line()), Instant::now());
        if !admits {
            self.stderr.drop_line();
        }
        admits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_begins_with_its_level() {
        let mut line = Prefixed { prefix: level(Level::WARN), stream: Vec::new() };
        line.write_all(b"a line\n").unwrap();
        assert_eq!(line.stream, b"<4>a line\n");
    }

    #[test]
    fn a_place_logs_a_bounded_number_of_lines_a_minute() {
        let stderr = Output::start("stderr", io::sink()).unwrap();
        let limit = Limit { places: Mutex::default(), stderr };
        let (a, b) = (("module", Some(1)), ("module", Some(2)));
        let now = Instant::now();
        let admitted = |place, now| (0..100).filter(|_| limit.admits(place, now)).count();
        assert_eq!(admitted(a, now), 30);
        assert_eq!((admitted(b, now), admitted(a, now + MINUTE / 2)), (30, 0));
        assert_eq!(admitted(a, now + MINUTE), 30);
    }
}
