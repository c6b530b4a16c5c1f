//! Serving, from the first socket to the signal that ends it.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::panic;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use udp_tracker::{Family, Tracker};

use crate::access::{AccessFiles, summary};
use crate::command::Serve;
use crate::config::Config;
use crate::output::Output;

/// How often to check that all threads are running.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// How long the program waits for its last lines to be written before it ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM. Returns the exit code.
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

/// Sends log lines and panic messages to `stderr` without waiting for it.
fn start_log(stderr: &Output) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = io::stderr().is_terminal();
    let writer = stderr.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(colours)
        // The default hook would write to standard error itself.
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
    for warning in &config.warnings {
        warn!("configuration: {warning}");
    }
    // Before the workers start, so that every signal is handled.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let mut access = AccessFiles::new(config.access.clone());
    let mut tracker = Tracker::start(config.service(access.load()?)?, &config.server()?)?;
    for address in tracker.addresses() {
        stdout.line(format!("listening on udp://{address}\n").into_bytes());
    }
    wait(&config, &mut access, &tracker, &mut signals)?;
    tracker.shutdown()?;
    info!("stopped; {}", report(&tracker));
    Ok(())
}

/// Waits for SIGINT or SIGTERM. Reads the access lists again on SIGHUP, and logs the counters regularly.
fn wait(
    config: &Config,
    access: &mut AccessFiles,
    tracker: &Tracker,
    signals: &mut Signals,
) -> Result<(), Box<dyn Error>> {
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
            match access.load() {
                Ok(rules) => {
                    let summary = summary(&rules);
                    tracker.service().set_access(rules);
                    info!("read the access list again: {summary}");
                }
                Err(error) => error!("the access list is unchanged: {error}"),
            }
        }
        if !tracker.is_serving() {
            return Err("a thread has stopped, see the log".into());
        }
        if config.counters_interval > 0 && logged.elapsed().as_secs() >= config.counters_interval {
            logged = Instant::now();
            info!("{}", report(tracker));
        }
    }
}

/// One line with the totals of the store, the counters, and when each other node of a cluster sent its last packet.
fn report(tracker: &Tracker) -> String {
    let stored = Family::ALL.map(|family| tracker.service().stores().totals(family));
    let mut line = format!(
        "stored, IPv4/IPv6: torrents={}/{} peers={}/{}; counted, IPv4/IPv6: {}",
        stored[0].torrents,
        stored[1].torrents,
        stored[0].peers,
        stored[1].peers,
        tracker.service().counters()
    );
    let nodes: Vec<_> = tracker.livesync_nodes().iter().map(ToString::to_string).collect();
    if !nodes.is_empty() {
        let _ = write!(line, " {}; last packets: {}", tracker.livesync_counters(), nodes.join(", "));
    }
    line
}
