//! Serving, from the first socket to the signal that ends it.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::panic;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info, warn};
use udp_tracker::swarm_store::failed_allocations;
use udp_tracker::{ConnectionKeys, Family, Service, Sockets, StateDir, Tracker};

use crate::access::AccessFiles;
use crate::admin::{self, AdminError, Token};
use crate::command::Serve;
use crate::config::Config;
use crate::connection_key::{KeyFileError, RotatingKeys};
use crate::log;
use crate::memory;
use crate::notify::Notifier;
use crate::operations::Operations;
use crate::output::{Output, Unwritten};
use crate::replace::{Control, Handing, Inherited, Successor, Taking};
use crate::sandbox;
use crate::snapshots::{SnapshotMonitor, Snapshots, Source};

/// How often to check that all threads are running.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Memory that is freed when the system gives no more, so that the end can be in order.
const RESERVE: usize = 4 << 20;

/// How long the program waits for its last lines to be written before it ends.
const FLUSH_PATIENCE: Duration = Duration::from_secs(1);

/// Standard output and standard error.
struct Streams {
    stdout: Output,
    stderr: Output,
    /// Until their threads are started.
    unwritten: Option<(Unwritten, Unwritten)>,
}

impl Streams {
    fn new() -> Self {
        let ((stdout, out), (stderr, err)) = (Output::queue(), Output::queue());
        Self { stdout, stderr, unwritten: Some((out, err)) }
    }

    /// Starts to write, in threads of their own.
    fn write(&mut self) -> io::Result<()> {
        let Some((stdout, stderr)) = self.unwritten.take() else { return Ok(()) };
        stdout.write_to("stdout", io::stdout())?;
        stderr.write_to("stderr", io::stderr())
    }
}

/// What was queued is written, also after an error or a panic at the start.
impl Drop for Streams {
    fn drop(&mut self) {
        if let Err(error) = self.write() {
            let _ = writeln!(io::stderr(), "tracker-bin: cannot start a thread for its output: {error}");
        }
        self.stdout.flush(FLUSH_PATIENCE);
        self.stderr.flush(FLUSH_PATIENCE);
    }
}

/// Serves until SIGINT or SIGTERM. Returns the exit code.
pub(crate) fn serve(arguments: Serve) -> ExitCode {
    let mut streams = Streams::new();
    match run(arguments, &mut streams) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            streams.stderr.line(format!("tracker-bin: {error}\n").into_bytes());
            ExitCode::FAILURE
        }
    }
}

/// Panic messages go the way of the log: the default hook would write to standard error itself, which may block.
fn report_panics(stderr: &Output) {
    let stderr = stderr.clone();
    panic::set_hook(Box::new(move |what| {
        stderr.line(format!("{what}\n").into_bytes());
        stderr.flush(FLUSH_PATIENCE);
    }));
}

fn run(arguments: Serve, streams: &mut Streams) -> Result<(), Box<dyn Error>> {
    report_panics(&streams.stderr);
    let config = arguments.configuration()?;
    log::start(config.log_format, &streams.stderr);
    for warning in &config.warnings {
        warn!("configuration: {warning}");
    }
    // Before the workers start, so that every signal is handled.
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    let token = config.admin.token()?;
    let mut access = AccessFiles::new(config.access.clone());
    let service = config.service(access.load()?)?;
    let server = config.server()?;
    let (mut taking, mut inherited, mut manager) = (None, Inherited::from_manager(), None);
    if arguments.replace {
        let (running, sockets, variables) =
            Taking::begin(config.state_dir.as_deref(), config.user.as_deref())?;
        (taking, inherited, manager) = (Some(running), inherited.and(sockets), Some(variables));
    }
    let page = match page(&config, &mut inherited) {
        Err(error) if config.admin.is_set => return Err(error.into()),
        // That another program has the default address is no error of the configuration: it may be a second tracker's.
        page => page,
    };
    let sockets = Sockets::open_with(&server, inherited.udp)?;
    let mut notifier = Notifier::new(manager.as_deref());

    // From here on without privileges: what is made in state_dir belongs to the user who serves.
    sandbox::drop_privileges(config.user.as_deref())?;
    let state = match &config.state_dir {
        // The running tracker uses the folder until it has ended.
        Some(path) if arguments.replace => Some(Source::RunningTracker(path.clone())),
        Some(path) => Some(Source::Files(StateDir::open(path)?)),
        None => None,
    };
    let keys = connection_keys(&config, &service)?;
    let control = config.state_dir.as_deref().map(Control::bind);
    if config.sandbox {
        sandbox::enter(&config.folders(arguments.file()));
    }
    // No thread was started before, so all of them are in the sandbox.
    streams.write()?;
    if let Some((rotating, keys)) = keys {
        rotating.keep(keys, Arc::clone(&service))?;
    }
    if let Some(running) = &mut taking {
        running.take_swarms(&service)?;
    }
    let mut tracker = Tracker::serve(service, &server, sockets)?;
    if let Some(running) = taking {
        running.serving()?;
    }
    let interval = config.snapshot_interval;
    let snapshots =
        state.map(|state| Snapshots::start(state, tracker.monitor().clone(), interval)).transpose()?;
    log_ceiling(&config, &tracker);
    let mut lines: String =
        tracker.addresses().iter().map(|address| format!("listening on udp://{address}\n")).collect();
    let operations = Arc::new(Operations::new(arguments, config, access, Arc::clone(tracker.service())));
    if let Err(error) = &page {
        warn!("no status page and no metrics: {error}");
    }
    let page = page.unwrap_or_default();
    let copy = page.as_ref().map(TcpListener::try_clone).transpose()?;
    if let Some(page) = page {
        let address = page.local_addr()?;
        admin::serve(
            page,
            tracker.monitor().clone(),
            Arc::clone(&operations),
            snapshots.as_ref().map(Snapshots::monitor),
            token.as_deref().map(Token::new),
        )?;
        lines += &format!("status page http://{address}/\n");
    }
    let poll = Poll::new()?;
    let seen = snapshots.as_ref().map(Snapshots::monitor);
    let duplicate = copy.as_ref().map(TcpListener::try_clone).transpose()?;
    let handing =
        control.and_then(|control| hand_over(control, &tracker, duplicate, seen, (&notifier, &poll)));
    // From here on it can be replaced.
    streams.stdout.line(lines.into_bytes());
    notifier.ready(&listening(&tracker));
    let all = tracker.sockets();
    let all: Vec<_> = all.iter().map(AsFd::as_fd).chain(copy.iter().map(AsFd::as_fd)).collect();
    notifier.store_sockets(&all);
    let waited = wait(&operations, &mut tracker, (poll, &mut signals), &mut notifier, handing.as_ref());
    let is_replaced = matches!(waited, Ok(Some(_)));
    match &waited {
        Ok(Some(successor)) => notifier.replaced_by(successor.pid()),
        _ => notifier.stopping(),
    }
    // A successor waits for the end of the connection before it reports to the service manager, which then knows it.
    let waited = waited.map(drop);
    let ended = tracker.shutdown();
    // Also after an error: what is stored is as good as before.
    match snapshots {
        Some(snapshots) if is_replaced => snapshots.leave(),
        Some(snapshots) => snapshots.end(),
        None => {}
    }
    info!("stopped; {}", report(&tracker));
    waited?;
    Ok(ended?)
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

/// The listener of the page, if there is to be one.
fn page(config: &Config, inherited: &mut Inherited) -> Result<Option<TcpListener>, AdminError> {
    let Some(address) = config.admin.listen else { return Ok(None) };
    inherited.take_tcp(address).map_or_else(|| admin::listen(address), Ok).map(Some)
}

/// Waits for a tracker that takes over, on a thread of its own. Serving is more important.
fn hand_over(
    control: io::Result<Control>,
    tracker: &Tracker,
    page: Option<TcpListener>,
    snapshots: Option<SnapshotMonitor>,
    (notifier, poll): (&Notifier, &Poll),
) -> Option<Handing> {
    let start = || {
        let waker = Waker::new(poll.registry(), mio::Token(1))?;
        let wake = move || {
            let _ = waker.wake();
        };
        Handing::start(control?, tracker, page, notifier.variables().to_owned(), snapshots, wake)
    };
    let started: io::Result<_> = start();
    started.inspect_err(|error| warn!("no tracker can take over with --replace: {error}")).ok()
}

/// Takes the connection keys in `state_dir`, unless the configuration names a file with keys.
fn connection_keys(
    config: &Config,
    service: &Service,
) -> Result<Option<(RotatingKeys, ConnectionKeys)>, KeyFileError> {
    let Some(dir) = config.state_dir.as_deref().filter(|_| !config.has_connection_key()) else {
        return Ok(None);
    };
    let (rotating, keys) = RotatingKeys::open(dir, config.settings.connection_id_lifetime)?;
    service.set_connection_keys(&keys);
    Ok(Some((rotating, keys)))
}

/// Waits for SIGINT or SIGTERM, or for a tracker that takes over, which is returned. Reads the configuration
/// again on SIGHUP, and logs the counters regularly.
fn wait(
    operations: &Operations,
    tracker: &mut Tracker,
    (mut poll, signals): (Poll, &mut Signals),
    notifier: &mut Notifier,
    handing: Option<&Handing>,
) -> Result<Option<Successor>, Box<dyn Error>> {
    let look_after = notifier.watchdog_interval().map_or(LOOK_AFTER, |interval| interval.min(LOOK_AFTER));
    poll.registry().register(signals, mio::Token(0), Interest::READABLE)?;
    let mut events = Events::with_capacity(2);
    let mut logged = Instant::now();
    let reserve = std::hint::black_box(Vec::<u8>::with_capacity(RESERVE));
    loop {
        match poll.poll(&mut events, Some(look_after)) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
            _ => {}
        }
        if let Some(handing) = handing
            && let Some(successor) = handing.finish(tracker)?
        {
            return Ok(Some(successor));
        }
        for signal in signals.pending() {
            if signal != SIGHUP {
                return Ok(None);
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
