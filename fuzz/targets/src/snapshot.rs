//! Arbitrary bytes as a snapshot, and snapshots with valid checksums and arbitrary content.

use std::hash::Hasher;

use siphasher::sip::SipHasher13;
use swarm_store::{
    Limits, Part, SnapshotCursor, SnapshotError, SnapshotReader, SnapshotWriter, SwarmStore, ThreadContext,
};

use crate::script::Script;

const NOW: u32 = 1_800_000_000;
const LIFETIME: u32 = 2700;
const LIMITS: (usize, usize) = (4, 40);

/// Any bytes as a snapshot that is restored into stores with few places.
///
/// # Panics
/// If a store takes more than it may, hands out a peer that has expired, or if what it took is not what a snapshot of it
/// has.
pub fn snapshot(input: &[u8]) {
    let mut script = Script(input);
    let flags = script.byte();
    let part = usize::from(script.byte()).max(1);
    let bytes = if flags & 1 == 0 { script.0.to_vec() } else { with_checksums(&mut script) };
    let elapsed = u32::from(flags >> 2) * 100;
    let stores = Stores::new();
    // In an input with valid checksums, only its content can be wrong.
    let _ = stores.restore(&bytes, part, elapsed);
    stores.check();
    let written = stores.snapshot();
    let again = Stores::new();
    again.restore(&written, 1 << 12, 0).expect("a snapshot that was written");
    again.check();
    assert_eq!(again.totals(), stores.totals(), "what was restored is not what was written");
    if flags & 2 != 0 {
        damaged(written, &mut script);
    }
}

/// A snapshot with one wrong bit is refused.
fn damaged(mut written: Vec<u8>, script: &mut Script<'_>) {
    let at = usize::from(script.word()) % written.len();
    written[at] ^= 1 << (script.byte() & 7);
    assert!(Stores::new().restore(&written, 1 << 12, 0).is_err(), "a wrong bit in byte {at}");
}

struct Stores(SwarmStore<6>, SwarmStore<18>);

impl Stores {
    fn new() -> Self {
        let limits = Limits::new(LIMITS.0, LIMITS.1);
        Self(SwarmStore::new([1; 16], LIFETIME, limits), SwarmStore::new([2; 16], LIFETIME, limits))
    }

    fn restore(&self, bytes: &[u8], part: usize, elapsed: u32) -> Result<(), SnapshotError> {
        let mut reader = SnapshotReader::new();
        let mut context = ThreadContext::new(1);
        for mut part in bytes.chunks(part) {
            while let Some(read) = reader.next(&mut part)? {
                if let Part::Swarms(swarms) = read {
                    self.0.restore_swarms(NOW, elapsed, &swarms, &mut context);
                    self.1.restore_swarms(NOW, elapsed, &swarms, &mut context);
                }
            }
        }
        reader.finish()
    }

    fn totals(&self) -> [(usize, usize); 2] {
        let (v4, v6) = (self.0.totals(), self.1.totals());
        [(v4.torrents, v4.peers), (v6.torrents, v6.peers)]
    }

    fn check(&self) {
        for (torrents, peers) in self.totals() {
            assert!(torrents <= LIMITS.0 && peers <= LIMITS.1, "{torrents} torrents, {peers} peers");
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        let mut writer = SnapshotWriter::new(NOW);
        let mut bytes = writer.begin(&Default::default()).to_vec();
        let mut cursor = SnapshotCursor::new();
        while let Some(chunk) = writer.swarms(&self.0, &mut cursor) {
            bytes.extend_from_slice(chunk);
        }
        let mut cursor = SnapshotCursor::new();
        while let Some(chunk) = writer.swarms(&self.1, &mut cursor) {
            bytes.extend_from_slice(chunk);
        }
        bytes.extend_from_slice(writer.end());
        bytes
    }
}

/// Frames with the content that the script has, and with checksums and the counts that they must have.
fn with_checksums(script: &mut Script<'_>) -> Vec<u8> {
    let mut chain = 0;
    let mut bytes = Vec::new();
    let head = [&b"\x89SWARMS\n\x01\0"[..], &[0; 32]].concat();
    frame(&mut bytes, &mut chain, &head);
    let (mut torrents, mut peers) = (0_u64, 0_u64);
    while let Some(kind) = script.step() {
        let len = if kind & 1 == 0 { 6 } else { 18 };
        let unit = [script.byte() & 3, 0, 0, 0];
        let mut content = unit.to_vec();
        for _ in 0..kind >> 4 {
            let many = script.word();
            let count = many & 31;
            let completed = many & 0x800;
            // The other bits are wrong sometimes.
            let head = if many & 0xf000 == 0xf000 { many } else { count | completed };
            content.extend_from_slice(&[many.to_be_bytes()[1] >> 5; 20]);
            content.extend_from_slice(&head.to_le_bytes());
            if completed != 0 {
                content.extend_from_slice(&[script.byte(), 0, 0]);
            }
            if count == 0 {
                content.extend_from_slice(&script.word().to_le_bytes());
            }
            for peer in 0..count {
                let mut place = vec![81; len];
                place[len - 1] = script.byte();
                place[len - 3] = peer.to_be_bytes()[1];
                content.extend_from_slice(&place);
                content.extend_from_slice(&script.word().to_le_bytes());
            }
            torrents += 1;
            peers += u64::from(count);
        }
        content.extend_from_slice(if kind & 2 == 0 { &[] } else { script.bytes() });
        let length = u32::try_from(content.len()).expect("a small frame").to_le_bytes();
        let kind = if len == 6 { 6 } else { 18 };
        frame(&mut bytes, &mut chain, &[&[kind], &length[..3], &content].concat());
    }
    let end = [&[0, 16, 0, 0][..], &torrents.to_le_bytes(), &peers.to_le_bytes()].concat();
    frame(&mut bytes, &mut chain, &end);
    bytes
}

/// A part of a snapshot, with its checksum: see the format in `swarm_store`.
fn frame(bytes: &mut Vec<u8>, chain: &mut u64, part: &[u8]) {
    let mut hasher = SipHasher13::new_with_keys(*chain, 0);
    hasher.write(part);
    *chain = hasher.finish();
    bytes.extend_from_slice(part);
    bytes.extend_from_slice(&chain.to_le_bytes());
}
