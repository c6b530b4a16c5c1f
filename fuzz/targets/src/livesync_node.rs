//! Arbitrary packets to a node of a cluster, while its handler has announces to publish and its clock jumps.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use udp_tracker::livesync_proto::{self, MAX_PACKET_LEN};
use udp_tracker::{Family, Handler, Key, Livesync, LivesyncSettings, Service, Settings, TrackerId};

use crate::script::Script;

const START: Duration = Duration::from_secs(1_800_000_000);
const CONNECT: [u8; 16] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];

fn node(number: u8) -> SocketAddr {
    match number & 3 {
        0 => ([10, 0, 0, 1], 9696).into(),
        1 => ([10, 0, 0, 2], 9696).into(),
        2 => ([10, 0, 0, 3], 1).into(),
        _ => ([0x2a01, 0, 0, 0, 0, 0, 0, 1], 9696).into(),
    }
}

/// Calls of the node, in an order and with packets of the input's choice.
///
/// # Panics
/// If a packet that the node sends can't be received, if one without the key changes a store, or if the node asks to be
/// called again at once without an end.
pub fn livesync_node(input: &[u8]) {
    let mut script = Script(input);
    let flags = script.byte();
    let mut settings = Settings::default();
    (settings.max_stored_torrents, settings.max_stored_peers) = (3, 6);
    let service = Arc::new(Service::from_seed(settings, 1).expect("valid settings"));
    let own = node(0).ip();
    let mut livesync_settings = LivesyncSettings::new(own, vec![node(1).ip(), node(2).ip()]);
    let key = (flags & 1 != 0).then(|| Key::new([5; 32]));
    livesync_settings.key.clone_from(&key);
    let made = Livesync::new(Arc::clone(&service), &livesync_settings, START);
    let (mut livesync, publisher) = made.expect("valid settings");
    let mut handler = Handler::new(Arc::clone(&service)).with_publisher(publisher);
    let mut now = START;
    let mut reply = [0; 2048];
    let mut sent: Vec<Vec<u8>> = Vec::new();
    while let Some(step) = script.step() {
        let from = node(step >> 4);
        match step & 15 {
            0..=4 => {
                let before = peers(&service);
                livesync.handle_input(now, from, script.many_bytes());
                assert!(key.is_none() || peers(&service) == before, "a forged packet was applied");
            }
            // An old packet of the node itself, from anywhere.
            5 => {
                if let Some(packet) = sent.get(usize::from(script.byte())) {
                    livesync.handle_input(now, from, packet);
                }
            }
            6 => {
                // With another id it is a packet of another node. The key's MAC tells.
                if let Some(mut packet) = sent.get(usize::from(script.byte())).cloned() {
                    packet[0] ^= script.byte();
                    livesync.handle_input(now, from, &packet);
                }
            }
            7..=9 => {
                let source: SocketAddr = if step & 16 == 0 {
                    ([81, 2, 3, script.byte()], 5).into()
                } else {
                    ([0x2a01, 1, script.byte().into(), 0, 0, 0, 0, 1], 5).into()
                };
                assert_eq!(handler.handle(now.as_secs(), source, &CONNECT, &mut reply), 16);
                let mut announce =
                    [&reply[8..16], &[0, 0, 0, 1, 0, 0, 0, 1], &[script.byte() & 7; 20], &[0; 62]].concat();
                (announce[83], announce[97]) = (script.byte() & 3, 7);
                announce[71] = script.byte() & 1;
                handler.handle(now.as_secs(), source, &announce, &mut reply);
            }
            10 => now += script.pause().min(Duration::from_secs(5000)),
            11 => {
                let by = script.pause();
                livesync.set_clock(now, if step & 16 == 0 { now + by } else { now.saturating_sub(by) });
            }
            12 => livesync.handle_timeout(now),
            13 => livesync.flush(),
            _ => send(&mut livesync, now, &key, &mut sent),
        }
    }
    livesync.flush();
    send(&mut livesync, now, &key, &mut sent);
    livesync.handle_timeout(now);
    assert!(livesync.poll_timeout().is_none_or(|due| due > now), "a busy loop");
}

/// Takes packets as a thread does, and reads them as another node.
fn send(livesync: &mut Livesync, now: Duration, key: &Option<Key>, sent: &mut Vec<Vec<u8>>) {
    for _ in 0..10_000 {
        let Some(packet) = livesync.poll_transmit(now) else { return };
        assert!(packet.len() <= MAX_PACKET_LEN);
        let received =
            livesync_proto::receive(packet, TrackerId([0xff; 4]), key.as_ref()).expect("a valid packet");
        assert!(received.records.len() > 0, "a packet without records");
        for record in received.records {
            assert!(record.peer.ip().is_ipv4() || record.peer.ip().to_canonical().is_ipv6());
        }
        if sent.len() < 256 {
            sent.push(packet.to_vec());
        }
    }
    panic!("packets without an end");
}

fn peers(service: &Service) -> [usize; 2] {
    Family::ALL.map(|family| service.stores().totals(family).peers)
}
