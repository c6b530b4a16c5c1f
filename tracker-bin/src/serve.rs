//! Serving, from the first socket to the signal that ends it.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info, warn};
use udp_tracker::swarm_store::failed_allocations;
use udp_tracker::{Family, Service, Tracker};

use crate::access::AccessFiles;
use crate::admin::{self, Token};
use crate::command::Serve;
use crate::config::Config;
use crate::connection_key::RotatingKeys;
use crate::log;
use crate::memory;
use crate::notify::Notifier;
use crate::operations::Operations;
use crate::output::Output;

/// How often to check that all threads are running.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Memory that is freed when the system gives no more, so that the end can be in order.
const RESERVE: usize = 4 << 20;

/// How long the program waits for its last lines to be written before it ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Serves until SIGINT or SIGTERM. Returns the exit code.
pub(crate) fn serve(arguments: Serve) -> ExitCode {
    let outputs = Output::start("stdout", io::stdout())
        .and_then(|stdout| Ok((stdout, Output::start("stderr", io::stderr())?)));
    let (stdout, stderr) = match outputs {
        Ok(outputs) => outputs,
        Err(error) => {
            let _ = writeln!(io::stderr(), "tracker-bin: cannot start a thread for its output: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = match run(arguments, &stdout, &stderr) {
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

/// Panic messages go the way of the log: the default hook would write to standard error itself, which may block.
fn report_panics(stderr: &Output) {
    let stderr = stderr.clone();
    panic::set_hook(Box::new(move |what| {
        stderr.line(format!("{what}\n").into_bytes());
        stderr.flush(FLUSH_PATIENCE);
    }));
}

fn run(arguments: Serve, stdout: &Output, stderr: &Output) -> Result<(), Box<dyn Error>> {
    report_panics(stderr);
    let config = arguments.configuration()?;
    log::start(config.log_format, stderr);
    for warning in &config.warnings {
        warn!("configuration: {warning}");
    }
    // Before the workers start, so that every signal is handled.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let token = config.admin.token()?;
    let page = match config.admin.listen.map(admin::listen).transpose() {
        Err(error) if config.admin.is_set => return Err(error.into()),
        // That another program has the default address is no error of the configuration: it may be a second tracker's.
        page => page,
    };
    let mut access = AccessFiles::new(config.access.clone());
    let service = config.service(access.load()?)?;
    keep_connection_keys(&config, &service)?;
    let mut tracker = Tracker::start(service, &config.server()?)?;
    log_ceiling(&config, &tracker);
    for address in tracker.addresses() {
        stdout.line(format!("listening on udp://{address}\n").into_bytes());
    }
    let operations = Arc::new(Operations::new(arguments, config, access, Arc::clone(tracker.service())));
    if let Err(error) = &page {
        warn!("no status page and no metrics: {error}");
    }
    if let Ok(Some(page)) = page {
        let address = page.local_addr()?;
        admin::serve(
            page,
            tracker.monitor().clone(),
            Arc::clone(&operations),
            token.as_deref().map(Token::new),
        )?;
        stdout.line(format!("status page http://{address}/\n").into_bytes());
    }
    let mut notifier = Notifier::from_environment();
    notifier.ready(&listening(&tracker));
    let ended = wait(&operations, &tracker, &mut signals, &mut notifier);
    notifier.stopping();
    let shut_down = tracker.shutdown();
    info!("stopped; {}", report(&tracker));
    ended?;
    Ok(shut_down?)
}

fn log_ceiling(config: &Config, tracker: &Tracker) {
    match (tracker.service().settings().max_store_bytes, memory::allowed()) {
        (0, _) => warn!("the store has no ceiling: set max_store_bytes"),
        (ceiling, Some(memory::Allowed { bytes, by })) if config.max_store_bytes().is_none() => {
            info!("the store takes at most {ceiling} bytes: {by} {bytes}");
        }
        (ceiling, _) => info!("the store takes at most {ceiling} bytes"),
    }
}

/// Takes the connection keys in `state_dir`, unless the configuration names a file with keys.
fn keep_connection_keys(config: &Config, service: &Arc<Service>) -> Result<(), Box<dyn Error>> {
    let Some(dir) = config.state_dir.as_deref().filter(|_| !config.has_connection_key()) else {
        return Ok(());
    };
    let (rotating, keys) = RotatingKeys::open(dir, config.settings.connection_id_lifetime)?;
    service.set_connection_keys(&keys);
    rotating.keep(keys, Arc::clone(service))?;
    Ok(())
}

/// Waits for SIGINT or SIGTERM. Reads the configuration again on SIGHUP, and logs the counters regularly.
fn wait(
    operations: &Operations,
    tracker: &Tracker,
    signals: &mut Signals,
    notifier: &mut Notifier,
) -> Result<(), Box<dyn Error>> {
    let look_after = notifier.watchdog_interval().map_or(LOOK_AFTER, |interval| interval.min(LOOK_AFTER));
    let mut poll = Poll::new()?;
    poll.registry().register(signals, mio::Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(1);
    let mut logged = Instant::now();
    let reserve = std::hint::black_box(Vec::<u8>::with_capacity(RESERVE));
    loop {
        match poll.poll(&mut events, Some(look_after)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        for signal in signals.pending() {
            if signal != SIGHUP {
                return Ok(());
            }
            notifier.reloading();
            match operations.reload() {
                Ok(_) => notifier.ready(&listening(tracker)),
                Err(error) => {
                    error!("nothing has changed: {error}");
                    notifier.ready(&format!(
                        "{}; the last reload has changed nothing: {error}",
                        listening(tracker)
                    ));
                }
            }
        }
        if failed_allocations() > 0 {
            drop(reserve);
            return Err(out_of_memory(tracker).into());
        }
        if !tracker.is_serving() {
            return Err("a thread has stopped, see the log".into());
        }
        if admin::is_healthy(&tracker.monitor().workers()) {
            notifier.alive();
        }
        let counters_interval = operations.counters_interval();
        if counters_interval > 0 && logged.elapsed().as_secs() >= counters_interval {
            logged = Instant::now();
            info!("{}", report(tracker));
        }
    }
}

/// Why the program ends, and what helps.
fn out_of_memory(tracker: &Tracker) -> String {
    let stores = tracker.service().stores();
    let bytes: usize = Family::ALL.map(|family| stores.totals(family).bytes).iter().sum();
    let ceiling = match tracker.service().settings().max_store_bytes {
        0 => "without a ceiling".into(),
        bytes => format!("its ceiling is {bytes}"),
    };
    format!(
        "out of memory: the system gives no more to the store, which has {bytes} bytes ({ceiling}); set max_store_bytes \
         to less than that, or raise the process's limit (ulimit -v)"
    )
}

/// One line for the service manager.
fn listening(tracker: &Tracker) -> String {
    let addresses: Vec<_> = tracker.addresses().iter().map(|address| format!("udp://{address}")).collect();
    format!("listening on {}", addresses.join(", "))
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
