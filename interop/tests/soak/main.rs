//! A cluster of two nodes under load, with real clients and with hostile datagrams and connections, all at once and for
//! as long as you choose: `scripts/soak MINUTES`. Every answer is checked, and memory and open files must stay flat.

mod activities;
mod usage;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use interop::{Http, Netns, Program, Signal, Tracker};
use serde_json::Value;

use activities::Done;
use usage::Usage;

const HOSTILE: &str = include_str!("../../scripts/hostile.py");
/// Hostile datagrams a second.
const HOSTILE_RATE: u32 = 500;
/// Without `SOAK_MINUTES`: enough for each activity to happen.
const SHORT: Duration = Duration::from_secs(30);
/// Peers of ended loads expire after 90 s, and are swept within half a minute. Later, nothing grows any more.
const WARM: Duration = Duration::from_secs(240);
/// How often memory and files are counted, and a line is printed.
const SAMPLE: Duration = Duration::from_secs(15);

const SETTINGS: &str = "announce_interval = 60\npeer_lifetime = 90\nsnapshot_interval = 5\n";

fn node(netns: &Netns, state: &Path, own: &str, other: &str) -> Tracker {
    let state = format!("state_dir = {:?}\n", state.join(own));
    let livesync =
        format!("[livesync]\nenabled = true\ninterface = \"{own}\"\nnodes = [\"{own}\", \"{other}\"]\n");
    let admin = format!("[admin]\nlisten = \"{own}:6970\"\n");
    Tracker::start_with(netns, &format!("{own}:6969"), &format!("{SETTINGS}{state}{admin}{livesync}"))
}

/// Ends all activities, also when one of them panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[test]
#[ignore = "needs libtorrent, aria2, transmission: run scripts/test, or scripts/soak MINUTES"]
fn a_cluster_serves_everybody_and_stays_small() {
    let minutes = std::env::var("SOAK_MINUTES").ok().map(|text| text.parse().expect("a number of minutes"));
    let time = minutes.map_or(SHORT, |minutes: u64| Duration::from_secs(minutes * 60));
    let seed = seed();
    println!("seed {seed}");
    let netns = Netns::new();
    let state = tempfile::tempdir().expect("a temporary directory");
    let nodes = [("127.0.0.2", "127.0.0.3"), ("127.0.0.3", "127.0.0.2")]
        .map(|(own, other)| node(&netns, state.path(), own, other));
    let (addresses, urls) = (nodes.each_ref().map(Tracker::address), nodes.each_ref().map(Tracker::url));
    let mut http = Http::start(&netns);
    let before = nodes.each_ref().map(|node| Usage::of(node.pid()));

    let (stop, done) = (AtomicBool::new(false), Done::default());
    let mut samples = Vec::new();
    thread::scope(|scope| {
        let stopping = Stop(&stop);
        // Neither load has the torrents of the other.
        for (address, seed) in addresses.into_iter().zip([seed, seed + (1 << 32)]) {
            let (netns, stop, done) = (&netns, &stop, &done);
            scope.spawn(move || {
                let _stop = Stop(stop);
                activities::load(netns, address, seed, stop, done);
            });
        }
        scope.spawn(|| {
            let _stop = Stop(&stop);
            activities::swarms(&netns, &urls, &stop, &done);
        });
        let hostile = start_hostile(&netns, addresses, seed);
        let begun = Instant::now();
        while begun.elapsed() < time && !stop.load(Relaxed) {
            thread::sleep(SAMPLE.min(time / 4));
            let usage = nodes.each_ref().map(|node| Usage::of(node.pid()));
            println!("{:>5} s: {usage:?}, {done}", begun.elapsed().as_secs());
            samples.push((begun.elapsed(), usage));
        }
        drop(stopping);
        drop(hostile);
    });

    done.assert_all_happened();
    for (at, node) in nodes.iter().enumerate() {
        let of = |from, to| {
            let between = samples.iter().filter(move |(time, _)| (from..to).contains(time));
            between.map(|(_, usage)| usage[at]).collect::<Vec<_>>()
        };
        let middle = WARM + time.saturating_sub(WARM) / 2;
        usage::assert_flat(before[at], &of(WARM, middle), &of(middle, Duration::MAX));
        assert_sums(&http.get_json(&format!("{}/api/status", node.page())));
    }
    for node in nodes {
        node.stop(Signal::SIGTERM);
    }
}

fn start_hostile(netns: &Netns, addresses: [SocketAddr; 2], seed: u64) -> Program {
    let mut python = netns.command("/usr/bin/python3");
    python.args(["-c", HOSTILE]).args(addresses.map(|address| address.to_string()));
    // Livesync's port gets them too.
    python.args([&format!("{}:9696", addresses[0].ip()), &format!("{}:6970", addresses[0].ip())]);
    Program::start("hostile.py", python.args([HOSTILE_RATE.to_string(), seed.to_string()]))
}

/// What was received is what was answered, rejected, ignored, or could not be sent.
fn assert_sums(status: &Value) {
    let requests = &status["requests"];
    let sum = |value: &Value| match value {
        Value::Object(reasons) => reasons.values().filter_map(Value::as_u64).sum(),
        number => number.as_u64().unwrap_or_else(|| panic!("no number: {number}")),
    };
    let [received, answered, rejected, ignored, not_sent] =
        ["received", "answered", "rejected", "ignored", "not_sent"].map(|key| sum(&requests[key]));
    assert_eq!(received, answered + rejected + ignored + not_sent, "{requests}");
    assert!(rejected > 0 && ignored > 0, "{requests}");
}

fn seed() -> u64 {
    std::env::var("SOAK_SEED").ok().map_or_else(
        || std::time::UNIX_EPOCH.elapsed().map_or(1, |now| now.as_secs()),
        |text| text.parse().expect("a seed"),
    )
}
