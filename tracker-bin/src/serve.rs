//! Serving, from the first socket to the last signal.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use udp_tracker::{Config, Family, Tracker};

use crate::command::Serve;
use crate::output::Output;

/// How often to see whether the workers are still there.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How long the program waits at its end for its last lines to be written.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Serves until it is told to stop; its exit code.
pub(crate) fn serve(arguments: &Serve) -> ExitCode {
    let outputs = Output::start("stdout", io::stdout())
        .and_then(|stdout| Ok((stdout, Output::start("stderr", io::stderr())?)));
    let (stdout, stderr) = match outputs {
        Ok(outputs) => outputs,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tracker-bin: cannot start a thread for its output: {error}");
            return ExitCode::FAILURE;
        }
    };
    start_log(&stderr);
    let code = match run(arguments, &stdout) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            stderr.line(format!("tracker-bin: {error}\n").into_bytes());
            ExitCode::FAILURE
        }
    };
    stdout.flush(FLUSH_PATIENCE);
    stderr.flush(FLUSH_PATIENCE);
    code
}

/// Log lines and the message of a panic go to `stderr` without waiting for it.
fn start_log(stderr: &Output) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let writer = stderr.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        // Would write to the standard error itself.
        .log_internal_errors(false)
        .with_writer(move || writer.clone())
        .init();
    let stderr = stderr.clone();
    panic::set_hook(Box::new(move |what| {
        stderr.line(format!("{what}\n").into_bytes());
        stderr.flush(FLUSH_PATIENCE);
    }));
}

fn run(arguments: &Serve, stdout: &Output) -> Result<(), Box<dyn Error>> {
    let config = arguments.configuration()?;
    // Before the workers start, so that no signal finds the program without them.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let tracker = Tracker::start(config.clone())?;
    for address in tracker.addresses() {
        stdout.line(format!("listening on udp://{address}\n").into_bytes());
    }
    wait(&config, &tracker, &mut signals)?;
    let (stored, nodes) = (stored(&tracker), nodes(&tracker));
    let counted = tracker.shutdown()?;
    info!("stopped with {stored}, counted IPv4/IPv6: {counted}{nodes}");
    Ok(())
}

fn stored(tracker: &Tracker) -> String {
    format!("{:?}", [Family::V4, Family::V6].map(|family| tracker.totals(family)))
}

/// When the other nodes of a cluster were heard, if there are any.
fn nodes(tracker: &Tracker) -> String {
    let heard: Vec<_> = tracker.livesync_nodes().iter().map(ToString::to_string).collect();
    if heard.is_empty() { String::new() } else { format!("; nodes heard: {}", heard.join(", ")) }
}

/// Until SIGINT or SIGTERM: reads the lists again on SIGHUP, logs the counters now and then.
fn wait(config: &Config, tracker: &Tracker, signals: &mut Signals) -> Result<(), Box<dyn Error>> {
    let mut poll = Poll::new()?;
    poll.registry().register(signals, Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    let mut logged = Instant::now();
    loop {
        match poll.poll(&mut events, Some(LOOK_AFTER)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for signal in signals.pending() {
            if signal != SIGHUP {
                return Ok(());
            }
            match tracker.reload() {
                Ok(()) => info!("read the lists again"),
                Err(error) => error!("the lists stay as they were: {error}"),
            }
        }
        if !tracker.is_serving() {
            return Err("a worker has stopped, see above".into());
        }
        if config.counters_interval > 0 && logged.elapsed().as_secs() >= config.counters_interval {
            logged = Instant::now();
            let (stored, nodes) = (stored(tracker), nodes(tracker));
            info!("{stored}, counted IPv4/IPv6: {}{nodes}", tracker.counters());
        }
    }
}
