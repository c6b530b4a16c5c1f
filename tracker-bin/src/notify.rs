//! Messages to the service manager, as systemd's `sd_notify(3)` defines them. Without `$NOTIFY_SOCKET` none are sent.

use std::env;
use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::BorrowedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::{Duration, Instant};

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, sendmsg_addr};
use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// The name of the sockets that the manager keeps.
const STORED: &str = "tracker";

/// How long a message may wait for a service manager that doesn't read.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Notifier {
    manager: Option<Manager>,
    /// The time between two watchdog messages, and the last of them.
    watchdog: Option<(Duration, Instant)>,
    /// Whether the manager keeps open files.
    stores_files: bool,
    variables: String,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

/// What tells a service where its manager is.
const VARIABLES: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "FDSTORE"];

/// The most sockets with one message. The kernel allows 253.
const MOST_FILES: usize = 64;

impl Notifier {
    /// From the environment's `$NOTIFY_SOCKET`, `$WATCHDOG_USEC`, `$WATCHDOG_PID` and `$FDSTORE`; without the first, from
    /// those in the text, as [`variables`](Self::variables) makes it.
    pub(crate) fn new(predecessor: Option<&str>) -> Self {
        let mut variables: Vec<_> = VARIABLES.iter().map(|name| env::var(name).unwrap_or_default()).collect();
        if let Some(text) = predecessor.filter(|_| variables[0].is_empty()) {
            variables = text.lines().map(Into::into).collect();
            variables.resize(VARIABLES.len(), String::new());
            // It means the predecessor.
            variables[2].clear();
        }
        let given = |at: usize| Some(variables[at].clone()).filter(|value| !value.is_empty());
        let Some(name) = given(0) else {
            return Self { manager: None, watchdog: None, stores_files: false, variables: String::new() };
        };
        let manager = Manager::new(OsStr::new(&name)).inspect_err(|error| {
            warn!("cannot send to the service manager at {name}: {error}");
        });
        let watchdog = watchdog_interval(given(1), given(2));
        Self {
            manager: manager.ok(),
            watchdog: watchdog.map(|interval| (interval, Instant::now())),
            stores_files: given(3).is_some_and(|most| most != "0"),
            variables: variables.join("\n"),
        }
    }

    /// For a tracker that takes over: a line for each variable.
    pub(crate) fn variables(&self) -> &str {
        &self.variables
    }

    /// Another process takes over.
    pub(crate) fn replaced_by(&self, pid: i32) {
        self.send(&format!("MAINPID={pid}"));
    }

    /// Gives copies of the sockets to the service manager, instead of those that it has. It passes them to this service's
    /// next process, after a restart or a crash. Meanwhile, datagrams wait in them.
    pub(crate) fn store_sockets(&self, sockets: &[BorrowedFd<'_>]) {
        let Some(Manager { socket, address }) = self.manager.as_ref().filter(|_| self.stores_files) else {
            return;
        };
        self.send(&format!("FDSTOREREMOVE=1\nFDNAME={STORED}"));
        // Without polling, by which systemd would remove a socket that has an error to report.
        let message = format!("FDSTORE=1\nFDNAME={STORED}\nFDPOLL=0");
        for some in sockets.chunks(MOST_FILES) {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_FILES))];
            let mut files = SendAncillaryBuffer::new(&mut space);
            files.push(SendAncillaryMessage::ScmRights(some));
            let bytes = [IoSlice::new(message.as_bytes())];
            if let Err(error) = send_files(socket, address, &bytes, &mut files) {
                warn!("cannot give the sockets to the service manager: {error}");
                return;
            }
        }
    }

    /// It serves, after its start or after a reload. `status` is one line for `systemctl status`.
    pub(crate) fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", status.replace('\n', " ")));
    }

    /// It reads its configuration again. [`ready`](Self::ready) must follow.
    pub(crate) fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        // systemd compares it with the time at which it asked for the reload.
        let microseconds = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    /// It ends.
    pub(crate) fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// The longest time between two calls of [`alive`](Self::alive), if the service manager expects any.
    pub(crate) fn watchdog_interval(&self) -> Option<Duration> {
        self.watchdog.map(|(interval, _)| interval)
    }

    /// All threads are serving, none hangs. Sends a message if it is time for one.
    pub(crate) fn alive(&mut self) {
        let due = self.watchdog.as_mut().filter(|(interval, last)| last.elapsed() >= *interval);
        if let Some((_, last)) = due {
            *last = Instant::now();
            self.send("WATCHDOG=1");
        }
    }

    fn send(&self, message: &str) {
        if let Some(Manager { socket, address }) = &self.manager
            && let Err(error) = socket.send_to_addr(message.as_bytes(), address)
        {
            warn!(
                "cannot send {} to the service manager: {error}",
                message.lines().next().unwrap_or(message)
            );
        }
    }
}

fn send_files(
    socket: &UnixDatagram,
    address: &SocketAddr,
    bytes: &[IoSlice<'_>],
    files: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> rustix::io::Result<usize> {
    let address = match (address.as_pathname(), address.as_abstract_name()) {
        (Some(path), _) => SocketAddrUnix::new(path)?,
        (_, name) => SocketAddrUnix::new_abstract_name(name.unwrap_or_default())?,
    };
    sendmsg_addr(socket, &address, bytes, files, SendFlags::NOSIGNAL)
}

impl Manager {
    /// `name` is a path, or `@` and the name of an abstract socket.
    fn new(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            _ => SocketAddr::from_pathname(name)?,
        };
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { socket, address })
    }
}

/// A third of the service manager's limit. So one message that is late or lost does no harm. `None` if no messages are
/// expected from this process.
fn watchdog_interval(limit: Option<String>, pid: Option<String>) -> Option<Duration> {
    if pid.is_some_and(|pid| pid != process::id().to_string()) {
        return None;
    }
    let limit = limit?.parse::<u64>().ok().filter(|limit| *limit > 0)?;
    Some(Duration::from_micros(limit) / 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sends_watchdog_messages_three_times_within_the_limit() {
        let interval = |limit: &str, pid: Option<String>| watchdog_interval(Some(limit.into()), pid);
        let own = Some(process::id().to_string());
        assert_eq!(interval("30000000", None), Some(Duration::from_secs(10)));
        assert_eq!(interval("30000000", own), Some(Duration::from_secs(10)));
        assert_eq!(interval("30000000", Some("1".into())), None, "meant for another process");
        assert_eq!(watchdog_interval(None, None), None);
        for invalid in ["", "0", "-1", "many"] {
            assert_eq!(interval(invalid, None), None, "{invalid}");
        }
    }

    #[test]
    fn sends_to_paths_and_to_abstract_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        // The temporary directory's name is unique, so the abstract name is, too.
        let name = format!("{}/notify", dir.path().display());
        let abstract_address = SocketAddr::from_abstract_name(name.as_bytes()).unwrap();
        for (manager, address) in [
            (UnixDatagram::bind(&path).unwrap(), path.into_os_string()),
            (UnixDatagram::bind_addr(&abstract_address).unwrap(), format!("@{name}").into()),
        ] {
            manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let notifier = Notifier {
                manager: Some(Manager::new(&address).unwrap()),
                watchdog: None,
                stores_files: false,
                variables: String::new(),
            };
            notifier.ready("two\nlines");
            let mut message = [0; 100];
            let length = manager.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1\nSTATUS=two lines", "{}", address.display());
        }
    }
}
