//! Serving, until a signal or a successor ends it.

use std::error::Error;
use std::fmt::Write as _;
use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Interest, Poll, Token};
use signal_hook::consts::SIGHUP;
use signal_hook_mio::v1_0::Signals;
use tracing::{error, info};
use udp_tracker::swarm_store::failed_allocations;
use udp_tracker::{Family, Tracker};

use crate::admin;
use crate::notify::Notifier;
use crate::operations::Operations;
use crate::replace::{Handing, Successor};
use crate::snapshots::Snapshots;

/// Reported when a successor is ready.
pub(super) const WAKE: Token = Token(1);

/// How often to check that all threads are running.
const LOOK_AFTER: Duration = Duration::from_secs(1);

/// Memory that is freed when the system gives no more, so that the end can be in order.
const RESERVE: usize = 4 << 20;

/// A tracker that serves.
pub(super) struct Running {
    pub(super) tracker: Tracker,
    pub(super) page: Option<TcpListener>,
    pub(super) snapshots: Option<Snapshots>,
    pub(super) operations: Arc<Operations>,
    pub(super) notifier: Notifier,
    pub(super) signals: Signals,
    pub(super) poll: Poll,
    pub(super) handing: Option<Handing>,
}

impl Running {
    /// Serves until SIGINT or SIGTERM, or until a tracker has taken over.
    pub(super) fn serve(mut self) -> Result<(), Box<dyn Error>> {
        self.notifier.ready(&listening(&self.tracker));
        let sockets = self.tracker.sockets();
        let kept: Vec<_> = sockets.iter().map(AsFd::as_fd).chain(self.page.iter().map(AsFd::as_fd)).collect();
        self.notifier.store_sockets(&kept);
        let waited = self.wait();
        let is_replaced = matches!(waited, Ok(Some(_)));
        match &waited {
            Ok(Some(successor)) => self.notifier.replaced_by(successor.pid()),
            _ => self.notifier.stopping(),
        }
        // A successor waits for the end of the connection before it reports to the service manager, which then knows it.
        let waited = waited.map(drop);
        let ended = self.tracker.shutdown();
        // Also after an error: what is stored is as good as before.
        match self.snapshots {
            Some(snapshots) if is_replaced => snapshots.leave(),
            Some(snapshots) => snapshots.end(),
            None => {}
        }
        info!("stopped; {}", report(&self.tracker));
        waited?;
        Ok(ended?)
    }

    /// Waits for SIGINT or SIGTERM, or for a tracker that takes over, which is returned. Reads the configuration again on
    /// SIGHUP, and logs the counters regularly.
    fn wait(&mut self) -> Result<Option<Successor>, Box<dyn Error>> {
        let look_after =
            self.notifier.watchdog_interval().map_or(LOOK_AFTER, |interval| interval.min(LOOK_AFTER));
        self.poll.registry().register(&mut self.signals, Token(0), Interest::READABLE)?;
        let mut events = Events::with_capacity(2);
        let mut logged = Instant::now();
        let reserve = std::hint::black_box(Vec::<u8>::with_capacity(RESERVE));
        loop {
            match self.poll.poll(&mut events, Some(look_after)) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            if let Some(handing) = &self.handing
                && let Some(successor) = handing.finish(&mut self.tracker)?
            {
                return Ok(Some(successor));
            }
            let signals: Vec<_> = self.signals.pending().collect();
            for signal in signals {
                if signal != SIGHUP {
                    return Ok(None);
                }
                self.reload();
            }
            if failed_allocations() > 0 {
                drop(reserve);
                return Err(out_of_memory(&self.tracker).into());
            }
            if !self.tracker.is_serving() {
                return Err("a thread has stopped, see the log".into());
            }
            if admin::is_healthy(&self.tracker.monitor().workers()) {
                self.notifier.alive();
            }
            let counters_interval = self.operations.counters_interval();
            if counters_interval > 0 && logged.elapsed().as_secs() >= counters_interval {
                logged = Instant::now();
                info!("{}", report(&self.tracker));
            }
        }
    }

    fn reload(&mut self) {
        self.notifier.reloading();
        let state = match self.operations.reload() {
            Ok(_) => listening(&self.tracker),
            Err(error) => {
                error!("nothing has changed: {error}");
                format!("{}; the last reload has changed nothing: {error}", listening(&self.tracker))
            }
        };
        self.notifier.ready(&state);
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
