//! Saving and loading on a disk that fails and crashes at every operation.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use swarm_store::{Announce, Moment, PeerStatus, ThreadContext};
use udp_tracker_proto::InfoHash;

use super::simulated::{Fault, SimulatedDisk};
use super::*;
use crate::access::{AccessRules, Hits};
use crate::{Family, Settings};

const NOW: u64 = 1_800_000_000;

fn moment(seconds: u64) -> Moment {
    Moment { unix: seconds, boot: [1; 16], since_boot: seconds - NOW + 1000 }
}

/// A tracker with this many torrents of one peer in each family.
fn service(torrents: u32) -> Service {
    let service = Service::new(Settings::default()).unwrap();
    for number in 0..torrents {
        let mut context = ThreadContext::new(number.into());
        let [a, b, c, d] = number.to_be_bytes();
        let info_hash = InfoHash([[a, b, c, d]; 5].concat().try_into().unwrap());
        let status = PeerStatus::Completed;
        let stores = service.stores();
        let now = u32::try_from(NOW).unwrap();
        let peer = [192, 0, 2, d, 0x1a, 0xe1];
        stores.v4.announce(now, &Announce { info_hash, peer, status }, &mut [], &mut context);
        let peer = [d; 18];
        stores.v6.announce(now, &Announce { info_hash, peer, status }, &mut [], &mut context);
    }
    service
}

fn torrents(service: &Service) -> usize {
    let counts = Family::ALL.map(|family| service.stores().totals(family).torrents);
    assert_eq!(counts[0], counts[1], "a part of a snapshot was loaded");
    counts[0]
}

fn save(disk: &SimulatedDisk, torrents: u32) -> Result<Saved, SaveError> {
    swarms::save(disk, &service(torrents), (NOW, moment(NOW)), &mut || true)
}

fn load_at(disk: &SimulatedDisk, seconds: u64) -> (usize, Loaded) {
    let service = service(0);
    let loaded = swarms::load(disk, &service, (seconds, moment(seconds)), &mut || true);
    (torrents(&service), loaded)
}

fn load(disk: &SimulatedDisk) -> (usize, Loaded) {
    load_at(disk, NOW + 60)
}

#[test]
fn the_last_snapshot_is_loaded_and_the_one_before_is_kept() {
    let disk = SimulatedDisk::new();
    assert_eq!(load(&disk), (0, Loaded::default()));
    for many in [3, 5, 7] {
        let saved = save(&disk, many).unwrap();
        assert_eq!((saved.torrents, saved.peers), (2 * u64::from(many), 2 * u64::from(many)));
        assert_eq!(disk.bytes("swarms.snapshot").unwrap().len() as u64, saved.bytes);
    }
    assert_eq!(disk.names(), ["swarms.snapshot", "swarms.snapshot.previous"]);
    let (torrents, loaded) = load(&disk);
    assert_eq!((torrents, loaded.age, loaded.restored.peers), (7, 60, 14));
    assert_eq!((loaded.path, loaded.refused.len()), (Some(PathBuf::from("swarms.snapshot")), 0));
}

/// The operations of a save with these short writes.
fn operations(disk: &SimulatedDisk, torrents: u32) -> usize {
    disk.set_fault(None);
    save(disk, torrents).unwrap();
    disk.operations()
}

#[test]
fn a_crash_at_any_operation_leaves_the_old_snapshot_or_the_new_one() {
    let start = || {
        let disk = SimulatedDisk::new();
        disk.set_write_len(100);
        save(&disk, 3).unwrap();
        save(&disk, 5).unwrap();
        disk
    };
    let all = operations(&start(), 7);
    assert!(all > 10);
    let (mut old, mut new) = (0, 0);
    for at in 0..=all {
        let disk = start();
        disk.set_fault(Some(Fault::Crash(at)));
        assert_eq!(save(&disk, 7).is_ok(), at == all);
        for crashed in disk.after_crash() {
            let (torrents, loaded) = load(&crashed);
            assert!([5, 7].contains(&torrents), "operation {at}: {torrents}, {loaded:?}");
            assert!(loaded.refused.is_empty() && loaded.incomplete.is_none(), "operation {at}: {loaded:?}");
            assert!(at < all || torrents == 7, "lost after it was saved");
            *if torrents == 5 { &mut old } else { &mut new } += 1;
            // And the tracker that comes back saves again.
            save(&crashed, 9).unwrap();
            assert_eq!(load(&crashed).0, 9);
        }
    }
    assert!(old > 0 && new > 0);
}

#[test]
fn a_crash_during_the_first_save_leaves_nothing_or_all() {
    let all = operations(&SimulatedDisk::new(), 7);
    for at in 0..all {
        let disk = SimulatedDisk::new();
        disk.set_fault(Some(Fault::Crash(at)));
        save(&disk, 7).unwrap_err();
        for crashed in disk.after_crash() {
            let (torrents, loaded) = load(&crashed);
            assert!([0, 7].contains(&torrents) && loaded.refused.is_empty(), "operation {at}: {loaded:?}");
        }
    }
}

#[test]
fn an_error_of_any_operation_is_reported_and_loses_nothing() {
    let start = || {
        let disk = SimulatedDisk::new();
        disk.set_write_len(200);
        save(&disk, 5).unwrap();
        disk
    };
    let all = operations(&start(), 7);
    for at in 0..all {
        for kind in [ErrorKind::StorageFull, ErrorKind::Other, ErrorKind::PermissionDenied] {
            let disk = start();
            disk.set_fault(Some(Fault::Error(at, kind)));
            let error = save(&disk, 7).unwrap_err().to_string();
            assert!(
                error.starts_with("cannot ") && error.ends_with("what was saved before is kept"),
                "{error}"
            );
            assert!([5, 7].contains(&load(&disk).0), "operation {at}: {error}");
            disk.set_fault(None);
            save(&disk, 8).unwrap();
            assert_eq!(load(&disk).0, 8);
        }
    }
}

#[test]
fn a_full_disk_gets_its_space_back() {
    let disk = SimulatedDisk::new();
    disk.set_write_len(64);
    save(&disk, 5).unwrap();
    for at in 1..20 {
        disk.set_fault(Some(Fault::Full(at)));
        let error = save(&disk, 70).unwrap_err().to_string();
        assert!(error.starts_with("cannot write swarms.snapshot.new: "), "{error}");
        assert_eq!(disk.names(), ["swarms.snapshot"]);
        assert_eq!(load(&disk).0, 5);
    }
}

#[test]
fn a_damaged_snapshot_is_put_aside_and_the_one_before_is_loaded() {
    let disk = SimulatedDisk::new();
    save(&disk, 5).unwrap();
    save(&disk, 7).unwrap();
    let good = disk.bytes("swarms.snapshot").unwrap();
    // Also in the last byte: nothing of it may be loaded, although all before it was read.
    for at in [0, 9, 30, 60, 100, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        disk.put("swarms.snapshot", &bad);
        let (torrents, loaded) = load(&disk);
        assert_eq!((torrents, loaded.path), (5, Some("swarms.snapshot.previous".into())));
        let [refused] = &loaded.refused[..] else { panic!("{:?}", loaded.refused) };
        let sentence = refused.to_string();
        assert!(sentence.starts_with("swarms.snapshot is not loaded: it "), "{sentence}");
        assert!(sentence.ends_with("; it is kept as swarms.snapshot.refused"), "{sentence}");
        assert_eq!(disk.bytes("swarms.snapshot.refused").unwrap(), bad);
        assert_eq!(disk.bytes("swarms.snapshot"), None);
    }
}

#[test]
fn a_snapshot_that_can_not_be_read_is_put_aside() {
    let disk = SimulatedDisk::new();
    save(&disk, 5).unwrap();
    save(&disk, 7).unwrap();
    disk.set_fault(Some(Fault::Error(0, ErrorKind::Other)));
    let (torrents, loaded) = load(&disk);
    assert_eq!((torrents, loaded.refused.len()), (5, 1));
    assert!(loaded.refused[0].reason.starts_with("it can't be read: "), "{:?}", loaded.refused);
}

#[test]
fn a_snapshot_from_the_future_is_put_aside() {
    let disk = SimulatedDisk::new();
    save(&disk, 5).unwrap();
    let service = service(0);
    let earlier = Moment { unix: NOW - 3, boot: [2; 16], since_boot: 10 };
    let loaded = swarms::load(&disk, &service, (NOW - 3, earlier), &mut || true);
    assert_eq!((torrents(&service), loaded.path), (0, None));
    assert!(loaded.refused[0].reason.starts_with("it was written 3 s in the future"), "{:?}", loaded.refused);
    assert_eq!(disk.names(), ["swarms.snapshot.refused"]);
}

#[test]
fn no_peer_is_loaded_past_its_lifetime_whatever_the_clock_says() {
    let disk = SimulatedDisk::new();
    save(&disk, 5).unwrap();
    let lifetime = u64::from(Settings::default().peer_lifetime);
    let peers = |disk: &SimulatedDisk, now: Moment| {
        let service = service(0);
        swarms::load(disk, &service, (now.unix, now), &mut || true).restored.peers
    };
    assert_eq!(peers(&disk, moment(NOW + lifetime)), 10);
    assert_eq!(peers(&disk, moment(NOW + lifetime + 1)), 0);
    // The clock was set back meanwhile, but the machine was not restarted.
    let set_back = Moment { unix: NOW + 1, ..moment(NOW + lifetime + 1) };
    assert_eq!(peers(&disk, set_back), 0);
}

#[test]
fn a_stop_ends_saving_and_loading_without_harm() {
    let disk = SimulatedDisk::new();
    save(&disk, 5).unwrap();
    for steps in 0..4 {
        let mut left = steps;
        let mut go_on = || {
            left -= 1;
            left >= 0
        };
        let error = swarms::save(&disk, &service(7), (NOW, moment(NOW)), &mut go_on).unwrap_err();
        assert!(matches!(error, SaveError::Stopped), "{error}");
        assert_eq!(disk.names(), ["swarms.snapshot"]);
        let mut left = steps;
        let mut go_on = || {
            left -= 1;
            left >= 0
        };
        let service = service(0);
        let loaded = swarms::load(&disk, &service, (NOW, moment(NOW)), &mut go_on);
        assert_eq!(loaded.incomplete.as_deref(), Some("the tracker was stopped"));
        assert!(loaded.refused.is_empty());
    }
    assert_eq!(load(&disk).0, 5);
}

fn with_hits(times: u64) -> AccessRules {
    let rules = AccessRules::unlisted([InfoHash([1; 20]), InfoHash([2; 20])]);
    for _ in 0..times {
        rules.torrents.get(&[1; 20]).unwrap().hit(NOW);
    }
    rules
}

fn hits(disk: &SimulatedDisk) -> (u64, Option<u64>, usize) {
    let rules = with_hits(0);
    let (_, refused) = hits::load(disk, &rules);
    let rule = rules.torrents.get(&[1; 20]).unwrap();
    (rule.hits(), rule.last_hit(), refused.len())
}

#[test]
fn hits_come_back_and_a_damaged_file_is_put_aside() {
    let disk = SimulatedDisk::new();
    assert_eq!(hits(&disk), (0, None, 0));
    assert_eq!(hits::save(&disk, &with_hits(3)).unwrap(), 1);
    assert_eq!(hits(&disk), (3, Some(NOW), 0));
    hits::save(&disk, &with_hits(5)).unwrap();
    let good = disk.bytes("access.hits").unwrap();
    let expected = format!("access hits 1\ntorrent {} 5 {NOW}\nend ", InfoHash([1; 20]));
    assert!(good.starts_with(expected.as_bytes()), "{}", String::from_utf8_lossy(&good));
    for at in 0..good.len() {
        for bad in [&good[..at], &[&good[..at], &[good[at] ^ 1], &good[at + 1..]].concat()] {
            disk.put("access.hits", bad);
            assert_eq!(hits(&disk), (3, Some(NOW), 1), "{at}");
        }
    }
    // More than a line that any rule can have.
    disk.put("access.hits", &[b'x'; 100_000]);
    assert_eq!(hits(&disk), (3, Some(NOW), 1));
}

#[test]
fn a_crash_while_hits_are_saved_leaves_the_old_or_the_new_ones() {
    let start = || {
        let disk = SimulatedDisk::new();
        hits::save(&disk, &with_hits(3)).unwrap();
        disk
    };
    for at in 0.. {
        let disk = start();
        disk.set_fault(Some(Fault::Crash(at)));
        let saved = hits::save(&disk, &with_hits(5));
        for crashed in disk.after_crash() {
            assert!([(3, Some(NOW), 0), (5, Some(NOW), 0)].contains(&hits(&crashed)), "{at}");
        }
        if saved.is_ok() {
            break;
        }
    }
}

#[test]
fn many_hits_take_the_memory_of_one() {
    let rules = AccessRules::unlisted((0..20_000u32).map(|number| {
        let [a, b, c, d] = number.to_be_bytes();
        InfoHash([[a, b, c, d]; 5].concat().try_into().unwrap())
    }));
    rules.torrents.iter().for_each(|rule| rule.add(Hits { hits: 7, last: 9 }));
    let disk = SimulatedDisk::new();
    disk.set_write_len(1000);
    assert_eq!(hits::save(&disk, &rules).unwrap(), 20_000);
    assert_eq!(hits::load(&disk, &rules).0, 20_000);
    assert!(rules.torrents.iter().all(|rule| rule.hits() == 14));
}

#[test]
fn only_one_tracker_uses_a_folder() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("state");
    let first = StateDir::open(&path).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(&path.join("lock"))), (0o700, 0o600));
    let error = StateDir::open(&path).unwrap_err().to_string();
    let own = std::process::id();
    assert!(error.contains(&format!("is used by another tracker (process {own})")), "{error}");
    drop(first);
    StateDir::open(&path).unwrap();
}

#[test]
fn a_folder_that_can_not_be_used_is_named() {
    let parent = tempfile::tempdir().unwrap();
    let missing = parent.path().join("missing/state");
    let error = StateDir::open(&missing).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot make the folder {}: ", missing.display())), "{error}");
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    assert!(StateDir::open(&file).is_err());
}
