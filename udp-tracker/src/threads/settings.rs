//! The settings of a tracker's sockets and threads.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::livesync::LivesyncSettings;
use crate::settings::{InvalidValue, in_range};

/// The default port of BitTorrent trackers.
pub const DEFAULT_PORT: u16 = 6969;

/// The settings of a tracker's sockets and threads.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerSettings {
    /// Where to listen; port 0 is any free one. `None`, the default, is all addresses with [`DEFAULT_PORT`], and IPv6
    /// only if the machine has it.
    pub listen: Option<Vec<SocketAddr>>,
    /// Threads that answer; 0, the default, is one for each core.
    pub workers: usize,
    /// Bytes of each socket's receive buffer; 0 leaves it to the system. 4 MiB by default.
    pub receive_buffer_bytes: usize,
    /// Microseconds that datagrams may gather at most before they are answered together; 0 is never. Gathering saves
    /// processor time when more than 10,000 datagrams a second come, and makes each wait for half of the pause on
    /// average. The pause gets shorter the more datagrams come. 200 by default.
    pub gather_microseconds: u32,
    /// Other trackers to share announces with. None by default.
    pub livesync: Option<LivesyncSettings>,
}

impl Default for ServerSettings {
    fn default() -> Self {
        Self {
            listen: None,
            workers: 0,
            receive_buffer_bytes: 4 << 20,
            gather_microseconds: 200,
            livesync: None,
        }
    }
}

impl ServerSettings {
    /// Checks each value except `livesync`, whose own [`check`](LivesyncSettings::check) needs the tracker's settings.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), InvalidValue> {
        let invalid = |field, problem: String| Err(InvalidValue { field, problem });
        if self.listen.as_ref().is_some_and(Vec::is_empty) {
            return invalid("listen", "at least one address expected, such as \"0.0.0.0:6969\"".into());
        }
        let mut fixed: Vec<_> = self.listen.iter().flatten().filter(|address| address.port() != 0).collect();
        fixed.sort_unstable();
        if let Some(twice) = fixed.windows(2).find(|pair| pair[0] == pair[1]) {
            return invalid("listen", format!("{} is listed twice", twice[0]));
        }
        in_range("workers", self.workers, 0, 1024)?;
        // The kernel doubles it, and keeps it in an int.
        in_range("receive_buffer_bytes", self.receive_buffer_bytes, 0, 1 << 30)?;
        // With a longer one, clients on the same network would time out.
        in_range("gather_microseconds", self.gather_microseconds, 0, 100_000)
    }

    /// The number of threads that answer.
    pub(super) fn threads(&self) -> usize {
        match self.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            set => set,
        }
    }

    /// The addresses to listen on.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listen.clone().unwrap_or_else(|| {
            vec![(Ipv4Addr::UNSPECIFIED, DEFAULT_PORT).into(), (Ipv6Addr::UNSPECIFIED, DEFAULT_PORT).into()]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(change: impl FnOnce(&mut ServerSettings)) -> String {
        let mut settings = ServerSettings::default();
        change(&mut settings);
        settings.check().unwrap_err().to_string()
    }

    #[test]
    fn accepts_the_default() {
        assert_eq!(ServerSettings::default().check(), Ok(()));
    }

    #[test]
    fn rejects_invalid_values_with_the_field() {
        let error = refused(|settings| settings.listen = Some(Vec::new()));
        assert!(error.starts_with("listen: at least one address expected"), "{error}");
        let twice = vec![([127, 0, 0, 1], 5).into(); 2];
        let error = refused(|settings| settings.listen = Some(twice));
        assert_eq!(error, "listen: 127.0.0.1:5 is listed twice");
        let error = refused(|settings| settings.workers = 5000);
        assert_eq!(error, "workers: 5000 is out of range: 0 to 1024 expected");
        let error = refused(|settings| settings.receive_buffer_bytes = (1 << 30) + 1);
        assert!(error.starts_with("receive_buffer_bytes: 1073741825 is out of range"), "{error}");
        let error = refused(|settings| settings.gather_microseconds = 100_001);
        assert!(error.starts_with("gather_microseconds: 100001 is out of range"), "{error}");
    }
}
