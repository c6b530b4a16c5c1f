//! A session of the client, driven as its driver does it, by a script: what peers, trackers, the disk and the user do.

mod disk;
mod remote;
mod steps;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::Layout;
use peer_wire_proto::connection::Torrent;
use torrent_client::engine::{Action, Config};
use torrent_client::{Engine, PeerKey, Phase, Seeding};
use udp_tracker_proto::{InfoHash, PeerId};

use crate::script::Script;
use disk::Disk;
use remote::Remote;

const PIECE: u32 = 32 << 10;
const PIECES: u32 = 6;
/// The last piece has a short block.
const LENGTH: u64 = 5 * 32_768 + 20_000;
const INFO_HASH: InfoHash = InfoHash([9; 20]);
/// More turns without waiting than any work needs.
const TURNS: usize = 20_000;
/// By when a session ends that is stopped: three seconds, and the time of one tick.
const END: Duration = Duration::from_secs(4);

/// A session that does what the input says.
///
/// # Panics
/// If the session takes more peers than it may, asks to be called again at once without an end, offers or sends bytes
/// that it doesn't have, is complete without all pieces, or doesn't end.
pub fn client_engine(input: &[u8]) {
    let mut script = Script(input);
    let mut world = World::new(&mut script);
    world.turn();
    while let Some(step) = script.step() {
        world.step(step, &mut script);
        world.turn();
        if world.is_over {
            return;
        }
    }
    world.end();
}

struct World {
    engine: Engine,
    max_peers: usize,
    now: Duration,
    disk: Disk,
    peers: BTreeMap<PeerKey, Remote>,
    /// Connections in the making.
    connecting: VecDeque<PeerKey>,
    /// Names to look up, by the index of their tracker.
    looked_up: VecDeque<usize>,
    /// Datagrams for trackers, without those that were answered.
    asked: VecDeque<Asked>,
    is_listening: bool,
    is_over: bool,
}

struct Asked {
    tracker: SocketAddr,
    action: u8,
    transaction_id: [u8; 4],
}

impl World {
    fn new(script: &mut Script<'_>) -> Self {
        let layout = Layout::new(LENGTH, PIECE).expect("a possible layout");
        let torrent = Torrent { info_hash: INFO_HASH, layout };
        let mut config = Config::new(torrent, PeerId([1; 20]), 6881, 5);
        let flags = script.byte();
        config.seed_only = flags & 0x80 != 0;
        config.max_peers = [1, 2, 5, 40][usize::from(flags & 3)];
        config.trackers = match flags >> 2 & 3 {
            0 => vec![],
            1 => vec![vec!["udp://10.9.9.9:6969".into()]],
            2 => vec![
                vec!["udp://tracker.example:6969".into(), "udp://[2a01::9]:6969/x?k".into()],
                vec!["http://x".into()],
            ],
            _ => vec![vec!["udp://10.9.9.9:6969".into()], vec!["udp://10.9.9.8:6969".into()]],
        };
        config.seeding = match flags >> 4 & 3 {
            0 => Seeding::Never,
            1 => Seeding::Until { time: Some(Duration::from_secs(5)), ratio: None },
            2 => Seeding::Until { time: None, ratio: Some(0.5) },
            _ => Seeding::Until { time: None, ratio: None },
        };
        if flags & 0x40 != 0 {
            config.download_rate = Some(20_000);
            config.upload_rate = Some(10_000);
            config.peers = vec![steps::address(1, 7), steps::address(2, 7)];
        }
        let max_peers = config.max_peers;
        Self {
            engine: Engine::new(config),
            max_peers,
            now: Duration::ZERO,
            disk: Disk::new(layout, script.byte()),
            peers: BTreeMap::new(),
            connecting: VecDeque::new(),
            looked_up: VecDeque::new(),
            asked: VecDeque::new(),
            is_listening: false,
            is_over: false,
        }
    }

    /// Does everything that can be done now.
    fn turn(&mut self) {
        for round in 0.. {
            assert!(round < TURNS, "the session always wants to go on");
            self.take_output();
            if self.engine.outcome().is_some() {
                self.is_over = true;
                return;
            }
            let due = self.engine.poll_timeout() <= self.now;
            if due {
                self.engine.handle_timeout(self.now);
            }
            // Handling a timeout makes the next one later, unless it makes something else happen.
            if !self.serve() && !due {
                break;
            }
        }
        self.check();
    }

    fn check(&mut self) {
        let peers = self.engine.peers(self.now);
        assert!(peers.len() <= self.max_peers, "{} peers", peers.len());
        let status = self.engine.status(self.now);
        if matches!(status.phase, Phase::Downloading | Phase::Seeding) {
            assert_eq!(status.have, self.disk.good(), "pieces present");
        }
        assert!(status.phase != Phase::Seeding || status.have == PIECES, "complete without all pieces");
    }

    fn take_output(&mut self) {
        while let Some(job) = self.engine.poll_job() {
            self.disk.add(job);
        }
        let mut out = [0; 2048];
        while let Some(datagram) = self.engine.poll_datagram(self.now, &mut out) {
            assert!(datagram.len >= 16 && datagram.len <= 1452, "{} bytes to a tracker", datagram.len);
            let transaction_id = out[12..16].try_into().expect("four bytes");
            self.asked.push_back(Asked { tracker: datagram.to, action: out[11], transaction_id });
        }
        while let Some(action) = self.engine.poll_action() {
            match action {
                Action::Connect { peer, address } => {
                    assert_ne!(address.port(), 0);
                    self.connecting.push_back(peer);
                    self.peers.insert(peer, Remote::default());
                }
                Action::Close(peer) => {
                    self.peers.remove(&peer);
                    self.connecting.retain(|connecting| *connecting != peer);
                }
                Action::Listen => self.is_listening = true,
                Action::LookUp { tracker, .. } => self.looked_up.push_back(tracker),
                _ => {}
            }
        }
    }

    /// Reads from and writes to each peer once. False if there was nothing to do.
    fn serve(&mut self) -> bool {
        while self.engine.poll_ready(self.now).is_some() {}
        let mut progress = false;
        for (key, remote) in &mut self.peers {
            if !remote.is_connected {
                continue;
            }
            progress |= remote.deliver(self.now, *key, &mut self.engine);
            progress |= remote.receive(self.now, *key, &mut self.engine, &self.disk);
        }
        progress
    }

    /// Stops the session; from then on, nobody answers.
    fn end(&mut self) {
        self.engine.stop(self.now);
        let until = self.now + END;
        for _ in 0..1000 {
            self.turn();
            if self.is_over {
                return;
            }
            self.now = self.engine.poll_timeout().max(self.now);
            assert!(self.now <= until, "the session goes on for {:?}", self.now - until + END);
        }
        panic!("the session doesn't end");
    }
}
