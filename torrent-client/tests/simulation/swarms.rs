//! Swarms of a hundred peers: all that can complete do so in bounded time, and few bytes are uploaded twice.
//!
//! The torrent is small, so a large part of the download is the end game, in which blocks are requested from several
//! peers.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::RngExt;
use torrent_client::engine::Config;

use crate::disk::Content;
use crate::world::{Kind, LENGTH, Node, World, seed};

const PEERS: usize = 100;
/// Pieces of the torrent.
const PIECES: usize = 32;
const MINUTE: Duration = Duration::from_secs(60);
/// Bytes a second.
const USUAL: u64 = 1 << 20;

const SEEDER: Kind = Kind { content: Content::Full, bandwidth: USUAL };
const LEECHER: Kind = Kind { content: Content::Empty, bandwidth: USUAL };
const LIAR: Kind = Kind { content: Content::Lies, bandwidth: USUAL };
const SLOW: Kind = Kind { content: Content::Empty, bandwidth: USUAL / 50 };

/// A swarm of these kinds of nodes; all others are leechers. They start within two seconds.
fn swarm(seed: u64, others: &[(usize, Kind)]) -> World {
    let mut world = World::new(seed);
    for (count, kind) in others {
        for _ in 0..*count {
            world.add(*kind, |_: &mut Config| {});
        }
    }
    while world.nodes.len() < PEERS {
        let pause = Duration::from_millis(world.rng.random_range(0..20));
        let until = world.now + pause;
        world.run(until, |_| false);
        world.add(LEECHER, |_| {});
    }
    world
}

fn is_leecher(node: &Node) -> bool {
    node.kind.content == Content::Empty
}

/// Asserts that all leechers complete in time, and that at most `factor` times the needed bytes are uploaded.
fn assert_completes(world: &mut World, until: Duration, factor: f64, mut every_look: impl FnMut(&mut World)) {
    let completed = world.run(until, |world| {
        every_look(world);
        world.all_complete(is_leecher)
    });
    let leechers = world.nodes.iter().filter(|node| is_leecher(node));
    let lacking = leechers.clone().filter(|node| node.completed_at.is_none()).count();
    let needed = leechers.count() * LENGTH;
    let uploaded = world.uploaded();
    #[expect(clippy::cast_precision_loss, reason = "a ratio need not be exact")]
    let ratio = uploaded as f64 / needed as f64;
    println!("{:?}: {lacking} are incomplete, {ratio:.3} times the needed bytes uploaded", world.now);
    assert!(completed, "{lacking} leechers are not complete after {until:?}");
    assert!(ratio <= factor, "{ratio} times the needed bytes were uploaded");
}

#[test]
fn a_hundred_complete() {
    let mut world = swarm(seed("a_hundred_complete", 1), &[(1, SEEDER)]);
    assert_completes(&mut world, MINUTE, 1.15, |_| {});
    let leechers = world.nodes.iter().filter(|node| is_leecher(node)).count();
    let all_announced = world.run(2 * MINUTE, |world| world.tracker.completed == leechers);
    assert!(all_announced, "{} of {leechers} announced completed", world.tracker.completed);
}

#[test]
fn completes_although_connections_are_lost() {
    let mut world = swarm(seed("completes_although_connections_are_lost", 2), &[(1, SEEDER)]);
    // Closes two connections, ten times a second.
    assert_completes(&mut world, 2 * MINUTE, 1.25, |world| {
        world.cut_any();
        world.cut_any();
    });
}

#[test]
fn completes_although_peers_send_wrong_blocks() {
    let mut world = swarm(seed("completes_although_peers_send_wrong_blocks", 3), &[(2, SEEDER), (10, LIAR)]);
    // Wrong blocks have to be uploaded again, and also some right blocks of the same pieces.
    assert_completes(&mut world, 3 * MINUTE, 1.6, |_| {});
}

#[test]
fn completes_although_many_peers_are_slow() {
    let mut world = swarm(seed("completes_although_many_peers_are_slow", 4), &[(1, SEEDER), (40, SLOW)]);
    assert_completes(&mut world, 3 * MINUTE, 1.25, |_| {});
}

#[test]
fn completes_when_the_seeder_leaves_after_sending_everything_once() {
    let mut world = swarm(seed("completes_when_the_seeder_leaves", 5), &[(1, SEEDER)]);
    let mut left_at = None;
    assert_completes(&mut world, 2 * MINUTE, 1.15, |world| {
        let held = world.nodes[1..].iter().flat_map(|node| node.disk.good.iter()).collect::<BTreeSet<_>>();
        if left_at.is_none() && held.len() == PIECES {
            left_at = Some(world.now);
            world.stop(0);
        }
    });
    let left_at = left_at.expect("it left");
    assert!(world.now > left_at, "some had to complete without it");
    assert!(world.nodes[0].is_gone);
}
