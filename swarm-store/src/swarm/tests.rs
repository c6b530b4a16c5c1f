use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::clock::Clock;

fn peer(number: u32) -> [u8; 6] {
    let [a, b, c, d] = number.to_be_bytes();
    [a, b, c, d, 0x1a, 0xe1]
}

fn state(second: u32) -> State {
    State::new(Clock::new(600).stamp(second), false)
}

struct Fixture {
    swarm: Swarm<6>,
    keys: Keys,
    rng: SmallRng,
    /// The peers that must be in the swarm, whether they are seeders, and their state.
    model: BTreeMap<u32, (bool, State)>,
}

impl Fixture {
    fn new() -> Self {
        let rng = SmallRng::seed_from_u64(11);
        Self { swarm: Swarm::empty(0), keys: Keys::new([8; 16]), rng, model: BTreeMap::new() }
    }

    fn announce(&mut self, number: u32, seeder: bool, state: State) {
        let Self { swarm, keys, rng, model } = self;
        let entry = Entry { peer: peer(number), state };
        let place = match swarm.find(&entry.peer, !seeder) {
            Some(found) if found.place.seeder == seeder => {
                swarm.set_state(found.place, state);
                Some(found.place)
            }
            Some(found) => swarm.change_side((found.place, state), 0, keys, rng, |_| ()),
            None => swarm.insert(entry, seeder, keys, rng),
        };
        model.insert(number, (seeder, state));
        let found = swarm.find(&entry.peer, seeder).expect("was put in");
        assert_eq!((Some(found.place), found.state), (place, state));
    }

    fn stop(&mut self, number: u32) {
        let found = self.swarm.find(&peer(number), false);
        assert_eq!(found.map(|found| (found.place.seeder, found.state)), self.model.remove(&number));
        if let Some(found) = found {
            let mut removed = Vec::new();
            self.swarm.remove(found.place, 77, |peer| removed.push(*peer));
            assert_eq!(removed, [peer(number)]);
        }
    }

    fn check(&mut self) {
        let Self { swarm, model, rng, .. } = self;
        assert_eq!(swarm.len(), model.len());
        assert_eq!(swarm.seeders(), model.values().filter(|known| known.0).count());
        assert_eq!(swarm.empty_since().is_some(), model.is_empty());
        let mut out = vec![[0; 6]; model.len() + 1];
        assert_eq!(swarm.sample(None, true, &mut out, rng), model.len());
        let outcome: BTreeSet<[u8; 6]> = out[..model.len()].iter().copied().collect();
        assert!(outcome.into_iter().eq(model.keys().map(|number| peer(*number))));
    }
}

#[test]
fn grows_into_a_large_swarm_and_shrinks_again() {
    let mut fixture = Fixture::new();
    for round in 0..3 {
        for number in 0..5000 {
            fixture.announce(number, number % 5 == round, state(number));
            if number < 300 || number % 500 == 0 {
                fixture.check();
            }
        }
        assert!(matches!(fixture.swarm, Swarm::Large(_)));
        for number in (0..5000).rev() {
            fixture.stop(number * 7 % 5000);
            fixture.stop(10_000);
            if number < 300 || number % 500 == 0 {
                fixture.check();
            }
        }
        assert_eq!(fixture.swarm.empty_since(), Some(77));
    }
}

#[test]
fn peers_of_a_large_swarm_change_sides() {
    let mut fixture = Fixture::new();
    for step in 0..40_000u32 {
        let number = fixture.rng.random_range(0..1500);
        match fixture.rng.random_range(0..5) {
            0 => fixture.stop(number),
            chance => fixture.announce(number, chance > 2, state(step)),
        }
        if step % 1000 == 0 {
            fixture.check();
        }
    }
}

#[test]
fn expires_by_steps() {
    let mut fixture = Fixture::new();
    for number in 0..3000 {
        fixture.announce(number, number % 3 == 0, state(number % 7));
    }
    let old = |known: State| known == state(2) || known == state(3);
    let Fixture { swarm, model, .. } = &mut fixture;
    let (mut resume, mut steps, mut removed) = (None, 0, 0);
    loop {
        let before = swarm.len();
        let mut budget = 100;
        removed += swarm.expire(0, old, |_| (), &mut resume, &mut budget);
        // A block may be started when only one peer of the budget is left.
        assert!(before - swarm.len() < 100 + 250, "a long step");
        steps += 1;
        if resume.is_none() {
            break;
        }
    }
    assert!((10..100).contains(&steps), "{steps}");
    let before = model.len();
    model.retain(|_, known| !old(known.1));
    assert_eq!(removed, before - model.len());
    fixture.check();
    let removed = fixture.swarm.expire(9, |_| true, |_| (), &mut None, &mut 10_000);
    assert_eq!(removed, fixture.model.len());
    assert_eq!(fixture.swarm.empty_since(), Some(9));
}

#[test]
fn every_peer_of_a_large_swarm_is_equally_likely() {
    let mut fixture = Fixture::new();
    for number in 0..700 {
        fixture.announce(number, number < 200, state(0));
    }
    let own = fixture.swarm.find(&peer(699), false).map(|found| found.place);
    for wanted in [1, 150] {
        let mut hits = BTreeMap::new();
        let mut out = vec![[0; 6]; wanted];
        let draws = 700 * 400;
        for draw in 0..draws {
            assert_eq!(fixture.swarm.sample(own, true, &mut out, &mut fixture.rng), wanted);
            *hits.entry(out[draw % wanted]).or_insert(0u32) += 1;
        }
        assert_eq!(hits.len(), 699);
        assert_eq!(hits.get(&peer(699)), None);
        let expected = draws as f64 / 699.0;
        let deviation = |count: &u32| f64::from(*count) - expected;
        let statistic: f64 = hits.values().map(|count| deviation(count).powi(2) / expected).sum();
        assert!(statistic < 698.0 + 5.0 * (2.0 * 698.0f64).sqrt(), "{statistic}");
    }
}

#[test]
fn few_leechers_among_very_many_seeders_are_handed_out() {
    let mut fixture = Fixture::new();
    for number in 0..4000 {
        fixture.announce(number, number >= 3, state(0));
    }
    let own = fixture.swarm.find(&peer(100), true).map(|found| found.place);
    let mut out = [[0; 6]; 50];
    assert_eq!(fixture.swarm.sample(own, false, &mut out, &mut fixture.rng), 3);
    out[..3].sort_unstable();
    assert_eq!(out[..3], [peer(0), peer(1), peer(2)]);
}
