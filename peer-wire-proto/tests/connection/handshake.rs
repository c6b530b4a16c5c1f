//! Handshakes, and connections that are closed during them.

use std::time::Duration;

use crate::support::*;
use peer_wire_proto::connection::{ActionError, CloseReason, Config, Input, State};
use peer_wire_proto::{Bitfield, Handshake, HandshakeError, InfoHash, Message, PeerId, Reserved};

fn connecting() -> End {
    End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)))
}

fn accepting() -> End {
    End::new(Conn::accept(Duration::ZERO, LOCAL_ID, config(true)))
}

#[test]
fn an_outgoing_connection_sends_first() {
    let mut end = connecting();
    assert_eq!(end.connection.state(), State::Initial);
    assert_eq!(end.transmit(), 68);
    assert_eq!(end.connection.state(), State::HalfShaken);
    let sent = end.take_sent();
    assert_eq!(&sent[..20], b"\x13BitTorrent protocol");
    assert_eq!(sent[20..28], [0, 0, 0, 0, 0, 0, 0, 4]);
    assert_eq!(sent[28..48], HASH.0);
    assert_eq!(sent[48..], LOCAL_ID.0);

    end.receive(&handshake_of(PEER_ID, Reserved::DHT)).unwrap();
    assert_eq!(end.connection.state(), State::HandShaken);
    let theirs = Handshake { reserved: Reserved::DHT, info_hash: HASH, peer_id: PEER_ID };
    assert_eq!(end.take_seen(), [Seen::Handshake(theirs)]);
    assert_eq!(end.connection.peer_handshake(), Some(theirs));
    assert!(!end.connection.has(Reserved::FAST));
    assert_eq!(end.transmit(), 0);
}

#[test]
fn an_incoming_connection_answers_with_the_same_torrent() {
    let mut end = accepting();
    assert_eq!(end.transmit(), 0);
    let answered = end.act(|c, now, out| c.answer(now, torrent(), out));
    assert_eq!(answered, Err(ActionError::NotNow { state: State::Initial }));

    // The peer sends more without waiting for the answer.
    let mut stream = handshake_of(PEER_ID, Reserved::FAST);
    stream.extend(wire(Message::HaveAll));
    end.receive(&stream).unwrap();
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
    assert_eq!(end.take_sent(), handshake_of(LOCAL_ID, Reserved::FAST));

    end.receive(&[]).unwrap();
    assert_eq!(end.take_seen(), [Seen::HaveAll]);
    let again = end.act(|c, now, out| c.answer(now, torrent(), out));
    assert_eq!(again, Err(ActionError::NotNow { state: State::HandShaken }));
}

#[test]
fn closes_on_another_torrent() {
    let mut end = connecting();
    end.transmit();
    let mut theirs = handshake_of(PEER_ID, Reserved::NONE);
    theirs[28..48].fill(9);
    let reason = CloseReason::WrongInfoHash { expected: HASH, got: InfoHash([9; 20]) };
    assert_eq!(end.receive(&theirs), Err(reason));
    assert_eq!(end.connection.state(), State::Closing);
    assert_eq!(end.connection.close_reason(), Some(reason));
    assert!(reason.is_violation());

    // Nothing more goes in or out, and the first reason stays.
    end.connection.close(CloseReason::Local);
    assert_eq!(end.connection.handle_input(Duration::ZERO, &[]), Err(reason));
    assert_eq!(end.connection.handle_timeout(secs(1_000)), Err(reason));
    assert_eq!(end.connection.poll_timeout(), None);
    assert_eq!(end.transmit(), 0);
    let error = Err(ActionError::NotNow { state: State::Closing });
    assert_eq!(end.act(Conn::interested), error);
}

#[test]
fn both_sides_close_on_their_own_peer_id() {
    for mut end in [connecting(), accepting()] {
        end.transmit();
        assert_eq!(end.receive(&handshake_of(LOCAL_ID, Reserved::NONE)), Err(CloseReason::OwnPeerId));
    }
}

#[test]
fn another_protocol_closes_at_its_first_byte() {
    let mut end = accepting();
    let reason = CloseReason::Handshake(HandshakeError::NotBitTorrent { at: 0 });
    assert_eq!(end.receive(b"G"), Err(reason));
}

#[test]
fn accepts_a_handshake_byte_by_byte() {
    let mut end = accepting();
    let theirs = handshake_of(PEER_ID, Reserved::NONE);
    for byte in &theirs[..67] {
        end.receive(&[*byte]).unwrap();
        assert!(end.take_seen().is_empty());
    }
    end.receive(&theirs[67..]).unwrap();
    assert_eq!(end.take_seen().len(), 1);
}

#[test]
fn messages_wait_until_the_local_handshake_is_sent() {
    let mut end = connecting();
    let mut stream = handshake_of(PEER_ID, Reserved::NONE);
    stream.extend(wire(Message::Unchoke));
    end.receive(&stream).unwrap();
    assert_eq!(end.connection.state(), State::Initial);
    assert_eq!(end.take_seen().len(), 1);
    let waiting = Input { consumed: 0, event: None };
    assert_eq!(end.connection.handle_input(Duration::ZERO, &[0, 0, 0, 1, 1]), Ok(waiting));
    end.transmit();
    end.receive(&[]).unwrap();
    assert_eq!(end.take_seen(), [Seen::Unchoked]);
}

#[test]
fn announces_pieces_first_and_in_the_shortest_form() {
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
fn extensions_may_precede_the_bitfield_if_both_offer_them() {
    let both = Config { reserved: Reserved::EXTENSION_PROTOCOL | Reserved::DHT, ..Config::default() };
    let mut end = hand_shaken(both, Reserved::EXTENSION_PROTOCOL);
    end.act(|c, now, out| c.extended(now, 0, b"de", out)).unwrap();
    assert_eq!(end.take_sent(), b"\x00\x00\x00\x04\x14\x00de");
    let error = Err(ActionError::NotOffered(Reserved::DHT));
    assert_eq!(end.act(|c, now, out| c.port(now, 6881, out)), error);
    assert_eq!(end.connection.state(), State::HandShaken);

    let mut end = hand_shaken(both, Reserved::DHT);
    assert_eq!(end.act(|c, now, out| c.port(now, 6881, out)), Ok(7));
    // Not offered by both, 20 is an unknown id.
    end.receive_message(Message::Extended { id: 0, payload: b"de" }).unwrap();
    end.receive_message(Message::Port(1)).unwrap();
    assert_eq!(end.take_seen(), [Seen::Port(1)]);
}

#[test]
fn the_caller_may_close_with_a_reason() {
    let mut end = accepting();
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
    let reason = CloseReason::UnknownTorrent { info_hash: HASH };
    end.connection.close(reason);
    assert_eq!(end.receive(&[]), Err(reason));
    assert!(!reason.is_violation());
    let error = Err(ActionError::NotNow { state: State::Closing });
    assert_eq!(end.act(|c, now, out| c.answer(now, torrent(), out)), error);
}

#[test]
fn peer_ids_may_differ_in_any_byte() {
    let mut nearly = LOCAL_ID.0;
    nearly[19] ^= 1;
    let mut end = connecting();
    end.transmit();
    assert_eq!(end.receive(&handshake_of(PeerId(nearly), Reserved::NONE)), Ok(()));
}
