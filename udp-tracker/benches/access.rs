//! What the access rules cost: `cargo bench -p udp-tracker --bench access`.
//!
//! A list of a million torrents: time to make it, memory, time to change one rule, and look-ups of torrents that are in
//! it and of others. Ten thousand networks: look-ups of addresses. Then whole announces by a handler, with no rules and
//! with all of them; rounds alternate. The fastest of the rounds counts, which reduces the effect of other load.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::SmallRng;
use rand::{Rng, RngExt, SeedableRng};
use udp_tracker::{
    AccessRules, Count, Handler, InfoHash, IpNet, NetworkRules, Rule, RuleMap, Service, Settings,
};
use udp_tracker_proto::{AnnounceRequest, ConnectionId, Dialect, Event, Options, PeerId, TransactionId};

const NOW: u64 = 1_800_000_000;
const TORRENTS: u32 = 1_000_000;
const NETWORKS: usize = 10_000;
const LOOK_UPS: usize = 3_000_000;
/// Announces in a round.
const ANNOUNCES: u32 = 200_000;
const ROUNDS: usize = 60;

fn main() {
    let mut rng = SmallRng::seed_from_u64(1);
    let before = resident_bytes();
    let (rules, took) = timed(|| AccessRules::unlisted((0..TORRENTS).map(torrent)));
    let bytes = resident_bytes().saturating_sub(before) as f64 / f64::from(TORRENTS);
    println!("{TORRENTS} torrents: made in {:.2} s, {bytes:.0} bytes each", took.as_secs_f64());

    let ((), took) = timed(|| {
        for number in 0..100 {
            let mut changed = rules.clone();
            changed.torrents.insert(Rule::new(torrent(TORRENTS + number)));
            black_box(changed);
        }
    });
    println!("a change of one: {:.0} us", took.as_secs_f64() * 1e6 / 100.0);
    let listed = || torrent(rng.random_range(0..TORRENTS));
    look_ups("look-up of a torrent in the list", listed, |torrent| !rules.serves(torrent, NOW));
    let others = || torrent(rng.random_range(TORRENTS..u32::MAX));
    look_ups("look-up of another torrent", others, |torrent| rules.serves(torrent, NOW));

    let networks = random_networks(&mut rng);
    let (networks, took) = timed(|| networks.into_iter().map(Rule::new).collect::<NetworkRules>());
    println!("{} networks: made in {:.1} ms", networks.len(), took.as_secs_f64() * 1e3);
    let addresses = || IpAddr::V4(Ipv4Addr::from_bits(rng.random()));
    look_ups("look-up of an address", addresses, |address| networks.find(*address, NOW).is_none());

    let mut all = rules.clone();
    all.networks = networks;
    all.clients.extend([Rule::new("-XX".parse().expect("a prefix"))]);
    all.keys = Some(
        (0..100_000u32).map(|number| Rule::new(key(number).parse().expect("a key"))).collect::<RuleMap<_>>(),
    );
    announces(&all);
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let begun = Instant::now();
    let result = work();
    (result, begun.elapsed())
}

/// Numbered torrents, whose bytes are spread as those of hashes are.
fn torrent(number: u32) -> InfoHash {
    let mut hash = InfoHash([0; 20]);
    SmallRng::seed_from_u64(number.into()).fill_bytes(&mut hash.0);
    hash
}

fn key(number: u32) -> String {
    format!("{number:032x}")
}

/// Networks of /16 to /32, some of them nested.
fn random_networks(rng: &mut SmallRng) -> Vec<IpNet> {
    let network = |rng: &mut SmallRng| {
        let address = IpAddr::V4(Ipv4Addr::from_bits(rng.random()));
        IpNet::new(address, rng.random_range(16..=32)).expect("a valid prefix length").trunc()
    };
    (0..NETWORKS).map(|_| network(rng)).collect()
}

/// Prints the time for a look-up: the fastest of several rounds. What is looked up is made before.
fn look_ups<T>(what: &str, make: impl FnMut() -> T, look_up: impl Fn(&T) -> bool) {
    let all: Vec<T> = std::iter::repeat_with(make).take(LOOK_UPS).collect();
    let mut fastest = Duration::MAX;
    for round in all.chunks(LOOK_UPS / ROUNDS) {
        let (found, took) = timed(|| round.iter().filter(|one| look_up(one)).count());
        assert!(found > 0);
        fastest = fastest.min(took);
    }
    println!("{what}: {:.0} ns", fastest.as_secs_f64() * 1e9 / (LOOK_UPS / ROUNDS) as f64);
}

/// Prints the time for an announce by rules.
fn announces(all: &AccessRules) {
    let only = |change: fn(&mut AccessRules, &AccessRules)| {
        let mut rules = AccessRules::all();
        change(&mut rules, all);
        rules
    };
    let scenarios = [
        ("no rules", AccessRules::all()),
        (
            "a million unlisted torrents",
            only(|rules, all| (rules.mode, rules.torrents) = (all.mode, all.torrents.clone())),
        ),
        ("ten thousand networks", only(|rules, all| rules.networks = all.networks.clone())),
        ("a client prefix", only(|rules, all| rules.clients = all.clients.clone())),
        ("100,000 passkeys", only(|rules, all| rules.keys = all.keys.clone())),
        ("all of them", all.clone()),
    ];
    let service = Arc::new(Service::new(Settings::default()).expect("valid settings"));
    let mut fastest = [f64::MAX; 6];
    for _ in 0..ROUNDS {
        for ((_, rules), fastest) in scenarios.iter().zip(&mut fastest) {
            service.set_access(rules.clone());
            *fastest = fastest.min(nanoseconds_per_announce(&service));
        }
    }
    for ((name, _), nanoseconds) in scenarios.iter().zip(fastest) {
        println!("announce, {name}: {nanoseconds:.0} ns ({:+.0})", nanoseconds - fastest[0]);
    }
}

fn nanoseconds_per_announce(service: &Arc<Service>) -> f64 {
    const CLIENTS: u32 = 1024;
    let mut handler = Handler::new(Arc::clone(service));
    let mut options = [0; 64];
    let url = format!("/announce/{}", key(7));
    let len = udp_tracker_proto::write_url_data(&url, &mut options).expect("64 bytes are enough");
    let mut datagram = [0; 160];
    let request = AnnounceRequest {
        dialect: Dialect::Bep15,
        connection_id: ConnectionId(0),
        transaction_id: TransactionId(2),
        info_hash: InfoHash([0; 20]),
        peer_id: PeerId(*b"-TR4060-abcdefghijkl"),
        downloaded: 0,
        left: 1,
        uploaded: 0,
        event: Event::None,
        ip: Ipv4Addr::UNSPECIFIED,
        key: 0,
        num_want: 30,
        port: 6881,
        options: Options::new(&options[..len]),
    };
    let len = request.encode(&mut datagram).expect("160 bytes are enough");
    // Addresses that no network contains, all over the address space.
    let rules = service.access();
    let mut rng = SmallRng::seed_from_u64(3);
    let clients: Vec<(SocketAddr, [u8; 8])> = std::iter::repeat_with(|| Ipv4Addr::from_bits(rng.random()))
        .filter(|ip| rules.networks.find((*ip).into(), NOW).is_none())
        .map(|ip| {
            (SocketAddr::from((ip, 6881)), service.connection_ids().issue(NOW, ip.into()).0.to_be_bytes())
        })
        .take(CLIENTS as usize)
        .collect();
    let torrents: Vec<InfoHash> = (0..CLIENTS).map(|number| torrent(u32::MAX - number)).collect();
    let mut reply = [0; 1232];
    let before = service.counters().total(Count::Announces);
    let ((), took) = timed(|| {
        for number in 0..ANNOUNCES {
            let at = (number % CLIENTS) as usize;
            let (source, id) = clients[at];
            datagram[..8].copy_from_slice(&id);
            // Each time in another order, so that the torrent of a client changes.
            let torrent = &torrents[(at * 5 + (number / CLIENTS) as usize) % torrents.len()];
            datagram[16..36].copy_from_slice(&torrent.0);
            black_box(handler.handle(NOW, source, &datagram[..len], &mut reply));
        }
    });
    assert_eq!(service.counters().total(Count::Announces) - before, u64::from(ANNOUNCES));
    took.as_secs_f64() * 1e9 / f64::from(ANNOUNCES)
}

fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").expect("this is Linux");
    let pages: usize =
        pages.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number of pages");
    pages * 4096
}
