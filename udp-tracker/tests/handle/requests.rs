//! The client's side of an exchange with a handler, without a network.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use udp_tracker::{Count, Handler, Service, Settings};
use udp_tracker_proto::{
    AnnounceRequest, AnnounceResponse, ConnectRequest, ConnectResponse, ConnectionId, Dialect, ErrorResponse,
    Event, InfoHash, Options, PeerId, ScrapeEntry, ScrapeRequest, ScrapeResponse, TransactionId,
};

/// Any moment.
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const TORRENT: InfoHash = InfoHash([0xe5; 20]);

/// A handler and the time.
pub(crate) struct Tracker {
    pub(crate) handler: Handler,
    pub(crate) now: u64,
}

impl Tracker {
    pub(crate) fn new(settings: Settings) -> Self {
        Self::of(&Arc::new(Service::new(settings).unwrap()))
    }

    pub(crate) fn of(service: &Arc<Service>) -> Self {
        Self { handler: Handler::new(Arc::clone(service)), now: NOW }
    }

    /// The reply to a datagram, empty for none.
    pub(crate) fn ask(&mut self, source: SocketAddr, datagram: &[u8]) -> Vec<u8> {
        let mut reply = vec![0; 65_535];
        let len = self.handler.handle(self.now, source, datagram, &mut reply);
        reply.truncate(len);
        reply
    }

    pub(crate) fn connect(&mut self, source: SocketAddr) -> ConnectionId {
        let mut datagram = [0; 16];
        ConnectRequest::new(TransactionId(1)).encode(&mut datagram).unwrap();
        ConnectResponse::decode(&self.ask(source, &datagram)).unwrap().connection_id
    }

    /// Connects and announces.
    pub(crate) fn announce(&mut self, source: SocketAddr, request: AnnounceRequest<'_>) -> Vec<u8> {
        let connection_id = self.connect(source);
        self.ask(source, &encoded(&AnnounceRequest { connection_id, ..request }))
    }

    /// Connects and scrapes.
    pub(crate) fn scrape(&mut self, source: SocketAddr, torrents: &[InfoHash]) -> Vec<ScrapeEntry> {
        let request = scrape(self.connect(source), torrents);
        let reply = self.ask(source, &request);
        ScrapeResponse::decode(&reply, torrents.len()).unwrap().entries().map(|(_, entry)| entry).collect()
    }

    pub(crate) fn counted(&self, count: Count) -> u64 {
        self.handler.counters().snapshot().total(count)
    }
}

/// A leecher's announce that lacks only the connection_id.
pub(crate) fn leecher(port: u16) -> AnnounceRequest<'static> {
    AnnounceRequest {
        dialect: Dialect::Bep15,
        connection_id: ConnectionId(0),
        transaction_id: TransactionId(0x0102_0304),
        info_hash: TORRENT,
        peer_id: PeerId(*b"-XX0001-abcdefghijkl"),
        downloaded: 0,
        left: 1,
        uploaded: 0,
        event: Event::Started,
        ip: Ipv4Addr::UNSPECIFIED,
        key: 7,
        num_want: -1,
        port,
        options: Options::NONE,
    }
}

pub(crate) fn seeder(port: u16) -> AnnounceRequest<'static> {
    AnnounceRequest { left: 0, ..leecher(port) }
}

pub(crate) fn encoded(request: &AnnounceRequest<'_>) -> Vec<u8> {
    let mut datagram = vec![0; 98 + request.options.as_bytes().len()];
    let len = request.encode(&mut datagram).unwrap();
    datagram.truncate(len);
    datagram
}

pub(crate) fn scrape(connection_id: ConnectionId, torrents: &[InfoHash]) -> Vec<u8> {
    let mut datagram = vec![0; 16 + 20 * torrents.len()];
    let hashes = torrents.iter().map(|hash| hash.0);
    ScrapeRequest::encode_hashes(connection_id, TransactionId(9), hashes, &mut datagram).unwrap();
    datagram
}

/// The text of an error reply.
pub(crate) fn error(reply: &[u8]) -> String {
    ErrorResponse::decode(reply).unwrap().text().to_string()
}

/// Interval, leechers, seeders and number of peers of a BEP 15 reply.
pub(crate) fn reported<const N: usize>(reply: &[u8]) -> (u32, u32, u32, usize) {
    let response = AnnounceResponse::<N>::decode_as(Dialect::Bep15, reply).unwrap();
    let counts = response.head.counts.unwrap();
    (response.head.interval, counts.leechers, counts.seeders, response.peers.len())
}
