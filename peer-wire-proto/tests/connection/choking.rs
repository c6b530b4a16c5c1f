//! Choke, interest and requests, with the fast extension and without.

use peer_wire_proto::connection::{ActionError, CloseReason};
use peer_wire_proto::{Block, BlockError, BufferTooSmall, Message};

use crate::support::*;

fn small(begin: u32) -> Block {
    Block { index: 0, begin, length: 2 }
}

fn piece(begin: u32) -> Message<'static> {
    Message::Piece { index: 0, begin, data: b"xy" }
}

fn arrived(begin: u32) -> Seen {
    Seen::Piece(small(begin), b"xy".to_vec())
}

/// Unchoked by the peer and interested, with the requests 0, 1 and 2 out.
fn requesting(fast: bool) -> End {
    let mut end = in_data(fast, &[0]);
    end.act(Conn::interested).unwrap();
    end.receive_message(Message::Unchoke).unwrap();
    for begin in 0..3 {
        end.act(|c, now, out| c.request(now, small(begin), out)).unwrap();
    }
    end.take_seen();
    end.take_sent();
    end
}

/// The peer unchoked and interested, with its requests 0, 1 and 2 queued.
fn requested(fast: bool) -> End {
    let mut end = in_data(fast, &[0xe0]);
    end.act(Conn::unchoke).unwrap();
    end.receive_message(Message::Interested).unwrap();
    for begin in 0..3 {
        end.receive_message(Message::Request(small(begin))).unwrap();
    }
    end.take_seen();
    end.take_sent();
    end
}

#[test]
fn both_sides_start_choked_and_not_interested() {
    let end = in_data(true, &[0]);
    assert!(end.connection.am_choking() && end.connection.peer_choking());
    assert!(!end.connection.am_interested() && !end.connection.peer_interested());
}

#[test]
fn repeated_states_cause_no_message_and_no_event() {
    let mut end = in_data(false, &[0]);
    assert_eq!(end.act(Conn::choke), Ok(0));
    assert_eq!(end.act(Conn::not_interested), Ok(0));
    for bytes in [5, 0] {
        assert_eq!(end.act(Conn::unchoke), Ok(bytes));
        assert_eq!(end.act(Conn::interested), Ok(bytes));
    }
    assert!(!end.connection.am_choking() && end.connection.am_interested());
    for message in [Message::Choke, Message::NotInterested] {
        end.receive_message(message).unwrap();
    }
    for message in [Message::Unchoke, Message::Interested, Message::Unchoke, Message::Interested] {
        end.receive_message(message).unwrap();
    }
    assert_eq!(end.take_seen(), [Seen::Unchoked, Seen::Interested]);
    assert!(!end.connection.peer_choking() && end.connection.peer_interested());
}

#[test]
fn an_action_without_room_changes_nothing() {
    let mut end = in_data(false, &[0]);
    let error = ActionError::BufferTooSmall(BufferTooSmall { needed: 5, got: 4 });
    assert_eq!(end.act(|c, now, out| c.unchoke(now, &mut out[..4])), Err(error));
    assert!(end.connection.am_choking());

    let mut end = requested(false);
    let error = ActionError::BufferTooSmall(BufferTooSmall { needed: 13, got: 12 });
    assert_eq!(end.act(|c, now, out| c.piece(now, small(0), &mut out[..12])), Err(error));
    assert_eq!(end.connection.queued().count(), 3);
}

#[test]
fn requests_need_interest_and_no_choke() {
    let mut end = in_data(false, &[0]);
    let request = |end: &mut End| end.act(|c, now, out| c.request(now, small(0), out));
    assert_eq!(request(&mut end), Err(ActionError::Choked));
    end.receive_message(Message::Unchoke).unwrap();
    assert_eq!(request(&mut end), Err(ActionError::NotInterested));
    end.act(Conn::interested).unwrap();
    assert_eq!(request(&mut end), Ok(17));
    assert_eq!(request(&mut end), Err(ActionError::AlreadyRequested(small(0))));
}

#[test]
fn local_requests_are_checked_and_bounded() {
    let mut end = requesting(false);
    let mut request = |block| end.act(|c, now, out| c.request(now, block, out));
    let outside = BlockError::Index { index: 3, pieces: 3 };
    assert_eq!(request(Block { index: 3, begin: 0, length: 1 }), Err(ActionError::Block(outside)));
    assert_eq!(request(small(3)), Ok(17));
    assert_eq!(request(small(4)), Err(ActionError::QueueFull { limit: 4 }));
    assert_eq!(end.connection.room(), 0);
    let error = ActionError::Block(BlockError::Index { index: 3, pieces: 3 });
    assert_eq!(end.act(|c, now, out| c.have(now, 3, out)), Err(error));
}

#[test]
fn answers_come_in_any_order() {
    let mut end = requesting(false);
    for begin in [1, 0, 2] {
        end.receive_message(piece(begin)).unwrap();
    }
    assert_eq!(end.take_seen(), [1, 0, 2].map(arrived));
    assert_eq!(end.connection.room(), 4);
}

#[test]
fn a_choke_drops_local_requests() {
    let mut end = requesting(false);
    end.receive_message(Message::Choke).unwrap();
    let rejected = [0, 1, 2].map(|begin| Seen::Rejected(small(begin)));
    let mut expected = vec![Seen::Choked];
    expected.extend(rejected);
    assert_eq!(end.take_seen(), expected);
    assert_eq!(end.connection.outstanding().count(), 0);
    assert_eq!(end.connection.room(), 4);

    // Blocks under way are ignored, but not more than were requested.
    for begin in 0..3 {
        end.receive_message(piece(begin)).unwrap();
    }
    assert_eq!(end.take_seen(), [0, 1, 2].map(|begin| Seen::Late(small(begin))));
    assert_eq!(end.receive_message(piece(0)), Err(CloseReason::PieceNotRequested(small(0))));
}

#[test]
fn with_fast_a_choke_drops_no_requests() {
    let mut end = requesting(true);
    end.receive_message(Message::Choke).unwrap();
    assert_eq!(end.take_seen(), [Seen::Choked]);
    assert_eq!(end.connection.outstanding().count(), 3);
    end.receive_message(Message::Reject(small(1))).unwrap();
    end.receive_message(piece(0)).unwrap();
    end.receive_message(Message::Reject(small(2))).unwrap();
    assert_eq!(end.take_seen(), [Seen::Rejected(small(1)), arrived(0), Seen::Rejected(small(2))]);
    assert_eq!(end.connection.outstanding().count(), 0);
    assert_eq!(end.receive_message(piece(1)), Err(CloseReason::PieceNotRequested(small(1))));
}

#[test]
fn not_interested_drops_local_requests() {
    let mut end = requesting(false);
    end.act(Conn::not_interested).unwrap();
    end.receive(&[]).unwrap();
    assert_eq!(end.take_seen(), [0, 1, 2].map(|begin| Seen::Rejected(small(begin))));
    end.receive_message(piece(0)).unwrap();

    let mut end = requesting(true);
    end.act(Conn::not_interested).unwrap();
    end.receive_message(piece(0)).unwrap();
    assert_eq!(end.take_seen(), [arrived(0)]);
}

#[test]
fn a_cancelled_request_is_dropped() {
    let mut end = requesting(false);
    end.act(|c, now, out| c.cancel(now, small(1), out)).unwrap();
    assert_eq!(end.take_sent(), [0, 0, 0, 13, 8, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2]);
    assert!(end.connection.outstanding().eq([small(0), small(2)]));
    let again = end.act(|c, now, out| c.cancel(now, small(1), out));
    assert_eq!(again, Err(ActionError::NotRequested(small(1))));
    // The block was under way.
    end.receive_message(piece(1)).unwrap();
    assert_eq!(end.take_seen(), [Seen::Late(small(1))]);
    assert!(end.receive_message(piece(1)).is_err());
}

#[test]
fn with_fast_a_cancelled_request_is_answered_once() {
    let mut end = requesting(true);
    for begin in 0..3 {
        end.act(|c, now, out| c.cancel(now, small(begin), out)).unwrap();
    }
    assert_eq!(end.connection.outstanding().count(), 0);
    assert_eq!(end.connection.room(), 1);
    let again = end.act(|c, now, out| c.request(now, small(0), out));
    assert_eq!(again, Err(ActionError::AlreadyRequested(small(0))));

    end.receive_message(Message::Reject(small(0))).unwrap();
    end.receive_message(piece(1)).unwrap();
    assert_eq!(end.take_seen(), [Seen::Rejected(small(0)), arrived(1)]);
    // Rejected on arrival of the cancel, though the block had been sent.
    end.receive_message(Message::Reject(small(1))).unwrap();
    assert_eq!(end.take_seen(), []);
    assert_eq!(end.connection.room(), 3);
    assert!(end.receive_message(Message::Reject(small(1))).is_err());
}

#[test]
fn allowed_fast_pieces_may_be_requested_while_choked() {
    let mut end = in_data(true, &[0]);
    end.act(Conn::interested).unwrap();
    end.receive_message(Message::AllowedFast(1)).unwrap();
    assert_eq!(end.act(|c, now, out| c.request(now, block(1), out)), Ok(17));
    assert_eq!(end.act(|c, now, out| c.request(now, block(0), out)), Err(ActionError::Choked));
}

#[test]
fn the_peer_s_requests_are_queued_once() {
    let mut end = requested(false);
    end.receive_message(Message::Request(small(1))).unwrap();
    assert_eq!(end.take_seen(), []);
    assert!(end.connection.queued().eq([0, 1, 2].map(small)));

    end.send_block(small(1), b"xy").unwrap();
    let sent = end.take_sent();
    assert_eq!(sent, b"\x00\x00\x00\x0b\x07\x00\x00\x00\x00\x00\x00\x00\x01xy");
    assert_eq!(end.send_block(small(1), b"xy"), Err(ActionError::NotRequested(small(1))));
    // Once answered it may be requested again.
    end.receive_message(Message::Request(small(1))).unwrap();
    assert_eq!(end.take_seen(), [Seen::Requested(small(1))]);
}

#[test]
fn a_request_that_the_peer_cancels_is_not_answered() {
    for fast in [false, true] {
        let mut end = requested(fast);
        end.receive_message(Message::Cancel(small(1))).unwrap();
        end.receive_message(Message::Cancel(small(9))).unwrap();
        assert_eq!(end.take_seen(), [Seen::Cancelled(small(1))]);
        assert_eq!(end.send_block(small(1), b"xy"), Err(ActionError::NotRequested(small(1))));
        end.transmit();
        let owed = if fast { wire(Message::Reject(small(1))) } else { vec![] };
        assert_eq!(end.take_sent(), owed);
    }
}

#[test]
fn a_local_choke_or_not_interested_drops_the_peer_s_requests() {
    let choke = |end: &mut End| {
        end.act(Conn::choke).unwrap();
    };
    let lost_interest = |end: &mut End| end.receive_message(Message::NotInterested).unwrap();
    for drop in [choke as fn(&mut End), lost_interest] {
        let mut end = requested(false);
        drop(&mut end);
        assert_eq!(end.connection.queued().count(), 0);
        assert_eq!(end.transmit(), 0);

        // "A peer SHOULD choke first and then reject requests" (BEP 6).
        let mut end = requested(true);
        drop(&mut end);
        assert_eq!(end.connection.queued().count(), 0);
        let before = end.take_sent();
        assert!(before.is_empty() || before == [0, 0, 0, 1, 0]);
        assert_eq!(end.transmit(), 3 * 17);
        let rejects = [0, 1, 2].map(|begin| wire(Message::Reject(small(begin))));
        assert_eq!(end.take_sent(), rejects.concat());
    }
}

#[test]
fn requests_during_a_local_choke_are_ignored_or_rejected() {
    for (fast, owed) in [(false, vec![]), (true, wire(Message::Reject(small(0))))] {
        let mut end = in_data(fast, &[0xe0]);
        end.receive_message(Message::Interested).unwrap();
        end.receive_message(Message::Request(small(0))).unwrap();
        assert_eq!(end.take_seen(), [Seen::Interested]);
        end.transmit();
        assert_eq!(end.take_sent(), owed);

        // The same without interest.
        let mut end = in_data(fast, &[0xe0]);
        end.act(Conn::unchoke).unwrap();
        end.take_sent();
        end.receive_message(Message::Request(small(0))).unwrap();
        assert_eq!(end.take_seen(), []);
        end.transmit();
        assert_eq!(end.take_sent(), owed);
    }
}

#[test]
fn pieces_allowed_fast_are_sent_during_a_local_choke() {
    let mut end = in_data(true, &[0xe0]);
    assert_eq!(end.act(|c, now, out| c.allow_fast(now, 0, out)), Ok(9));
    assert_eq!(end.act(|c, now, out| c.allow_fast(now, 0, out)), Ok(0));
    end.take_sent();
    end.receive_message(Message::Interested).unwrap();
    end.receive_message(Message::Request(small(0))).unwrap();
    end.receive_message(Message::Request(block(1))).unwrap();
    assert_eq!(end.take_seen(), [Seen::Interested, Seen::Requested(small(0))]);
    end.transmit();
    assert_eq!(end.take_sent(), wire(Message::Reject(block(1))));

    end.act(Conn::unchoke).unwrap();
    end.receive_message(Message::Request(block(1))).unwrap();
    end.act(Conn::choke).unwrap();
    assert!(end.connection.queued().eq([small(0)]));
    end.send_block(small(0), b"xy").unwrap();

    // "Not interested" drops them as well.
    end.receive_message(Message::Request(small(0))).unwrap();
    end.receive_message(Message::NotInterested).unwrap();
    assert_eq!(end.connection.queued().count(), 0);
}

#[test]
fn one_request_may_be_rejected() {
    let mut end = requested(true);
    assert_eq!(end.act(|c, now, out| c.reject(now, small(1), out)), Ok(17));
    assert_eq!(end.take_sent(), wire(Message::Reject(small(1))));
    assert!(end.connection.queued().eq([small(0), small(2)]));

    let mut end = requested(false);
    let refused = end.act(|c, now, out| c.reject(now, small(1), out));
    assert!(matches!(refused, Err(ActionError::NotOffered(_))));
}
