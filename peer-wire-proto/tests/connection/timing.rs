//! Keep-alives and silence.

use std::time::Duration;

use peer_wire_proto::connection::{CloseReason, Config};
use peer_wire_proto::{Handshake, Message, Reserved};

use crate::support::*;

const ALLOWED: Duration = Duration::from_secs(120);

#[test]
fn closes_without_a_handshake_in_time() {
    let start = secs(1_000);
    let mut end = End::new(Conn::accept(start, LOCAL_ID, config(true)));
    assert_eq!(end.connection.poll_timeout(), Some(secs(1_120)));

    // Parts of a handshake don't extend the time.
    end.now = secs(1_100);
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)[..67]).unwrap();
    assert_eq!(end.connection.poll_timeout(), Some(secs(1_120)));
    assert_eq!(end.connection.handle_timeout(secs(1_119)), Ok(()));
    let reason = CloseReason::NoHandshake { after: ALLOWED };
    assert_eq!(end.connection.handle_timeout(secs(1_120)), Err(reason));
    assert_eq!(end.connection.poll_timeout(), None);
    assert_eq!(end.connection.handle_timeout(secs(1_121)), Err(reason));
}

#[test]
fn closes_after_silence() {
    let mut end = in_data(true, &[0]);
    end.now = secs(30);
    end.receive_message(Message::KeepAlive).unwrap();
    assert_eq!(end.connection.handle_timeout(secs(149)), Ok(()));
    let reason = CloseReason::Silence { after: ALLOWED };
    assert_eq!(end.connection.handle_timeout(secs(150)), Err(reason));
}

#[test]
fn a_part_of_a_message_ends_the_silence() {
    let mut end = in_data(true, &[0]);
    end.now = secs(100);
    end.receive(&[0, 0, 0]).unwrap();
    end.now = secs(219);
    end.receive(&[5]).unwrap();
    assert_eq!(end.connection.handle_timeout(secs(338)), Ok(()));
    assert!(end.connection.handle_timeout(secs(339)).is_err());
}

#[test]
fn the_same_part_again_does_not_end_the_silence() {
    let mut end = in_data(true, &[0]);
    end.now = secs(100);
    // A message that is consumed, and a part of another.
    end.receive(&[0, 0, 0, 1, 1, 0, 0, 0]).unwrap();
    end.now = secs(200);
    end.receive(&[]).unwrap();
    end.receive(&[]).unwrap();
    assert_eq!(end.connection.handle_timeout(secs(219)), Ok(()));
    assert!(end.connection.handle_timeout(secs(220)).is_err());
}

#[test]
fn silence_is_counted_from_the_handshakes() {
    let mut end = End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)));
    end.transmit();
    end.now = secs(100);
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
    assert_eq!(end.connection.handle_timeout(secs(219)), Ok(()));
    assert!(end.connection.handle_timeout(secs(220)).is_err());

    // An incoming connection may take a while to look the torrent up.
    let mut end = End::new(Conn::accept(Duration::ZERO, LOCAL_ID, config(true)));
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
    end.now = secs(100);
    end.act(|c, now, out| c.answer(now, torrent(), out)).unwrap();
    assert_eq!(end.connection.handle_timeout(secs(219)), Ok(()));
    assert!(end.connection.handle_timeout(secs(220)).is_err());
}

#[test]
fn a_keep_alive_follows_45_s_without_sending() {
    let mut end = in_data(true, &[0]);
    assert_eq!(end.connection.poll_timeout(), Some(secs(45)));
    end.now = secs(44);
    end.connection.handle_timeout(end.now).unwrap();
    assert_eq!(end.transmit(), 0);

    end.now = secs(45);
    end.connection.handle_timeout(end.now).unwrap();
    // It is due, so only the silence has a timer now.
    assert_eq!(end.connection.poll_timeout(), Some(secs(120)));
    assert_eq!(end.transmit(), 4);
    assert_eq!(end.take_sent(), [0; 4]);
    assert_eq!(end.connection.poll_timeout(), Some(secs(90)));
}

#[test]
fn any_message_sent_delays_the_keep_alive() {
    let mut end = in_data(true, &[0]);
    end.now = secs(40);
    end.act(Conn::interested).unwrap();
    assert_eq!(end.connection.poll_timeout(), Some(secs(85)));

    end.now = secs(85);
    end.connection.handle_timeout(end.now).unwrap();
    assert!(end.connection.wants_transmit());
    end.act(Conn::not_interested).unwrap();
    assert!(!end.connection.wants_transmit());
}

#[test]
fn no_keep_alive_before_the_handshakes() {
    let mut end = End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)));
    end.transmit();
    assert_eq!(end.connection.poll_timeout(), Some(ALLOWED));
    end.now = secs(60);
    end.connection.handle_timeout(end.now).unwrap();
    assert_eq!(end.transmit(), 0);
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
    assert_eq!(end.connection.poll_timeout(), Some(secs(45)));
}

#[test]
fn both_times_are_configurable_and_may_be_infinite() {
    let config = Config { keep_alive: Duration::MAX, idle_timeout: secs(5), ..Config::default() };
    let end = hand_shaken(config, Reserved::NONE);
    assert_eq!(end.connection.poll_timeout(), Some(secs(5)));
    let config = Config { idle_timeout: Duration::MAX, ..config };
    let mut end = hand_shaken(config, Reserved::NONE);
    assert_eq!(end.connection.handle_timeout(secs(1 << 40)), Ok(()));
    assert_eq!(end.transmit(), 0);
}

#[test]
fn due_messages_wait_for_room() {
    let mut end = in_data(true, &[0]);
    end.now = secs(45);
    end.connection.handle_timeout(end.now).unwrap();
    assert_eq!(end.connection.poll_transmit(end.now, &mut [0; 3]), 0);
    assert!(end.connection.wants_transmit());

    let mut end = End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)));
    assert_eq!(end.connection.poll_transmit(Duration::ZERO, &mut [0; Handshake::LEN - 1]), 0);
    assert_eq!(end.connection.poll_transmit(Duration::ZERO, &mut [0; Handshake::LEN]), 68);
}
