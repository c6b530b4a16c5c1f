//! Messages to the service manager, as systemd's `sd_notify(3)` defines them. Without `$NOTIFY_SOCKET` none are sent.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// How long a message may wait for a service manager that doesn't read.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to the service manager, if there is one.
#[derive(Debug)]
pub(crate) struct Notifier {
    manager: Option<Manager>,
    /// The time between two watchdog messages, and the last of them.
    watchdog: Option<(Duration, Instant)>,
}

#[derive(Debug)]
struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Notifier {
    /// From `$NOTIFY_SOCKET`, `$WATCHDOG_USEC` and `$WATCHDOG_PID`.
    pub(crate) fn from_environment() -> Self {
        let Some(name) = env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) else {
            return Self { manager: None, watchdog: None };
        };
        let manager = Manager::new(&name).inspect_err(|error| {
            warn!("cannot send to the service manager at {}: {error}", name.display());
        });
        let variable = |name| env::var(name).ok();
        let watchdog = watchdog_interval(variable("WATCHDOG_USEC"), variable("WATCHDOG_PID"));
        Self { manager: manager.ok(), watchdog: watchdog.map(|interval| (interval, Instant::now())) }
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
            let notifier = Notifier { manager: Some(Manager::new(&address).unwrap()), watchdog: None };
            notifier.ready("two\nlines");
            let mut message = [0; 100];
            let length = manager.recv(&mut message).unwrap();
            assert_eq!(&message[..length], b"READY=1\nSTATUS=two lines", "{}", address.display());
        }
    }
}
