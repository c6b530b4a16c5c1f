//! Arbitrary packets to a node's codec, with a key and without one.

use livesync_proto::{Key, TrackerId, receive};

const HEADER: usize = 8;

/// Any bytes as a packet of another node.
///
/// # Panics
/// If a packet is accepted that nobody who has the key has made, or if records are read that are not in the packet.
pub fn livesync(packet: &[u8]) {
    let own = TrackerId([1; 4]);
    if let Ok(mut received) = receive(packet, own, None) {
        let record_len = received.records.family().record_len();
        assert_eq!(received.records.len(), (packet.len() - HEADER) / record_len, "records of a packet");
        assert!(
            received.records.all(|record| record.family() == livesync_proto::Family::V4 || record_len > 27)
        );
    }
    let key = Key::new([7; 32]);
    assert!(receive(packet, own, Some(&key)).is_err(), "a forged packet");
}
