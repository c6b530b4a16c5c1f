use peer_wire_proto::BLOCK_LENGTH;
use proptest::prelude::*;

use super::*;

const A: PeerKey = PeerKey(1);
const B: PeerKey = PeerKey(2);

/// Six pieces of three blocks, the last one short.
fn layout() -> Layout {
    Layout::new(u64::from(BLOCK_LENGTH) * 17 + 100, BLOCK_LENGTH * 3).unwrap()
}

fn set(pieces: impl IntoIterator<Item = u32>) -> PieceSet {
    let mut set = PieceSet::none(&layout());
    pieces.into_iter().for_each(|piece| assert!(set.insert(piece)));
    set
}

fn all() -> PieceSet {
    set(0..6)
}

fn picker() -> Picker {
    Picker::new(layout(), PieceSet::none(&layout()), all(), 7)
}

/// Receives blocks picked for the peer until a piece is complete; returns that piece.
fn download(picker: &mut Picker, peer: PeerKey, theirs: &PieceSet) -> u32 {
    loop {
        let block = picker.pick(peer, theirs).expect("something to pick");
        if let Received::New { complete: true, .. } = picker.received(peer, block) {
            return block.index;
        }
    }
}

#[test]
fn a_peer_gets_one_piece_in_order() {
    let mut picker = picker();
    let blocks: Vec<_> = (0..3).map(|_| picker.pick(A, &all()).unwrap()).collect();
    assert!(blocks.iter().all(|block| block.index == blocks[0].index));
    assert!(blocks.is_sorted_by_key(|block| block.begin));
    let other = picker.pick(B, &all()).unwrap();
    assert_ne!(other.index, blocks[0].index);
}

#[test]
fn the_rarest_piece_comes_first_after_the_random_ones() {
    let mut picker = picker();
    picker.joined(&all());
    picker.joined(&set([0, 1, 2, 3, 4]));
    for _ in 0..RANDOM_PIECES {
        // Keeps the rare piece for the end of the test.
        let piece = download(&mut picker, A, &set([0, 1, 2, 3, 4]));
        picker.good(piece, &[]);
    }
    assert_eq!(picker.pick(A, &all()).unwrap().index, 5);
}

#[test]
fn pieces_without_requests_are_continued_first() {
    let mut picker = picker();
    let block = picker.pick(A, &all()).unwrap();
    picker.lost(A, block);
    picker.forget(A);
    assert_eq!(picker.pick(B, &all()), Some(block));
}

#[test]
fn the_end_game_requests_from_all_peers_and_cancels() {
    let mut picker = Picker::new(layout(), set([0, 1, 2, 3, 4]), all(), 7);
    let blocks: Vec<_> = std::iter::from_fn(|| picker.pick(A, &all())).collect();
    assert_eq!(blocks.len(), 3);
    assert!(picker.is_end_game());
    assert_eq!(picker.pick(B, &all()), None);
    assert_eq!(picker.pick_again(B, &all()), Some(blocks[0]));
    assert_eq!(picker.received(B, blocks[0]), Received::New { cancel: vec![A], complete: false });
    assert_eq!(picker.received(A, blocks[0]), Received::Useless);
}

#[test]
fn the_only_sender_of_a_bad_piece_is_found_at_once() {
    let mut picker = picker();
    let piece = download(&mut picker, A, &all());
    assert_eq!(picker.bad(piece, &[[0; 20]; 3]), BTreeSet::from([A]));
    assert!(!picker.wants_digests(piece));
}

#[test]
fn one_bad_sender_of_several_is_found_by_a_download_from_one_peer() {
    let mut picker = Picker::new(layout(), set([1, 2, 3, 4, 5]), all(), 7);
    let (first, second) = (picker.pick(A, &all()).unwrap(), picker.pick(B, &all()).unwrap());
    let third = picker.pick(A, &all()).unwrap();
    assert_eq!(third.index, 0);
    picker.received(A, first);
    picker.received(B, second);
    picker.received(A, third);
    assert!(picker.bad(0, &[[0; 20], [9; 20], [2; 20]]).is_empty());

    let block = picker.pick(A, &all()).unwrap();
    assert_eq!(picker.pick(B, &all()), None, "the piece is A's alone");
    assert_eq!(picker.pick_again(B, &all()), None);
    picker.received(A, block);
    assert_eq!(download(&mut picker, A, &all()), 0);
    assert!(picker.wants_digests(0));
    assert_eq!(picker.good(0, &[[0; 20], [1; 20], [2; 20]]), BTreeSet::from([B]));
    assert!(picker.is_done());
}

#[test]
fn a_download_from_one_peer_restarts_with_another_peer() {
    let mut picker = Picker::new(layout(), set([1, 2, 3, 4, 5]), all(), 7);
    for peer in [A, B, A] {
        let block = picker.pick(peer, &all()).unwrap();
        picker.received(peer, block);
    }
    picker.bad(0, &[[0; 20]; 3]);
    let block = picker.pick(A, &all()).unwrap();
    picker.received(A, block);
    // A chokes us or disconnects.
    assert_eq!(picker.pick(B, &all()), Some(block));
    let late = Block { begin: BLOCK_LENGTH, ..block };
    assert_eq!(picker.received(A, late), Received::Useless);
    picker.received(B, block);
    download(&mut picker, B, &all());
    assert_eq!(picker.bad(0, &[[0; 20]; 3]), BTreeSet::from([B]));
}

#[test]
fn counts_present_and_available_pieces() {
    let mut picker = Picker::new(layout(), set([0]), set([0, 1, 5]), 7);
    assert_eq!(picker.left(), u64::from(BLOCK_LENGTH) * 3 + u64::from(BLOCK_LENGTH) * 2 + 100);
    assert_eq!(picker.counts(), (1, 1));
    let mut theirs = set([0, 1, 2]);
    picker.joined(&theirs);
    assert_eq!(picker.counts(), (1, 2));
    assert!(picker.is_interesting(&theirs));
    assert!(!picker.is_interesting(&set([0, 2, 3])));
    for piece in [3, 4, 5] {
        theirs.insert(piece);
        picker.gained(&theirs, piece);
    }
    assert_eq!(picker.counts(), (1, 3));
    picker.left_with(&theirs);
    assert_eq!(picker.counts(), (1, 1));
    assert_eq!(picker.pick(A, &set([0, 2, 3])), None, "others are not wanted");
}

proptest! {
    /// Peers join, leave, answer, refuse and send wrong blocks in any order: no block is requested twice before the end
    /// game, and honest peers complete the download.
    #[test]
    fn always_completes(choices in proptest::collection::vec((0..3_usize, 0..8_u8), 0..400)) {
        let mut picker = picker();
        let keys = [PeerKey(10), PeerKey(11), PeerKey(12)];
        let mut owed: Vec<Vec<Block>> = vec![Vec::new(); keys.len()];
        let settle = |picker: &mut Picker, piece: u32, good: bool| {
            if good { picker.good(piece, &[[1; 20]; 3]); } else { picker.bad(piece, &[[0; 20]; 3]); }
        };
        for (index, choice) in choices {
            let peer = keys[index];
            match choice {
                0..4 => if let Some(block) = picker.pick(peer, &all()) {
                    prop_assert!(!owed.concat().contains(&block));
                    owed[index].push(block);
                } else if let Some(block) = picker.pick_again(peer, &all()) {
                    prop_assert!(!owed[index].contains(&block));
                    owed[index].push(block);
                },
                4 => for block in std::mem::take(&mut owed[index]) { picker.lost(peer, block); },
                _ => if let Some(block) = owed[index].pop()
                    && let Received::New { cancel, complete } = picker.received(peer, block)
                {
                    for other in cancel {
                        let at = keys.iter().position(|key| *key == other).unwrap();
                        owed[at].retain(|owed| *owed != block);
                        picker.lost(other, block);
                    }
                    if complete { settle(&mut picker, block.index, choice != 5); }
                },
            }
        }
        for (index, owed) in owed.into_iter().enumerate() {
            for block in owed { picker.lost(keys[index], block); }
        }
        while !picker.is_done() {
            let piece = download(&mut picker, A, &all());
            settle(&mut picker, piece, true);
        }
        prop_assert!(picker.have().is_full());
        prop_assert_eq!(picker.left(), 0);
    }
}
