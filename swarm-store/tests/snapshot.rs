//! Snapshots: what is written comes back, and what is damaged doesn't.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};

use hex_literal::hex;
use proptest::collection::vec;
use proptest::prelude::*;
use siphasher::sip::SipHasher13;
use swarm_store::{
    Announce, Change, InfoHash, Limits, Moment, Part, PeerCursor, PeerStatus, Restored, SnapshotCursor,
    SnapshotError, SnapshotReader, SnapshotWriter, StoredPeer, SwarmStore, SweepCursor, ThreadContext,
    TorrentCursor,
};

const LIFETIME: u32 = 600;
const NOW: u32 = 1_000_000;
const WRITTEN: Moment = Moment { unix: 1_800_000_000, boot: [7; 16], since_boot: 5000 };

/// Each has a key of its own, as in a program that takes it from the system's random source.
fn store<const N: usize>() -> SwarmStore<N> {
    static STORES: AtomicU8 = AtomicU8::new(0);
    SwarmStore::new([STORES.fetch_add(1, Relaxed); 16], LIFETIME, Limits::default())
}

fn torrent(number: u32) -> InfoHash {
    let mut bytes = [0; 20];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    InfoHash(bytes)
}

fn peer<const N: usize>(number: u32) -> [u8; N] {
    let mut bytes = [0x1a; N];
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

fn announce<const N: usize>(store: &SwarmStore<N>, now: u32, at: u32, number: u32, status: PeerStatus) {
    let announce = Announce { info_hash: torrent(at), peer: peer(number), status };
    store.announce(now, &announce, &mut [], &mut ThreadContext::new(number.into()));
}

fn write<const N: usize>(store: &SwarmStore<N>, now: u32) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(now);
    let mut bytes = writer.begin(&WRITTEN).to_vec();
    let mut cursor = SnapshotCursor::new();
    while let Some(chunk) = writer.swarms(store, &mut cursor) {
        bytes.extend_from_slice(chunk);
    }
    bytes.extend_from_slice(writer.end());
    bytes
}

fn restore<const N: usize>(
    store: &SwarmStore<N>,
    (now, elapsed): (u32, u32),
    bytes: &[u8],
) -> Result<Restored, SnapshotError> {
    let (mut reader, mut input) = (SnapshotReader::new(), bytes);
    let mut restored = Restored::default();
    while let Some(part) = reader.next(&mut input)? {
        match part {
            Part::Begin(moment) => assert_eq!(moment, WRITTEN),
            Part::Swarms(swarms) => {
                restored += store.restore_swarms(now, elapsed, &swarms, &mut ThreadContext::new(1));
            }
            _ => {}
        }
    }
    reader.finish()?;
    Ok(restored)
}

/// Whether bytes are accepted, when they come in pieces of this length.
fn read(bytes: &[u8], pieces: usize) -> Result<(), SnapshotError> {
    let mut reader = SnapshotReader::new();
    for mut piece in bytes.chunks(pieces) {
        while reader.next(&mut piece)?.is_some() {}
    }
    reader.finish()
}

/// All torrents with their completed counts, and their peers.
type Contents<const N: usize> = BTreeMap<InfoHash, (u32, BTreeMap<[u8; N], StoredPeer<N>>)>;

fn contents<const N: usize>(store: &SwarmStore<N>, now: u32) -> Contents<N> {
    let mut contents = Contents::new();
    let mut cursor = TorrentCursor::new();
    while store.for_each_torrent(&mut cursor, 1000, |info_hash, counts| {
        contents.insert(*info_hash, (counts.completed, BTreeMap::new()));
    }) {}
    for (info_hash, (_, peers)) in &mut contents {
        let mut cursor = PeerCursor::default();
        while store.for_each_peer(now, info_hash, &mut cursor, 1000, |peer| {
            assert_eq!(peers.insert(peer.peer, *peer), None);
        }) {}
    }
    contents
}

/// What must be left of the contents when `elapsed` seconds have passed.
fn aged<const N: usize>(mut contents: Contents<N>, elapsed: u32) -> Contents<N> {
    for (_, peers) in contents.values_mut() {
        peers.values_mut().for_each(|peer| peer.idle += elapsed);
        peers.retain(|_, peer| peer.idle <= LIFETIME);
    }
    contents.retain(|_, (completed, peers)| *completed > 0 || !peers.is_empty());
    contents
}

fn status(number: u32) -> PeerStatus {
    match number % 3 {
        0 => PeerStatus::Leecher,
        1 => PeerStatus::Seeder,
        _ => PeerStatus::Completed,
    }
}

/// Torrents of 1, 2, 20, 128, 129 and 5000 peers, with and without completed downloads, and one without peers.
fn filled<const N: usize>() -> SwarmStore<N> {
    let store = store();
    for (at, peers) in [(1, 1), (2, 2), (3, 20), (4, 128), (5, 129), (6, 5000)] {
        for number in 0..peers {
            announce(&store, NOW - number % LIFETIME, at, number, status(number + at));
        }
    }
    assert!(store.set_completed(NOW - 100, &torrent(7), 70_000));
    store
}

fn survives_a_round_trip<const N: usize>(pieces_of: u32) {
    let original = filled::<N>();
    let bytes = write(&original, NOW);
    for elapsed in [0, 1, 300, LIFETIME - 101, LIFETIME - 100] {
        let restored = store::<N>();
        let now = NOW + pieces_of;
        let counts = restore(&restored, (now, elapsed), &bytes).unwrap();
        let expected = aged(contents(&original, NOW), elapsed);
        assert!(contents(&restored, now) == expected, "{elapsed}");
        let peers: usize = expected.values().map(|(_, peers)| peers.len()).sum();
        assert_eq!((counts.peers, counts.newer, counts.refused), (peers as u64, 0, 0));
        assert_eq!(restored.totals().peers, peers);
    }
}

#[test]
fn all_that_is_stored_comes_back_with_its_age() {
    survives_a_round_trip::<6>(0);
    survives_a_round_trip::<6>(77_777);
    survives_a_round_trip::<18>(0);
}

#[test]
fn a_torrent_with_one_peer_takes_30_bytes_for_ipv4_and_42_for_ipv6() {
    fn size<const N: usize>() -> usize {
        let store = store::<N>();
        (0..10_000).for_each(|number| announce(&store, NOW, number, number, PeerStatus::Seeder));
        write(&store, NOW).len()
    }
    let head_and_end = 50 + 28;
    let frames = |len: usize| len.div_ceil(1 << 16) * 16;
    assert_eq!(size::<6>(), head_and_end + 300_000 + frames(300_000));
    assert_eq!(size::<18>(), head_and_end + 420_000 + frames(420_000));
}

#[test]
fn a_torrent_without_peers_keeps_its_remaining_time() {
    let original = store::<6>();
    assert!(original.set_completed(NOW - 400, &torrent(1), 5));
    // This one has a peer that expires 50 seconds after the snapshot.
    announce(&original, NOW - LIFETIME + 50, 2, 1, PeerStatus::Completed);
    let bytes = write(&original, NOW);
    for (elapsed, left) in [(0, 2), (LIFETIME - 400, 2), (LIFETIME - 399, 1), (LIFETIME + 50, 1), (651, 0)] {
        let restored = store::<6>();
        restore(&restored, (NOW, elapsed), &bytes).unwrap();
        assert_eq!(restored.totals().torrents, left, "{elapsed}");
    }
    let restored = store::<6>();
    restore(&restored, (NOW, 100), &bytes).unwrap();
    assert_eq!(restored.totals().peers, 0);
    for (later, left) in [(100, 2), (101, 1), (550, 1), (551, 0)] {
        restored.sweep(NOW + later, &mut SweepCursor::new(0, 1), usize::MAX);
        assert_eq!(restored.totals().torrents, left, "{later}");
    }
}

#[test]
fn what_announces_while_it_loads_wins() {
    let bytes = write(&filled::<6>(), NOW);
    let restored = store::<6>();
    // As a leecher, although the snapshot has a seeder; and one that completes again.
    announce(&restored, NOW + 50, 6, 1, PeerStatus::Leecher);
    announce(&restored, NOW + 50, 6, 2, PeerStatus::Completed);
    announce(&restored, NOW + 50, 6, 100_000, PeerStatus::Completed);
    announce(&restored, NOW + 50, 8, 1, PeerStatus::Leecher);
    let before = contents(&filled::<6>(), NOW)[&torrent(6)].0;
    let counts = restore(&restored, (NOW + 60, 60), &bytes).unwrap();
    assert_eq!(counts.newer, 2);
    let contents = contents(&restored, NOW + 60);
    let (completed, peers) = &contents[&torrent(6)];
    let seen = |number| (peers[&peer(number)].idle, peers[&peer(number)].seeder);
    assert_eq!((seen(1), seen(2), seen(4)), ((10, false), (10, true), (64, true)));
    assert!(contents.contains_key(&torrent(8)));
    // Peer 2 was counted before and since, so it is counted once.
    let again = u32::from(status(2 + 6) == PeerStatus::Completed);
    assert_eq!((again, *completed), (1, before + 1));
}

#[test]
fn a_peer_that_completed_before_is_not_counted_again() {
    let original = store::<6>();
    announce(&original, NOW, 1, 1, PeerStatus::Completed);
    let bytes = write(&original, NOW);
    let restored = store::<6>();
    announce(&restored, NOW, 1, 1, PeerStatus::Seeder);
    restore(&restored, (NOW, 0), &bytes).unwrap();
    announce(&restored, NOW, 1, 1, PeerStatus::Completed);
    assert_eq!(restored.scrape(NOW, &torrent(1)).completed, 1);
}

#[test]
fn a_full_store_refuses_what_does_not_fit() {
    let bytes = write(&filled::<6>(), NOW);
    let restored = SwarmStore::<6>::new([255; 16], LIFETIME, Limits::new(3, 1000));
    let counts = restore(&restored, (NOW, 0), &bytes).unwrap();
    assert!(restored.totals().torrents <= 3 && restored.totals().peers <= 1000);
    assert_eq!(counts.peers, restored.totals().peers as u64);
    assert_eq!(counts.peers + counts.refused, 1 + 2 + 20 + 128 + 129 + 5000);
}

#[test]
fn peers_of_the_other_family_are_not_restored() {
    let bytes = write(&filled::<6>(), NOW);
    let other = store::<18>();
    assert_eq!(restore(&other, (NOW, 0), &bytes).unwrap(), Restored::default());
    assert_eq!(other.totals().torrents, 0);
}

/// Torrents 0 to 999 are stored all the time, while as many others come or go.
#[test]
fn what_is_stored_all_the_time_is_written_once_while_the_store_changes() {
    for growing in [true, false] {
        let original = store::<6>();
        for number in 0..if growing { 20_000 } else { 60_000 } {
            announce(&original, NOW, number, number, PeerStatus::Seeder);
        }
        for number in 0..20_000 {
            announce(&original, NOW, 7, number, PeerStatus::Leecher);
        }
        let mut others = 20_000..60_000;
        let mut writer = SnapshotWriter::new(NOW);
        let mut bytes = writer.begin(&WRITTEN).to_vec();
        let mut cursor = SnapshotCursor::new();
        while let Some(chunk) = writer.swarms(&original, &mut cursor) {
            bytes.extend_from_slice(chunk);
            let status = if growing { PeerStatus::Seeder } else { PeerStatus::Stopped };
            for number in others.by_ref().take(3000) {
                announce(&original, NOW + 5, number, number, status);
                announce(&original, NOW + 5, 7, number, status);
            }
        }
        bytes.extend_from_slice(writer.end());
        let restored = store::<6>();
        let counts = restore(&restored, (NOW + 10, 10), &bytes).unwrap();
        assert_eq!((counts.newer, counts.refused), (0, 0));
        let contents = contents(&restored, NOW + 10);
        for number in 0..20_000 {
            assert_eq!(contents[&torrent(number)].1[&peer(number)].idle, 10);
            assert!(contents[&torrent(7)].1.contains_key(&peer(number)));
        }
    }
}

#[test]
fn a_peer_that_announces_while_it_is_written_is_not_made_younger() {
    let original = store::<6>();
    announce(&original, NOW + 30, 1, 1, PeerStatus::Seeder);
    let bytes = write(&original, NOW);
    let restored = store::<6>();
    restore(&restored, (NOW + 100, 100), &bytes).unwrap();
    assert_eq!(contents(&restored, NOW + 100)[&torrent(1)].1[&peer(1)].idle, 100);
}

/// In a long lifetime, ages have a unit of more than a second.
#[test]
fn ages_are_right_to_the_resolution_of_the_two_stores() {
    let lifetime = 100_000;
    let original = SwarmStore::<6>::new([4; 16], lifetime, Limits::default());
    for number in 0..1000 {
        announce(&original, NOW - number * 100, 1, number, PeerStatus::Seeder);
    }
    let bytes = write(&original, NOW);
    for (of_restored, elapsed) in [(lifetime, 13), (3000, 13), (7000, 0)] {
        let restored = SwarmStore::<6>::new([255; 16], of_restored, Limits::default());
        restore(&restored, (NOW + 7, elapsed), &bytes).unwrap();
        let unit = lifetime.div_ceil(1 << 12);
        for peer in contents(&restored, NOW + 7)[&torrent(1)].1.values() {
            let number = u32::from_be_bytes([peer.peer[0], peer.peer[1], peer.peer[2], peer.peer[3]]);
            let real = number * 100 + elapsed;
            assert!(
                (real.saturating_sub(unit)..=real + 2 * unit).contains(&peer.idle),
                "{real} {}",
                peer.idle
            );
        }
    }
}

#[test]
fn an_empty_store_makes_a_small_snapshot() {
    let bytes = write(&store::<6>(), NOW);
    assert_eq!(bytes.len(), 50 + 28);
    assert_eq!(restore(&store::<6>(), (NOW, 0), &bytes), Ok(Restored::default()));
}

/// Two torrents: one with two peers, one with a completed count only.
fn small() -> Vec<u8> {
    let store = store::<6>();
    announce(&store, NOW - 5, 1, 1, PeerStatus::Completed);
    announce(&store, NOW, 1, 2, PeerStatus::Leecher);
    assert!(store.set_completed(NOW - 3, &torrent(2), 9));
    write(&store, NOW)
}

#[test]
fn every_flipped_bit_is_refused() {
    let good = small();
    assert_eq!(read(&good, 7), Ok(()));
    for at in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        assert!(read(&bad, usize::MAX).is_err(), "bit {at}");
    }
}

#[test]
fn every_truncation_is_refused_and_so_is_a_byte_more() {
    let good = small();
    for len in 0..good.len() {
        assert_eq!(read(&good[..len], 5), Err(SnapshotError::Truncated { len: len as u64 }));
    }
    let more = [&good[..], &[0]].concat();
    assert_eq!(read(&more, usize::MAX), Err(SnapshotError::AfterEnd { at: good.len() as u64 }));
    let twice = [&good[..], &good[..]].concat();
    assert_eq!(read(&twice, usize::MAX), Err(SnapshotError::AfterEnd { at: good.len() as u64 }));
}

/// The parts of a snapshot: head, frames, end.
fn parts(bytes: &[u8]) -> Vec<Vec<u8>> {
    let (mut reader, mut input, mut parts) = (SnapshotReader::new(), bytes, Vec::new());
    loop {
        let before = input;
        if reader.next(&mut input).unwrap().is_none() {
            return parts;
        }
        parts.push(before[..before.len() - input.len()].to_vec());
    }
}

#[test]
fn frames_that_are_missing_repeated_moved_or_of_another_snapshot_are_refused() {
    let original = store::<6>();
    (0..10_000).for_each(|number| announce(&original, NOW, number, number, PeerStatus::Seeder));
    let good = parts(&write(&original, NOW));
    assert_eq!(good.len(), 2 + 5);
    let mut missing = good.clone();
    missing.remove(3);
    let mut repeated = good.clone();
    repeated.insert(3, good[3].clone());
    let mut moved = good.clone();
    moved.swap(2, 3);
    // As when the blocks of an older file show through: the same bytes, with one peer more in the first frame.
    announce(&original, NOW, 1, 77_777, PeerStatus::Seeder);
    let newer = parts(&write(&original, NOW));
    let differing = (0..good.len()).find(|at| good[*at] != newer[*at]).expect("a frame that differs");
    let mut mixed = newer;
    mixed[differing + 1] = good[differing + 1].clone();
    for bad in [missing, repeated, moved, mixed] {
        assert!(matches!(read(&bad.concat(), usize::MAX), Err(SnapshotError::Checksum { .. })));
    }
    assert_eq!(read(&good.concat(), usize::MAX), Ok(()));
}

#[test]
fn refuses_with_a_sentence() {
    let good = small();
    let with = |at: usize, byte: u8| {
        let mut bad = good.clone();
        bad[at] = byte;
        read(&bad, usize::MAX).unwrap_err().to_string()
    };
    assert_eq!(with(0, b'x'), "it is not a snapshot of swarms");
    assert_eq!(with(8, 2), "it has version 2 of the format, and this program reads version 1");
    assert_eq!(with(20, 9), "it is damaged: the checksum of the bytes from 0 to 50 does not match");
    assert_eq!(with(50, 7), "it is damaged: no frame can have the kind 7 and the length 72, as at byte 50");
    let cut_off = read(&good[..60], usize::MAX).unwrap_err().to_string();
    assert_eq!(cut_off, "it is cut off after 60 bytes");
    assert_eq!(read(b"#!/bin/sh\n", 1).unwrap_err(), SnapshotError::NotASnapshot);
}

#[test]
fn pieces_of_any_length_make_the_same_parts() {
    let bytes = write(&filled::<18>(), NOW);
    for pieces in [1, 2, 3, 50, 1000, 100_000] {
        let mut reader = SnapshotReader::new();
        let mut torrents = 0;
        for mut piece in bytes.chunks(pieces) {
            while let Some(part) = reader.next(&mut piece).unwrap() {
                torrents += usize::from(matches!(part, Part::Swarms(_)));
            }
        }
        assert_eq!((reader.finish(), reader.len()), (Ok(()), bytes.len() as u64));
        assert!(torrents >= 1);
    }
}

/// Made by a program of its own, in another language, from the documentation of the format.
const FOREIGN: [u8; 50 + 49 + 28] = hex!(
    "89535741524d530a 0100 00d2496b00000000 07070707070707070707070707070707 8813000000000000 6f7141478d9b761e"
    "06 250000 01000000 0000000100000000000000000000000000000000 0108 090000 c00002011ae1 05c0 0f129670d2f7a270"
    "00 100000 0100000000000000 0100000000000000 659724da8e223596"
);

#[test]
fn writes_and_reads_what_is_documented() {
    let original = store::<6>();
    let (info_hash, peer) = (torrent(1), [192, 0, 2, 1, 0x1a, 0xe1]);
    let seeder = Announce { info_hash, peer, status: PeerStatus::Completed };
    original.announce(NOW - 5, &seeder, &mut [], &mut ThreadContext::new(1));
    original.set_completed(NOW - 5, &info_hash, 9);
    assert_eq!(write(&original, NOW), FOREIGN);
    let restored = store::<6>();
    restore(&restored, (NOW, 10), &FOREIGN).unwrap();
    let expected = StoredPeer { peer, seeder: true, completed: true, idle: 15 };
    assert_eq!(
        contents(&restored, NOW),
        BTreeMap::from([(info_hash, (9, BTreeMap::from([(peer, expected)])))])
    );
}

/// A snapshot whose checksums match, with one frame of this kind and content.
fn forged(kind: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = FOREIGN[..50].to_vec();
    let key = u64::from_le_bytes(bytes[42..].try_into().expect("eight bytes"));
    let start = bytes.len();
    bytes.extend_from_slice(&[kind]);
    bytes.extend_from_slice(&content.len().to_le_bytes()[..3]);
    bytes.extend_from_slice(content);
    let sum = SipHasher13::new_with_keys(key, 0).hash(&bytes[start..]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes
}

#[test]
fn contents_that_no_writer_makes_are_refused_although_their_checksum_matches() {
    let record = &FOREIGN[50 + 4..50 + 4 + 37];
    let refused =
        |kind: u8, content: &[u8]| read(&forged(kind, content), usize::MAX).unwrap_err().to_string();
    // Only the end is missing.
    assert_eq!(refused(6, record), "it is cut off after 99 bytes");
    for len in 0..record.len() {
        let error = refused(6, &record[..len]);
        assert!(
            len == 4 || error.starts_with("the frame at byte 50 has an invalid content: "),
            "{len}: {error}"
        );
    }
    // Peers of the other length, or an unknown bit.
    assert!(refused(18, record).ends_with("the peers of a record are cut off"));
    let mut unknown = record.to_vec();
    unknown[4 + 21] |= 0x10;
    assert!(refused(6, &unknown).ends_with("a record has an unknown shape"));
    unknown[4 + 20..4 + 22].copy_from_slice(&1025u16.to_le_bytes());
    assert!(refused(6, &unknown).ends_with("a record has an unknown shape"));
    assert!(refused(6, &[0; 4]).ends_with("the unit of ages is 0"));
    assert!(refused(0, &[1; 16]).ends_with("other numbers of torrents and peers than there were"));
    assert!(refused(0, &[0; 15]).starts_with("it is damaged: no frame can have"));
}

#[derive(Clone, Debug)]
struct Made {
    torrent: u32,
    peer: u32,
    age: u32,
    status: PeerStatus,
}

fn made() -> impl Strategy<Value = Made> {
    let status = prop_oneof![
        Just(PeerStatus::Leecher),
        Just(PeerStatus::Seeder),
        Just(PeerStatus::Completed),
        Just(PeerStatus::Stopped),
    ];
    (0..8u32, 0..300u32, 0..LIFETIME, status).prop_map(|(torrent, peer, age, status)| Made {
        torrent: torrent * torrent / 9,
        peer,
        age,
        status,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn whatever_is_stored_comes_back(mut made in vec(made(), 0..2000), elapsed in 0..LIFETIME) {
        let original = store::<18>();
        made.sort_by_key(|made| std::cmp::Reverse(made.age));
        for Made { torrent, peer, age, status } in made {
            announce(&original, NOW - age, torrent, peer, status);
        }
        let restored = store::<18>();
        restore(&restored, (NOW, elapsed), &write(&original, NOW)).unwrap();
        let mut expected = aged(contents(&original, NOW), elapsed);
        let found = contents(&restored, NOW);
        // A torrent that is kept for its completed count alone may be over its time.
        expected.retain(|torrent, (_, peers)| !peers.is_empty() || found.contains_key(torrent));
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn arbitrary_bytes_neither_panic_nor_are_accepted(bytes in vec(any::<u8>(), 0..3000), pieces in 1..100usize) {
        prop_assert!(read(&bytes, pieces).is_err());
        // After a right beginning, which is more likely to get far.
        let good = small();
        let begun = [&good[..50], &bytes[..]].concat();
        prop_assert!(read(&begun, pieces).is_err());
    }

    #[test]
    fn whatever_a_frame_contains_can_be_restored(
        kind in prop_oneof![Just(6u8), Just(18)],
        unit: u32,
        records in vec((any::<[u8; 2]>(), 0..4u16, vec(any::<u8>(), 0..60)), 0..20),
        elapsed: u32,
    ) {
        let mut content = unit.to_le_bytes().to_vec();
        for (torrent, shape, rest) in records {
            content.extend_from_slice(&[torrent, [0; 2]].concat().repeat(5));
            content.extend_from_slice(&(shape & 1 | (shape & 2) << 10).to_le_bytes());
            content.extend_from_slice(&rest);
        }
        let (loaded, again) = (store::<6>(), store::<6>());
        let _ = restore(&loaded, (NOW, elapsed), &forged(kind, &content));
        let _ = restore(&store::<18>(), (0, elapsed), &forged(kind, &content));
        // And what was loaded can be written and loaded again.
        restore(&again, (NOW, 0), &write(&loaded, NOW)).unwrap();
        prop_assert_eq!(contents(&again, NOW), contents(&loaded, NOW));
    }

    #[test]
    fn a_changed_byte_is_refused(at: prop::sample::Index, change in 1..=255u8, pieces in 1..500usize) {
        let mut bytes = small();
        let at = at.index(bytes.len());
        bytes[at] ^= change;
        prop_assert!(read(&bytes, pieces).is_err());
    }
}

#[test]
fn the_outcome_of_a_single_restore_is_unchanged() {
    let store = store::<6>();
    let stored = StoredPeer { peer: peer(1), seeder: true, completed: true, idle: 5 };
    let mut context = ThreadContext::new(1);
    assert_eq!(store.restore(NOW, &torrent(1), &stored, &mut context), Change::Added);
    assert_eq!(store.restore(NOW, &torrent(1), &stored, &mut context), Change::Nothing);
}
