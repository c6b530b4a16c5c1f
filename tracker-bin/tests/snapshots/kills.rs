//! kill -9 at random moments, under load.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::client::Client;
use crate::running::{Log, PATIENCE, Running};

/// Seconds. Swarms are small, so that expired peers are removed at every announce.
const LIFETIME: u64 = 5;
/// Times are rounded to seconds, twice.
const ROUNDED: u64 = 2;
/// An announced peer gets one of these ports.
const PORTS: u64 = 12;

/// When each peer of each torrent was last announced.
type Announced = HashMap<(u32, u16), Instant>;

/// Repeatable if the seed is.
struct Dice(u64);

impl Dice {
    /// A number below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn seed() -> u64 {
    let from_clock = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::try_from(from_clock()).unwrap());
    println!("SEED={seed}");
    seed
}

/// Announces peers of some torrents until the tracker dies, and checks that no peer of a reply is past its lifetime.
fn load(client: &Client, round: u32, announced: &mut Announced, dice: &mut Dice, killed: &AtomicBool) {
    // When the tracker is killed, nothing comes back.
    client.set_patience(Duration::from_millis(200));
    while !killed.load(Ordering::Acquire) {
        // Mostly torrents of this round; the others are not announced any more, so their peers expire.
        let (torrent, port) = if dice.roll(4) > 0 {
            (round * 100 + u32::try_from(dice.roll(500)).unwrap(), dice.roll(PORTS) + 2)
        } else {
            (u32::try_from(dice.roll(u64::from(round) * 100 + 500)).unwrap(), 1)
        };
        let port = u16::try_from(port).unwrap();
        // Before it is sent: the tracker may be killed when it is stored and not yet answered.
        announced.insert((torrent, port), Instant::now());
        let Ok(peers) = client.announce(torrent, port) else { continue };
        let now = Instant::now();
        for peer in peers {
            let last = announced.get(&(torrent, peer)).expect("a peer that was announced");
            let age = now.duration_since(*last);
            assert!(age < Duration::from_secs(LIFETIME + ROUNDED), "round {round}: a peer of {age:?}");
        }
    }
}

/// The number after some words of a log line.
fn number(line: &str, before: &str, after: &str) -> u64 {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("{before:?} in {line}"));
    let (digits, _) = rest.split_once(after).unwrap_or_else(|| panic!("{after:?} in {line}"));
    digits.parse().unwrap()
}

/// Waits until it is time to kill: some time, or the moment at which a file is being written.
fn wait(state: &Path, dice: &mut Dice) {
    let deadline = Instant::now() + Duration::from_millis(dice.roll(1500));
    let in_a_write = dice.roll(2) == 0;
    let until = if in_a_write { Instant::now() + 3 * Duration::from_secs(1) } else { deadline };
    while Instant::now() < until {
        if in_a_write && state.join("swarms.snapshot.new").exists() {
            thread::sleep(Duration::from_micros(dice.roll(3000)));
            return;
        }
        thread::sleep(Duration::from_micros(200));
    }
}

/// What one life of the tracker showed.
struct Life {
    started: Instant,
    /// Snapshots that it reported.
    written: u32,
}

fn survives(kills: u32) {
    let mut dice = Dice(seed());
    let dir = tempfile::tempdir().unwrap();
    let (state, config) = (dir.path().join("state"), dir.path().join("tracker.toml"));
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 2\nannounce_interval = 3\npeer_lifetime = {LIFETIME}\nstate_dir = {state:?}\n\
         snapshot_interval = 1\n"
    );
    fs::write(&config, text).unwrap();
    let mut announced = Announced::new();
    let mut last: Option<Life> = None;
    let (mut slowest, mut loaded, mut interrupted) = (Duration::ZERO, 0, 0);
    for round in 0..kills {
        let started = Instant::now();
        let mut tracker = Running::start(&["--config", config.to_str().unwrap()]);
        let log = tracker.log();
        let address = tracker.address();
        let listening = Instant::now();
        let client = Client::connect(address, PATIENCE).unwrap();
        slowest = slowest.max(listening.elapsed());
        loaded += u32::from(check_loaded(&log, last.as_ref(), round));
        let killed = AtomicBool::new(false);
        let mut own = Dice(dice.roll(u64::MAX));
        thread::scope(|scope| {
            let load = scope.spawn(|| load(&client, round, &mut announced, &mut own, &killed));
            if round == 0 {
                // From now on there is always one to load.
                log.line_with("wrote a snapshot");
            }
            wait(&state, &mut dice);
            tracker.child.kill().unwrap();
            tracker.child.wait().unwrap();
            killed.store(true, Ordering::Release);
            load.join().expect("only peers that are not past their lifetime");
        });
        interrupted += u32::from(state.join("swarms.snapshot.new").exists());
        let lines = log.rest();
        let written = lines.iter().filter(|line| line.contains("wrote a snapshot")).count();
        let written = written + usize::from(round == 0);
        assert!(lines.iter().all(|line| !line.contains("ERROR")), "round {round}: {lines:?}");
        if written > 0 {
            last = Some(Life { started, written: u32::try_from(written).unwrap() });
        }
        assert!(!state.join("swarms.snapshot.refused").exists(), "round {round}");
    }
    println!(
        "loaded {loaded} of {kills} times; {interrupted} kills during a write; first answer after {slowest:?} at most"
    );
    assert!(slowest < Duration::from_secs(5), "{slowest:?}");
    assert_eq!(loaded, kills - 1);
    assert!(interrupted > kills / 10, "the test has lost its purpose");
}

/// Checks that the last complete snapshot is loaded. Returns whether there was one.
fn check_loaded(log: &Log, last: Option<&Life>, round: u32) -> bool {
    let line = log.line_with("loaded");
    if line.contains("no snapshot is loaded") {
        assert!(last.is_none(), "round {round}: {line}");
        return false;
    }
    assert!(line.contains("swarms.snapshot, ") || line.contains("swarms.snapshot.previous, "), "{line}");
    // One that was complete, but killed before it was reported, may be newer.
    if let Some(Life { started, written }) = last {
        let oldest = started.elapsed().as_secs().saturating_sub((*written).into());
        let age = number(&line, "written ", " s ago");
        assert!(
            age <= oldest + ROUNDED,
            "round {round}: {age} s, and {written} were written since {oldest} s"
        );
    }
    true
}

#[test]
fn the_last_snapshot_survives_10_kills_under_load() {
    survives(10);
}

#[test]
#[ignore = "takes five minutes: scripts/test runs it"]
fn the_last_snapshot_survives_200_kills_under_load() {
    survives(200);
}
