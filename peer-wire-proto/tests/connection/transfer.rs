//! Two connections that carry a whole small torrent from one to the other, in simulated time.

use std::collections::BTreeSet;
use std::time::Duration;

use peer_wire_proto::connection::{CloseReason, Config, State};
use peer_wire_proto::{Bitfield, Block, Layout, Reserved};

use crate::support::*;

/// Short blocks, so that pieces have several.
const BLOCK: u32 = 1_000;

/// A seeder and a leecher, the wire between them, and what the leecher has.
struct Pair {
    seeder: End,
    leecher: End,
    content: Vec<u8>,
    got: Vec<u8>,
    missing: BTreeSet<Block>,
    /// Bytes that each side receives at once.
    chunk: usize,
    /// Blocks received twice.
    wasted: usize,
}

impl Pair {
    fn new(seeder: Config, leecher: Config, chunk: usize) -> Self {
        let layout = Layout::new(10_500, 4_096).unwrap();
        let about = peer_wire_proto::connection::Torrent { layout, ..torrent() };
        let content: Vec<u8> = (0..10_500_u32).map(|at| ((at * 31) >> 3).to_le_bytes()[0]).collect();
        let mut pair = Self {
            seeder: End::new(Conn::accept(Duration::ZERO, LOCAL_ID, seeder)),
            leecher: End::new(Conn::connect(Duration::ZERO, PEER_ID, about, leecher)),
            got: vec![0; content.len()],
            content,
            missing: (0..3).flat_map(|index| layout.blocks(index, BLOCK)).collect(),
            chunk,
            wasted: 0,
        };
        pair.leecher.transmit();
        pair.exchange();
        assert!(matches!(pair.seeder.take_seen()[..], [Seen::Handshake(theirs)] if theirs.info_hash == HASH));
        pair.seeder.act(|c, now, out| c.answer(now, about, out)).unwrap();
        let all = Bitfield::decode([0xe0], 3).unwrap();
        pair.seeder.act(|c, now, out| c.bitfield(now, &all, out)).unwrap();
        pair.exchange();
        let none = Bitfield::decode([0], 3).unwrap();
        pair.leecher.act(|c, now, out| c.bitfield(now, &none, out)).unwrap();
        let events = pair.leecher.take_seen();
        assert!(matches!(events[..], [Seen::Handshake(_), Seen::HaveAll | Seen::Bitfield(_)]), "{events:?}");
        pair.leecher.act(Conn::interested).unwrap();
        pair
    }

    fn fast(fast: bool, chunk: usize) -> Self {
        Self::new(config(fast), config(fast), chunk)
    }

    /// Delivers everything sent, in chunks, and the messages due after it, until both are quiet. Doesn't react to
    /// events.
    fn exchange(&mut self) {
        loop {
            self.seeder.transmit();
            self.leecher.transmit();
            let (down, up) = (self.seeder.take_sent(), self.leecher.take_sent());
            if down.is_empty() && up.is_empty() {
                return;
            }
            down.chunks(self.chunk).for_each(|chunk| self.leecher.receive(chunk).unwrap());
            up.chunks(self.chunk).for_each(|chunk| self.seeder.receive(chunk).unwrap());
        }
    }

    /// Requests as much as there is room for, in `missing`'s order.
    fn request_more(&mut self) {
        let out: BTreeSet<Block> = self.leecher.connection.outstanding().collect();
        let wanted: Vec<Block> = self.missing.difference(&out).copied().collect();
        for block in wanted.into_iter().take(self.leecher.connection.room()) {
            // A cancelled request that is not answered yet can't be repeated; its rejection will come.
            let _ = self.leecher.act(|c, now, out| c.request(now, block, out));
        }
    }

    /// Sends up to `limit` of the blocks queued.
    fn serve(&mut self, limit: usize) {
        let blocks: Vec<Block> = self.seeder.connection.queued().take(limit).collect();
        for block in blocks {
            let data = self.content[self.place(block)].to_vec();
            self.seeder.send_block(block, &data).unwrap();
        }
    }

    fn place(&self, block: Block) -> std::ops::Range<usize> {
        let begin = usize::try_from(block.index * 4_096 + block.begin).unwrap();
        begin..begin + usize::try_from(block.length).unwrap()
    }

    /// Stores received blocks; rejected ones are still missing.
    fn store(&mut self) {
        for seen in self.leecher.take_seen() {
            if let Seen::Piece(block, data) = seen {
                self.wasted += usize::from(!self.missing.remove(&block));
                let place = self.place(block);
                self.got[place].copy_from_slice(&data);
            }
        }
    }

    fn finish(&mut self) {
        for _ in 0..100 {
            if self.missing.is_empty() {
                assert_eq!(self.got, self.content);
                return;
            }
            self.request_more();
            self.exchange();
            self.serve(usize::MAX);
            self.exchange();
            self.store();
        }
        panic!("{} blocks are missing", self.missing.len());
    }
}

#[test]
fn transfers_a_whole_torrent() {
    for fast in [false, true] {
        for chunk in [1, 3, 17, 1_000, usize::MAX] {
            let mut pair = Pair::fast(fast, chunk);
            pair.seeder.act(Conn::unchoke).unwrap();
            pair.exchange();
            assert_eq!(pair.leecher.take_seen(), [Seen::Unchoked]);
            let first = if fast { vec![Seen::HaveNone, Seen::Interested] } else { vec![Seen::Interested] };
            assert_eq!(pair.seeder.take_seen(), first);
            pair.finish();
            assert_eq!(pair.wasted, 0);
            assert_eq!(pair.seeder.connection.queued().count(), 0);
            assert_eq!(pair.leecher.connection.room(), QUEUE);

            for index in 0..3 {
                pair.leecher.act(|c, now, out| c.have(now, index, out)).unwrap();
            }
            pair.leecher.act(Conn::not_interested).unwrap();
            pair.seeder.take_seen();
            pair.exchange();
            let haves = [Seen::Have(0), Seen::Have(1), Seen::Have(2), Seen::NotInterested];
            assert_eq!(pair.seeder.take_seen(), haves);
        }
    }
}

#[test]
fn transfers_a_torrent_despite_chokes() {
    for fast in [false, true] {
        let mut pair = Pair::fast(fast, 100);
        for _ in 0..30 {
            pair.seeder.act(Conn::unchoke).unwrap();
            pair.exchange();
            pair.request_more();
            pair.exchange();
            pair.serve(1);
            pair.seeder.act(Conn::choke).unwrap();
            assert_eq!(pair.seeder.connection.queued().count(), 0);
            pair.exchange();
            pair.store();
            // Dropped by the choke: rejected by a message, or by the choke itself.
            assert_eq!(pair.leecher.connection.outstanding().count(), 0);
            assert_eq!(pair.leecher.connection.room(), QUEUE);
            assert!(pair.leecher.connection.peer_choking());
        }
        assert!(pair.missing.is_empty());
        assert_eq!(pair.got, pair.content);
        assert_eq!(pair.wasted, 0);
    }
}

#[test]
fn a_choke_may_cross_requests() {
    for fast in [false, true] {
        let mut pair = Pair::fast(fast, usize::MAX);
        pair.seeder.act(Conn::unchoke).unwrap();
        pair.exchange();
        // Both sides send before they receive.
        pair.request_more();
        pair.seeder.act(Conn::choke).unwrap();
        pair.exchange();
        assert_eq!(pair.leecher.connection.room(), QUEUE);
        pair.store();

        // So quickly that the leecher's requests arrive after the second unchoke. Without fast it repeats requests that
        // it counts as dropped, and blocks that come twice are accepted.
        pair.seeder.act(Conn::unchoke).unwrap();
        pair.exchange();
        pair.request_more();
        let requests = pair.leecher.take_sent();
        pair.seeder.act(Conn::choke).unwrap();
        pair.seeder.act(Conn::unchoke).unwrap();
        pair.seeder.receive(&requests).unwrap();
        pair.serve(2);
        pair.exchange();
        pair.finish();
    }
}

#[test]
fn cancels_may_cross_blocks() {
    for fast in [false, true] {
        let mut pair = Pair::fast(fast, 50);
        pair.seeder.act(Conn::unchoke).unwrap();
        pair.exchange();
        for _ in 0..3 {
            pair.request_more();
            pair.exchange();
            // One is answered before the cancels arrive, the others after.
            pair.serve(1);
            let out: Vec<Block> = pair.leecher.connection.outstanding().collect();
            for block in &out {
                pair.leecher.act(|c, now, out| c.cancel(now, *block, out)).unwrap();
            }
            assert_eq!(pair.leecher.connection.outstanding().count(), 0);
            pair.exchange();
            assert_eq!(pair.seeder.connection.queued().count(), 0);
            assert_eq!(pair.leecher.connection.room(), QUEUE);
            let rejected = pair.leecher.seen.iter().filter(|seen| matches!(seen, Seen::Rejected(_))).count();
            assert_eq!(rejected, if fast { out.len() - 1 } else { 0 });
            pair.store();
        }
        pair.finish();
    }
}

#[test]
fn fast_is_not_used_if_one_side_lacks_it() {
    let mut pair = Pair::new(config(true), config(false), 100);
    assert!(!pair.seeder.connection.has(Reserved::FAST));
    pair.seeder.act(Conn::unchoke).unwrap();
    pair.exchange();
    pair.finish();
}

/// Advances both to the next timer of either.
fn advance(pair: &mut Pair) -> Result<Duration, CloseReason> {
    let next = [&pair.seeder, &pair.leecher].map(|end| end.connection.poll_timeout().unwrap());
    let now = next[0].min(next[1]);
    for end in [&mut pair.seeder, &mut pair.leecher] {
        end.now = now;
        end.connection.handle_timeout(now)?;
    }
    Ok(now)
}

#[test]
fn idle_connections_keep_each_other_open() {
    let mut pair = Pair::fast(true, 1);
    pair.exchange();
    let mut now = Duration::ZERO;
    let mut turns = 0;
    while now < secs(3_600) {
        now = advance(&mut pair).unwrap();
        pair.exchange();
        turns += 1;
    }
    // Only keep-alives, from both at once.
    assert_eq!((now, turns), (secs(3_600), 80));
    assert_eq!(pair.leecher.connection.state(), State::Data);
    pair.seeder.act(Conn::unchoke).unwrap();
    pair.exchange();
    pair.finish();
}

#[test]
fn a_broken_transport_closes_both_after_the_silence() {
    let mut pair = Pair::fast(false, 1);
    pair.exchange();
    loop {
        match advance(&mut pair) {
            Ok(now) => {
                assert!(now < secs(120));
                // Sent, and lost.
                pair.seeder.transmit();
                pair.leecher.transmit();
            }
            Err(reason) => {
                assert_eq!(reason, CloseReason::Silence { after: secs(120) });
                assert_eq!(pair.seeder.now, secs(120));
                assert_eq!(pair.seeder.connection.state(), State::Closing);
                return;
            }
        }
    }
}
