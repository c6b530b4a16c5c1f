//! Asking one tracker, and waiting for its answer.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use udp_tracker_proto::compact::{self, Peers};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, DecodeError,
    ErrorResponse, Host, InfoHash, ResponseHead, ScrapeEntry, ScrapeRequest, ScrapeResponse, TrackerUrl,
    TransactionId, UrlError,
};

/// How long to wait before a request is sent again.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a tracker may take for everything.
const DEADLINE: Duration = Duration::from_secs(15);

/// A socket that talks to one tracker.
#[derive(Debug)]
pub struct Ask {
    socket: UdpSocket,
    tracker: SocketAddr,
    deadline: Instant,
    connection_id: ConnectionId,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AskError {
    /// Not a UDP tracker's URL.
    #[error("{0}")]
    Url(#[from] UrlError),
    /// The host has no address.
    #[error("no such host: {host} ({source})")]
    NoSuchHost {
        /// As the URL names it.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The tracker said no.
    #[error("the tracker refused: {0}")]
    Refused(String),
    /// Nobody answered in time.
    #[error("nobody answers at udp://{0}")]
    Silence(SocketAddr),
    /// Something answered that is no tracker.
    #[error("that was no tracker's reply: {0}")]
    NoTracker(#[from] DecodeError),
    /// The system does not let us ask.
    #[error("cannot ask udp://{tracker}: {source}")]
    System {
        /// Whom.
        tracker: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// What a tracker told a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Announced {
    /// Seconds until the next announce.
    pub interval: u32,
    /// Peers that lack something; not told in the 2004 dialect.
    pub leechers: Option<u32>,
    /// Peers that have everything; not told in the 2004 dialect.
    pub seeders: Option<u32>,
    /// Peers to connect to.
    pub peers: Vec<SocketAddr>,
}

impl Ask {
    /// Resolves a tracker's name and connects to it.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn connect(url: &TrackerUrl<'_>) -> Result<Self, AskError> {
        let no_such_host = |source| AskError::NoSuchHost { host: url.host.to_string(), source };
        let addresses: Vec<SocketAddr> = match url.host {
            Host::V4(ip) => vec![(ip, url.port).into()],
            Host::V6(ip) => vec![(ip, url.port).into()],
            Host::Name(name) => (name, url.port).to_socket_addrs().map_err(no_such_host)?.collect(),
        };
        let Some(&tracker) = addresses.first() else {
            return Err(no_such_host(io::Error::other("it has no address")));
        };
        let system = |source| AskError::System { tracker, source };
        let local = if tracker.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        let socket = UdpSocket::bind(local).map_err(system)?;
        // Connected, the socket takes replies from the tracker's address only.
        socket.connect(tracker).map_err(system)?;
        let deadline = Instant::now() + DEADLINE;
        let mut ask = Self { socket, tracker, deadline, connection_id: ConnectionId(0) };
        let transaction_id = TransactionId(rand::random());
        let mut datagram = [0; ConnectRequest::LEN];
        let len = ConnectRequest::new(transaction_id).encode(&mut datagram).unwrap_or(0);
        let mut reply = [0; 2048];
        let reply = ask.exchange(transaction_id, &datagram[..len], &mut reply)?;
        ask.connection_id = ConnectResponse::decode(reply)?.connection_id;
        Ok(ask)
    }

    /// Announces; connection_id and transaction_id are filled in.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn announce(&self, request: &AnnounceRequest<'_>) -> Result<Announced, AskError> {
        let transaction_id = TransactionId(rand::random());
        let request = AnnounceRequest { connection_id: self.connection_id, transaction_id, ..*request };
        let mut datagram = vec![0; AnnounceRequest::LEN + request.options.as_octets().len()];
        let len = request.encode(&mut datagram).unwrap_or(0);
        let mut reply = [0; 65_535];
        let reply = self.exchange(transaction_id, &datagram[..len], &mut reply)?;
        let (head, peers) = if self.tracker.is_ipv4() {
            let response = AnnounceResponse::<{ compact::V4 }>::decode(reply)?;
            (response.head, Peers::V4(response.peers))
        } else {
            let response = AnnounceResponse::<{ compact::V6 }>::decode(reply)?;
            (response.head, Peers::V6(response.peers))
        };
        Ok(Announced {
            interval: head.interval,
            leechers: head.counts.map(|counts| counts.leechers),
            seeders: head.counts.map(|counts| counts.seeders),
            peers: peers.iter().collect(),
        })
    }

    /// Asks for the counts of up to 74 torrents.
    ///
    /// # Errors
    /// See [`AskError`].
    pub fn scrape(&self, torrents: &[InfoHash]) -> Result<Vec<ScrapeEntry>, AskError> {
        let transaction_id = TransactionId(rand::random());
        let mut datagram = vec![0; ScrapeRequest::HEAD_LEN + 20 * torrents.len()];
        let hashes = torrents.iter().map(|hash| hash.0);
        let len = ScrapeRequest::encode_hashes(self.connection_id, transaction_id, hashes, &mut datagram);
        let mut reply = [0; 65_535];
        let reply = self.exchange(transaction_id, &datagram[..len.unwrap_or(0)], &mut reply)?;
        let response = ScrapeResponse::decode(reply, torrents.len())?;
        Ok(response.entries().map(|(_, entry)| entry).collect())
    }

    /// Sends a request, again and again, until its reply comes.
    fn exchange<'a>(
        &self,
        transaction_id: TransactionId,
        request: &[u8],
        reply: &'a mut [u8],
    ) -> Result<&'a [u8], AskError> {
        let system = |source| AskError::System { tracker: self.tracker, source };
        loop {
            self.socket.send(request).map_err(system)?;
            let resend = Instant::now() + PATIENCE;
            loop {
                let now = Instant::now();
                let left = resend.min(self.deadline).saturating_duration_since(now);
                if left.is_zero() {
                    break;
                }
                self.socket.set_read_timeout(Some(left)).map_err(system)?;
                let len = match self.socket.recv(reply) {
                    Ok(len) => len,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => return Err(system(error)),
                };
                let head = ResponseHead::decode(&reply[..len])?;
                if head.transaction_id != transaction_id {
                    continue;
                }
                if let Ok(refusal) = ErrorResponse::decode(&reply[..len]) {
                    return Err(AskError::Refused(refusal.text().to_string()));
                }
                return Ok(&reply[..len]);
            }
            if Instant::now() >= self.deadline {
                return Err(AskError::Silence(self.tracker));
            }
        }
    }
}
