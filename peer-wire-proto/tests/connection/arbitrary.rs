//! Arbitrary peers: whatever they send, and however it is split, the connection stays consistent.

use std::time::Duration;

use peer_wire_proto::connection::{CloseReason, State};
use peer_wire_proto::{Bitfield, Block, Message, Reserved};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::support::*;

/// A block that often is one of the torrent's.
fn blocks() -> impl Strategy<Value = Block> {
    let near = (0..4_u32, 0..4_u32, prop_oneof![Just(1), Just(16_384), Just(7_232)]);
    prop_oneof![
        8 => near.prop_map(|(index, begin, length)| Block { index, begin, length }),
        1 => any::<[u32; 3]>().prop_map(|[index, begin, length]| Block { index, begin, length }),
    ]
}

/// Bytes of a message that a peer could send, or of none.
fn messages() -> impl Strategy<Value = Vec<u8>> {
    let index = 0..4_u32;
    prop_oneof![
        Just(wire(Message::KeepAlive)),
        Just(wire(Message::Choke)),
        Just(wire(Message::Unchoke)),
        Just(wire(Message::Interested)),
        Just(wire(Message::NotInterested)),
        Just(wire(Message::HaveAll)),
        Just(wire(Message::HaveNone)),
        any::<u8>().prop_map(|byte| wire(Message::Bitfield(&[byte]))),
        index.clone().prop_map(|index| wire(Message::Have(index))),
        index.clone().prop_map(|index| wire(Message::Suggest(index))),
        index.prop_map(|index| wire(Message::AllowedFast(index))),
        blocks().prop_map(|block| wire(Message::Request(block))),
        blocks().prop_map(|block| wire(Message::Cancel(block))),
        blocks().prop_map(|block| wire(Message::Reject(block))),
        (0..3_u32, 0..4_u32, vec(any::<u8>(), 0..3)).prop_map(|(index, begin, data)| wire(Message::Piece {
            index,
            begin,
            data: &data
        })),
        any::<u16>().prop_map(|port| wire(Message::Port(port))),
        (any::<u8>(), vec(any::<u8>(), 0..9))
            .prop_map(|(id, payload)| wire(Message::Extended { id, payload: &payload })),
        // An unknown message, which is skipped.
        (21_u8.., vec(any::<u8>(), 0..9)).prop_map(|(id, payload)| {
            let length = u32::try_from(payload.len() + 1).unwrap();
            [&length.to_be_bytes()[..], &[id], &payload].concat()
        }),
        vec(any::<u8>(), 0..20),
    ]
}

/// Something that the local side does meanwhile.
#[derive(Clone, Debug)]
enum Action {
    Receive(Vec<u8>),
    Choke,
    Unchoke,
    Interested,
    NotInterested,
    Request(Block),
    Cancel(usize),
    Serve(usize),
    Allow(u32),
    Transmit,
    Wait(u64),
}

fn actions() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => messages().prop_map(Action::Receive),
        1 => Just(Action::Choke),
        1 => Just(Action::Unchoke),
        1 => Just(Action::Interested),
        1 => Just(Action::NotInterested),
        2 => blocks().prop_map(Action::Request),
        1 => (0..QUEUE).prop_map(Action::Cancel),
        1 => (0..QUEUE).prop_map(Action::Serve),
        1 => (0..4_u32).prop_map(Action::Allow),
        2 => Just(Action::Transmit),
        1 => (0..50_u64).prop_map(Action::Wait),
    ]
}

fn perform(end: &mut End, action: &Action) -> Result<(), CloseReason> {
    let queued = |end: &End, at| end.connection.queued().nth(at);
    let outstanding = |end: &End, at| end.connection.outstanding().nth(at);
    // An action may be impossible in this state.
    let _ = match action {
        Action::Receive(bytes) => return end.receive(bytes),
        Action::Wait(seconds) => {
            end.now += secs(*seconds);
            return end.connection.handle_timeout(end.now);
        }
        Action::Transmit => {
            end.transmit();
            Ok(0)
        }
        Action::Choke => end.act(Conn::choke),
        Action::Unchoke => end.act(Conn::unchoke),
        Action::Interested => end.act(Conn::interested),
        Action::NotInterested => end.act(Conn::not_interested),
        Action::Request(block) => end.act(|c, now, out| c.request(now, *block, out)),
        Action::Allow(index) => end.act(|c, now, out| c.allow_fast(now, *index, out)),
        Action::Cancel(at) => match outstanding(end, *at) {
            Some(block) => {
                let cancelled = end.act(|c, now, out| c.cancel(now, block, out));
                assert_eq!(cancelled, Ok(17), "an outstanding request can be cancelled");
                cancelled
            }
            None => Ok(0),
        },
        Action::Serve(at) => match queued(end, *at) {
            Some(block) => {
                let served = end.act(|c, now, out| c.piece(now, block, out));
                assert_eq!(served, Ok(13), "a queued request can be answered");
                served
            }
            None => Ok(0),
        },
    };
    Ok(())
}

/// Invariants of every connection.
fn check(end: &End) {
    let connection = &end.connection;
    let layout = torrent().layout;
    assert!(connection.outstanding().all(|block| layout.check(block, 16_384).is_ok()));
    assert!(connection.queued().all(|block| layout.check(block, 16_384).is_ok()));
    assert!(connection.room() + connection.outstanding().count() <= QUEUE);
    let fast = connection.has(Reserved::FAST);
    if !fast && connection.peer_choking() && connection.state() == State::Data {
        assert_eq!(connection.outstanding().count(), 0);
    }
    if !fast && (connection.am_choking() || !connection.peer_interested()) {
        assert_eq!(connection.queued().count(), 0);
    }
    assert_eq!(connection.close_reason().is_some(), connection.state() == State::Closing);
    assert_eq!(connection.poll_timeout().is_none(), connection.state() == State::Closing);
}

fn begun(fast: bool) -> End {
    let mut end = in_data(fast, &[0xe0]);
    end.act(Conn::interested).unwrap();
    end.act(Conn::unchoke).unwrap();
    end
}

/// The events that a stream causes when it is split at `cuts`, and how it ended.
fn events(fast: bool, stream: &[u8], cuts: &[usize]) -> (Vec<Seen>, Option<CloseReason>) {
    let mut end = begun(fast);
    let mut rest = stream;
    for cut in cuts {
        let (now, later) = rest.split_at(cut % (rest.len() + 1));
        rest = later;
        if let Err(reason) = end.receive(now) {
            return (end.take_seen(), Some(reason));
        }
    }
    let reason = end.receive(rest).err();
    (end.take_seen(), reason)
}

proptest! {
    #[test]
    fn arbitrary_bytes_from_the_start(stream in vec(any::<u8>(), 0..200), accepting: bool) {
        let mut end = if accepting {
            End::new(Conn::accept(Duration::ZERO, LOCAL_ID, config(true)))
        } else {
            End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)))
        };
        end.transmit();
        let _ = end.receive(&stream);
        check(&end);
    }

    #[test]
    fn any_actions_in_any_order(fast: bool, actions in vec(actions(), 0..60)) {
        let mut end = begun(fast);
        for action in &actions {
            if let Err(reason) = perform(&mut end, action) {
                prop_assert_eq!(end.connection.close_reason(), Some(reason));
                prop_assert_eq!(end.receive(&[]), Err(reason));
                check(&end);
                break;
            }
            check(&end);
        }
    }

    #[test]
    fn events_do_not_depend_on_how_the_stream_is_split(
        fast: bool,
        messages in vec(messages(), 0..12),
        cuts in vec(0..40_usize, 0..20),
    ) {
        let stream = messages.concat();
        let whole = events(fast, &stream, &[]);
        prop_assert_eq!(events(fast, &stream, &cuts), whole.clone());
        let bytes = vec![1; stream.len()];
        prop_assert_eq!(events(fast, &stream, &bytes), whole);
    }

    #[test]
    fn every_truncated_handshake_waits_or_closes(
        at in 0..68_usize, len in 0..68_usize, flip in 1..=255_u8,
    ) {
        let mut theirs = handshake_of(PEER_ID, Reserved::FAST);
        theirs[at] ^= flip;
        let mut end = End::new(Conn::connect(Duration::ZERO, LOCAL_ID, torrent(), config(true)));
        end.transmit();
        let received = end.receive(&theirs[..len]);
        prop_assert_eq!(received.is_err(), at < 20 && at < len);
        prop_assert!(end.take_seen().is_empty());
    }

    #[test]
    fn any_set_of_pieces_can_be_announced(fast: bool, byte in 0..8_u8) {
        let mut end = hand_shaken(config(fast), config(fast).reserved);
        let have = Bitfield::decode([byte << 5], 3).unwrap();
        end.act(|c, now, out| c.bitfield(now, &have, out)).unwrap();

        let mut other = in_data(fast, &[0]);
        other.receive(&end.take_sent()).unwrap();
        let events = match &other.take_seen()[..] {
            [] | [Seen::HaveNone] => 0,
            [Seen::HaveAll] => 0xe0,
            [Seen::Bitfield(bytes)] => bytes[0],
            seen => panic!("{seen:?}"),
        };
        prop_assert_eq!(events, byte << 5);
    }
}
