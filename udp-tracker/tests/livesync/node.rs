//! A node of a cluster and its clients, without a network.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use udp_tracker::{Handler, Key, Livesync, LivesyncCount, LivesyncSettings, Service, Settings};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Dialect, Event,
    InfoHash, Options, PeerId, ScrapeEntry, ScrapeRequest, ScrapeResponse, TransactionId, compact,
};

/// Any moment.
pub(crate) const NOW: Duration = Duration::from_secs(1_800_000_000);

/// What a client announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerStatus {
    Leecher,
    Seeder,
    Completed,
    Stopped,
}

/// A tracker's handler and its part in the cluster.
pub(crate) struct Node {
    pub(crate) service: Arc<Service>,
    pub(crate) handler: Handler,
    pub(crate) livesync: Livesync,
    pub(crate) address: SocketAddr,
}

impl Node {
    /// The node 10.0.0.`at`, with changed settings. It accepts packets of 10.0.0.1 to 10.0.0.4.
    pub(crate) fn new(at: u8, change: impl FnOnce(&mut Settings, &mut LivesyncSettings)) -> Self {
        let mut settings = Settings::default();
        (settings.max_peers, settings.max_reply_bytes) = (10_000, 65_507);
        let address = |at| [10, 0, 0, at].into();
        let mut livesync = LivesyncSettings::new(address(at), (1..=4).map(address).collect());
        change(&mut settings, &mut livesync);
        let service = Arc::new(Service::new(settings).unwrap());
        let (livesync, publisher) = Livesync::new(Arc::clone(&service), &livesync, NOW).unwrap();
        let handler = Handler::new(Arc::clone(&service)).with_publisher(publisher);
        Self { service, handler, livesync, address: ([10, 0, 0, at], 9696).into() }
    }

    /// The same with default settings.
    pub(crate) fn plain(at: u8) -> Self {
        Self::new(at, |_, _| ())
    }

    pub(crate) fn ask(&mut self, now: Duration, client: SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut reply = vec![0; 65_507];
        let len = self.handler.handle(now.as_secs(), client, request, &mut reply);
        reply.truncate(len);
        reply
    }

    pub(crate) fn connect(&mut self, now: Duration, client: SocketAddr) -> ConnectionId {
        ConnectResponse::decode(&self.ask(now, client, &connect())).unwrap().connection_id
    }

    /// A client announces. Returns the peers in the reply.
    pub(crate) fn announce(
        &mut self,
        now: Duration,
        client: SocketAddr,
        torrent: InfoHash,
        status: PeerStatus,
    ) -> BTreeSet<SocketAddr> {
        let request = announce(self.connect(now, client), torrent, client.port(), status);
        peers(client, &self.ask(now, client, &request))
    }

    /// The counts of a torrent's peers of the client's family.
    pub(crate) fn scrape(&mut self, now: Duration, client: SocketAddr, torrent: InfoHash) -> ScrapeEntry {
        let request = scrape(self.connect(now, client), torrent);
        ScrapeResponse::decode(&self.ask(now, client, &request), 1).unwrap().entries().next().unwrap().1
    }

    pub(crate) fn counted(&self, count: LivesyncCount) -> u64 {
        self.livesync.counters().snapshot().total(count)
    }

    /// All packets that it has to send, full or not.
    pub(crate) fn packets(&mut self, now: Duration) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        for _ in 0..2 {
            while let Some(packet) = self.livesync.poll_transmit(now) {
                packets.push(packet.to_vec());
            }
            self.livesync.flush();
        }
        packets
    }
}

pub(crate) fn connect() -> [u8; 16] {
    let mut datagram = [0; 16];
    ConnectRequest::new(TransactionId(1)).encode(&mut datagram).unwrap();
    datagram
}

pub(crate) fn announce(
    connection_id: ConnectionId,
    info_hash: InfoHash,
    port: u16,
    status: PeerStatus,
) -> [u8; 98] {
    let request = AnnounceRequest {
        dialect: Dialect::Bep15,
        connection_id,
        transaction_id: TransactionId(2),
        info_hash,
        peer_id: PeerId([1; 20]),
        downloaded: 0,
        left: u64::from(status == PeerStatus::Leecher),
        uploaded: 0,
        event: match status {
            PeerStatus::Completed => Event::Completed,
            PeerStatus::Stopped => Event::Stopped,
            PeerStatus::Leecher | PeerStatus::Seeder => Event::None,
        },
        ip: Ipv4Addr::UNSPECIFIED,
        key: 0,
        num_want: 10_000,
        port,
        options: Options::NONE,
    };
    let mut datagram = [0; 98];
    request.encode(&mut datagram).unwrap();
    datagram
}

pub(crate) fn scrape(connection_id: ConnectionId, torrent: InfoHash) -> [u8; 36] {
    let request =
        ScrapeRequest { connection_id, transaction_id: TransactionId(3), info_hashes: &[torrent.0] };
    let mut datagram = [0; 36];
    request.encode(&mut datagram).unwrap();
    datagram
}

/// The peers in a reply to a client.
pub(crate) fn peers(client: SocketAddr, reply: &[u8]) -> BTreeSet<SocketAddr> {
    if client.is_ipv4() {
        let response = AnnounceResponse::<{ compact::V4 }>::decode(reply).unwrap();
        response.peers.iter().map(|peer| compact::to_v4(*peer).into()).collect()
    } else {
        let response = AnnounceResponse::<{ compact::V6 }>::decode(reply).unwrap();
        response.peers.iter().map(|peer| compact::to_v6(*peer).into()).collect()
    }
}

/// A key that nodes share.
pub(crate) fn key() -> Key {
    Key::new([0x5a; 32])
}
