//! Trackers that don't answer.

use std::collections::BTreeSet;
use std::net::UdpSocket;

use torrent_client::App;

use crate::support::{Content, PATIENCE, finish, tracker, url, wait_until};

#[test]
fn uses_the_next_tier_if_the_first_has_no_udp_tracker() {
    let good = tracker("127.0.0.1:0");
    // Not a UDP tracker, so it is left out at once.
    let content = Content::new(&["http://127.0.0.1:1/announce".into(), url(&good)]);
    let _seeder = content.seed(|_| {});
    finish(&content.download("copy", |_| {}));
    content.assert_complete("copy");
}

/// Takes about 16 s: without an answer, BEP 15 sends the request again after 15 s.
#[test]
fn continues_when_the_only_tracker_returns() {
    let before = tracker("127.0.0.1:0");
    let address = before.addresses()[0].to_string();
    let content = Content::new(&[url(&before)]);
    let seeder = content.seed(|_| {});
    let known = |app: &App| app.status().announced > 0;
    wait_until("the seeder's announce", || known(&seeder));
    drop(before);
    let silence = UdpSocket::bind(&address).unwrap();
    silence.set_read_timeout(Some(PATIENCE)).unwrap();

    let app = content.download("copy", |_| {});
    let other = content.seed(|_| {});
    let mut unanswered = BTreeSet::new();
    while unanswered.len() < 2 {
        unanswered.insert(silence.recv_from(&mut [0; 100]).unwrap().1);
    }
    drop(silence);
    let _after = tracker(&address);
    wait_until("the second seeder's announce", || known(&other));
    finish(&app);
    content.assert_complete("copy");
}
