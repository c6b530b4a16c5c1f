//! Asks a tracker as a client does.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use rustix::rand::{GetRandomFlags, getrandom};
use udp_tracker_proto::blocking::{Error, Tracker};
use udp_tracker_proto::client::{Announce, Policy, Schedule};
use udp_tracker_proto::{Event, PeerId};

/// What a tracker replied to the announce of a new seeder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    /// Seconds.
    pub(super) interval: u32,
    /// From the connect request to the reply to the announce.
    pub(super) took: Duration,
}

/// Connects to each tracker and announces a seeder of a torrent that nobody has, with the path `/announce`. All at
/// once, each for at most `patience`, with two transmissions of every request.
pub(super) fn ask_all(
    trackers: &[SocketAddr],
    patience: Duration,
) -> Vec<(SocketAddr, Result<Reply, Error>)> {
    thread::scope(|scope| {
        let ask_one = |address: SocketAddr| scope.spawn(move || ask(address, patience));
        let threads: Vec<_> = trackers.iter().map(|address| (*address, ask_one(*address))).collect();
        // A thread panics only through a mistake in this program.
        threads.into_iter().filter_map(|(address, thread)| Some((address, thread.join().ok()?))).collect()
    })
}

fn ask(address: SocketAddr, patience: Duration) -> Result<Reply, Error> {
    let twice = Schedule { first: patience / 2, factor: 1, transmissions: 2 };
    let tracker = Tracker::connect(&format!("udp://{address}/announce"))?;
    let mut tracker = tracker.with_policy(Policy::both(twice)).with_timeout(patience);
    let torrent: [u8; 20] = random();
    let started = Announce {
        event: Event::Started,
        num_want: 0,
        ..Announce::new(torrent, PeerId(*b"-DR0000-tracker-bin-"), 9, 0)
    };
    let begun = Instant::now();
    let announced = tracker.announce(&started)?;
    let took = begun.elapsed();
    // Nothing is left behind. The reply doesn't matter.
    let stopped = Announce { event: Event::Stopped, ..started };
    let _ = tracker.with_timeout(patience.min(Duration::from_secs(1))).announce(&stopped);
    Ok(Reply { interval: announced.interval, took })
}

/// Unpredictable bytes; zeros if the system has none.
pub(super) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let _ = getrandom(&mut bytes, GetRandomFlags::NONBLOCK);
    bytes
}
