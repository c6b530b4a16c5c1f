//! Violations of a peer, as bytes, and the reasons for closing.

use crate::support::*;
use peer_wire_proto::connection::{CloseReason, Config};
use peer_wire_proto::{Bitfield, BitfieldError, Block, BlockError, DecodeError, Message, Reserved};

/// The reason for which a connection in the state Data closes on a stream.
fn reason(fast: bool, stream: &[u8]) -> CloseReason {
    in_data(fast, &[0xe0]).receive(stream).unwrap_err()
}

#[test]
fn rejects_invalid_messages() {
    let too_long = DecodeError::TooLong { limit: 32_768, got: 0x0100_0000 };
    assert_eq!(reason(true, &[1, 0, 0, 0]), CloseReason::Message(too_long));
    let wrong = DecodeError::Length { id: 4, needed: 4, got: 0 };
    assert_eq!(reason(true, &[0, 0, 0, 1, 4]), CloseReason::Message(wrong));
}

#[test]
fn rejects_a_bitfield_of_wrong_length_or_with_spare_bits() {
    let long = BitfieldError::Length { needed: 1, got: 2 };
    assert_eq!(reason(false, &[0, 0, 0, 3, 5, 0, 0]), CloseReason::Bitfield(long));
    let none = BitfieldError::Length { needed: 1, got: 0 };
    assert_eq!(reason(false, &[0, 0, 0, 1, 5]), CloseReason::Bitfield(none));
    let spare = BitfieldError::SpareBits { last: 0x10 };
    assert_eq!(reason(false, &[0, 0, 0, 2, 5, 0x10]), CloseReason::Bitfield(spare));
}

#[test]
fn rejects_a_late_have_none() {
    let mut end = in_data(true, &[0xe0]);
    end.receive_message(Message::HaveAll).unwrap();
    assert_eq!(end.receive_message(Message::HaveNone), Err(CloseReason::LateHaveNone));
}

#[test]
fn accepts_a_late_bitfield() {
    // As aria2 sends it after many new pieces.
    for first in [Message::Unchoke, Message::Have(0), Message::Bitfield(&[0x80]), Message::Interested] {
        let mut end = in_data(false, &[0xe0]);
        end.receive_message(first).unwrap();
        end.receive_message(Message::Bitfield(&[0xe0])).unwrap();
        assert_eq!(end.take_seen().last(), Some(&Seen::Bitfield(vec![0xe0])), "after {first:?}");
    }
}

#[test]
fn accepts_a_bitfield_behind_messages_beyond_bep_3() {
    let both = Config { reserved: Reserved::EXTENSION_PROTOCOL, ..Config::default() };
    let mut end = hand_shaken(both, Reserved::EXTENSION_PROTOCOL);
    end.receive_message(Message::Extended { id: 0, payload: b"de" }).unwrap();
    end.receive_message(Message::Port(6881)).unwrap();
    end.receive_message(Message::KeepAlive).unwrap();
    end.receive(&[0, 0, 0, 2, 21, 0]).unwrap();
    end.receive_message(Message::Bitfield(&[0x40])).unwrap();
    assert_eq!(end.take_seen()[2..], [Seen::Bitfield(vec![0x40])]);
}

#[test]
fn accepts_a_late_have_all() {
    // As from aria2, which sends "have none" first.
    let mut end = in_data(true, &[0xe0]);
    end.receive_message(Message::HaveNone).unwrap();
    end.receive_message(Message::Interested).unwrap();
    end.receive_message(Message::HaveAll).unwrap();
    assert_eq!(end.take_seen(), [Seen::HaveNone, Seen::Interested, Seen::HaveAll]);
}

#[test]
fn rejects_pieces_out_of_range() {
    for (id, message) in [(4, Message::Have(3)), (13, Message::Suggest(3)), (17, Message::AllowedFast(3))] {
        let mut end = in_data(true, &[0xe0]);
        let expected = CloseReason::PieceOutOfRange { id, index: 3, pieces: 3 };
        assert_eq!(end.receive_message(message), Err(expected));
    }
    let mut end = in_data(true, &[0xe0]);
    for last in [Message::Have(2), Message::Suggest(2), Message::AllowedFast(2)] {
        end.receive_message(last).unwrap();
    }
    assert_eq!(end.take_seen(), [Seen::Have(2), Seen::Suggested(2), Seen::AllowedFast(2)]);
}

#[test]
fn rejects_requests_outside_the_torrent_even_while_choked() {
    let request = |index, begin, length| {
        let block = Block { index, begin, length };
        in_data(false, &[0xe0]).receive_message(Message::Request(block)).unwrap_err()
    };
    assert_eq!(request(3, 0, 1), CloseReason::Request(BlockError::Index { index: 3, pieces: 3 }));
    assert_eq!(request(0, 0, 0), CloseReason::Request(BlockError::Empty));
    let over = BlockError::OutOfPiece { begin: 7_000, length: 233, piece_length: 7_232 };
    assert_eq!(request(2, 7_000, 233), CloseReason::Request(over));
    let wraps = BlockError::OutOfPiece { begin: u32::MAX, length: 16, piece_length: 16_384 };
    assert_eq!(request(0, u32::MAX, 16), CloseReason::Request(wraps));
    let long = BlockError::TooLong { limit: 16_384, got: 16_385 };
    assert_eq!(request(0, 0, 16_385), CloseReason::Request(long));
}

#[test]
fn the_request_limit_is_configurable_up_to_a_maximum() {
    let ask = |max_request, length| {
        let mut big = torrent();
        big.layout = peer_wire_proto::Layout::new(1 << 20, 1 << 20).unwrap();
        let config = Config { max_request, reserved: Reserved::NONE, ..Config::default() };
        let mut end = End::new(Conn::connect(secs(0), LOCAL_ID, big, config));
        end.transmit();
        end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
        end.receive_message(Message::Request(Block { index: 0, begin: 0, length }))
    };
    assert_eq!(ask(32_768, 32_768), Ok(()));
    assert!(ask(32_768, 32_769).is_err());
    let bound = BlockError::TooLong { limit: 131_072, got: 131_073 };
    assert_eq!(ask(u32::MAX, 131_073), Err(CloseReason::Request(bound)));
    assert_eq!(ask(u32::MAX, 131_072), Ok(()));
}

#[test]
fn rejects_more_requests_than_the_queue_holds() {
    for fast in [false, true] {
        let mut end = in_data(fast, &[0xe0]);
        end.receive_message(Message::Interested).unwrap();
        end.act(Conn::unchoke).unwrap();
        for begin in 0..4 {
            end.receive_message(Message::Request(Block { index: 0, begin, length: 1 })).unwrap();
        }
        let one_more = Message::Request(Block { index: 0, begin: 4, length: 1 });
        assert_eq!(end.receive_message(one_more), Err(CloseReason::TooManyRequests { limit: 4 }));
    }
}

#[test]
fn rejects_a_piece_that_was_not_requested() {
    for fast in [false, true] {
        let mut end = in_data(fast, &[0]);
        let piece = Message::Piece { index: 1, begin: 2, data: b"abc" };
        let block = Block { index: 1, begin: 2, length: 3 };
        assert_eq!(end.receive_message(piece), Err(CloseReason::PieceNotRequested(block)));
    }
}

#[test]
fn rejects_a_second_piece_and_one_of_wrong_length() {
    let requested = || {
        let mut end = in_data(true, &[0]);
        end.act(Conn::interested).unwrap();
        end.receive_message(Message::Unchoke).unwrap();
        end.act(|c, now, out| c.request(now, block(2), out)).unwrap();
        end
    };
    let data = [1; 7_232];
    let mut end = requested();
    let short = CloseReason::PieceLength { expected: block(2), got: 7_231 };
    assert_eq!(end.receive_message(Message::Piece { index: 2, begin: 0, data: &data[1..] }), Err(short));

    let mut end = requested();
    let piece = Message::Piece { index: 2, begin: 0, data: &data };
    end.receive_message(piece).unwrap();
    assert_eq!(end.connection.outstanding().count(), 0);
    assert_eq!(end.receive_message(piece), Err(CloseReason::PieceNotRequested(block(2))));
}

#[test]
fn rejects_a_reject_that_was_not_requested() {
    let mut end = in_data(true, &[0]);
    assert_eq!(
        end.receive_message(Message::Reject(block(0))),
        Err(CloseReason::RejectNotRequested(block(0)))
    );
}

#[test]
fn rejects_the_fast_extension_unless_both_offer_it() {
    let all = [
        Message::Suggest(0),
        Message::HaveAll,
        Message::HaveNone,
        Message::Reject(block(0)),
        Message::AllowedFast(0),
    ];
    for message in all {
        let expected = CloseReason::FastNotInUse { id: message.id().unwrap() };
        let one_sided = [(true, Reserved::NONE), (false, Reserved::FAST)];
        for (ours, theirs) in one_sided {
            let mut end = hand_shaken(config(ours), theirs);
            assert_eq!(end.receive_message(message), Err(expected));
        }
    }
}

#[test]
fn accepts_a_bitfield_longer_than_the_message_limit() {
    let mut large = torrent();
    large.layout = peer_wire_proto::Layout::new(8 << 20, 1).unwrap();
    let config = Config { max_message: 16_393, ..Config::default() };
    let mut end = End::new(Conn::connect(secs(0), LOCAL_ID, large, config));
    end.transmit();
    end.receive(&handshake_of(PEER_ID, Reserved::NONE)).unwrap();
    end.take_seen();
    let bytes = vec![0xff; 1 << 20];
    assert_eq!(end.connection.receive_len(), 4 + 1 + bytes.len());
    end.receive_message(Message::Bitfield(&bytes)).unwrap();
    assert!(Bitfield::decode(&bytes[..], 8 << 20).unwrap().is_full());
    assert_eq!(end.take_seen(), [Seen::Bitfield(bytes)]);
}

#[test]
fn reasons_have_messages_and_is_violation_classifies_them() {
    let named = CloseReason::PieceLength { expected: block(2), got: 5 };
    assert_eq!(named.to_string(), "piece 2 from 0: 5 bytes, requested 7232");
    assert!(named.is_violation());
    let asked = CloseReason::Request(BlockError::Empty);
    assert_eq!(asked.to_string(), "invalid request: a block of 0 bytes");
    assert!(!CloseReason::Gone.is_violation());
    assert!(!CloseReason::Silence { after: secs(120) }.is_violation());
}
