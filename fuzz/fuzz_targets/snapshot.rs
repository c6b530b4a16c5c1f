#![no_main]
//! Snapshots: bytes in pieces, as they are and with right checksums, into stores of both families. What is accepted as a
//! whole can be written again.

use std::sync::atomic::{AtomicU8, Ordering};

use libfuzzer_sys::fuzz_target;
use swarm_store::{
    Limits, Moment, Part, SnapshotCursor, SnapshotError, SnapshotReader, SnapshotWriter, SwarmStore, ThreadContext,
};

const NOW: u32 = 1_000_000;

type Stores = (SwarmStore<6>, SwarmStore<18>);

fn stores() -> Stores {
    // Different keys, as in a tracker that starts anew.
    static KEY: AtomicU8 = AtomicU8::new(0);
    let key = || [KEY.fetch_add(1, Ordering::Relaxed); 16];
    (SwarmStore::new(key(), 600, Limits::new(100, 1000)), SwarmStore::new(key(), 600, Limits::new(100, 1000)))
}

fn read(bytes: &[u8], (pieces, elapsed): (usize, u32), stores: &Stores) -> Result<(), SnapshotError> {
    let mut reader = SnapshotReader::new();
    let mut context = ThreadContext::new(1);
    for mut piece in bytes.chunks(pieces) {
        while let Some(part) = reader.next(&mut piece)? {
            if let Part::Swarms(swarms) = part {
                stores.0.restore_swarms(NOW, elapsed, &swarms, &mut context);
                stores.1.restore_swarms(NOW, elapsed, &swarms, &mut context);
            }
        }
    }
    reader.finish()
}

fn write(stores: &Stores) -> Vec<u8> {
    let mut writer = SnapshotWriter::new(NOW);
    let mut bytes = writer.begin(&Moment::default()).to_vec();
    let mut cursor = SnapshotCursor::new();
    while let Some(chunk) = writer.swarms(&stores.0, &mut cursor) {
        bytes.extend_from_slice(chunk);
    }
    let mut cursor = SnapshotCursor::new();
    while let Some(chunk) = writer.swarms(&stores.1, &mut cursor) {
        bytes.extend_from_slice(chunk);
    }
    bytes.extend_from_slice(writer.end());
    bytes
}

/// Frames with these contents, and checksums that match.
fn sealed(mut data: &[u8]) -> Vec<u8> {
    let begin = SnapshotWriter::new(NOW).begin(&Moment::default()).to_vec();
    let mut key = u64::from_le_bytes(begin[42..50].try_into().expect("eight bytes"));
    let mut bytes = begin;
    while let [kind, len, rest @ ..] = data {
        let len = usize::from(*len).min(rest.len());
        let (content, after) = rest.split_at(len);
        let start = bytes.len();
        bytes.push([6, 18, 0][usize::from(*kind) % 3]);
        bytes.extend_from_slice(&content.len().to_le_bytes()[..3]);
        bytes.extend_from_slice(content);
        key = siphasher::sip::SipHasher13::new_with_keys(key, 0).hash(&bytes[start..]);
        bytes.extend_from_slice(&key.to_le_bytes());
        data = after;
    }
    bytes
}

fuzz_target!(|data: &[u8]| {
    let Some((pieces, data)) = data.split_first() else { return };
    let pieces = usize::from(*pieces).max(1);
    let _ = read(data, (pieces, 10), &stores());
    let loaded = stores();
    let _ = read(&sealed(data), (pieces, 10), &loaded);
    let again = stores();
    assert_eq!(read(&write(&loaded), (4096, 0), &again), Ok(()));
    assert_eq!(again.0.totals().peers, loaded.0.totals().peers);
    assert_eq!(again.1.totals().peers, loaded.1.totals().peers);
});
