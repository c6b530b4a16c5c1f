//! The other end of a connection.

use std::collections::VecDeque;
use std::time::Duration;

use peer_wire_proto::{BLOCK_LENGTH, Block, Handshake};
use torrent_client::{Engine, PeerKey};

use super::disk::{Disk, block_bytes};

/// The most bytes that may wait for a peer that doesn't read: replies, blocks that are read ahead, and one message.
const WAITING: usize = (256 << 10) + 65 * (16 << 10) + 1024;

#[derive(Default)]
pub(super) struct Remote {
    pub(super) is_connected: bool,
    /// Whether it takes what the session sends.
    pub(super) is_deaf: bool,
    /// Sent to the session and not consumed.
    pub(super) to_engine: Vec<u8>,
    /// How much of that the session has seen.
    shown: usize,
    /// From the session, and not read.
    from_engine: Vec<u8>,
    has_handshake: bool,
    /// What the session has requested.
    pub(super) requests: VecDeque<Block>,
}

impl Remote {
    /// A peer that has connected to the session.
    pub(super) fn connected() -> Self {
        Self { is_connected: true, ..Self::default() }
    }

    /// Passes what has arrived to the session, as the driver does. False if there was nothing to do.
    pub(super) fn deliver(&mut self, now: Duration, key: PeerKey, engine: &mut Engine) -> bool {
        let waiting = self.to_engine.len() - self.shown;
        let new = if waiting > 0 { waiting.min(engine.receive_limit(now, key)) } else { 0 };
        if new == 0 && !engine.wants_input(key) {
            return false;
        }
        let show = self.shown + new;
        let done = engine.handle_input(now, key, &self.to_engine[..show]);
        assert!(done <= show, "more consumed than there was");
        self.to_engine.drain(..done);
        self.shown = show - done;
        assert!(done > 0 || new > 0 || !engine.wants_input(key), "input is wanted and not consumed");
        done > 0 || new > 0
    }

    /// Takes what the session sends. False if that is nothing.
    pub(super) fn receive(&mut self, now: Duration, key: PeerKey, engine: &mut Engine, disk: &Disk) -> bool {
        if self.is_deaf || !engine.wants_transmit(key) {
            return false;
        }
        let before = self.from_engine.len();
        for slice in engine.poll_transmit(now, key).iter() {
            self.from_engine.extend_from_slice(slice);
        }
        let came = self.from_engine.len() - before;
        assert!(came <= WAITING, "{came} bytes wait for one peer");
        engine.handle_transmitted(now, key, came);
        self.read(disk);
        came > 0
    }

    fn read(&mut self, disk: &Disk) {
        let mut at = 0;
        if !self.has_handshake && self.from_engine.len() >= Handshake::LEN {
            Handshake::decode(&self.from_engine).expect("a handshake");
            (self.has_handshake, at) = (true, Handshake::LEN);
        }
        while self.has_handshake
            && let Some((length, rest)) = self.from_engine[at..].split_first_chunk::<4>()
        {
            let length = usize::try_from(u32::from_be_bytes(*length)).expect("a length in memory");
            assert!(length <= 9 + (16 << 10), "a message of {length} bytes");
            let Some(message) = rest.get(..length) else { break };
            take(message, &mut self.requests, disk);
            at += 4 + length;
        }
        self.from_engine.drain(..at);
    }
}

/// Checks a message of the session.
fn take(message: &[u8], requests: &mut VecDeque<Block>, disk: &Disk) {
    let number = |at: usize| {
        message.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().expect("four bytes")))
    };
    let block = Block { index: number(1), begin: number(5), length: number(9) };
    let layout = disk.layout();
    match message.first() {
        Some(4) => assert!(disk.has(number(1)), "offers a piece that it doesn't have"),
        Some(5) => {
            let offered = (0..layout.pieces()).filter(|piece| message[1] << piece & 0x80 != 0);
            offered.for_each(|piece| assert!(disk.has(piece), "offers a piece that it doesn't have"));
        }
        Some(6) => {
            assert_eq!(layout.check(block, BLOCK_LENGTH), Ok(()), "requests {block:?}");
            requests.push_back(block);
            assert!(requests.len() < 10_000, "requests without an end");
        }
        Some(7) => {
            let length = u32::try_from(message.len() - 9).expect("a short message");
            let sent = Block { length, ..block };
            assert!(disk.has(sent.index) && layout.check(sent, BLOCK_LENGTH).is_ok(), "sends {sent:?}");
            assert!(message[9..] == block_bytes(sent)[..], "sends other bytes than the disk has");
        }
        Some(8) => requests.retain(|request| *request != block),
        Some(14) => assert_eq!(disk.good(), layout.pieces(), "offers pieces that it doesn't have"),
        _ => {}
    }
}
