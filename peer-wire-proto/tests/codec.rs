//! The codecs against arbitrary values and arbitrary bytes.

use peer_wire_proto::{
    Bitfield, Block, DecodeError, Framer, Handshake, HandshakeError, InfoHash, Layout, Message, PeerId,
    Reserved,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Kind, numbers and bytes from which a message is made, since messages borrow.
type Parts = (u8, [u32; 3], Vec<u8>);

fn parts() -> impl Strategy<Value = Parts> {
    (0..17_u8, any::<[u32; 3]>(), vec(any::<u8>(), 0..64))
}

fn message((kind, numbers, bytes): &Parts) -> Message<'_> {
    let [index, begin, length] = *numbers;
    let block = Block { index, begin, length };
    match kind {
        0 => Message::KeepAlive,
        1 => Message::Choke,
        2 => Message::Unchoke,
        3 => Message::Interested,
        4 => Message::NotInterested,
        5 => Message::Have(index),
        6 => Message::Bitfield(bytes),
        7 => Message::Request(block),
        8 => Message::Piece { index, begin, data: bytes },
        9 => Message::Cancel(block),
        10 => Message::Port((index >> 16).try_into().unwrap_or_default()),
        11 => Message::Suggest(index),
        12 => Message::HaveAll,
        13 => Message::HaveNone,
        14 => Message::Reject(block),
        15 => Message::AllowedFast(index),
        _ => Message::Extended { id: index.to_be_bytes()[0], payload: bytes },
    }
}

fn encoded(message: Message<'_>) -> Vec<u8> {
    let mut out = vec![0; message.encoded_len()];
    assert_eq!(message.encode(&mut out), Ok(out.len()));
    out
}

/// Every message of a stream, as its bytes, and how the stream ended. The stream is received in parts that end at
/// `cuts`.
fn frames(stream: &[u8], cuts: &[usize], limit: u32) -> (Vec<Vec<u8>>, Option<DecodeError>, usize) {
    let mut framer = Framer::new(limit);
    let (mut messages, mut at, mut came) = (Vec::new(), 0, 0);
    for cut in cuts.iter().chain([&stream.len()]) {
        came = stream.len().min(came + cut);
        loop {
            match framer.next(&stream[at..came]) {
                Err(error) => return (messages, Some(error), at),
                Ok(framed) => {
                    at += framed.consumed;
                    match framed.message {
                        Some(message) => messages.push(encoded(message)),
                        None => break,
                    }
                }
            }
        }
    }
    (messages, None, at)
}

proptest! {
    #[test]
    fn a_handshake_survives_the_wire(
        reserved: [u8; 8], info_hash: [u8; 20], peer_id: [u8; 20], behind in vec(any::<u8>(), 0..9),
    ) {
        let handshake = Handshake {
            reserved: Reserved(reserved),
            info_hash: InfoHash(info_hash),
            peer_id: PeerId(peer_id),
        };
        let mut wire = vec![0; Handshake::LEN];
        prop_assert_eq!(handshake.encode(&mut wire), Ok(Handshake::LEN));
        wire.extend(behind);
        prop_assert_eq!(Handshake::decode(&wire), Ok(handshake));
        for got in 0..Handshake::LEN {
            let truncated = HandshakeError::Truncated { needed: Handshake::LEN, got };
            prop_assert_eq!(Handshake::decode(&wire[..got]), Err(truncated));
        }
    }

    #[test]
    fn a_message_survives_the_wire(parts in parts(), behind in vec(any::<u8>(), 0..9)) {
        let message = message(&parts);
        let mut wire = encoded(message);
        let len = wire.len();
        prop_assert_eq!(Message::decode(&wire[4..]), Ok(message));
        wire.extend(behind);
        let framed = Framer::new(100).next(&wire).unwrap();
        prop_assert_eq!((framed.consumed, framed.message), (len, Some(message)));
    }

    #[test]
    fn every_truncation_waits_for_more(parts in parts()) {
        let wire = encoded(message(&parts));
        for got in 0..wire.len() {
            let framed = Framer::new(100).next(&wire[..got]).unwrap();
            prop_assert_eq!((framed.consumed, framed.message), (0, None));
        }
    }

    #[test]
    fn every_truncated_body_fails_or_is_a_shorter_message(parts in parts()) {
        let whole = message(&parts);
        let wire = encoded(whole);
        for end in 4..wire.len() {
            match Message::decode(&wire[4..end]) {
                Err(_) => {}
                Ok(Message::KeepAlive) => prop_assert_eq!(end, 4),
                Ok(Message::Bitfield(_) | Message::Piece { .. } | Message::Extended { .. }) => {}
                Ok(shorter) => prop_assert!(false, "{shorter:?} of {whole:?}"),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..80), limit in 0..100_u32) {
        if let Ok(handshake) = Handshake::decode(&bytes) {
            let mut out = [0; Handshake::LEN];
            handshake.encode(&mut out).unwrap();
            prop_assert_eq!(&out[..], &bytes[..Handshake::LEN]);
        }
        if let Ok(message) = Message::decode(&bytes) {
            prop_assert_eq!(&encoded(message)[4..], &bytes[..]);
        }
        frames(&bytes, &[], limit);
    }

    #[test]
    fn messages_do_not_depend_on_how_the_stream_is_split(
        stream in vec(
            prop_oneof![
                8 => parts().prop_map(|parts| encoded(message(&parts))),
                2 => (18..20_u8, 0..40_u8).prop_map(|(id, len)| {
                    [&[0, 0, 0, len + 1, id][..], &vec![0xff; usize::from(len)]].concat()
                }),
                1 => vec(any::<u8>(), 0..9),
            ],
            0..12,
        ),
        cuts in vec(0..60_usize, 0..20),
    ) {
        let stream = stream.concat();
        let (whole, error, _) = frames(&stream, &[], 100);
        let (cut, cut_error, _) = frames(&stream, &cuts, 100);
        prop_assert_eq!((&cut, cut_error), (&whole, error));
        let bytes = vec![1; stream.len()];
        let (single, single_error, _) = frames(&stream, &bytes, 100);
        prop_assert_eq!((&single, single_error), (&whole, error));
    }

    #[test]
    fn a_bitfield_is_a_set(pieces in 1..100_u32, chosen in vec(0..120_u32, 0..50)) {
        let mut model = std::collections::BTreeSet::new();
        let bytes = vec![0; usize::try_from(pieces.div_ceil(8)).unwrap()];
        let mut field = Bitfield::decode(bytes, pieces).unwrap();
        for index in chosen {
            if index % 3 == 0 {
                prop_assert_eq!(field.clear(index), model.remove(&index));
            } else {
                prop_assert_eq!(field.set(index), index < pieces && model.insert(index));
            }
        }
        prop_assert!(field.iter().eq(model.iter().copied()));
        prop_assert_eq!(usize::try_from(field.count()).unwrap(), model.len());
        prop_assert_eq!(field.is_empty(), model.is_empty());
        prop_assert!(Bitfield::decode(field.as_bytes(), pieces).is_ok());
        field.fill();
        prop_assert!(field.is_full() && field.iter().eq(0..pieces));
        prop_assert!(Bitfield::decode(field.as_bytes(), pieces).is_ok());
    }

    #[test]
    fn the_blocks_of_all_pieces_are_the_torrent(
        length in 0..100_000_u64, piece_length in 1..40_000_u32, block_length in 1..20_000_u32,
    ) {
        prop_assume!(length / u64::from(piece_length.min(block_length)) < 5_000);
        let layout = Layout::new(length, piece_length).unwrap();
        let mut end = 0;
        for block in (0..layout.pieces()).flat_map(|index| layout.blocks(index, block_length)) {
            prop_assert_eq!(layout.check(block, block_length), Ok(()));
            prop_assert_eq!(u64::from(block.index) * u64::from(piece_length) + u64::from(block.begin), end);
            end += u64::from(block.length);
        }
        prop_assert_eq!(end, length);
    }
}
