//! The sockets of a tracker: opened, or taken over from another process that had them.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use socket2::Socket;
use tracing::warn;

use super::livesync_sockets::LivesyncSockets;
use super::settings::ServerSettings;
use super::socket::{self, ListenError};
use super::tracker::StartError;

/// The open sockets of a tracker that doesn't serve yet. Datagrams wait in them.
///
/// Between opening them and [`Tracker::serve`](crate::Tracker::serve), a program can give up the privileges that opening
/// needs.
#[derive(Debug)]
pub struct Sockets {
    /// For each address.
    pub(super) listening: Vec<Listening>,
    pub(super) livesync: Option<LivesyncSockets>,
}

/// The sockets of one address, among which the kernel distributes the datagrams.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    pub(super) sockets: Vec<Arc<UdpSocket>>,
    /// More, for workers that would have none. They are bound when the workers start: from then on they get a part of the
    /// datagrams.
    unbound: Vec<Socket>,
}

impl Sockets {
    /// Opens the sockets.
    ///
    /// # Errors
    /// A setting is invalid, or an address is not available.
    pub fn open(settings: &ServerSettings) -> Result<Self, StartError> {
        Self::open_with(settings, Vec::new())
    }

    /// Like [`open`](Self::open), but takes the listening sockets of another process, which got them from
    /// [`Tracker::sockets`](crate::Tracker::sockets). Those of addresses that the settings don't contain are closed.
    ///
    /// An address with port 0 takes those of any port that is not in the settings. If there are more than workers, each
    /// worker gets several, because a datagram that waits in a socket is lost when it is closed.
    ///
    /// # Errors
    /// As for that.
    pub fn open_with(settings: &ServerSettings, inherited: Vec<UdpSocket>) -> Result<Self, StartError> {
        settings.check()?;
        let listening = listen_everywhere(settings, inherited)?;
        let livesync = settings.livesync.as_ref().map(LivesyncSockets::open).transpose()?;
        Ok(Self { listening, livesync })
    }

    /// The addresses. Port 0 is replaced by the real port.
    #[must_use]
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.listening.iter().map(|listening| listening.address).collect()
    }

    /// The listening sockets, for another process.
    pub fn listening(&self) -> impl Iterator<Item = &UdpSocket> {
        self.listening.iter().flat_map(|listening| listening.sockets.iter().map(|socket| &**socket))
    }
}

impl Listening {
    /// With `inherited` sockets, of which there is at least one.
    fn inherit(
        address: SocketAddr,
        inherited: Vec<UdpSocket>,
        settings: &ServerSettings,
    ) -> Result<Self, ListenError> {
        for socket in &inherited {
            socket::prepare(&socket.into(), address, settings.receive_buffer_bytes)
                .map_err(|error| ListenError::new(address, error))?;
        }
        let missing = settings.threads().saturating_sub(inherited.len());
        let open = |_| socket::open_unbound(address, settings.receive_buffer_bytes);
        let unbound = (0..missing).map(open).collect::<Result<_, _>>()?;
        Ok(Self { address, sockets: inherited.into_iter().map(Arc::new).collect(), unbound })
    }

    /// Binds what is not bound yet. A failure leaves fewer sockets, which serve all the same.
    pub(super) fn bind_all(&mut self) {
        for socket in self.unbound.drain(..) {
            match socket.bind(&self.address.into()) {
                Ok(()) => self.sockets.push(Arc::new(socket.into())),
                Err(error) => warn!(
                    "udp://{}: {} sockets for more workers, because no other can be opened beside those that were taken \
                     over: {error}; restart the tracker to have one for each",
                    self.address,
                    self.sockets.len()
                ),
            }
        }
    }

    /// The sockets of worker `at` of `workers`.
    pub(super) fn of_worker(&self, at: usize, workers: usize) -> impl Iterator<Item = Arc<UdpSocket>> {
        self.sockets.iter().skip(at).step_by(workers).cloned()
    }
}

fn listen_everywhere(
    settings: &ServerSettings,
    inherited: Vec<UdpSocket>,
) -> Result<Vec<Listening>, ListenError> {
    let addresses = settings.addresses();
    let mut inherited: Vec<_> =
        inherited.into_iter().filter_map(|socket| Some((socket.local_addr().ok()?, socket))).collect();
    let mut all = Vec::new();
    for address in &addresses {
        let matches = |bound: &SocketAddr| {
            bound == address
                || address.port() == 0 && bound.ip() == address.ip() && !addresses.contains(bound)
        };
        // All of one port: that of the first that matches.
        let port = inherited.iter().map(|(bound, _)| bound).find(|bound| matches(bound)).copied();
        let own: Vec<_> = inherited.extract_if(.., |(bound, _)| Some(*bound) == port).collect();
        if let Some(bound) = port {
            let own = own.into_iter().map(|(_, socket)| socket).collect();
            all.push(Listening::inherit(bound, own, settings)?);
            continue;
        }
        match socket::listen(*address, settings.threads(), settings.receive_buffer_bytes) {
            Ok(siblings) => all.push(Listening {
                address: siblings[0].local_addr().unwrap_or(*address),
                sockets: siblings.into_iter().map(Arc::new).collect(),
                unbound: Vec::new(),
            }),
            // IPv6 was not configured explicitly.
            Err(error) if settings.listen.is_none() && address.is_ipv6() && error.is_missing_family() => {
                warn!("no IPv6 on this machine, serving IPv4 only ({})", error.source);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(workers: usize, listen: &[SocketAddr]) -> ServerSettings {
        let mut settings = ServerSettings::default();
        (settings.workers, settings.listen) = (workers, Some(listen.to_vec()));
        settings
    }

    /// Copies of all sockets, as another process gets them.
    fn hand_over(sockets: &Sockets) -> Vec<UdpSocket> {
        sockets.listening().map(|socket| socket.try_clone().unwrap()).collect()
    }

    #[test]
    fn takes_the_sockets_of_its_addresses_and_closes_others() {
        let any = "127.0.0.1:0".parse().unwrap();
        let old = Sockets::open(&settings(2, &[any, any])).unwrap();
        let [first, second] = old.addresses()[..] else { panic!("two addresses") };
        let inherited = hand_over(&old);
        drop(old);
        let new = Sockets::open_with(&settings(2, &[second]), inherited).unwrap();
        assert_eq!((new.addresses(), new.listening().count()), (vec![second], 2));
        // The other address is free again.
        UdpSocket::bind(first).unwrap();
        UdpSocket::bind(second).unwrap_err();
        let same = Sockets::open_with(&settings(2, &[any]), hand_over(&new)).unwrap();
        assert_eq!(same.addresses(), [second], "any port is also this one");
    }

    #[test]
    fn all_datagrams_that_wait_are_read_by_fewer_workers_and_by_more() {
        let any = "127.0.0.1:0".parse().unwrap();
        for (before, after) in [(4, 1), (3, 2), (2, 2), (1, 3)] {
            let old = Sockets::open(&settings(before, &[any])).unwrap();
            let address = old.addresses()[0];
            let clients: Vec<_> = (0..40).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
            clients.iter().for_each(|client| assert_eq!(client.send_to(b"?", address).unwrap(), 1));
            let mut new = Sockets::open_with(&settings(after, &[address]), hand_over(&old)).unwrap();
            drop(old);
            clients.iter().for_each(|client| assert_eq!(client.send_to(b"!", address).unwrap(), 1));
            new.listening[0].bind_all();
            clients.iter().for_each(|client| assert_eq!(client.send_to(b".", address).unwrap(), 1));
            let mut received = 0;
            for at in 0..after {
                let own: Vec<_> = new.listening[0].of_worker(at, after).collect();
                assert!(!own.is_empty(), "worker {at} of {after} after {before}");
                for socket in own {
                    while socket.recv(&mut [0; 9]).is_ok() {
                        received += 1;
                    }
                }
            }
            assert_eq!(received, 3 * clients.len(), "{before} to {after} workers");
        }
    }
}
