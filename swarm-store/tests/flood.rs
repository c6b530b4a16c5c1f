//! Peers of others under a flood of info_hashes: the example at a 200th of its size.

#[allow(dead_code, reason = "its main is not called")]
#[path = "../examples/flood.rs"]
mod flood;

use flood::flood;

const TORRENTS: u64 = 50_000;

#[test]
fn honest_peers_are_stored_while_nobody_floods() {
    let outcome = flood::<6>(TORRENTS, 0);
    assert_eq!((outcome.stored, outcome.served), (1.0, 1.0));
}

#[test]
fn honest_torrents_keep_working_under_a_flood_from_one_network() {
    for outcome in [flood::<6>(TORRENTS, 1), flood::<18>(TORRENTS, 1)] {
        assert!(outcome.stored > 0.999 && outcome.served > 0.999, "{} {}", outcome.stored, outcome.served);
    }
}

#[test]
fn honest_torrents_keep_working_under_a_flood_from_a_thousand_networks() {
    let outcome = flood::<6>(TORRENTS, 1000);
    assert!(outcome.stored > 0.999 && outcome.served > 0.999, "{} {}", outcome.stored, outcome.served);
}

#[test]
fn honest_torrents_keep_working_under_a_flood_from_a_slash_48() {
    let outcome = flood::<18>(TORRENTS, 65_536);
    assert!(outcome.stored > 0.999 && outcome.served > 0.999, "{} {}", outcome.stored, outcome.served);
}
