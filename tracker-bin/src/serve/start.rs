//! Starting, in the order that privileges and other trackers demand.

use std::error::Error;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;

use mio::{Poll, Waker};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use tracing::{info, warn};
use udp_tracker::{ConnectionKeys, ServerSettings, Service, Sockets, StateDir, Tracker};

use super::running::{Running, WAKE};
use crate::access::AccessFiles;
use crate::admin::{self, AdminError, Token};
use crate::command::Serve;
use crate::config::Config;
use crate::connection_key::{KeyFileError, RotatingKeys};
use crate::memory;
use crate::notify::Notifier;
use crate::operations::Operations;
use crate::replace::{Control, Handing, Inherited, Taking};
use crate::sandbox;
use crate::snapshots::{Snapshots, Source};

/// The sockets are open, and the secret files are read.
pub(super) struct Opened {
    arguments: Serve,
    config: Config,
    signals: Signals,
    token: Option<String>,
    access: AccessFiles,
    service: Arc<Service>,
    server: ServerSettings,
    sockets: Sockets,
    page: Result<Option<TcpListener>, AdminError>,
    notifier: Notifier,
    /// The running tracker that is to be replaced.
    taking: Option<Taking>,
}

/// The process is in the sandbox. There is no other thread yet.
pub(super) struct Confined {
    opened: Opened,
    state: Option<Source>,
    keys: Option<(RotatingKeys, ConnectionKeys)>,
    control: Option<io::Result<Control>>,
}

impl Opened {
    /// Opens and reads everything that may need privileges.
    pub(super) fn open(arguments: Serve, config: Config) -> Result<Self, Box<dyn Error>> {
        // Before the workers start, so that every signal is handled.
        let signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
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
            // That another program has the default address is no error of the configuration: it may be a second
            // tracker's.
            page => page,
        };
        let sockets = Sockets::open_with(&server, inherited.udp)?;
        let notifier = Notifier::new(manager.as_deref());
        Ok(Self {
            arguments,
            config,
            signals,
            token,
            access,
            service,
            server,
            sockets,
            page,
            notifier,
            taking,
        })
    }

    /// Gives up privileges, and enters the sandbox. What is made in `state_dir` belongs to the user who serves.
    pub(super) fn confine(self) -> Result<Confined, Box<dyn Error>> {
        let Self { arguments, config, service, .. } = &self;
        sandbox::drop_privileges(config.user.as_deref())?;
        let state = match &config.state_dir {
            // The running tracker uses the folder until it has ended.
            Some(path) if arguments.replace => Some(Source::RunningTracker(path.clone())),
            Some(path) => Some(Source::Files(StateDir::open(path)?)),
            None => None,
        };
        let keys = connection_keys(config, service)?;
        let control = config.state_dir.as_deref().map(Control::bind);
        if config.sandbox {
            sandbox::enter(&config.folders(arguments.file()));
        }
        Ok(Confined { opened: self, state, keys, control })
    }
}

impl Confined {
    /// Starts all threads. Returns also the lines that say where it can be reached. From then on it can be replaced.
    pub(super) fn start(self) -> Result<(Running, String), Box<dyn Error>> {
        let Self { opened, state, keys, control } = self;
        let Opened { arguments, config, signals, token, access, service, server, sockets, page, .. } = opened;
        let Opened { notifier, mut taking, .. } = opened;
        if let Some((rotating, keys)) = keys {
            rotating.keep(keys, Arc::clone(&service))?;
        }
        if let Some(running) = &mut taking {
            running.take_swarms(&service)?;
        }
        let tracker = Tracker::serve(service, &server, sockets)?;
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
        if let Some(page) = &page {
            lines += &format!("status page http://{}/\n", page.local_addr()?);
            admin::serve(
                page.try_clone()?,
                tracker.monitor().clone(),
                Arc::clone(&operations),
                snapshots.as_ref().map(Snapshots::monitor),
                token.as_deref().map(Token::new),
            )?;
        }
        let poll = Poll::new()?;
        let handing = control.map(|control| {
            let waker = Waker::new(poll.registry(), WAKE)?;
            let wake = move || {
                let _ = waker.wake();
            };
            let page = page.as_ref().map(TcpListener::try_clone).transpose()?;
            let snapshots = snapshots.as_ref().map(Snapshots::monitor);
            Handing::start(control?, &tracker, page, notifier.variables().to_owned(), snapshots, wake)
        });
        // Serving is more important.
        let handing = handing.transpose().unwrap_or_else(|error: io::Error| {
            warn!("no tracker can take over with --replace: {error}");
            None
        });
        Ok((Running { tracker, page, snapshots, operations, notifier, signals, poll, handing }, lines))
    }
}

/// The listener of the page, if there is to be one.
fn page(config: &Config, inherited: &mut Inherited) -> Result<Option<TcpListener>, AdminError> {
    let Some(address) = config.admin.listen else { return Ok(None) };
    inherited.take_tcp(address).map_or_else(|| admin::listen(address), Ok).map(Some)
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

fn log_ceiling(config: &Config, tracker: &Tracker) {
    match (tracker.service().settings().max_store_bytes, memory::allowed()) {
        (0, _) => warn!("the store has no ceiling: set max_store_bytes"),
        (ceiling, Some(memory::Allowed { bytes, by })) if config.max_store_bytes().is_none() => {
            info!("the store takes at most {ceiling} bytes: {by} {bytes}");
        }
        (ceiling, _) => info!("the store takes at most {ceiling} bytes"),
    }
}
