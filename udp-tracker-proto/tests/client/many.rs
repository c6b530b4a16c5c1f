//! `ManyTrackers`.

use std::net::SocketAddr;
use std::time::Duration;

use udp_tracker_proto::client::{Announce, Announced, Error, ManyTrackers, OwnedEvent, Policy};
use udp_tracker_proto::{BufferTooSmall, Counts, DecodeError, InfoHash};

use crate::scripted::{COUNTS, ID, LONG, TORRENT, announce, at, counting, reply, tracker};

fn all_sent(client: &mut ManyTrackers<impl FnMut() -> u32>, now: u64) -> Vec<(SocketAddr, Vec<u8>)> {
    let mut out = [0; 1452];
    let mut all = Vec::new();
    while let Some(transmit) = client.poll_transmit(at(now), &mut out) {
        all.push((transmit.to, out[..transmit.len].to_vec()));
    }
    all
}

#[test]
fn replies_count_only_for_the_tracker_that_sent_them() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    let trackers: [SocketAddr; 2] = [tracker(), "[2001:db8::1]:6969".parse().unwrap()];
    let requests = trackers.map(|to| client.announce(at(0), to, &announce(), LONG));
    let connects = all_sent(&mut client, 0);
    assert!(connects.iter().map(|(to, _)| *to).eq(trackers));
    // The reply of another tracker is not accepted.
    client.handle_input(at(0), trackers[1], &reply(0, &connects[0].1, &ID));
    assert_eq!(client.strays(), 1);
    for (to, connect) in &connects {
        client.handle_input(at(0), *to, &reply(0, connect, &ID));
    }
    let announces = all_sent(&mut client, 0);
    assert_eq!(announces.len(), 2);
    // The second tracker's reply has an IPv6 peer, since the tracker's address is IPv6.
    let peer = [&COUNTS[..], &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0x1a, 0xe1]].concat();
    client.handle_input(at(1), trackers[1], &reply(1, &announces[1].1, &peer));
    client.handle_input(at(2), trackers[0], &reply(3, &announces[0].1, b"no"));
    let announced = Announced {
        interval: 1800,
        counts: Some(Counts { leechers: 1, seeders: 2 }),
        peers: vec!["[2001:db8::2]:6881".parse().unwrap()],
    };
    assert_eq!(announced.next_announce(), at(1800));
    let ended =
        |at: usize, result| OwnedEvent::Announced { request: requests[at], tracker: trackers[at], result };
    assert_eq!(client.poll_event(), Some(ended(1, Ok(announced))));
    assert_eq!(client.poll_event(), Some(ended(0, Err(Error::Refused { text: "no".into() }))));
    assert_eq!((client.poll_event(), client.pending()), (None, 0));
}

#[test]
fn a_long_scrape_is_sent_in_parts_and_its_entries_are_in_order() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    let hashes: Vec<InfoHash> = (0..200u8).map(|n| InfoHash([n; 20])).collect();
    let request = client.scrape(at(0), tracker(), &hashes, LONG);
    let connect = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    let mut asked = Vec::new();
    while client.pending() > 0 {
        let [(_, datagram)] = &all_sent(&mut client, 0)[..] else { panic!("one at a time") };
        let part = datagram[16..].as_chunks::<20>().0;
        assert!((1..=74).contains(&part.len()) && datagram.len() <= 1452);
        // The number of seeders identifies the torrent.
        let entries: Vec<u8> =
            part.iter().flat_map(|hash| [0, 0, 0, hash[0], 0, 0, 0, 0, 0, 0, 0, 0]).collect();
        asked.extend_from_slice(part);
        client.handle_input(at(0), tracker(), &reply(2, datagram, &entries));
    }
    assert!(asked.iter().eq(hashes.iter().map(|hash| &hash.0)));
    let Some(OwnedEvent::Scraped { request: ended, result: Ok(entries), .. }) = client.poll_event() else {
        panic!("scraped");
    };
    assert_eq!(ended, request);
    assert!(entries.iter().map(|entry| entry.seeders).eq(0..200));
}

#[test]
fn a_scrape_without_info_hashes_ends_at_once() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.scrape(at(0), tracker(), &[], LONG);
    assert!(matches!(client.poll_event(), Some(OwnedEvent::Scraped { result: Ok(_), .. })));
    assert_eq!((client.poll_timeout(), all_sent(&mut client, 0).len()), (None, 0));
}

#[test]
fn a_reply_with_fewer_entries_than_asked_for_is_malformed() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.scrape(at(0), tracker(), &[TORRENT, TORRENT], LONG);
    let connect = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    let request = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(2, &request, &[0; 12]));
    let expected = Err(Error::Malformed(DecodeError::ScrapeLength { asked: 2, got: 20 }));
    assert!(matches!(client.poll_event(), Some(OwnedEvent::Scraped { result, .. }) if result == expected));
}

#[test]
fn many_requests_to_a_silent_tracker_send_as_many_connects_as_one() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    for _ in 0..100 {
        client.announce(at(0), tracker(), &announce(), LONG);
    }
    let mut times = Vec::new();
    let mut now = 0;
    while client.pending() > 0 {
        times.extend(all_sent(&mut client, now).iter().map(|_| now));
        now = client.poll_timeout().unwrap().as_secs();
        client.handle_timeout(at(now));
    }
    assert_eq!(times, [0, 15, 45, 105, 225, 465, 945, 1905, 3825]);
    let mut ended = 0;
    while let Some(OwnedEvent::Announced { result: Err(Error::TimedOut), .. }) = client.poll_event() {
        ended += 1;
    }
    assert_eq!((ended, client.poll_timeout()), (100, None));
}

#[test]
fn an_expired_connection_id_is_dropped() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.announce(at(0), tracker(), &announce(), LONG);
    let connect = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    let request = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(1, &request, &COUNTS));
    assert_eq!(client.poll_timeout(), Some(at(60)));
    client.handle_timeout(at(60));
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn transaction_ids_are_unique_even_with_constant_randomness() {
    let mut client = ManyTrackers::new(Policy::BEP_15, || 7);
    for _ in 0..3 {
        client.announce(at(0), tracker(), &announce(), LONG);
    }
    let connect = all_sent(&mut client, 0).remove(0).1;
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    let mut ids: Vec<_> =
        all_sent(&mut client, 0).iter().map(|(_, request)| request[12..16].to_vec()).collect();
    ids.push(connect[12..16].to_vec());
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn a_new_request_does_not_wait_for_an_old_lost_connect() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.announce(at(0), tracker(), &announce(), LONG);
    for now in [0, 15, 45, 105] {
        client.handle_timeout(at(now));
        assert_eq!(all_sent(&mut client, now).len(), 1);
    }
    // The tracker is back, and the last announce has three seconds.
    client.announce(at(112), tracker(), &announce(), at(3));
    let connect = all_sent(&mut client, 112).remove(0).1;
    client.handle_input(at(112), tracker(), &reply(0, &connect, &ID));
    assert_eq!(all_sent(&mut client, 112).len(), 2, "both go on with it");
}

#[test]
fn a_new_request_counts_its_own_transmissions() {
    let mut client = ManyTrackers::new(Policy::CPP_CLASS, counting());
    client.announce(at(0), tracker(), &announce(), LONG);
    for now in [0, 10, 20, 30, 40, 50] {
        client.handle_timeout(at(now));
        assert_eq!(all_sent(&mut client, now).len(), 1);
    }
    let late = client.announce(at(58), tracker(), &announce(), LONG);
    let mut times = Vec::new();
    let mut now = 58;
    while client.pending() > 0 {
        times.extend(all_sent(&mut client, now).iter().map(|_| now));
        now = client.poll_timeout().unwrap().as_secs();
        client.handle_timeout(at(now));
    }
    assert_eq!(times, [58, 68, 78, 88, 98, 108]);
    let ended: Vec<_> = std::iter::from_fn(|| client.poll_event()).collect();
    assert!(matches!(ended[..], [_, OwnedEvent::Announced { request, .. }] if request == late));
}

#[test]
fn a_link_local_tracker_keeps_its_scope() {
    let scoped = SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 80, 7, 2));
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.announce(at(0), scoped, &announce(), LONG);
    let (to, connect) = all_sent(&mut client, 0).remove(0);
    assert!(matches!(to, SocketAddr::V6(to) if to.scope_id() == 2 && to.flowinfo() == 0));
    client.handle_input(at(0), scoped, &reply(0, &connect, &ID));
    assert_eq!(all_sent(&mut client, 0).len(), 1);
}

#[test]
fn the_latest_possible_time_does_not_panic() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.announce(Duration::MAX - at(1), tracker(), &announce(), LONG);
    let mut out = [0; 100];
    client.poll_transmit(Duration::MAX - at(1), &mut out).expect("a connect");
    client.handle_input(Duration::MAX - at(1), tracker(), &reply(0, &out[..16], &ID));
    while client.poll_transmit(Duration::MAX - at(1), &mut out).is_some() {}
    client.handle_timeout(Duration::MAX);
    assert_eq!(client.pending(), 0);
}

/// Found by fuzzing: a request that was past its deadline and ready to be sent caused an endless loop.
#[test]
fn a_request_past_its_deadline_sends_nothing_and_ends() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    client.announce(at(0), tracker(), &announce(), Duration::ZERO);
    client.announce(at(0), tracker(), &announce(), at(5));
    assert_eq!(all_sent(&mut client, 5), []);
    client.handle_timeout(at(5));
    assert_eq!((client.pending(), client.poll_timeout()), (0, None));
}

#[test]
fn a_request_that_does_not_fit_fails_at_once_with_the_numbers() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    let path = "p".repeat(70_000);
    let long = Announce { path_and_query: &path, ..announce() };
    let request = client.announce(at(0), tracker(), &long, LONG);
    // The buffer is long enough, but no UDP datagram is.
    assert_eq!(client.poll_transmit(at(0), &mut vec![0; 100_000]), None);
    assert!(client.poll_timeout().is_some_and(|due| due <= at(0)));
    client.handle_timeout(at(0));
    let needed = 98 + 70_000 + 2 * 70_000_usize.div_ceil(255);
    let result = Err(Error::TooLong(BufferTooSmall { needed, got: 65_507 }));
    assert_eq!(client.poll_event(), Some(OwnedEvent::Announced { request, tracker: tracker(), result }));
    assert_eq!((client.pending(), client.poll_timeout()), (0, None));
}

#[test]
fn requests_that_cannot_be_sent_fail_at_once_and_others_go_on() {
    let mut client = ManyTrackers::new(Policy::BEP_15, counting());
    let unreachable: SocketAddr = "[2001:db8::1]:6969".parse().unwrap();
    for to in [unreachable, tracker(), unreachable] {
        client.announce(at(0), to, &announce(), LONG);
    }
    let mut out = [0; 98];
    let mut failed = Vec::new();
    for _ in 0..2 {
        while let Some(transmit) = client.poll_transmit(at(0), &mut out) {
            if transmit.to == unreachable {
                client.handle_send_error(&transmit);
            }
        }
        client.handle_timeout(at(0));
        failed.extend(std::iter::from_fn(|| client.poll_event()));
    }
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|event| matches!(
        event,
        OwnedEvent::Announced { tracker, result: Err(Error::NotSent), .. } if *tracker == unreachable
    )));
    assert_eq!((client.pending(), client.poll_timeout()), (1, Some(at(15))));
}
