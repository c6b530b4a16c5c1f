//! Transfers between apps.

use std::fs;

use torrent_client::{Ended, Seeding};

use crate::support::{Content, PATIENCE, address, finish, known_peers, tracker, url};

#[test]
fn three_apps_find_each_other_through_a_tracker() {
    let tracker = tracker("127.0.0.1:0");
    let content = Content::new(&[url(&tracker)]);
    let seeder = content.seed(|_| {});
    crate::support::wait_until("the seeder's announce", || seeder.status().announced > 0);
    let apps = [content.download("one", |_| {}), content.download("two", |_| {})];
    for (app, folder) in apps.iter().zip(["one", "two"]) {
        finish(app);
        content.assert_complete(folder);
    }
    for app in apps.iter().chain([&seeder]) {
        assert_eq!(app.stop(PATIENCE).unwrap(), Ended::Stopped);
    }
    assert_eq!(known_peers(&tracker), 0, "all announced stopped");
}

#[test]
fn transfers_over_ipv6() {
    let tracker = tracker("[::1]:0");
    let content = Content::new(&[url(&tracker)]);
    let local = |options: &mut torrent_client::Options| options.ip = Some("::1".parse().unwrap());
    let _seeder = content.seed(local);
    let app = content.download("copy", local);
    finish(&app);
    content.assert_complete("copy");
}

#[test]
fn listens_on_all_addresses() {
    let content = Content::new(&[]);
    let seeder = content.seed(|options| options.ip = None);
    let ports: Vec<u16> = seeder.addresses().iter().map(std::net::SocketAddr::port).collect();
    assert!(ports.iter().all(|port| *port == ports[0]));
    for (folder, host) in [("four", "127.0.0.1"), ("six", "[::1]")].into_iter().take(ports.len()) {
        let peer = format!("{host}:{}", ports[0]).parse().unwrap();
        let app = content.download(folder, |options| {
            options.ip = None;
            options.peers = vec![peer];
        });
        finish(&app);
        content.assert_complete(folder);
    }
}

#[test]
fn ends_when_the_download_is_complete() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    let app = content.download("copy", |options| {
        options.peers = vec![address(&seeder)];
        options.seeding = Seeding::Never;
    });
    assert_eq!(app.join().unwrap(), Ended::Done);
    content.assert_complete("copy");
}

#[test]
fn seeds_until_the_ratio_is_reached() {
    let content = Content::new(&[]);
    let seeder = content.seed(|options| options.seeding = Seeding::Until { time: None, ratio: Some(1.0) });
    let app = content.download("copy", |options| options.peers = vec![address(&seeder)]);
    finish(&app);
    assert_eq!(seeder.join().unwrap(), Ended::Done);
    assert!(seeder.status().uploaded >= content.metainfo.length());
}

#[test]
fn only_what_is_missing_is_downloaded_again() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    let download = || content.download("copy", |options| options.peers = vec![address(&seeder)]);
    finish(&download());
    let damaged = content.folder("copy").join("album/sub/c");
    let mut bytes = fs::read(&damaged).unwrap();
    bytes[100_000] ^= 1;
    bytes.truncate(1_000_000);
    fs::write(&damaged, bytes).unwrap();
    fs::remove_file(content.folder("copy").join("album/a")).unwrap();

    let app = download();
    finish(&app);
    content.assert_complete("copy");
    let downloaded = app.status().downloaded;
    assert!(downloaded < 450_000, "{downloaded} bytes");
}

#[test]
fn only_chosen_files_are_downloaded() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    let chosen: Vec<usize> = (0..content.metainfo.files().len())
        .filter(|index| ["a", "empty"].contains(&content.metainfo.files()[*index].path()))
        .collect();
    let app = content.download("copy", |options| {
        options.peers = vec![address(&seeder)];
        options.files = Some(chosen.clone());
    });
    finish(&app);
    assert_eq!(app.status().total, 1);
    for index in chosen {
        content.assert_file("copy", index);
    }
    assert!(!content.folder("copy").join("album/sub").exists());
}

#[test]
fn does_not_exceed_the_rate_limits() {
    let content = Content::new(&[]);
    let seeder = content.seed(|_| {});
    let begin = std::time::Instant::now();
    let app = content.download("copy", |options| {
        options.peers = vec![address(&seeder)];
        options.download_rate = Some(500 << 10);
    });
    finish(&app);
    // 1.3 MiB, minus the bytes that the rate limit accumulates during the check.
    assert!(begin.elapsed().as_millis() > 1_500, "{:?}", begin.elapsed());

    let slow = content.seed(|options| options.upload_rate = Some(500 << 10));
    let begin = std::time::Instant::now();
    finish(&content.download("other", |options| options.peers = vec![address(&slow)]));
    assert!(begin.elapsed().as_millis() > 1_500, "{:?}", begin.elapsed());
}
