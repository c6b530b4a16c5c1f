//! When to look for expired peers: a little at each turn, so that all are seen about once a minute.

use std::sync::Arc;
use std::time::{Duration, Instant};

use swarm_store::SweepCursor;

use crate::counters::Family;
use crate::service::Service;

/// How long a round through the store takes at most, if peers live long.
const ROUND: Duration = Duration::from_secs(60);
/// Torrents and peers looked at in one step: some tens of microseconds.
const STEP: usize = 1000;
/// Steps in one turn, when much is due.
const STEPS_A_TURN: usize = 4;
/// How long to wait when a step's worth is due soon, and when not.
const SHORT: Duration = Duration::from_millis(5);
const LONG: Duration = Duration::from_millis(250);

/// Sweeps a worker's part of a service's stores.
pub(crate) struct Sweeper {
    service: Arc<Service>,
    round: Duration,
    workers: usize,
    last_turn: Instant,
    parts: [Part; 2],
}

struct Part {
    family: Family,
    cursor: SweepCursor,
    /// Torrents and peers that should have been looked at by now.
    due: f64,
    /// What there was to look at when the round began, or more if it has grown: what vanishes does not slow it down.
    size: f64,
}

impl Sweeper {
    pub(crate) fn new(service: Arc<Service>, worker: usize, workers: usize) -> Self {
        let lifetime = Duration::from_secs(service.config().peer_lifetime.into());
        let part = |family| Part { family, cursor: SweepCursor::new(worker, workers), due: 0.0, size: 0.0 };
        Self {
            service,
            round: ROUND.min(lifetime / 4),
            workers,
            last_turn: Instant::now(),
            parts: [part(Family::V4), part(Family::V6)],
        }
    }

    /// Looks at what is due; `now` and `seconds` are the same moment.
    pub(crate) fn turn(&mut self, now: Instant, seconds: u64) {
        let elapsed = now.duration_since(self.last_turn);
        self.last_turn = now;
        for part in &mut self.parts {
            let own = part.own(&self.service, self.workers);
            part.size = part.size.max(own);
            // Not more than one round: after a long pause there is no need to go round twice.
            let passed = part.size * (elapsed.as_secs_f64() / self.round.as_secs_f64());
            part.due = (part.due + passed).min(part.size);
            // A small part is looked at whole, once a round.
            let step = part.size.min(STEP as f64);
            for _ in 0..STEPS_A_TURN {
                if part.due < step {
                    break;
                }
                let swept = self.service.sweep(seconds, part.family, &mut part.cursor, STEP);
                part.due -= step;
                if swept.finished_round {
                    part.size = part.own(&self.service, self.workers);
                }
            }
        }
    }

    /// How long the worker may sleep.
    pub(crate) fn pause(&self) -> Duration {
        let busy = self.parts.iter().any(|part| part.due >= STEP as f64);
        if busy { SHORT } else { LONG }
    }
}

impl Part {
    /// Torrents, peers and shards that are this worker's to look at.
    fn own(&self, service: &Service, workers: usize) -> f64 {
        let totals = service.totals(self.family);
        (totals.torrents + totals.peers + SweepCursor::SHARDS) as f64 / workers as f64
    }
}

#[cfg(test)]
mod tests {
    use rand::RngExt;

    use super::*;
    use crate::Config;

    /// In time that runs faster: expired peers are gone a round after their lifetime, however many workers share the work.
    #[test]
    fn every_worker_gets_round_in_time() {
        for workers in [1, 2, 16, 64, 1024] {
            let service = Service::new(Config::default()).expect("the default is possible");
            let mut rng: rand::rngs::SmallRng = rand::make_rng();
            let mut context = swarm_store::ThreadContext::new(1);
            // Evenly spread, as real ones are: who has more than a step's worth takes another round.
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
                service.v4.announce(now, &announce, &mut [], &mut context);
            }
            let mut sweepers: Vec<_> =
                (0..workers).map(|at| Sweeper::new(Arc::clone(&service), at, workers)).collect();
            let begun = Instant::now();
            let rounds = ROUND.as_secs() * 2;
            for second in 0..rounds {
                let now = begun + Duration::from_secs(second + 1);
                sweepers.iter_mut().for_each(|sweeper| sweeper.turn(now, start + 2705 + second));
            }
            assert_eq!(service.totals(Family::V4).peers, 0, "{workers} workers");
        }
    }
}
