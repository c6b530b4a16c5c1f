//! Whether two threads answer twice as many announces as one, in one store: `cargo bench -p udp-tracker --bench
//! scaling`.
//!
//! Every thread announces known peers of its own, in random torrents of the store, as peers do between their first and
//! last announce. Rounds with one and with two threads alternate, and the fastest of each counts, which reduces the
//! effect of other load on the ratio. `SCALING_TORRENTS=1000000` measures one size; the default is 10,000 and 10
//! million.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use udp_tracker::{Count, Family, Handler, Service, Settings};
use udp_tracker_proto::{
    AnnounceRequest, ConnectRequest, ConnectResponse, ConnectionId, Dialect, Event, InfoHash, Options,
    PeerId, TransactionId,
};

const NOW: u64 = 1_800_000_000;
/// Announces of a thread in a round.
const ANNOUNCES: usize = 1_000_000;
/// Announces that are prefetched together, as the worker does with a batch.
const BATCH: usize = 64;
const ROUNDS: usize = 7;
/// The threads' clients. Each has addresses of its own.
const CLIENTS: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(198, 51, 100, 1)];

fn main() {
    let sizes = std::env::var("SCALING_TORRENTS").map_or(vec![10_000, 10_000_000], |text| {
        text.split(',').map(|size| size.parse().expect("a number of torrents")).collect()
    });
    for torrents in sizes {
        let service = filled(torrents);
        let (mut one, mut two) = (0.0f64, 0.0f64);
        for _ in 0..ROUNDS {
            one = one.max(announces_a_second(&service, torrents, 1));
            two = two.max(announces_a_second(&service, torrents, 2));
        }
        println!(
            "{torrents} torrents: one thread {:.2} million announces/s, two {:.2}: {:.2} times",
            one / 1e6,
            two / 1e6,
            two / one
        );
    }
}

/// A tracker in which both threads' clients are peers of all torrents.
fn filled(torrents: u32) -> Arc<Service> {
    let mut settings = Settings::default();
    settings.max_stored_torrents = torrents as usize;
    let service = Arc::new(Service::new(settings).expect("valid settings"));
    let mut client = Client::new(&service, 0);
    for torrent in 0..torrents {
        for ip in CLIENTS {
            client.source.set_ip(ip.into());
            client.connect();
            client.announce(torrent);
        }
    }
    assert_eq!(service.stores().totals(Family::V4).peers, 2 * torrents as usize);
    service
}

/// Of all threads together.
fn announces_a_second(service: &Arc<Service>, torrents: u32, threads: usize) -> f64 {
    let start = Barrier::new(threads);
    let before = service.counters().total(Count::Announces);
    let seconds = thread::scope(|scope| {
        let run = |at| {
            let (start, mut client) = (&start, Client::new(service, at));
            scope.spawn(move || {
                let mut rng = SmallRng::seed_from_u64(at as u64);
                let order: Vec<u32> = (0..ANNOUNCES).map(|_| rng.random_range(0..torrents)).collect();
                client.connect();
                start.wait();
                let began = Instant::now();
                for torrents in order.chunks(BATCH) {
                    client.announce_batch(torrents);
                }
                began.elapsed().as_secs_f64()
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running.into_iter().map(|thread| thread.join().expect("no panic")).fold(0.0, f64::max)
    });
    let announces = service.counters().total(Count::Announces) - before;
    assert_eq!(announces, (threads * ANNOUNCES) as u64);
    announces as f64 / seconds
}

/// A handler and its client.
struct Client {
    handler: Handler,
    source: SocketAddr,
    datagrams: Vec<[u8; 98]>,
    reply: [u8; 1232],
}

impl Client {
    fn new(service: &Arc<Service>, at: usize) -> Self {
        let request = AnnounceRequest {
            dialect: Dialect::Bep15,
            connection_id: ConnectionId(0),
            transaction_id: TransactionId(2),
            info_hash: InfoHash([0; 20]),
            peer_id: PeerId([1; 20]),
            downloaded: 0,
            left: 1,
            uploaded: 0,
            event: Event::None,
            ip: Ipv4Addr::UNSPECIFIED,
            key: 0,
            num_want: 30,
            port: 6881,
            options: Options::NONE,
        };
        let mut datagram = [0; 98];
        request.encode(&mut datagram).expect("98 bytes are enough");
        Self {
            handler: Handler::new(Arc::clone(service)),
            source: (CLIENTS[at], 6881).into(),
            datagrams: vec![datagram; BATCH],
            reply: [0; 1232],
        }
    }

    fn connect(&mut self) {
        let mut connect = [0; 16];
        ConnectRequest::new(TransactionId(1)).encode(&mut connect).expect("16 bytes are enough");
        let len = self.handler.handle(NOW, self.source, &connect, &mut self.reply);
        let id = ConnectResponse::decode(&self.reply[..len]).expect("a connect response").connection_id;
        for datagram in &mut self.datagrams {
            datagram[..8].copy_from_slice(&id.0.to_be_bytes());
        }
    }

    fn announce(&mut self, torrent: u32) {
        self.announce_batch(&[torrent]);
    }

    fn announce_batch(&mut self, torrents: &[u32]) {
        for (datagram, torrent) in self.datagrams.iter_mut().zip(torrents) {
            datagram[16..20].copy_from_slice(&torrent.to_be_bytes());
        }
        let datagrams = &self.datagrams[..torrents.len()];
        self.handler.prefetch(Family::V4, datagrams.iter().map(|datagram| &datagram[..]));
        for datagram in datagrams {
            let len = self.handler.handle(NOW, self.source, datagram, &mut self.reply);
            assert!(len >= 20 && self.reply[3] == 1);
        }
    }
}
