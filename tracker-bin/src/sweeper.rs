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
}

impl Sweeper {
    pub(crate) fn new(service: Arc<Service>, worker: usize, workers: usize) -> Self {
        let lifetime = Duration::from_secs(service.config().peer_lifetime.into());
        let part = |family| Part { family, cursor: SweepCursor::new(worker, workers), due: 0.0 };
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
        let share = elapsed.as_secs_f64() / self.round.as_secs_f64() / self.workers as f64;
        for part in &mut self.parts {
            let totals = self.service.totals(part.family);
            let all = (totals.torrents + totals.peers + SweepCursor::SHARDS) as f64;
            // Not more than one round: after a long pause there is no need to go round twice.
            part.due = (part.due + all * share).min(all);
            for _ in 0..STEPS_A_TURN {
                if part.due < STEP as f64 {
                    break;
                }
                self.service.sweep(seconds, part.family, &mut part.cursor, STEP);
                part.due -= STEP as f64;
            }
        }
    }

    /// How long the worker may sleep.
    pub(crate) fn pause(&self) -> Duration {
        let busy = self.parts.iter().any(|part| part.due >= STEP as f64);
        if busy { SHORT } else { LONG }
    }
}
