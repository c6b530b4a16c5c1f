//! `OneTracker`.

use std::time::Duration;

use udp_tracker_proto::client::{Announce, BorrowedEvent, Failure, Policy, Schedule, StartError};
use udp_tracker_proto::{BufferTooSmall, Counts, Dialect, InfoHash, ScrapeEntry};

use crate::scripted::{
    COUNTS, ID, LONG, One, TORRENT, announce, at, connected, is_announce, is_connect, one, reply, sent,
    sent_one, tracker, transmissions,
};

/// BEP 15's examples: "Connect times out" and "Announce times out".
#[test]
fn retransmits_as_in_bep_15s_examples() {
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), LONG).unwrap();
    let times = transmissions(&mut client, 0);
    let expected = [0, 15, 45, 105, 225, 465, 945, 1905, 3825].map(|time| (time, true));
    assert_eq!(times, expected);

    // t = 0: connect request, t = 1: connect response, t = 2 (here 1): announce request, ..
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    client.handle_input(at(1), tracker(), &reply(0, &connect, &ID));
    let times = transmissions(&mut client, 1);
    // .. and after 60 s a connect, because the connection ID expired.
    assert_eq!(times[..5], [(1, false), (16, false), (46, false), (106, true), (226, true)]);
    assert_eq!(times.len(), 9);
}

#[test]
fn retransmits_by_the_given_policy() {
    let mut client = one(Policy::DRAFT_2004);
    client.announce(at(0), &announce(), LONG).unwrap();
    assert_eq!(transmissions(&mut client, 0), [0, 15, 30, 45].map(|time| (time, true)));

    let (mut client, ..) = connected(Policy::CPP_CLASS, 0);
    assert_eq!(transmissions(&mut client, 0), [(10, false)]);

    let once = Schedule { first: at(3), factor: 1, transmissions: 1 };
    let mut client = one(Policy::both(once));
    client.announce(at(0), &announce(), LONG).unwrap();
    assert_eq!(transmissions(&mut client, 0), [(0, true)]);
}

#[test]
fn the_deadline_holds_whatever_the_policy() {
    let mut client = one(Policy::BEP_15);
    let request = client.announce(at(0), &announce(), at(20)).unwrap();
    assert_eq!(sent(&mut client, 0).len(), 1);
    assert_eq!(client.poll_timeout(), Some(at(15)));
    assert_eq!(client.handle_timeout(at(15)), None);
    assert_eq!(sent(&mut client, 15).len(), 1);
    assert_eq!(client.poll_timeout(), Some(at(20)));
    let event = client.handle_timeout(at(20));
    assert!(matches!(event, Some(BorrowedEvent::Failed { request: failed, .. }) if failed == request));
    assert_eq!(client.poll_timeout(), None);
    assert_eq!(sent(&mut client, 20), [] as [Vec<u8>; 0]);
}

#[test]
fn an_announce_is_answered_once() {
    let (mut client, request, datagram) = connected(Policy::BEP_15, 0);
    assert_eq!(datagram.len(), 98);
    let answer = [&COUNTS[..], &[192, 0, 2, 9, 0x1a, 0xe1]].concat();
    let answer = reply(1, &datagram, &answer);
    let Some(BorrowedEvent::Announced { request: answered, head, peers }) =
        client.handle_input(at(1), tracker(), &answer)
    else {
        panic!("an answer");
    };
    assert_eq!(answered, request);
    assert_eq!((head.interval, head.counts), (1800, Some(Counts { leechers: 1, seeders: 2 })));
    assert!(peers.iter().eq(["192.0.2.9:6881".parse().unwrap()]));
    // A duplicate is not accepted.
    assert_eq!(client.handle_input(at(1), tracker(), &answer), None);
    assert_eq!(client.strays(), 1);
}

#[test]
fn an_id_is_kept_for_a_minute() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 100);
    client.handle_input(at(100), tracker(), &reply(1, &datagram, &COUNTS));
    client.announce(at(159), &announce(), LONG).unwrap();
    let datagram = sent_one(&mut client, 159);
    assert!(is_announce(&datagram, ID));
    client.handle_input(at(159), tracker(), &reply(1, &datagram, &COUNTS));
    client.announce(at(160), &announce(), LONG).unwrap();
    assert!(is_connect(&sent_one(&mut client, 160)));
}

#[test]
fn only_the_trackers_own_reply_to_this_request_counts() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    let good = reply(1, &datagram, &COUNTS);
    let mut other_transaction = good.clone();
    other_transaction[7] ^= 1;
    let elsewhere =
        ["192.0.2.2:6969", "192.0.2.1:6970", "[2001:db8::1]:6969"].map(|text| text.parse().unwrap());
    for source in elsewhere {
        assert_eq!(client.handle_input(at(1), source, &good), None);
    }
    for junk in [&other_transaction[..], &good[..7], &[], &[9; 20]] {
        assert_eq!(client.handle_input(at(1), tracker(), junk), None);
    }
    assert_eq!(client.strays(), 7);
    // As a dual-stack socket shows it.
    let mapped = "[::ffff:192.0.2.1]:6969".parse().unwrap();
    assert!(matches!(client.handle_input(at(1), mapped, &good), Some(BorrowedEvent::Announced { .. })));
}

#[test]
fn a_reply_before_the_request_was_sent_is_ignored() {
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    // Forged with the announce's transaction_id, which was drawn before that of the connect.
    for guess in 0x1000..0x1003u32 {
        let forged = [&[0, 0, 0, 1], &guess.to_be_bytes()[..], &COUNTS].concat();
        if forged[4..8] != connect[12..16] {
            assert_eq!(client.handle_input(at(0), tracker(), &forged), None);
        }
    }
}

#[test]
fn reports_refusals_and_invalid_replies() {
    let no = |with: &dyn Fn(&[u8]) -> Vec<u8>| {
        let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
        match client.handle_input(at(1), tracker(), &with(&datagram)) {
            Some(BorrowedEvent::Failed { failure, .. }) => failure.to_string(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(no(&|request| reply(3, request, b"go away")), "the tracker refused: go away");
    assert_eq!(no(&|request| reply(3, request, b"go away\0")), "the tracker refused: go away");
    assert_eq!(no(&|request| reply(3, request, b"")), "the tracker refused");
    assert_eq!(no(&|request| reply(1, request, b"")), "the tracker refused", "opentracker's 8 bytes");
    let host_order = no(&|request| {
        let mut error = reply(3, request, b"no");
        error[..4].copy_from_slice(&[3, 0, 0, 0]);
        error
    });
    assert_eq!(host_order, "the tracker refused: no");
    let cut = no(&|request| reply(1, request, &COUNTS[..11]));
    assert_eq!(cut, "invalid reply: 19 bytes where 20 are needed");
    let torn = no(&|request| reply(1, request, &[0; 15]));
    assert!(torn.starts_with("invalid reply: "), "{torn}");
    let other = no(&|request| reply(2, request, &COUNTS));
    assert_eq!(other, "invalid reply: action 2 where 1 was expected");
}

#[test]
fn a_refused_connect_ends_the_request() {
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    let answer = reply(3, &connect, b"banned");
    let event = client.handle_input(at(0), tracker(), &answer);
    assert!(
        matches!(event, Some(BorrowedEvent::Failed { failure, .. }) if failure.to_string().ends_with("banned"))
    );

    client.announce(at(0), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    let answer = reply(0, &connect, &ID[..7]);
    let event = client.handle_input(at(0), tracker(), &answer);
    let Some(BorrowedEvent::Failed { failure, .. }) = event else { panic!("{event:?}") };
    assert_eq!(failure.to_string(), "invalid reply: 15 bytes where 16 are needed");
}

#[test]
fn an_id_from_earlier_that_is_refused_is_fetched_again() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    client.handle_input(at(0), tracker(), &reply(1, &datagram, &COUNTS));
    // The tracker was restarted, and the id is no longer valid.
    client.announce(at(10), &announce(), LONG).unwrap();
    let datagram = sent_one(&mut client, 10);
    assert!(is_announce(&datagram, ID));
    assert_eq!(client.handle_input(at(10), tracker(), &reply(3, &datagram, b"unknown connection_id")), None);
    let connect = sent_one(&mut client, 10);
    assert!(is_connect(&connect));
    let fresh = [0x91; 8];
    client.handle_input(at(10), tracker(), &reply(0, &connect, &fresh));
    let datagram = sent_one(&mut client, 10);
    assert!(is_announce(&datagram, fresh));
    // If it is refused again, the id was not the cause.
    let answer = reply(3, &datagram, b"not here");
    let event = client.handle_input(at(10), tracker(), &answer);
    assert!(matches!(event, Some(BorrowedEvent::Failed { .. })));
}

#[test]
fn an_id_from_earlier_without_a_reply_is_fetched_again() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    client.handle_input(at(0), tracker(), &reply(1, &datagram, &COUNTS));
    client.announce(at(1), &announce(), LONG).unwrap();
    assert!(is_announce(&sent_one(&mut client, 1), ID));
    assert_eq!(client.handle_timeout(at(16)), None);
    assert!(is_connect(&sent_one(&mut client, 16)));
}

#[test]
fn requests_share_a_connect() {
    let mut client = one(Policy::BEP_15);
    let hashes: &'static [InfoHash] = &[TORRENT];
    for _ in 0..2 {
        client.announce(at(0), &announce(), LONG).unwrap();
        client.scrape(at(0), hashes, LONG).unwrap();
    }
    assert_eq!(client.announce(at(0), &announce(), LONG), Err(StartError::Full(4)));
    let connect = sent_one(&mut client, 0);
    assert_eq!(client.handle_timeout(at(15)), None);
    assert_eq!(sent_one(&mut client, 15), connect, "the same, with the same transaction_id");
    // A reply to the first transmission is accepted too.
    client.handle_input(at(16), tracker(), &reply(0, &connect, &ID));
    let requests = sent(&mut client, 16);
    assert_eq!(requests.iter().map(Vec::len).collect::<Vec<_>>(), [98, 36, 98, 36]);
    let mut transactions: Vec<_> = requests.iter().map(|request| &request[12..16]).collect();
    transactions.dedup();
    assert_eq!(transactions.len(), 4);
}

#[test]
fn the_client_address_in_a_connect_reply_is_an_event() {
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    let with_seen = [&ID[..], &[198, 51, 100, 7, 0x1a, 0xe1]].concat();
    let answer = reply(0, &connect, &with_seen);
    let event = client.handle_input(at(0), tracker(), &answer);
    assert_eq!(event, Some(BorrowedEvent::AddressSeen("198.51.100.7:6881".parse().unwrap())));
}

#[test]
fn cancelled_requests_cause_no_event() {
    let (mut client, request, datagram) = connected(Policy::BEP_15, 0);
    assert!(client.cancel(request));
    assert!(!client.cancel(request));
    assert_eq!(client.handle_input(at(0), tracker(), &reply(1, &datagram, &COUNTS)), None);
    assert_eq!((client.poll_timeout(), client.handle_timeout(at(99))), (None, None));
}

#[test]
fn the_path_is_sent_in_options() {
    let mut client = one(Policy::BEP_15);
    let announce = Announce { path_and_query: "/announce", ..announce() };
    client.announce(at(0), &announce, LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    assert!(sent_one(&mut client, 0).ends_with(b"\x02\x09/announce"));
}

#[test]
fn the_2004_dialect() {
    let mut client = one(Policy::DRAFT_2004);
    let old = Announce { dialect: Dialect::Draft2004, path_and_query: "/no", ..announce() };
    client.announce(at(0), &old, LONG).unwrap();
    let connect = sent_one(&mut client, 0);
    client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
    let request = sent_one(&mut client, 0);
    assert_eq!(request.len(), 94);
    let answer = reply(1, &request, &[0, 0, 7, 8, 192, 0, 2, 9, 0x1a, 0xe1]);
    let event = client.handle_input(at(0), tracker(), &answer);
    assert!(
        matches!(event, Some(BorrowedEvent::Announced { head, peers, .. }) if head.counts.is_none() && peers.len() == 1)
    );

    let hashes: &'static [InfoHash] = &[TORRENT];
    let scraped = |named: InfoHash| {
        let mut client = one(Policy::DRAFT_2004);
        client.scrape(at(0), hashes, LONG).unwrap();
        let connect = sent_one(&mut client, 0);
        client.handle_input(at(0), tracker(), &reply(0, &connect, &ID));
        let request = sent_one(&mut client, 0);
        let answer = reply(2, &request, &[&named.0[..], &[0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 1]].concat());
        match client.handle_input(at(0), tracker(), &answer) {
            Some(BorrowedEvent::Scraped { response, .. }) => Ok(response.entries().next().unwrap().1),
            Some(BorrowedEvent::Failed { failure, .. }) => Err(failure.to_string()),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(scraped(TORRENT), Ok(ScrapeEntry { seeders: 3, completed: 2, leechers: 1 }));
    assert!(scraped(InfoHash([1; 20])).unwrap_err().contains("another torrent"));
}

#[test]
fn a_late_refusal_of_the_old_id_does_not_refuse_the_new_one() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    client.handle_input(at(0), tracker(), &reply(1, &datagram, &COUNTS));
    client.announce(at(1), &announce(), LONG).unwrap();
    let old = sent_one(&mut client, 1);
    assert_eq!(client.handle_timeout(at(16)), None);
    let connect = sent_one(&mut client, 16);
    assert_eq!(client.handle_input(at(17), tracker(), &reply(3, &old, b"bad id")), None);
    client.handle_input(at(17), tracker(), &reply(0, &connect, &[0x91; 8]));
    let new = sent_one(&mut client, 17);
    assert_eq!(
        client.handle_input(at(17), tracker(), &reply(3, &old, b"bad id")),
        None,
        "doubled on its way"
    );
    let answer = reply(1, &new, &COUNTS);
    assert!(matches!(client.handle_input(at(17), tracker(), &answer), Some(BorrowedEvent::Announced { .. })));
    assert_eq!(client.strays(), 2);
}

#[test]
fn a_connect_answered_just_before_it_is_sent_again_counts() {
    let mut client = one(Policy::CPP_CLASS);
    client.announce(at(0), &announce(), at(600)).unwrap();
    let connect = sent_one(&mut client, 0);
    sent_one_after(&mut client, 10);
    sent_one_after(&mut client, 20);
    assert_eq!(client.handle_timeout(at(30)), None);
    client.handle_input(at(30), tracker(), &reply(0, &connect, &ID));
    assert!(is_announce(&sent_one(&mut client, 30), ID));
    assert_eq!(client.poll_timeout(), Some(at(40)));
}

fn sent_one_after(client: &mut One, now: u64) {
    assert_eq!(client.handle_timeout(at(now)), None);
    sent_one(client, now);
}

#[test]
fn an_id_that_is_refused_is_not_used_again() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    let answer = reply(3, &datagram, b"Connection ID missmatch.\0");
    assert!(client.handle_input(at(0), tracker(), &answer).is_some());
    client.announce(at(1), &announce(), LONG).unwrap();
    assert!(is_connect(&sent_one(&mut client, 1)));
}

#[test]
fn a_refusal_for_another_reason_keeps_the_id() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    let answer = reply(3, &datagram, b"unregistered torrent");
    assert!(client.handle_input(at(0), tracker(), &answer).is_some());
    // Fetched for the request that failed, or kept from earlier.
    for _ in 0..2 {
        client.announce(at(1), &announce(), LONG).unwrap();
        let datagram = sent_one(&mut client, 1);
        assert!(is_announce(&datagram, ID));
        let answer = reply(3, &datagram, b"unregistered torrent");
        let event = client.handle_input(at(1), tracker(), &answer);
        assert!(matches!(event, Some(BorrowedEvent::Failed { .. })));
    }
}

#[test]
fn a_refusal_without_a_text_of_an_id_from_earlier_is_tried_again() {
    let (mut client, _, datagram) = connected(Policy::BEP_15, 0);
    client.handle_input(at(0), tracker(), &reply(1, &datagram, &COUNTS));
    client.announce(at(1), &announce(), LONG).unwrap();
    let datagram = sent_one(&mut client, 1);
    assert_eq!(client.handle_input(at(1), tracker(), &reply(3, &datagram, b"")), None);
    assert!(is_connect(&sent_one(&mut client, 1)));
}

#[test]
fn a_request_that_does_not_fit_fails_at_once_with_the_numbers() {
    let mut client = one(Policy::BEP_15);
    let path: &'static str = "/0123456789";
    let long = Announce { path_and_query: path, ..announce() };
    let request = client.announce(at(0), &long, LONG).unwrap();
    let other = client.announce(at(0), &announce(), LONG).unwrap();
    // One byte short of 98, the path and 2. The other request connects.
    let mut out = [0; 98 + 11 + 2 - 1];
    let transmit = client.poll_transmit(at(0), &mut out).unwrap();
    assert_eq!((transmit.request, transmit.len), (other, 16));
    assert_eq!(client.poll_transmit(at(0), &mut out), None);
    assert_eq!(client.poll_timeout(), Some(at(0)));
    let failure = Failure::TooLong(BufferTooSmall { needed: 111, got: 110 });
    assert_eq!(client.handle_timeout(at(0)), Some(BorrowedEvent::Failed { request, failure }));
    assert_eq!(client.handle_timeout(at(0)), None);
    assert_eq!(client.poll_timeout(), Some(at(15)));
}

#[test]
fn a_request_that_cannot_be_sent_fails_at_once() {
    let mut client = one(Policy::BEP_15);
    let first = client.announce(at(0), &announce(), LONG).unwrap();
    let second = client.announce(at(0), &announce(), LONG).unwrap();
    let mut out = [0; 98];
    let mut failed = Vec::new();
    // Both wait for the same connect, and each tries for itself.
    while let Some(transmit) = client.poll_transmit(at(0), &mut out) {
        client.handle_send_error(&transmit);
        while let Some(BorrowedEvent::Failed { request, failure: Failure::NotSent }) =
            client.handle_timeout(at(0))
        {
            failed.push(request);
        }
    }
    assert_eq!(failed, [first, second]);
    assert_eq!(client.poll_timeout(), None);
}

#[test]
fn a_request_past_its_deadline_sends_nothing_and_ends() {
    let mut client = one(Policy::BEP_15);
    client.announce(at(0), &announce(), Duration::ZERO).unwrap();
    assert_eq!(sent(&mut client, 0), [] as [Vec<u8>; 0]);
    assert!(matches!(client.handle_timeout(at(0)), Some(BorrowedEvent::Failed { .. })));
}
