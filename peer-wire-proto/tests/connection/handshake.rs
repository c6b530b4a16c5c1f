//! How connections begin, and how some end before they began.

use std::time::Duration;

use crate::support::*;
use peer_wire_proto::connection::{ActionError, CloseReason, Config, Input, State};
use peer_wire_proto::{Bitfield, Handshake, HandshakeError, InfoHash, Message, PeerId, Reserved};

fn connecting() -> End {
    End::new(Conn::connect(Duration::ZERO, OURS, torrent(), config(true)))
}

fn accepting() -> End {
    End::new(Conn::accept(Duration::ZERO, OURS, config(true)))
}

#[test]
fn who_connects_speaks_first() {
    let mut end = connecting();
    assert_eq!(end.connection.state(), State::Initial);
    assert_eq!(end.transmit(), 68);
    assert_eq!(end.connection.state(), State::HalfShaken);
    let sent = end.take_sent();
    assert_eq!(&sent[..20], b"\x13BitTorrent protocol");
    assert_eq!(sent[20..28], [0, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!(sent[28..48], HASH.0);
    assert_eq!(sent[48..], OURS.0);

    end.hear(&handshake_of(THEIRS, Reserved::DHT)).unwrap();
    assert_eq!(end.connection.state(), State::HandShaken);
    let theirs = Handshake { reserved: Reserved::DHT, info_hash: HASH, peer_id: THEIRS };
    assert_eq!(end.take_seen(), [Seen::Handshake(theirs)]);
    assert_eq!(end.connection.peer_handshake(), Some(theirs));
    assert!(!end.connection.has(Reserved::FAST));
    assert_eq!(end.transmit(), 0);
}

#[test]
fn who_accepts_learns_the_torrent_and_answers() {
    let mut end = accepting();
    assert_eq!(end.transmit(), 0);
    let answered = end.act(|c, now, out| c.answer(now, torrent(), out));
    assert_eq!(answered, Err(ActionError::NotNow { state: State::Initial }));

    // The peer doesn't wait for the answer.
    let mut stream = handshake_of(THEIRS, Reserved::FAST);
    stream.extend(wire(Message::HaveAll));
    end.hear(&stream).unwrap();
    assert_eq!(end.connection.state(), State::Initial);
    assert!(matches!(end.take_seen()[..], [Seen::Handshake(Handshake { info_hash: HASH, .. })]));
    assert_eq!(end.inbox, wire(Message::HaveAll));

    let mut other = torrent();
    other.info_hash = InfoHash([9; 20]);
    let error = ActionError::OtherTorrent { expected: HASH, got: InfoHash([9; 20]) };
    assert_eq!(end.act(|c, now, out| c.answer(now, other, out)), Err(error));
    assert!(matches!(
        end.act(|c, now, out| c.answer(now, torrent(), &mut out[..67])),
        Err(ActionError::BufferTooSmall(_))
    ));
    assert_eq!(end.act(|c, now, out| c.answer(now, torrent(), out)), Ok(68));
    assert_eq!(end.connection.state(), State::HandShaken);
    assert_eq!(end.take_sent(), handshake_of(OURS, Reserved::FAST));

    end.hear(&[]).unwrap();
    assert_eq!(end.take_seen(), [Seen::HaveAll]);
    let again = end.act(|c, now, out| c.answer(now, torrent(), out));
    assert_eq!(again, Err(ActionError::NotNow { state: State::HandShaken }));
}

#[test]
fn another_torrent_closes() {
    let mut end = connecting();
    end.transmit();
    let mut theirs = handshake_of(THEIRS, Reserved::NONE);
    theirs[28..48].fill(9);
    let reason = CloseReason::WrongInfoHash { expected: HASH, got: InfoHash([9; 20]) };
    assert_eq!(end.hear(&theirs), Err(reason));
    assert_eq!(end.connection.state(), State::Closing);
    assert_eq!(end.connection.close_reason(), Some(reason));
    assert!(reason.is_violation());

    // Nothing more goes in or out, and the first reason stays.
    end.connection.close(CloseReason::Ours);
    assert_eq!(end.connection.handle_input(Duration::ZERO, &[]), Err(reason));
    assert_eq!(end.connection.handle_timeout(secs(1_000)), Err(reason));
    assert_eq!(end.connection.poll_timeout(), None);
    assert_eq!(end.transmit(), 0);
    let error = Err(ActionError::NotNow { state: State::Closing });
    assert_eq!(end.act(Conn::interested), error);
}

#[test]
fn ourselves_closes_on_either_side() {
    for mut end in [connecting(), accepting()] {
        end.transmit();
        assert_eq!(end.hear(&handshake_of(OURS, Reserved::NONE)), Err(CloseReason::OwnPeerId));
    }
}

#[test]
fn another_protocol_closes_at_its_first_octet() {
    let mut end = accepting();
    let reason = CloseReason::Handshake(HandshakeError::NotBitTorrent { at: 0 });
    assert_eq!(end.hear(b"G"), Err(reason));
}

#[test]
fn a_handshake_in_pieces_is_one() {
    let mut end = accepting();
    let theirs = handshake_of(THEIRS, Reserved::NONE);
    for octet in &theirs[..67] {
        end.hear(&[*octet]).unwrap();
        assert!(end.take_seen().is_empty());
    }
    end.hear(&theirs[67..]).unwrap();
    assert_eq!(end.take_seen().len(), 1);
}

#[test]
fn nothing_behind_the_handshake_is_read_before_ours_is_out() {
    let mut end = connecting();
    let mut stream = handshake_of(THEIRS, Reserved::NONE);
    stream.extend(wire(Message::Unchoke));
    end.hear(&stream).unwrap();
    assert_eq!(end.connection.state(), State::Initial);
    assert_eq!(end.take_seen().len(), 1);
    let waiting = Input { consumed: 0, event: None };
    assert_eq!(end.connection.handle_input(Duration::ZERO, &[0, 0, 0, 1, 1]), Ok(waiting));
    end.transmit();
    end.hear(&[]).unwrap();
    assert_eq!(end.take_seen(), [Seen::Unchoked]);
}

#[test]
fn our_pieces_come_first_and_in_the_shortest_form() {
    let announce = |fast: bool, pieces: u8| {
        let mut end = hand_shaken(config(fast), config(fast).reserved);
        let interested = end.act(Conn::interested);
        assert_eq!(interested, Err(ActionError::NotNow { state: State::HandShaken }));
        let have = Bitfield::decode([pieces], 3).unwrap();
        end.act(|c, now, out| c.bitfield(now, &have, out)).unwrap();
        assert_eq!(end.connection.state(), State::Data);
        let again = end.act(|c, now, out| c.bitfield(now, &have, out));
        assert_eq!(again, Err(ActionError::NotNow { state: State::Data }));
        end.take_sent()
    };
    assert_eq!(announce(true, 0xe0), [0, 0, 0, 1, 14]);
    assert_eq!(announce(true, 0x00), [0, 0, 0, 1, 15]);
    assert_eq!(announce(true, 0x20), [0, 0, 0, 2, 5, 0x20]);
    assert_eq!(announce(false, 0xe0), [0, 0, 0, 2, 5, 0xe0]);
    assert_eq!(announce(false, 0x00), []);

    let mut end = hand_shaken(config(true), Reserved::NONE);
    let have = Bitfield::decode([0], 4).unwrap();
    let error = Err(ActionError::OtherPieces { pieces: 3, got: 4 });
    assert_eq!(end.act(|c, now, out| c.bitfield(now, &have, out)), error);
}

#[test]
fn extensions_may_go_before_the_pieces_if_both_offer_them() {
    let both = Config { reserved: Reserved::EXTENSION_PROTOCOL | Reserved::DHT, ..Config::default() };
    let mut end = hand_shaken(both, Reserved::EXTENSION_PROTOCOL);
    end.act(|c, now, out| c.extended(now, 0, b"de", out)).unwrap();
    assert_eq!(end.take_sent(), b"\x00\x00\x00\x04\x14\x00de");
    let error = Err(ActionError::NotOffered(Reserved::DHT));
    assert_eq!(end.act(|c, now, out| c.port(now, 6881, out)), error);
    assert_eq!(end.connection.state(), State::HandShaken);

    let mut end = hand_shaken(both, Reserved::DHT);
    assert_eq!(end.act(|c, now, out| c.port(now, 6881, out)), Ok(7));
    // Not offered by both, 20 is an id like any unknown one.
    end.say(Message::Extended { id: 0, payload: b"de" }).unwrap();
    end.say(Message::Port(1)).unwrap();
    assert_eq!(end.take_seen(), [Seen::Port(1)]);
}

#[test]
fn the_caller_may_close_with_a_reason_of_its_own() {
    let mut end = accepting();
    end.hear(&handshake_of(THEIRS, Reserved::NONE)).unwrap();
    let reason = CloseReason::UnknownTorrent { info_hash: HASH };
    end.connection.close(reason);
    assert_eq!(end.hear(&[]), Err(reason));
    assert!(!reason.is_violation());
    let error = Err(ActionError::NotNow { state: State::Closing });
    assert_eq!(end.act(|c, now, out| c.answer(now, torrent(), out)), error);
}

#[test]
fn peer_ids_differ_by_any_octet() {
    let mut nearly = OURS.0;
    nearly[19] ^= 1;
    let mut end = connecting();
    end.transmit();
    assert_eq!(end.hear(&handshake_of(PeerId(nearly), Reserved::NONE)), Ok(()));
}
