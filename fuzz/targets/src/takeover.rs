//! Arbitrary pieces from a tracker that is to be replaced.

use std::sync::Arc;

use udp_tracker::{Family, Piece, Service, Settings, TakeOver};

use crate::script::Script;

const NOW: u64 = 1_800_000_000;

/// Any bytes as pieces of a snapshot and of changes.
///
/// # Panics
/// If the stores take more than they may, or if it is complete without an end.
pub fn takeover(input: &[u8]) {
    let mut script = Script(input);
    let mut settings = Settings::default();
    (settings.max_stored_torrents, settings.max_stored_peers) = (3, 9);
    let service = Arc::new(Service::from_seed(settings, 1).expect("valid settings"));
    let mut successor = TakeOver::new(Arc::clone(&service));
    let mut now = NOW;
    while let Some(kind) = script.step() {
        now += u64::from(kind >> 2);
        let bytes = script.many_bytes();
        let piece = if kind & 1 == 0 { Piece::Snapshot(bytes) } else { Piece::Changes(bytes) };
        if successor.take(now, piece).is_err() {
            break;
        }
    }
    let _ = successor.finish();
    for family in Family::ALL {
        let totals = service.stores().totals(family);
        assert!(totals.torrents <= 3 && totals.peers <= 9, "{totals:?}");
    }
}
