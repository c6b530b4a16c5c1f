//! Arbitrary datagrams to a tracker client with pending requests.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use udp_tracker_proto::InfoHash;
use udp_tracker_proto::client::{Announce, ManyTrackers, OwnedEvent, Policy};

/// Calls of the client, in an order and with datagrams of the input's choice.
///
/// # Panics
/// If a request ends twice or never, or if the client asks to be called again at once without an end.
pub fn tracker_client(input: &[u8]) {
    let trackers: [SocketAddr; 2] = [([192, 0, 2, 1], 9).into(), ([7u16; 8], 9).into()];
    let mut random = 0u32;
    let mut client = ManyTrackers::new(Policy::BEP_15, move || {
        random += 1;
        random
    });
    let (mut now, mut sent) = (Duration::ZERO, Vec::new());
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    let mut end = |event| {
        if let OwnedEvent::Announced { request, .. } | OwnedEvent::Scraped { request, .. } = event {
            assert!(ended.insert(request), "a request that ended twice");
        }
    };
    let mut rest = input;
    while let Some((&[what, len], tail)) = rest.split_first_chunk() {
        let (bytes, tail) = tail.split_at(usize::from(len).min(tail.len()));
        rest = tail;
        let tracker = trackers[usize::from(what >> 7)];
        match what & 7 {
            0 => {
                let announce = Announce::new([1; 20], [2; 20], 1, 0);
                begun.insert(client.announce(now, tracker, &announce, Duration::from_secs(len.into())));
            }
            1 => {
                let hashes = vec![InfoHash([1; 20]); len.into()];
                begun.insert(client.scrape(now, tracker, &hashes, Duration::from_secs(600)));
            }
            2 => now += Duration::from_secs(len.into()),
            3 => client.handle_timeout(now),
            4 => {
                let mut out = [0; 1500];
                while let Some(transmit) = client.poll_transmit(now, &mut out) {
                    if what & 64 == 0 {
                        sent.push((transmit.to, out[12..16].to_vec(), out[11]));
                    } else {
                        client.handle_send_error(&transmit);
                    }
                }
            }
            5 => client.handle_input(now, tracker, bytes),
            // A reply with a pending transaction_id and arbitrary bytes.
            _ => {
                if let Some((to, transaction, action)) = sent.pop() {
                    let action = if what & 64 == 0 { action } else { what & 3 };
                    let reply = [&[0, 0, 0, action], &transaction[..], bytes].concat();
                    client.handle_input(now, to, &reply);
                }
            }
        }
        while let Some(event) = client.poll_event() {
            end(event);
        }
    }
    while client.pending() > 0 {
        let mut out = [0; 1500];
        while client.poll_transmit(now, &mut out).is_some() {}
        now = client.poll_timeout().expect("something is waited for").max(now);
        client.handle_timeout(now);
        assert!(client.poll_timeout().is_none_or(|due| due > now), "a busy loop");
    }
    while let Some(event) = client.poll_event() {
        end(event);
    }
    assert_eq!(begun, ended);
}
