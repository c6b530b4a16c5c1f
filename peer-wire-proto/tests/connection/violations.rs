//! What a peer does wrong, octet by octet, and the reason that it gives to close.

use crate::support::*;
use peer_wire_proto::connection::{CloseReason, Config};
use peer_wire_proto::{Bitfield, BitfieldError, Block, BlockError, DecodeError, Message, Reserved};

/// What a connection in Data makes of a stream.
fn reason(fast: bool, stream: &[u8]) -> CloseReason {
    in_data(fast, &[0xe0]).hear(stream).unwrap_err()
}

#[test]
fn messages_that_can_not_be_read() {
    let too_long = DecodeError::TooLong { limit: 32_768, got: 0x0100_0000 };
    assert_eq!(reason(true, &[1, 0, 0, 0]), CloseReason::Message(too_long));
    let wrong = DecodeError::Length { id: 4, needed: 4, got: 0 };
    assert_eq!(reason(true, &[0, 0, 0, 1, 4]), CloseReason::Message(wrong));
}

#[test]
fn a_bitfield_of_the_wrong_length_or_with_spare_bits() {
    let long = BitfieldError::Length { needed: 1, got: 2 };
    assert_eq!(reason(false, &[0, 0, 0, 3, 5, 0, 0]), CloseReason::Bitfield(long));
    let none = BitfieldError::Length { needed: 1, got: 0 };
    assert_eq!(reason(false, &[0, 0, 0, 1, 5]), CloseReason::Bitfield(none));
    let spare = BitfieldError::SpareBits { last: 0x10 };
    assert_eq!(reason(false, &[0, 0, 0, 2, 5, 0x10]), CloseReason::Bitfield(spare));
}

#[test]
fn a_late_have_none() {
    let mut end = in_data(true, &[0xe0]);
    end.say(Message::HaveAll).unwrap();
    assert_eq!(end.say(Message::HaveNone), Err(CloseReason::LateHaveNone));
}

#[test]
fn a_bitfield_may_come_late() {
    // As from aria2, which has just got many pieces.
    for first in [Message::Unchoke, Message::Have(0), Message::Bitfield(&[0x80]), Message::Interested] {
        let mut end = in_data(false, &[0xe0]);
        end.say(first).unwrap();
        end.say(Message::Bitfield(&[0xe0])).unwrap();
        assert_eq!(end.take_seen().last(), Some(&Seen::Bitfield(vec![0xe0])), "after {first:?}");
    }
}

#[test]
fn a_bitfield_may_follow_what_is_no_message_of_bep_3() {
    let both = Config { reserved: Reserved::EXTENSION_PROTOCOL, ..Config::default() };
    let mut end = hand_shaken(both, Reserved::EXTENSION_PROTOCOL);
    end.say(Message::Extended { id: 0, payload: b"de" }).unwrap();
    end.say(Message::Port(6881)).unwrap();
    end.say(Message::KeepAlive).unwrap();
    end.hear(&[0, 0, 0, 2, 21, 0]).unwrap();
    end.say(Message::Bitfield(&[0x40])).unwrap();
    assert_eq!(end.take_seen()[2..], [Seen::Bitfield(vec![0x40])]);
}

#[test]
fn have_all_may_come_again() {
    // As from aria2, which starts with "have none".
    let mut end = in_data(true, &[0xe0]);
    end.say(Message::HaveNone).unwrap();
    end.say(Message::Interested).unwrap();
    end.say(Message::HaveAll).unwrap();
    assert_eq!(end.take_seen(), [Seen::HaveNone, Seen::Interested, Seen::HaveAll]);
}

#[test]
fn pieces_out_of_range() {
    for (id, message) in [(4, Message::Have(3)), (13, Message::Suggest(3)), (17, Message::AllowedFast(3))] {
        let mut end = in_data(true, &[0xe0]);
        let expected = CloseReason::PieceOutOfRange { id, index: 3, pieces: 3 };
        assert_eq!(end.say(message), Err(expected));
    }
    let mut end = in_data(true, &[0xe0]);
    for last in [Message::Have(2), Message::Suggest(2), Message::AllowedFast(2)] {
        end.say(last).unwrap();
    }
    assert_eq!(end.take_seen(), [Seen::Have(2), Seen::Suggested(2), Seen::AllowedFast(2)]);
}

#[test]
fn requests_outside_the_torrent_even_while_choked() {
    let request = |index, begin, length| {
        let block = Block { index, begin, length };
        in_data(false, &[0xe0]).say(Message::Request(block)).unwrap_err()
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
fn the_longest_request_is_set_but_bounded() {
    let ask = |max_request, length| {
        let mut big = torrent();
        big.layout = peer_wire_proto::Layout::new(1 << 20, 1 << 20).unwrap();
        let config = Config { max_request, reserved: Reserved::NONE, ..Config::default() };
        let mut end = End::new(Conn::connect(secs(0), OURS, big, config));
        end.transmit();
        end.hear(&handshake_of(THEIRS, Reserved::NONE)).unwrap();
        end.say(Message::Request(Block { index: 0, begin: 0, length }))
    };
    assert_eq!(ask(32_768, 32_768), Ok(()));
    assert!(ask(32_768, 32_769).is_err());
    let bound = BlockError::TooLong { limit: 131_072, got: 131_073 };
    assert_eq!(ask(u32::MAX, 131_073), Err(CloseReason::Request(bound)));
    assert_eq!(ask(u32::MAX, 131_072), Ok(()));
}

#[test]
fn more_requests_than_the_queue_holds() {
    for fast in [false, true] {
        let mut end = in_data(fast, &[0xe0]);
        end.say(Message::Interested).unwrap();
        end.act(Conn::unchoke).unwrap();
        for begin in 0..4 {
            end.say(Message::Request(Block { index: 0, begin, length: 1 })).unwrap();
        }
        let one_more = Message::Request(Block { index: 0, begin: 4, length: 1 });
        assert_eq!(end.say(one_more), Err(CloseReason::TooManyRequests { limit: 4 }));
    }
}

#[test]
fn a_piece_that_was_not_requested() {
    for fast in [false, true] {
        let mut end = in_data(fast, &[0]);
        let piece = Message::Piece { index: 1, begin: 2, data: b"abc" };
        let block = Block { index: 1, begin: 2, length: 3 };
        assert_eq!(end.say(piece), Err(CloseReason::PieceNotRequested(block)));
    }
}

#[test]
fn a_piece_twice_or_of_the_wrong_length() {
    let requested = || {
        let mut end = in_data(true, &[0]);
        end.act(Conn::interested).unwrap();
        end.say(Message::Unchoke).unwrap();
        end.act(|c, now, out| c.request(now, block(2), out)).unwrap();
        end
    };
    let data = [1; 7_232];
    let mut end = requested();
    let short = CloseReason::PieceLength { expected: block(2), got: 7_231 };
    assert_eq!(end.say(Message::Piece { index: 2, begin: 0, data: &data[1..] }), Err(short));

    let mut end = requested();
    let piece = Message::Piece { index: 2, begin: 0, data: &data };
    end.say(piece).unwrap();
    assert_eq!(end.connection.outstanding().count(), 0);
    assert_eq!(end.say(piece), Err(CloseReason::PieceNotRequested(block(2))));
}

#[test]
fn a_reject_of_nothing() {
    let mut end = in_data(true, &[0]);
    assert_eq!(end.say(Message::Reject(block(0))), Err(CloseReason::RejectNotRequested(block(0))));
}

#[test]
fn the_fast_extension_unless_both_offer_it() {
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
            assert_eq!(end.say(message), Err(expected));
        }
    }
}

#[test]
fn a_bitfield_longer_than_other_messages_may_be() {
    let mut large = torrent();
    large.layout = peer_wire_proto::Layout::new(8 << 20, 1).unwrap();
    let config = Config { max_message: 16_393, ..Config::default() };
    let mut end = End::new(Conn::connect(secs(0), OURS, large, config));
    end.transmit();
    end.hear(&handshake_of(THEIRS, Reserved::NONE)).unwrap();
    end.take_seen();
    let octets = vec![0xff; 1 << 20];
    assert_eq!(end.connection.receive_len(), 4 + 1 + octets.len());
    end.say(Message::Bitfield(&octets)).unwrap();
    assert!(Bitfield::decode(&octets[..], 8 << 20).unwrap().is_full());
    assert_eq!(end.take_seen(), [Seen::Bitfield(octets)]);
}

#[test]
fn every_reason_reads_as_a_sentence_and_is_known_as_a_violation_or_not() {
    let named = CloseReason::PieceLength { expected: block(2), got: 5 };
    assert_eq!(named.to_string(), "piece 2 from 0: 5 octets, requested 7232");
    assert!(named.is_violation());
    let asked = CloseReason::Request(BlockError::Empty);
    assert_eq!(asked.to_string(), "requested a block of 0 octets");
    assert!(!CloseReason::Gone.is_violation());
    assert!(!CloseReason::Silence { after: secs(120) }.is_violation());
}
