//! When to look for expired peers: some at each turn, so that all are checked about once a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_store::SweepCursor;

use crate::family::Family;
use crate::service::Service;

/// The longest time of a round through the store, if peers live long.
const ROUND: Duration = Duration::from_secs(60);
/// Torrents and peers that are checked in one step: some tens of microseconds.
const STEP: usize = 1000;
/// Steps in one turn, when much is due.
const STEPS_A_TURN: usize = 4;
/// How long to wait when the next step is due soon, and when it isn't.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(250);

/// Sweeps a worker's part of a service's stores.
pub(super) struct Sweeper {
    service: Arc<Service>,
    round: Duration,
    workers: usize,
    last_turn: Instant,
    parts: [Part; 2],
}

struct Part {
    family: Family,
    cursor: SweepCursor,
    /// Torrents and peers that should have been checked by now.
    due: f64,
    /// The store's size when the round began, or now if it has grown: a shrinking store does not slow down the round.
    size: f64,
}

impl Sweeper {
    pub(super) fn new(service: Arc<Service>, worker: usize, workers: usize) -> Self {
        let lifetime = Duration::from_secs(service.settings().peer_lifetime.into());
        let part = |family| Part { family, cursor: SweepCursor::new(worker, workers), due: 0.0, size: 0.0 };
        Self {
            service,
            round: ROUND.min(lifetime / 4),
            workers,
            last_turn: Instant::now(),
            parts: [part(Family::V4), part(Family::V6)],
        }
    }

    /// Sweeps what is due. `now` and `seconds` are the same moment.
    pub(super) fn turn(&mut self, now: Instant, seconds: u64) {
        let elapsed = now.duration_since(self.last_turn);
        self.last_turn = now;
        for part in &mut self.parts {
            let own = part.own(&self.service, self.workers);
            part.size = part.size.max(own);
            // At most one round: after a long pause, two rounds are of no use.
            let passed = part.size * (elapsed.as_secs_f64() / self.round.as_secs_f64());
            part.due = (part.due + passed).min(part.size);
            // A small part is swept as a whole, once a round.
            let step = part.size.min(STEP as f64);
            for _ in 0..STEPS_A_TURN {
                if part.due < step {
                    break;
                }
                let swept = self.service.stores().sweep(seconds, part.family, &mut part.cursor, STEP);
                part.due -= step;
                if swept.finished_round {
                    part.size = part.own(&self.service, self.workers);
                }
            }
        }
    }

    /// How long the worker may sleep.
    pub(super) fn pause(&self) -> Duration {
        let busy = self.parts.iter().any(|part| part.due >= STEP as f64);
        if busy { SHORT } else { LONG }
    }
}

impl Part {
    /// The number of torrents, peers and shards of this worker.
    fn own(&self, service: &Service, workers: usize) -> f64 {
        let totals = service.stores().totals(self.family);
        (totals.torrents + totals.peers + SweepCursor::SHARDS) as f64 / workers as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::Settings;

    /// In simulated time, for several numbers of workers.
    #[test]
    fn expired_peers_are_gone_a_round_after_their_lifetime() {
        for workers in [1, 2, 16, 64, 1024] {
            let service = Arc::new(Service::new(Settings::default()).expect("valid settings"));
            let mut rng = rand::rngs::SmallRng::seed_from_u64(workers as u64);
            let mut context = swarm_store::ThreadContext::new(1);
            // Evenly distributed, like real ones: a worker with more than one step's worth takes another round.
            let torrents: [[u8; 20]; 200] = std::array::from_fn(|_| rng.random());
            let start = 1_800_000_000;
            for peer in 0..3000u32 {
                let [a, b, c, d] = peer.to_be_bytes();
                let announce = swarm_store::Announce {
                    info_hash: udp_tracker_proto::InfoHash(torrents[peer as usize % 200]),
                    peer: [a, b, c, d, 1, 1],
                    status: swarm_store::PeerStatus::Leecher,
                };
                let now = u32::try_from(start).expect("before 2106");
                service.stores().v4.announce(now, &announce, &mut [], &mut context);
            }
            let mut sweepers: Vec<_> =
                (0..workers).map(|at| Sweeper::new(Arc::clone(&service), at, workers)).collect();
            let begun = Instant::now();
            let rounds = ROUND.as_secs() * 2;
            for second in 0..rounds {
                let now = begun + Duration::from_secs(second + 1);
                sweepers.iter_mut().for_each(|sweeper| sweeper.turn(now, start + 2705 + second));
            }
            assert_eq!(service.stores().totals(Family::V4).peers, 0, "{workers} workers");
        }
    }
}
