//! One engine, and scripted peers.

use std::net::SocketAddr;
use std::time::Duration;

use peer_wire_proto::connection::Torrent;
use peer_wire_proto::{Handshake, Layout, PeerId, Reserved};
use torrent_client::disk::{Done, Job};
use torrent_client::engine::{Action, Config};
use torrent_client::{Engine, PeerKey, Phase};
use udp_tracker_proto::InfoHash;

const PIECES: u32 = 100;

fn torrent() -> Torrent {
    Torrent { info_hash: InfoHash([9; 20]), layout: Layout::new(u64::from(PIECES) << 14, 1 << 14).unwrap() }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn host(host: u8, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 0, 0, host], port))
}

/// An engine after the check of its files, which are complete or missing.
fn engine(complete: bool, change: impl FnOnce(&mut Config)) -> Engine {
    let mut config = Config::new(torrent(), PeerId([1; 20]), 6881, 5);
    change(&mut config);
    let mut engine = Engine::new(config);
    let now = Duration::ZERO;
    assert!(matches!(engine.poll_job(), Some(Job::Check)));
    (0..PIECES).for_each(|piece| engine.handle_done(now, Done::Checked { piece, good: complete }));
    assert!(matches!(engine.poll_job(), Some(Job::Create)));
    engine.handle_done(now, Done::Created);
    assert_eq!(engine.phase(), if complete { Phase::Seeding } else { Phase::Downloading });
    engine
}

fn handshake(peer_id: u8) -> [u8; Handshake::LEN] {
    let mut bytes = [0; Handshake::LEN];
    let handshake = Handshake {
        reserved: Reserved::default(),
        info_hash: torrent().info_hash,
        peer_id: PeerId([peer_id; 20]),
    };
    handshake.encode(&mut bytes).unwrap();
    bytes
}

/// Peers whose connections the engine closes.
fn closed(engine: &mut Engine) -> Vec<PeerKey> {
    let close = |action| if let Action::Close(peer) = action { Some(peer) } else { None };
    std::iter::from_fn(|| engine.poll_action()).filter_map(close).collect()
}

/// All bytes that the engine has to write for the peer.
fn written(engine: &mut Engine, now: Duration, peer: PeerKey) -> Vec<u8> {
    let mut all = Vec::new();
    while engine.poll_ready(now).is_some() {}
    loop {
        let bytes =
            engine.poll_transmit(now, peer).iter().flat_map(|slice| slice.to_vec()).collect::<Vec<_>>();
        if bytes.is_empty() {
            return all;
        }
        engine.handle_transmitted(now, peer, bytes.len());
        all.extend(bytes);
    }
}

#[test]
fn silent_connections_of_one_host_are_replaced() {
    let mut engine = engine(true, |config| config.max_peers = 20);
    let now = seconds(1);
    let accepted = (0..100).filter_map(|port| engine.handle_accepted(now, host(1, 50_000 + port))).count();
    assert_eq!(accepted, 8);
    let later = seconds(5);
    assert!(engine.handle_accepted(later, host(1, 51_000)).is_some());
    assert_eq!(closed(&mut engine).len(), 1, "a silent one made room for it");
    engine.handle_timeout(seconds(20));
    assert_eq!(closed(&mut engine).len(), 8, "no handshake came");
}

#[test]
fn an_uninterested_peer_is_replaced_by_one_of_another_host() {
    let mut engine = engine(true, |config| config.max_peers = 1);
    let idle = engine.handle_accepted(seconds(1), host(1, 50_000)).unwrap();
    engine.handle_input(seconds(1), idle, &handshake(2));
    assert_eq!(engine.handle_accepted(seconds(30), host(2, 50_000)), None);
    assert!(engine.handle_accepted(seconds(90), host(2, 50_000)).is_some());
    assert_eq!(closed(&mut engine), [idle]);
}

#[test]
fn a_flood_of_useless_messages_closes_the_connection() {
    let interest = [0, 0, 0, 1, 2, 0, 0, 0, 1, 3];
    let chokes = [0, 0, 0, 1, 0, 0, 0, 0, 1, 1];
    let have = [0, 0, 0, 5, 4, 0, 0, 0, 7];
    let keep_alive = [0; 4];
    for flood in [&interest[..], &chokes, &have, &keep_alive] {
        let mut engine = engine(true, |_| {});
        let peer = engine.handle_accepted(seconds(1), host(1, 50_000)).unwrap();
        engine.handle_input(seconds(1), peer, &handshake(2));
        let sent = (0..100_000).position(|_| {
            assert_eq!(engine.handle_input(seconds(2), peer, flood), flood.len());
            !closed(&mut engine).is_empty()
        });
        let bytes = sent.map(|times| times * flood.len());
        assert!(bytes.is_some_and(|bytes| (60_000..80_000).contains(&bytes)), "{flood:?}: {bytes:?}");
    }
}

/// However often peers change their interest, slots are assigned ten times a second at most.
#[test]
fn frequent_changes_of_interest_cause_few_choke_rounds() {
    let mut engine = engine(true, |_| {});
    let peers: Vec<_> = (1..=8)
        .map(|number| {
            let peer = engine.handle_accepted(seconds(1), host(number, 50_000)).unwrap();
            engine.handle_input(seconds(1), peer, &handshake(number + 1));
            written(&mut engine, seconds(1), peer);
            peer
        })
        .collect();
    let mut answers = 0;
    for turn in 0..1000 {
        let now = seconds(2) + Duration::from_millis(turn);
        engine.handle_input(now, peers[0], &[0, 0, 0, 1, 2]);
        engine.handle_timeout(now);
        engine.handle_input(now, peers[0], &[0, 0, 0, 1, 3]);
        engine.handle_timeout(now);
        answers += usize::from(!written(&mut engine, now, peers[0]).is_empty());
    }
    assert!(answers <= 12, "{answers} chokes and unchokes in a second");
}

#[test]
fn a_duplicate_connection_has_the_same_host() {
    let mut engine = engine(true, |_| {});
    let first = engine.handle_accepted(seconds(1), host(1, 50_000)).unwrap();
    engine.handle_input(seconds(1), first, &handshake(7));
    let elsewhere = engine.handle_accepted(seconds(1), host(2, 50_000)).unwrap();
    engine.handle_input(seconds(1), elsewhere, &handshake(7));
    assert_eq!(closed(&mut engine), []);
    let again = engine.handle_accepted(seconds(1), host(1, 50_001)).unwrap();
    engine.handle_input(seconds(1), again, &handshake(7));
    assert_eq!(closed(&mut engine), [again]);
}

/// Blocks that arrive late or twice leave no buffer in use.
#[test]
fn all_buffers_are_returned() {
    let mut engine = engine(false, |_| {});
    let now = seconds(1);
    let peer = engine.handle_accepted(now, host(1, 50_000)).unwrap();
    engine.handle_input(now, peer, &handshake(2));
    let bitfield = [&[0, 0, 0, 14, 5][..], &[0xff; 12], &[0xf0]].concat();
    engine.handle_input(now, peer, &bitfield);
    engine.handle_input(now, peer, &[0, 0, 0, 1, 1]);
    written(&mut engine, now, peer);
    // More blocks than there are buffers: the torrent's 100 blocks, requested, sent and written again and again.
    let mut pieces = 0;
    for turn in 0..20_u64 {
        let now = seconds(2 + turn * 31);
        engine.handle_timeout(now);
        engine.handle_input(now, peer, &[0, 0, 0, 0]);
        let requests = written(&mut engine, now, peer);
        for request in requests.windows(17).filter(|bytes| bytes.starts_with(&[0, 0, 0, 13, 6])) {
            let mut piece = vec![0, 0, 0x40, 9, 7];
            piece.extend_from_slice(&request[5..13]);
            piece.resize(13 + (1 << 14), 0);
            assert_eq!(engine.handle_input(now, peer, &piece), piece.len());
            pieces += 1;
        }
        while let Some(job) = engine.poll_job() {
            if let Job::Write(_, buffer) = job {
                engine.handle_done(now, Done::Written(buffer));
            }
        }
        assert!(engine.receive_limit(now, peer) > 0);
    }
    assert!(pieces > 0, "nothing was requested");
}
