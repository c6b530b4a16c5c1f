#![no_main]
//! Arbitrary packets to a node, with a key and without one.

use libfuzzer_sys::fuzz_target;
use livesync_proto::{Key, TrackerId, receive};

fuzz_target!(|packet: &[u8]| {
    let own = TrackerId([1; 4]);
    if let Ok(received) = receive(packet, own, None) {
        assert!(received.records.len() * 28 + 8 <= packet.len());
        received.records.for_each(drop);
    }
    let key = Key::new([7; 32]);
    assert!(receive(packet, own, Some(&key)).is_err(), "a forged packet");
});
