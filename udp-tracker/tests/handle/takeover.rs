//! A successor that gets the swarms while requests are answered.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use udp_tracker::{Family, HandOver, InfoHash, Piece, Service, Settings, TakeOver};
use udp_tracker_proto::{AnnounceRequest, Event};

use crate::requests::{NOW, Tracker, leecher};

const TORRENTS: u8 = 40;

fn service() -> Arc<Service> {
    let mut settings = Settings::default();
    settings.max_peers_per_network_and_torrent = 0;
    Arc::new(Service::new(settings).unwrap())
}

fn torrent(number: u8) -> InfoHash {
    InfoHash([number; 20])
}

/// An announce of some peer of some torrent. The first torrents have hundreds of peers.
fn announce(tracker: &mut Tracker, rng: &mut SmallRng) {
    let number: u8 = if rng.random() { rng.random_range(0..2) } else { rng.random_range(0..TORRENTS) };
    let peer = rng.random_range(0..600_u16);
    let [a, b] = peer.to_be_bytes();
    let address: SocketAddr = if rng.random() {
        (Ipv4Addr::new(192, 0, a, b), 5000).into()
    } else {
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, peer), 5000).into()
    };
    let (event, left) = match rng.random_range(0..5) {
        0 => (Event::Stopped, 1),
        1 => (Event::Completed, 0),
        2 => (Event::None, 0),
        _ => (Event::Started, 1),
    };
    let request = AnnounceRequest { info_hash: torrent(number), event, left, ..leecher(6881) };
    tracker.announce(address, request);
}

/// Those of each torrent and family.
/// Seeders, leechers, and the peers with whether each is a seeder.
type Swarm = (u32, u32, BTreeSet<(SocketAddr, bool)>);

fn swarms(service: &Service) -> Vec<Swarm> {
    let of = |family, number| {
        let (stores, torrent) = (service.stores(), torrent(number));
        let counts = stores.scrape(NOW, family, &torrent);
        let peers = stores.some_peers(NOW, family, &torrent, usize::MAX);
        let peers = peers.into_iter().map(|peer| (peer.address, peer.seeder)).collect();
        (counts.seeders, counts.leechers, peers)
    };
    let families = Family::ALL.into_iter();
    families.flat_map(|family| (0..TORRENTS).map(move |number| of(family, number))).collect()
}

#[test]
fn a_successor_has_the_same_swarms_after_announces_between_all_pieces() {
    for seed in 0..6 {
        let (mut rng, old, new) = (SmallRng::seed_from_u64(seed), service(), service());
        let mut tracker = Tracker::of(&old);
        (0..3000).for_each(|_| announce(&mut tracker, &mut rng));
        let mut giving = HandOver::new(Arc::clone(&old), NOW, NOW);
        let mut taking = TakeOver::new(Arc::clone(&new));
        let mut pieces = 0;
        loop {
            let more = if giving.is_complete() { 0 } else { rng.random_range(0..20) };
            (0..more).for_each(|_| announce(&mut tracker, &mut rng));
            let Some(piece) = giving.next_piece() else { break };
            taking.take(NOW, piece).unwrap();
            pieces += 1;
        }
        assert!(pieces > 5 && giving.lost() == 0);
        let (restored, changes) = taking.finish().unwrap();
        assert!(restored.peers > 100 && changes > 0, "{restored:?} {changes}");
        assert_eq!(swarms(&new), swarms(&old), "seed {seed}");
    }
}

#[test]
fn completed_counts_are_handed_over_and_counted_on() {
    let (old, new) = (service(), service());
    let mut tracker = Tracker::of(&old);
    let complete = |tracker: &mut Tracker, last: u8| {
        let request =
            AnnounceRequest { info_hash: torrent(1), event: Event::Completed, left: 0, ..leecher(6881) };
        tracker.announce((Ipv4Addr::new(192, 0, 2, last), 5000).into(), request);
    };
    (1..=5).for_each(|last| complete(&mut tracker, last));
    let mut giving = HandOver::new(Arc::clone(&old), NOW, NOW);
    let mut taking = TakeOver::new(Arc::clone(&new));
    complete(&mut tracker, 6);
    while let Some(piece) = giving.next_piece() {
        taking.take(NOW, piece).unwrap();
    }
    complete(&mut tracker, 7);
    let Some(Piece::Changes(bytes)) = giving.next_piece() else { panic!("a change after the snapshot") };
    taking.take(NOW, Piece::Changes(bytes)).unwrap();
    for service in [old, new] {
        assert_eq!(service.stores().scrape(NOW, Family::V4, &torrent(1)).completed, 7);
    }
}

#[test]
fn a_cut_off_or_damaged_hand_over_is_an_error() {
    let mut taking = TakeOver::new(service());
    assert!(taking.finish().unwrap_err().to_string().starts_with("the snapshot: "));
    for bytes in [&[6, 0, 1][..], &[7; 30], &[[6, 4].as_slice(), &[1; 26]].concat()] {
        let error = taking.take(NOW, Piece::Changes(bytes)).unwrap_err().to_string();
        assert_eq!(error, "a change that can't be read, after 0 others");
    }
    taking
        .take(NOW, Piece::Snapshot(b"no snapshot at all, but longer than its head is, which has fifty bytes"))
        .unwrap_err();
}

/// All pieces of a hand-over, in their order.
fn pieces() -> Vec<(bool, Vec<u8>)> {
    let (mut rng, old) = (SmallRng::seed_from_u64(1), service());
    let mut tracker = Tracker::of(&old);
    (0..50).for_each(|_| announce(&mut tracker, &mut rng));
    let mut giving = HandOver::new(Arc::clone(&old), NOW, NOW);
    (0..20).for_each(|_| announce(&mut tracker, &mut rng));
    let mut pieces = Vec::new();
    while let Some(piece) = giving.next_piece() {
        pieces.push(match piece {
            Piece::Snapshot(bytes) => (true, bytes.to_vec()),
            Piece::Changes(bytes) => (false, bytes.to_vec()),
        });
    }
    pieces
}

#[test]
fn damaged_pieces_are_errors_and_nothing_worse() {
    let (whole, mut rng) = (pieces(), SmallRng::seed_from_u64(2));
    for _ in 0..300 {
        let mut damaged = whole.clone();
        let (at, last) = (rng.random_range(0..damaged.len()), damaged.len() - 1);
        match rng.random_range(0..3) {
            0 => damaged[at].1.truncate(rng.random_range(0..whole[at].1.len())),
            1 => damaged.swap(at, last),
            _ => {
                let byte = rng.random_range(0..whole[at].1.len());
                damaged[at].1[byte] ^= 1 << rng.random_range(0..8_u8);
            }
        }
        let mut taking = TakeOver::new(service());
        let taken = damaged.iter().try_for_each(|(is_snapshot, bytes)| {
            taking.take(NOW, if *is_snapshot { Piece::Snapshot(bytes) } else { Piece::Changes(bytes) })
        });
        // A change has no checksum: a kernel's socket damages nothing.
        let complete = taken.is_ok() && taking.finish().is_ok();
        let snapshot = |pieces: &[(bool, Vec<u8>)]| {
            pieces.iter().filter(|piece| piece.0).flat_map(|piece| piece.1.clone()).collect::<Vec<_>>()
        };
        assert!(!complete || snapshot(&damaged) == snapshot(&whole));
    }
}
