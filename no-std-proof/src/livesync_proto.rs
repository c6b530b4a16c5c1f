//! `livesync-proto`: an authenticated packet is filled, sent and received.

use core::hint::black_box;
use core::time::Duration;

use ::livesync_proto::{Authenticator, Flags, Key, MAX_PACKET_LEN, Record, Sender, TrackerId, receive};

/// Whether the received record equals the one sent.
pub(crate) fn works() -> bool {
    sends_and_receives() == Some(true)
}

fn sends_and_receives() -> Option<bool> {
    let record = Record {
        info_hash: black_box("000102030405060708090a0b0c0d0e0f10111213").parse().ok()?,
        peer: black_box("192.0.2.7:6881").parse().ok()?,
        flags: Flags::SEEDING,
    };
    let key = Key::new(black_box([1; 32]));
    let authenticator = Authenticator::new(key.clone(), Duration::ZERO, Duration::from_secs(1_750_000_000));
    let mut sender = Sender::new(Duration::ZERO, TrackerId([1; 4]), Some(authenticator), MAX_PACKET_LEN);
    sender.push(&record).ok()?;
    sender.flush();
    let packet = sender.poll_transmit(Duration::ZERO)?;
    let received = receive(black_box(packet), TrackerId([2; 4]), Some(&key)).ok()?;
    Some(received.records.eq([record]))
}
