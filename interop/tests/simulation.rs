//! The client and the tracker, both without sockets, in simulated time over a network that drops, duplicates, delays,
//! reorders, corrupts and forges datagrams.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use udp_tracker::{Handler, Service, Settings};
use udp_tracker_proto::client::{
    Announce, Announced, Error, ManyTrackers, OwnedEvent, Policy, RequestId, Schedule,
};
use udp_tracker_proto::{InfoHash, ScrapeEntry};

/// The tracker's clock when the client's is at zero.
const TRACKER_START: u64 = 1_800_000_000;
const CLIENT: ([u8; 4], u16) = ([192, 0, 2, 99], 40_000);
/// The interval in all forged replies, which no tracker uses.
const FORGED: u32 = 0xf0f0_f0f0;

/// Faults of the network, in percent of the datagrams.
#[derive(Clone, Copy, Debug)]
struct Faults {
    lost: u32,
    doubled: u32,
    corrupted: u32,
    forged: u32,
    /// Longest delay in seconds: more than a retransmission's, so that replies overtake each other.
    delay: u32,
}

struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

struct Network {
    faults: Faults,
    rng: StdRng,
    /// By time of arrival, then by number, so that the order is total.
    under_way: BinaryHeap<Reverse<(Duration, u64)>>,
    datagrams: HashMap<u64, Datagram>,
    next: u64,
}

impl Network {
    fn new(faults: Faults, seed: u64) -> Self {
        let rng = StdRng::seed_from_u64(seed);
        Self { faults, rng, under_way: BinaryHeap::new(), datagrams: HashMap::new(), next: 0 }
    }

    fn happens(&mut self, percent: u32) -> bool {
        self.rng.random_range(0..100) < percent
    }

    fn send(&mut self, now: Duration, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        let times = if self.happens(self.faults.doubled) { 2 } else { 1 };
        for _ in 0..times {
            if self.happens(self.faults.lost) {
                continue;
            }
            let mut bytes = bytes.to_vec();
            if self.happens(self.faults.corrupted) {
                let at = self.rng.random_range(0..bytes.len());
                bytes[at] ^= 1 << self.rng.random_range(0..8);
                let len = self.rng.random_range(0..=bytes.len());
                bytes.truncate(len);
            }
            self.put(now, Datagram { from, to, bytes });
        }
    }

    /// Sends a datagram without faults except the delay.
    fn put(&mut self, now: Duration, datagram: Datagram) {
        let delay = Duration::from_millis(self.rng.random_range(1..=1000 * u64::from(self.faults.delay)));
        self.under_way.push(Reverse((now + delay, self.next)));
        self.datagrams.insert(self.next, datagram);
        self.next += 1;
    }

    /// When the next datagram arrives.
    fn next_arrival(&self) -> Option<Duration> {
        self.under_way.peek().map(|Reverse((at, _))| *at)
    }

    fn arrive(&mut self) -> Option<Datagram> {
        let Reverse((_, id)) = self.under_way.pop()?;
        self.datagrams.remove(&id)
    }
}

#[derive(Debug)]
enum Reply {
    Announced(Announced),
    Scraped(Vec<ScrapeEntry>),
}

/// One client, some trackers, and records of the datagrams between them.
struct World {
    now: Duration,
    network: Network,
    client: ManyTrackers<Box<dyn FnMut() -> u32>>,
    trackers: Vec<Option<Handler>>,
    /// Of trackers that are started later.
    seeds: StdRng,
    /// How often each request (by tracker and transaction_id) was sent.
    sent: HashMap<(SocketAddr, [u8; 4]), usize>,
    connects_sent: usize,
    connects_answered: usize,
    /// When the client received each connection_id.
    ids: HashMap<(SocketAddr, [u8; 8]), Duration>,
    events: Vec<(RequestId, Duration, Result<Reply, Error>)>,
}

/// A tracker with keys of its own.
fn handler(seeds: &mut StdRng) -> Handler {
    Handler::new(Arc::new(Service::from_seed(Settings::default(), seeds.next_u64()).unwrap()))
}

fn address(tracker: usize) -> SocketAddr {
    let [.., high, low] = tracker.to_be_bytes();
    SocketAddr::from(([10, 0, high, low], 6969))
}

impl World {
    fn new(trackers: usize, policy: Policy, faults: Faults, seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(!seed);
        let mut seeds = StdRng::seed_from_u64(rng.next_u64());
        Self {
            now: Duration::ZERO,
            network: Network::new(faults, seed),
            client: ManyTrackers::new(policy, Box::new(move || rng.next_u32())),
            trackers: (0..trackers).map(|_| Some(handler(&mut seeds))).collect(),
            seeds,
            sent: HashMap::new(),
            connects_sent: 0,
            connects_answered: 0,
            ids: HashMap::new(),
            events: Vec::new(),
        }
    }

    /// Sends the client's due datagrams.
    fn transmit(&mut self) {
        let mut out = [0; 1500];
        while let Some(transmit) = self.client.poll_transmit(self.now, &mut out) {
            let bytes = &out[..transmit.len];
            let transaction = bytes[12..16].try_into().unwrap();
            if bytes[8..12] == [0; 4] {
                self.connects_sent += 1;
            } else {
                *self.sent.entry((transmit.to, transaction)).or_default() += 1;
                let id: [u8; 8] = bytes[..8].try_into().unwrap();
                let came = self.ids.get(&(transmit.to, id)).expect("a connection_id of this tracker");
                assert!(self.now - *came < Duration::from_secs(60), "an expired connection_id");
            }
            self.network.send(self.now, CLIENT.into(), transmit.to, bytes);
            if self.network.happens(self.network.faults.forged) {
                self.forge(transmit.to, bytes);
            }
        }
    }

    /// Forges replies: for the right transaction_id from other addresses, and for another one from the tracker's own
    /// address.
    fn forge(&mut self, tracker: SocketAddr, request: &[u8]) {
        let mut bytes = vec![0, 0, 0, request[11]];
        bytes.extend_from_slice(&request[12..16]);
        bytes.extend_from_slice(&FORGED.to_be_bytes());
        bytes.extend_from_slice(&FORGED.to_be_bytes());
        bytes.extend_from_slice(&FORGED.to_be_bytes());
        bytes.extend_from_slice(&[6; 6]);
        let to = CLIENT.into();
        for from in [address(60_000), SocketAddr::new(tracker.ip(), 1)] {
            self.network.put(self.now, Datagram { from, to, bytes: bytes.clone() });
        }
        for byte in &mut bytes[4..8] {
            *byte ^= self.network.rng.random_range(1..=255u8);
        }
        self.network.put(self.now, Datagram { from: tracker, to, bytes });
    }

    /// Delivers the next datagram or handles the next timeout, whichever is first. `false` if neither is due by
    /// `until`.
    fn step(&mut self, until: Duration) -> bool {
        // Sometimes a datagram arrives before a due one is sent.
        let soon = self.now + Duration::from_secs(1);
        let arrives_soon = self.network.next_arrival().is_some_and(|arrival| arrival <= soon.min(until));
        if !(arrives_soon && self.network.happens(50)) {
            self.transmit();
        }
        let timer = self.client.poll_timeout();
        let arrival = self.network.next_arrival();
        let Some(next) = timer.into_iter().chain(arrival).min().filter(|next| *next <= until) else {
            self.now = until;
            return false;
        };
        self.now = self.now.max(next);
        if arrival == Some(next) {
            self.deliver();
        } else {
            self.client.handle_timeout(self.now);
            assert!(self.client.poll_timeout().is_none_or(|due| due > self.now), "a busy loop");
        }
        while let Some(event) = self.client.poll_event() {
            let (request, result) = match event {
                OwnedEvent::Announced { request, result, .. } => (request, result.map(Reply::Announced)),
                OwnedEvent::Scraped { request, result, .. } => (request, result.map(Reply::Scraped)),
                _ => continue,
            };
            self.events.push((request, self.now, result));
        }
        true
    }

    fn deliver(&mut self) {
        let Some(Datagram { from, to, bytes }) = self.network.arrive() else { return };
        if to == CLIENT.into() {
            if bytes.len() >= 16 && bytes[..4] == [0; 4] {
                self.connects_answered += 1;
                // A duplicate is as old as the first.
                self.ids.entry((from, bytes[8..16].try_into().unwrap())).or_insert(self.now);
            }
            self.client.handle_input(self.now, from, &bytes);
            return;
        }
        let tracker = (0..self.trackers.len()).find(|at| address(*at) == to);
        let Some(handler) = tracker.and_then(|at| self.trackers[at].as_mut()) else { return };
        let mut reply = [0; 1500];
        let len = handler.handle(TRACKER_START + self.now.as_secs(), from, &bytes, &mut reply);
        if len > 0 {
            self.network.send(self.now, to, from, &reply[..len]);
        }
    }

    fn announce(&mut self, tracker: usize, timeout: Duration) -> RequestId {
        let torrent = InfoHash([u8::try_from(tracker % 256).unwrap(); 20]);
        let announce = Announce::new(torrent, [1; 20], 6881, 1);
        self.client.announce(self.now, address(tracker), &announce, timeout)
    }

    fn scrape(&mut self, tracker: usize, torrents: usize, timeout: Duration) -> RequestId {
        let hashes: Vec<_> = (0..torrents).map(|n| InfoHash([u8::try_from(n % 256).unwrap(); 20])).collect();
        self.client.scrape(self.now, address(tracker), &hashes, timeout)
    }
}

fn any_faults() -> impl Strategy<Value = Faults> {
    (0..60u32, 0..40u32, prop_oneof![Just(0u32), 1..30u32], 0..50u32, 1..40u32).prop_map(
        |(lost, doubled, corrupted, forged, delay)| Faults { lost, doubled, corrupted, forged, delay },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let often = Policy::both(Schedule { first: Duration::from_millis(700), factor: 1, transmissions: 5 });
    prop::sample::select(vec![Policy::BEP_15, Policy::DRAFT_2004, Policy::CPP_CLASS, often])
}

/// The shortest time after which a policy gives up; requests may share a connect that was sent up to a second before.
fn patience(policy: Policy) -> Duration {
    let all = |schedule: Schedule| {
        let waits = (0..schedule.transmissions).map(|n| schedule.first * schedule.factor.pow(n));
        let shared = Duration::from_secs(schedule.transmissions.into());
        waits.sum::<Duration>().saturating_sub(shared)
    };
    all(policy.connect).min(all(policy.request))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn every_request_ends_once_in_time_and_with_a_genuine_reply(
        policy in any_policy(),
        faults in any_faults(),
        seed: u64,
        requests in prop::collection::vec((0..4usize, 0..200usize, 0..300u64, 1..4000u64), 1..20),
        restarts in prop::collection::vec((0..4usize, 0..600u64), 0..4),
    ) {
        let mut world = World::new(4, policy, faults, seed);
        // The last one never replies.
        world.trackers[3] = None;
        let mut schedule: Vec<_> = requests
            .iter()
            .map(|&(tracker, torrents, begin, timeout)| (begin, Some((torrents, timeout)), tracker))
            .chain(restarts.iter().map(|&(tracker, at)| (at, None, tracker)))
            .collect();
        schedule.sort_unstable();

        let mut deadlines = HashMap::new();
        for (at, request, tracker) in schedule {
            while world.step(Duration::from_secs(at)) {}
            match request {
                Some((torrents, timeout)) => {
                    let timeout = Duration::from_secs(timeout);
                    let id = match torrents {
                        0..100 => world.announce(tracker, timeout),
                        _ => world.scrape(tracker, torrents, timeout),
                    };
                    deadlines.insert(id, (world.now, world.now + timeout));
                }
                // A restart: connection_ids from before are no longer valid.
                None => world.trackers[tracker] = world.trackers[tracker].is_some().then(|| handler(&mut world.seeds)),
            }
        }
        while world.client.pending() > 0 {
            prop_assert!(world.step(Duration::MAX));
        }
        let mut ended: Vec<_> = world.events.iter().map(|(id, ..)| *id).collect();
        ended.sort_unstable();
        let all = ended.len();
        ended.dedup();
        prop_assert_eq!((ended.len(), all), (deadlines.len(), deadlines.len()), "each request ends once");

        let honest = faults.corrupted == 0;
        for (id, at, result) in &world.events {
            let (begun, deadline) = deadlines[id];
            prop_assert!(*at <= deadline, "ended after its deadline");
            match result {
                Ok(Reply::Announced(announced)) if honest => {
                    prop_assert!((1800..=1980).contains(&announced.interval), "forged: {:?}", announced);
                }
                Ok(Reply::Scraped(entries)) if honest => {
                    prop_assert!(entries.iter().all(|entry| entry.seeders != FORGED));
                }
                Err(Error::TimedOut) => {
                    prop_assert!(*at == deadline || *at - begun >= patience(policy), "given up early");
                }
                // A tracker refuses a connection_id after a restart (there may have been several), or if the delays of
                // the id and of the request were so long that it has expired.
                Err(Error::Refused { text }) if honest && restarts.is_empty() && faults.delay < 30 => {
                    prop_assert!(false, "{text}");
                }
                Err(Error::Malformed(error)) if honest => prop_assert!(false, "{error}"),
                _ => {}
            }
        }
        let most = world.sent.values().copied().max().unwrap_or(0);
        prop_assert!(most <= policy.request.transmissions as usize, "sent {} times", most);
        let begun = deadlines.len() + world.connects_answered + restarts.len();
        let budget = policy.connect.transmissions as usize * begun;
        prop_assert!(world.connects_sent <= budget, "{} connects", world.connects_sent);
    }

    /// Arbitrary bytes end no request, in any state.
    #[test]
    fn arbitrary_bytes_end_no_request(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..50),
        action in 0..5u8,
        seed: u64,
        stage in 0..3,
    ) {
        let faults = Faults { lost: 0, doubled: 0, corrupted: 0, forged: 0, delay: 1 };
        let mut world = World::new(1, Policy::BEP_15, faults, seed);
        world.announce(0, Duration::from_secs(1000));
        for _ in 0..stage {
            world.step(Duration::from_secs(100));
        }
        world.transmit();
        let waiting = world.client.pending();
        let strays = world.client.strays();
        for mut bytes in datagrams {
            if let Some(head) = bytes.get_mut(..4) {
                head.copy_from_slice(&[0, 0, 0, action]);
            }
            world.client.handle_input(world.now, address(0), &bytes);
            world.client.handle_input(world.now, address(1), &bytes);
        }
        prop_assert_eq!(world.client.poll_event(), None);
        prop_assert_eq!(world.client.pending(), waiting);
        prop_assert!(world.client.strays() > strays);
    }
}

/// Without faults every request is answered, even across restarts.
#[test]
fn without_faults_everything_is_answered() {
    let faults = Faults { lost: 0, doubled: 0, corrupted: 0, forged: 0, delay: 1 };
    let mut world = World::new(2, Policy::BEP_15, faults, 1);
    for round in 0..20 {
        world.announce(0, Duration::from_secs(60));
        world.scrape(1, 100, Duration::from_secs(60));
        while world.step(Duration::from_secs(20 * (round + 1))) {}
        world.trackers[1] = Some(handler(&mut world.seeds));
    }
    assert_eq!(world.events.len(), 40);
    let answered = |result: &Result<Reply, Error>| result.is_ok();
    assert!(world.events.iter().all(|(.., outcome)| answered(outcome)), "{:?}", world.events);
}

/// A day with a thousand trackers, of which every tenth never replies, and a hundred announces to each.
#[test]
fn memory_does_not_grow_in_a_day() {
    let faults = Faults { lost: 5, doubled: 2, corrupted: 0, forged: 0, delay: 1 };
    let mut world = World::new(1000, Policy::BEP_15, faults, 1);
    for dead in world.trackers.iter_mut().step_by(10) {
        *dead = None;
    }
    let fresh = format!("{:?}", world.client).len();
    let mut wakeups = 0u64;
    for round in 0..100 {
        for tracker in 0..1000 {
            world.announce(tracker, Duration::from_secs(300));
        }
        while world.step(Duration::from_secs(864 * (round + 1))) {
            wakeups += 1;
        }
        world.sent.clear();
        // Only counters have grown.
        assert_eq!((world.client.pending(), world.client.poll_timeout()), (0, None));
        assert!(format!("{:?}", world.client).len() < fresh + 20, "{:?}", world.client);
    }
    assert_eq!(world.events.len(), 100_000);
    let answered =
        world.events.iter().filter(|(.., result)| matches!(result, Ok(Reply::Announced(_)))).count();
    assert!(answered > 85_000, "{answered}");
    // Less than ten for each request.
    assert!(wakeups < 1_000_000, "{wakeups}");
}
