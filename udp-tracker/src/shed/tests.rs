//! A worker in simulated time, with a queue in front of it.

use std::collections::VecDeque;

use super::*;

/// Milliseconds.
const WINDOW: usize = 10;
/// Datagrams that fit into a receive buffer of the default size.
const QUEUE: usize = 10_000;
/// Nanoseconds to answer a datagram, and to receive one and drop it: ten times as many as on a fast machine.
const ANSWER: usize = 30_000;
const DROP: usize = 6000;
/// Answers in a millisecond at most.
const MOST: usize = 1_000_000 / ANSWER;

struct Worker {
    shedder: Shedder,
    queue: VecDeque<(IpAddr, Proof)>,
    overflowed: bool,
    drained: bool,
    answered: Vec<IpAddr>,
}

fn honest(number: usize) -> IpAddr {
    [20, u8::try_from(number / 250).unwrap(), u8::try_from(number % 250).unwrap(), 1].into()
}

const FLOODER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

impl Worker {
    fn new() -> Self {
        let shedder = Shedder::new([7; 16]);
        Self { shedder, queue: VecDeque::new(), overflowed: false, drained: false, answered: Vec::new() }
    }

    fn arrive(&mut self, source: IpAddr, proof: Proof) {
        if self.queue.len() < QUEUE {
            self.queue.push_back((source, proof));
        } else {
            self.overflowed = true;
        }
    }

    /// Handles what fits into a millisecond.
    fn work(&mut self) {
        let mut left = 1_000_000_usize;
        while left >= ANSWER {
            let Some((source, proof)) = self.queue.pop_front() else {
                self.drained = true;
                return;
            };
            let admitted = self.shedder.admits(source, proof, UNIT);
            left -= if admitted { ANSWER } else { DROP };
            if !admitted {
                self.shedder.count_ignored();
            }
            if admitted {
                self.answered.push(source);
            }
        }
    }

    fn end_window(&mut self) {
        let load = match (self.overflowed, self.drained) {
            (true, _) => Load::Overflowed,
            (false, true) => Load::Drained,
            (false, false) => Load::Queued,
        };
        self.shedder.end_window(load);
        (self.overflowed, self.drained) = (false, false);
    }

    /// A flood of so many datagrams a millisecond beside a hundred honest clients with one each in 50 milliseconds.
    /// Returns the shares of honest ones and of the worker's maximum that are answered in the second half.
    fn run(
        &mut self,
        flood: usize,
        seconds: usize,
        flooder: impl Fn(usize) -> (IpAddr, Proof),
    ) -> (f64, f64) {
        let (mut sent, mut number) = (0, 0);
        for ms in 0..seconds * 1000 {
            if ms == seconds * 500 {
                (sent, self.answered) = (0, Vec::new());
            }
            for at in 0..flood {
                number += 1;
                let (source, proof) = flooder(number);
                self.arrive(source, proof);
                if at % (flood / 2) == 0 && at < flood / 2 * 2 {
                    self.arrive(honest(ms % 50 * 2 + at / (flood / 2)), Proof::ConnectionId);
                    sent += 1;
                }
            }
            self.work();
            if (ms + 1) % WINDOW == 0 {
                self.end_window();
            }
        }
        let honest =
            self.answered.iter().filter(|source| matches!(source, IpAddr::V4(v4) if v4.octets()[0] == 20));
        let half = seconds * 500;
        (honest.count() as f64 / f64::from(sent), self.answered.len() as f64 / (half * MOST) as f64)
    }
}

#[test]
fn without_a_flood_nothing_is_shed() {
    let mut worker = Worker::new();
    let (honest, _) = worker.run(10, 2, |_| (FLOODER, Proof::ConnectionId));
    assert_eq!(honest, 1.0);
    assert!(!worker.shedder.sheds);
}

#[test]
fn a_network_that_floods_is_shed_and_nobody_else() {
    for proof in [Proof::ConnectionId, Proof::None] {
        let mut worker = Worker::new();
        let (honest, goodput) = worker.run(2 * MOST, 10, |_| (FLOODER, proof));
        assert!(honest > 0.99, "{honest}");
        // What is dropped takes a fifth of an answer's time.
        assert!(goodput > 0.6, "{goodput}");
    }
}

#[test]
fn several_flooding_networks_are_shed() {
    let mut worker = Worker::new();
    let source = |number: usize| IpAddr::from([192, 0, u8::try_from(number % 100).unwrap(), 1]);
    let (honest, _) = worker.run(2 * MOST, 10, |number| (source(number), Proof::ConnectionId));
    assert!(honest > 0.99, "{honest}");
}

#[test]
fn forged_addresses_take_nothing_from_proven_ones() {
    // All datagrams of the flood have an honest client's address.
    let mut worker = Worker::new();
    let (answered, _) = worker.run(2 * MOST, 10, |number| (honest(number % 100), Proof::None));
    // Those that were forged are among the answered.
    assert!(answered > 1.0, "{answered}");
    // Any address at all.
    let any = |number: usize| {
        IpAddr::V4(std::net::Ipv4Addr::from_bits(u32::try_from(number).unwrap().wrapping_mul(0x9e37_79b9)))
    };
    let mut worker = Worker::new();
    let (honest, _) = worker.run(2 * MOST, 10, |number| (any(number), Proof::None));
    assert!(honest > 0.99, "{honest}");
}

#[test]
fn after_a_flood_all_is_answered_again() {
    let mut worker = Worker::new();
    worker.run(2 * MOST, 5, |_| (FLOODER, Proof::ConnectionId));
    assert!(worker.shedder.sheds);
    let (honest, _) = worker.run(10, 5, |_| (FLOODER, Proof::ConnectionId));
    assert_eq!(honest, 1.0);
    assert!(!worker.shedder.sheds);
}

#[test]
fn no_network_is_banned() {
    let mut shedder = Shedder::new([7; 16]);
    let mut answered = [0; 3];
    for window in 0..2000 {
        for _ in 0..100 {
            let proofs =
                [(FLOODER, Proof::ConnectionId), (FLOODER, Proof::None), (honest(1), Proof::ConnectionId)];
            for ((source, proof), answered) in proofs.into_iter().zip(&mut answered) {
                let admitted = shedder.admits(source, proof, 1500);
                (0..u32::from(!admitted)).for_each(|_| shedder.count_ignored());
                *answered += usize::from(admitted && window >= 1000);
            }
        }
        shedder.end_window(Load::Overflowed);
    }
    assert!(answered.iter().all(|answered| *answered > 50), "{answered:?}");
}

#[test]
fn a_limit_below_one_answers_in_some_rounds() {
    let mut shedder = Shedder::new([7; 16]);
    shedder.sheds = true;
    let mut answered = 0;
    for _ in 0..1600 {
        shedder.unproven.limit = 1;
        answered += usize::from(shedder.admits(FLOODER, Proof::None, 16));
        shedder.begin_round();
    }
    assert!((50..150).contains(&answered), "{answered}");
}
