//! Too many requests: of one network, and more than can be answered.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::requests::{TORRENT, Tracker, encoded, error, leecher, reported, scrape};
use udp_tracker::{Count, Family, Load, Service, Settings};
use udp_tracker_proto::{AnnounceRequest, ConnectionId};

fn victim() -> SocketAddr {
    "8.8.8.8:6881".parse().unwrap()
}

fn limited(per_second: u32) -> Tracker {
    let mut settings = Settings::default();
    settings.requests_per_second_per_network = per_second;
    Tracker::new(settings)
}

/// An announce with an id that was issued to the source.
fn proven(tracker: &mut Tracker, source: SocketAddr) -> Vec<u8> {
    let connection_id = tracker.connect(source);
    encoded(&AnnounceRequest { connection_id, ..leecher(6881) })
}

#[test]
fn a_network_over_its_limit_gets_errors_then_nothing() {
    let mut tracker = limited(2);
    let request = proven(&mut tracker, victim());
    let replies: Vec<_> = (0..50).map(|_| tracker.ask(victim(), &request)).collect();
    assert!(replies[..20].iter().all(|reply| reply[3] == 1));
    for reply in &replies[20..30] {
        assert_eq!(error(reply), "too many requests from your network, try again later");
        assert!(reply.len() <= request.len());
    }
    assert!(replies[30..].iter().all(Vec::is_empty));
    let counted = [Count::RateLimited, Count::RateLimitedSilently].map(|count| tracker.counted(count));
    assert_eq!(counted, [10, 20]);
    // Another network, and the same a second later.
    let other = "8.8.4.4:1".parse().unwrap();
    assert_eq!(tracker.announce(other, leecher(1))[3], 1);
    tracker.now += 1;
    assert_eq!(tracker.ask(victim(), &request)[3], 1);
}

#[test]
fn scrapes_count_and_connects_do_not() {
    let mut tracker = limited(1);
    let connection_id = tracker.connect(victim());
    let request = scrape(connection_id, &[TORRENT]);
    assert!((0..10).all(|_| tracker.ask(victim(), &request)[3] == 2));
    assert_eq!(tracker.ask(victim(), &request)[3], 3);
    // Errors of this kind, too, need a valid id; connects are answered as ever.
    for _ in 0..100 {
        tracker.connect(victim());
    }
}

#[test]
fn all_handlers_of_a_service_share_the_limit() {
    let mut settings = Settings::default();
    settings.requests_per_second_per_network = 1;
    let service = Arc::new(Service::new(settings).unwrap());
    let mut trackers = [(); 2].map(|()| Tracker::of(&service));
    let request = proven(&mut trackers[0], victim());
    let answered = (0..20).filter(|at| trackers[at % 2].ask(victim(), &request)[3] == 1).count();
    assert_eq!(answered, 10);
}

#[test]
fn the_limit_can_be_set_and_lifted_while_serving() {
    let service = Arc::new(Service::new(Settings::default()).unwrap());
    let mut tracker = Tracker::of(&service);
    let request = proven(&mut tracker, victim());
    let answered = |tracker: &mut Tracker| {
        (0..100).filter(|_| tracker.ask(victim(), &request).get(3) == Some(&1)).count()
    };
    assert_eq!(answered(&mut tracker), 100);
    let mut settings = Settings::default();
    settings.requests_per_second_per_network = 3;
    service.set_settings(&settings).unwrap();
    assert_eq!(answered(&mut tracker), 30);
    settings.trusted_ip_sources = vec!["8.8.8.8/32".parse().unwrap()];
    service.set_settings(&settings).unwrap();
    assert_eq!(answered(&mut tracker), 100);
    service.set_settings(&Settings::default()).unwrap();
    assert_eq!(answered(&mut tracker), 100);
}

/// Datagrams with the victim's address that somebody else has sent: without a valid id, since those are sent to the
/// victim.
fn forge(tracker: &mut Tracker, number: u64) {
    let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
    let id = ConnectionId(1 << 63 | number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let announce = encoded(&AnnounceRequest { connection_id: id, ..leecher(6881) });
    for datagram in [&connect[..], &announce, &scrape(id, &[TORRENT; 70]), b"nonsense", b""] {
        tracker.ask(victim(), datagram);
    }
}

#[test]
fn a_victim_whose_address_is_forged_stays_served() {
    let mut tracker = limited(1);
    let request = proven(&mut tracker, victim());
    for second in 0..30 {
        for number in 0..500 {
            forge(&mut tracker, second * 500 + number);
        }
        // Its id, its announces, and a new id.
        assert_eq!(tracker.ask(victim(), &request)[3], 1, "{second}");
        tracker.connect(victim());
        tracker.now += 1;
    }
    assert_eq!(tracker.counted(Count::RateLimited) + tracker.counted(Count::Shed), 0);
}

#[test]
fn a_victim_whose_address_is_forged_stays_served_under_overload() {
    let mut tracker = Tracker::new(Settings::default());
    let request = proven(&mut tracker, victim());
    let mut connected = 0;
    for window in 0..500 {
        for number in 0..50 {
            forge(&mut tracker, window * 50 + number);
        }
        // In each window, it is served.
        assert_eq!(tracker.ask(victim(), &request)[3], 1, "{window}");
        let connect = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];
        connected += usize::from(!tracker.ask(victim(), &connect).is_empty());
        tracker.handler.end_window(Family::V4, Load::Overflowed);
    }
    assert!(tracker.counted(Count::Shed) > 10_000 && connected >= 1, "{connected}");
}

#[test]
fn under_overload_the_heaviest_network_is_shed() {
    let mut tracker = Tracker::new(Settings::default());
    let flooder: SocketAddr = "9.9.9.9:1".parse().unwrap();
    let (flood, request) = (proven(&mut tracker, flooder), proven(&mut tracker, victim()));
    let mut flooded = Vec::new();
    for window in 0..100 {
        let answered = (0..200).filter(|_| !tracker.ask(flooder, &flood).is_empty()).count();
        flooded.push(answered);
        for _ in 0..3 {
            assert_eq!(reported::<6>(&tracker.ask(victim(), &request)).1, 2, "{window}");
        }
        // As if a hundred could be answered.
        let load = if answered > 100 { Load::Overflowed } else { Load::Drained };
        tracker.handler.end_window(Family::V4, load);
    }
    assert_eq!(flooded[0], 200);
    assert!(flooded[50..].iter().all(|answered| (80..=120).contains(answered)), "{flooded:?}");
}
