//! Arbitrary peers: whatever they send, however it is cut, the connection stays whole.

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

/// Octets of a message that a peer could send, or of none.
fn sayings() -> impl Strategy<Value = Vec<u8>> {
    let index = 0..4_u32;
    prop_oneof![
        Just(wire(Message::KeepAlive)),
        Just(wire(Message::Choke)),
        Just(wire(Message::Unchoke)),
        Just(wire(Message::Interested)),
        Just(wire(Message::NotInterested)),
        Just(wire(Message::HaveAll)),
        Just(wire(Message::HaveNone)),
        any::<u8>().prop_map(|octet| wire(Message::Bitfield(&[octet]))),
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
        // Unknown, and passed over.
        (21_u8.., vec(any::<u8>(), 0..9)).prop_map(|(id, payload)| {
            let length = u32::try_from(payload.len() + 1).unwrap();
            [&length.to_be_bytes()[..], &[id], &payload].concat()
        }),
        vec(any::<u8>(), 0..20),
    ]
}

/// Something that we do meanwhile.
#[derive(Clone, Debug)]
enum Deed {
    Hear(Vec<u8>),
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

fn deeds() -> impl Strategy<Value = Deed> {
    prop_oneof![
        8 => sayings().prop_map(Deed::Hear),
        1 => Just(Deed::Choke),
        1 => Just(Deed::Unchoke),
        1 => Just(Deed::Interested),
        1 => Just(Deed::NotInterested),
        2 => blocks().prop_map(Deed::Request),
        1 => (0..QUEUE).prop_map(Deed::Cancel),
        1 => (0..QUEUE).prop_map(Deed::Serve),
        1 => (0..4_u32).prop_map(Deed::Allow),
        2 => Just(Deed::Transmit),
        1 => (0..50_u64).prop_map(Deed::Wait),
    ]
}

fn perform(end: &mut End, deed: &Deed) -> Result<(), CloseReason> {
    let queued = |end: &End, at| end.connection.queued().nth(at);
    let outstanding = |end: &End, at| end.connection.outstanding().nth(at);
    // Whether an action is possible now is no concern here.
    let _ = match deed {
        Deed::Hear(octets) => return end.hear(octets),
        Deed::Wait(seconds) => {
            end.now += secs(*seconds);
            return end.connection.handle_timeout(end.now);
        }
        Deed::Transmit => {
            end.transmit();
            Ok(0)
        }
        Deed::Choke => end.act(Conn::choke),
        Deed::Unchoke => end.act(Conn::unchoke),
        Deed::Interested => end.act(Conn::interested),
        Deed::NotInterested => end.act(Conn::not_interested),
        Deed::Request(block) => end.act(|c, now, out| c.request(now, *block, out)),
        Deed::Allow(index) => end.act(|c, now, out| c.allow_fast(now, *index, out)),
        Deed::Cancel(at) => match outstanding(end, *at) {
            Some(block) => {
                let cancelled = end.act(|c, now, out| c.cancel(now, block, out));
                assert_eq!(cancelled, Ok(17), "what is outstanding can be taken back");
                cancelled
            }
            None => Ok(0),
        },
        Deed::Serve(at) => match queued(end, *at) {
            Some(block) => {
                let served = end.act(|c, now, out| c.piece(now, block, out));
                assert_eq!(served, Ok(13), "what is queued can be served");
                served
            }
            None => Ok(0),
        },
    };
    Ok(())
}

/// What holds of every connection at any time.
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

/// All that a stream makes a connection tell, cut at `cuts`, and how it ended.
fn told(fast: bool, stream: &[u8], cuts: &[usize]) -> (Vec<Seen>, Option<CloseReason>) {
    let mut end = begun(fast);
    let mut rest = stream;
    for cut in cuts {
        let (now, later) = rest.split_at(cut % (rest.len() + 1));
        rest = later;
        if let Err(reason) = end.hear(now) {
            return (end.take_seen(), Some(reason));
        }
    }
    let reason = end.hear(rest).err();
    (end.take_seen(), reason)
}

proptest! {
    #[test]
    fn arbitrary_octets_from_the_start(stream in vec(any::<u8>(), 0..200), accepting: bool) {
        let mut end = if accepting {
            End::new(Conn::accept(Duration::ZERO, OURS, config(true)))
        } else {
            End::new(Conn::connect(Duration::ZERO, OURS, torrent(), config(true)))
        };
        end.transmit();
        let _ = end.hear(&stream);
        check(&end);
    }

    #[test]
    fn any_deeds_in_any_order(fast: bool, deeds in vec(deeds(), 0..60)) {
        let mut end = begun(fast);
        for deed in &deeds {
            if let Err(reason) = perform(&mut end, deed) {
                prop_assert_eq!(end.connection.close_reason(), Some(reason));
                prop_assert_eq!(end.hear(&[]), Err(reason));
                check(&end);
                break;
            }
            check(&end);
        }
    }

    #[test]
    fn however_a_stream_is_cut_it_tells_the_same(
        fast: bool,
        sayings in vec(sayings(), 0..12),
        cuts in vec(0..40_usize, 0..20),
    ) {
        let stream = sayings.concat();
        let whole = told(fast, &stream, &[]);
        prop_assert_eq!(told(fast, &stream, &cuts), whole.clone());
        let octets = vec![1; stream.len()];
        prop_assert_eq!(told(fast, &stream, &octets), whole);
    }

    #[test]
    fn every_truncated_handshake_waits_or_closes(
        at in 0..68_usize, len in 0..68_usize, flip in 1..=255_u8,
    ) {
        let mut theirs = handshake_of(THEIRS, Reserved::FAST);
        theirs[at] ^= flip;
        let mut end = End::new(Conn::connect(Duration::ZERO, OURS, torrent(), config(true)));
        end.transmit();
        let heard = end.hear(&theirs[..len]);
        prop_assert_eq!(heard.is_err(), at < 20 && at < len);
        prop_assert!(end.take_seen().is_empty());
    }

    #[test]
    fn whatever_pieces_we_have_can_be_said(fast: bool, octet in 0..8_u8) {
        let mut end = hand_shaken(config(fast), config(fast).reserved);
        let have = Bitfield::decode([octet << 5], 3).unwrap();
        end.act(|c, now, out| c.bitfield(now, &have, out)).unwrap();

        let mut other = in_data(fast, &[0]);
        other.hear(&end.take_sent()).unwrap();
        let told = match &other.take_seen()[..] {
            [] | [Seen::HaveNone] => 0,
            [Seen::HaveAll] => 0xe0,
            [Seen::Bitfield(octets)] => octets[0],
            seen => panic!("{seen:?}"),
        };
        prop_assert_eq!(told, octet << 5);
    }
}
