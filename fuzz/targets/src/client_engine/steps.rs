//! What happens to a session: one step of the script each.

use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::Block;
use torrent_client::PeerKey;

use super::disk::block_bytes;
use super::remote::Remote;
use super::{INFO_HASH, PIECE, World};
use crate::script::Script;

/// Longer pauses pass at once, as on a machine that was suspended.
const AWAKE: Duration = Duration::from_secs(30);
/// The most bytes of one flood.
const FLOOD: usize = 64 << 10;

/// An address of one of a few hosts.
pub(super) fn address(host: u8, port: u16) -> SocketAddr {
    match host & 7 {
        0..4 => ([81, 2, 3, host & 7], port).into(),
        4 => ([0, 0, 0, 0, 0, 0xffff, 0x5102, 0x0301], port).into(),
        _ => ([0x2a01, 1, 0, 0, 0, 0, 0, host.into()], port).into(),
    }
}

impl World {
    /// The low bits of `step` say what happens, the others to which peer.
    pub(super) fn step(&mut self, step: u8, script: &mut Script<'_>) {
        match step & 15 {
            0 => self.accept(script),
            1 => self.connected(script.byte()),
            2 => self.with_peer(step, |remote| remote.to_engine.extend_from_slice(script.bytes())),
            3 => {
                let handshake = handshake(script.byte());
                self.with_peer(step, |remote| remote.to_engine.extend_from_slice(&handshake));
            }
            4 | 5 => self.with_peer(step, |remote| remote.to_engine.extend(message(script))),
            6 => {
                let right = script.byte();
                self.with_peer(step, |remote| answer(remote, right));
            }
            7 => self.close(step),
            8 | 9 => self.disk_works(script),
            10 => self.pass(script.pause()),
            11 => self.tracker_replies(script),
            12 => self.names_are_found(script),
            13 => self.user_acts(script),
            14 => self.with_peer(step, |remote| remote.is_deaf = !remote.is_deaf),
            _ => {
                let part = script.bytes();
                self.with_peer(step, |remote| {
                    remote.to_engine.extend(part.iter().cycle().take(FLOOD.min(part.len() * 4096)));
                });
            }
        }
    }

    fn peer(&self, step: u8) -> Option<PeerKey> {
        let connected = self.peers.iter().filter(|(_, remote)| remote.is_connected);
        let keys: Vec<PeerKey> = connected.map(|(key, _)| *key).collect();
        keys.get(usize::from(step >> 4) % keys.len().max(1)).copied()
    }

    fn with_peer(&mut self, step: u8, change: impl FnOnce(&mut Remote)) {
        if let Some(remote) = self.peer(step).and_then(|key| self.peers.get_mut(&key)) {
            change(remote);
        }
    }

    fn accept(&mut self, script: &mut Script<'_>) {
        let from = address(script.byte(), script.word());
        if self.is_listening
            && let Some(key) = self.engine.handle_accepted(self.now, from)
        {
            self.peers.insert(key, Remote::connected());
        }
    }

    fn connected(&mut self, succeeds: u8) {
        let Some(key) = self.connecting.pop_front() else { return };
        if succeeds & 1 == 0 {
            self.peers.remove(&key);
            return self.engine.handle_closed(self.now, key);
        }
        if let Some(remote) = self.peers.get_mut(&key) {
            remote.is_connected = true;
        }
        self.engine.handle_connected(self.now, key);
    }

    fn close(&mut self, step: u8) {
        if let Some(key) = self.peer(step) {
            self.peers.remove(&key);
            self.engine.handle_closed(self.now, key);
        }
    }

    fn disk_works(&mut self, script: &mut Script<'_>) {
        let choice = script.byte();
        if choice == 0xff {
            if let Some(failure) = self.disk.failure() {
                self.engine.handle_done(self.now, failure);
            }
            return;
        }
        for _ in 0..=choice >> 4 {
            for done in self.disk.work(choice & 15) {
                self.engine.handle_done(self.now, done);
            }
        }
    }

    fn pass(&mut self, pause: Duration) {
        let until = self.now + pause;
        while pause <= AWAKE && !self.is_over {
            let due = self.engine.poll_timeout().max(self.now);
            if due > until {
                break;
            }
            self.now = due;
            self.turn();
        }
        self.now = until;
    }

    fn tracker_replies(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let bytes = script.bytes();
        if how & 0x80 != 0 {
            return self.engine.handle_datagram(self.now, ([10, 9, 9, 9], 6969).into(), bytes);
        }
        let Some(asked) = self.asked.pop_front() else { return };
        let action = if how & 0x40 == 0 { asked.action } else { how & 3 };
        let reply = [&[0, 0, 0, action], &asked.transaction_id[..], bytes].concat();
        self.engine.handle_datagram(self.now, asked.tracker, &reply);
    }

    fn names_are_found(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        let tracker = if how & 0x80 == 0 { self.looked_up.pop_front() } else { Some(usize::from(how & 7)) };
        let Some(tracker) = tracker else { return };
        let addresses = match how & 3 {
            0 => Err("no such name".into()),
            number => Ok((0..number).map(|host| address(host * 3, 6969)).collect()),
        };
        self.engine.handle_looked_up(self.now, tracker, addresses);
    }

    fn user_acts(&mut self, script: &mut Script<'_>) {
        let how = script.byte();
        match how & 7 {
            0..4 => self.engine.add_peer(self.now, address(how >> 3, script.word())),
            4 => {
                let rate = |number: u8| (number != 0).then(|| u64::from(number) << 8);
                self.engine.set_rates(self.now, rate(script.byte()), rate(script.byte()));
            }
            5 => self.engine.stop(self.now),
            _ => self.engine.handle_timeout(self.now),
        }
    }
}

/// Bits of `how` choose extensions, the torrent and the peer_id.
fn handshake(how: u8) -> Vec<u8> {
    let info_hash = if how & 4 == 0 { INFO_HASH.0 } else { [8; 20] };
    let reserved = [0, 0, 0, 0, 0, (how & 2) << 3, 0, (how & 1) << 2];
    [&b"\x13BitTorrent protocol"[..], &reserved, &info_hash, &[how >> 3; 20]].concat()
}

/// A message that means something to the session, most of the time.
fn message(script: &mut Script<'_>) -> Vec<u8> {
    let kind = script.byte();
    let block = |script: &mut Script<'_>| {
        let place = script.byte();
        let length: u32 = if place & 0x80 == 0 { 16 << 10 } else { u32::from(script.word()) * 4 };
        let begin = u32::from(place >> 3 & 15) << 13;
        [u32::from(place & 7), begin % (2 * PIECE), length].map(u32::to_be_bytes).concat()
    };
    let payload: Vec<u8> = match kind & 31 {
        4 | 13 | 17 => u32::from(script.byte() & 7).to_be_bytes().into(),
        5 => vec![script.byte()],
        6 | 8 | 16 => block(script),
        7 => [&block(script)[..8], script.bytes()].concat(),
        9 => vec![0, 9],
        20 => script.bytes().into(),
        _ => Vec::new(),
    };
    let length = u32::try_from(payload.len() + 1).expect("a short message");
    [&length.to_be_bytes()[..], &[kind & 31], &payload].concat()
}

/// The peer sends a block that was requested, with right or wrong bytes.
fn answer(remote: &mut Remote, how: u8) {
    for _ in 0..=how >> 3 {
        let request = if how & 2 == 0 { remote.requests.pop_front() } else { remote.requests.pop_back() };
        let Some(block) = request else { return };
        remote.to_engine.extend(piece(block, how & 1 == 0));
    }
}

fn piece(block: Block, right: bool) -> Vec<u8> {
    let mut bytes = block_bytes(block);
    if !right {
        bytes[0] ^= 1;
    }
    let head = [block.length + 9, 7 << 24].map(u32::to_be_bytes).concat();
    [&head[..5], &block.index.to_be_bytes(), &block.begin.to_be_bytes(), &bytes].concat()
}
