//! The tour of everything here, in one process: two trackers joined by livesync, a seeder that knows one of them, a
//! downloader that knows the other, and a narration of what happens. Takes a quarter of a minute, which is livesync's.
//!
//! ```sh
//! cargo run -p examples --example whole_swarm
//! ```

use std::error::Error;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use torrent_client::{App, Completion, Options, Seeding, create_metainfo_file};
use udp_tracker::{Config, Count, Family, Tracker};
use udp_tracker_proto::blocking;

const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let say = |what: String| println!("{:>5.1} s  {what}", start.elapsed().as_secs_f32());

    // Two trackers, each at an address of its own, that tell each other what they hear.
    let port = UdpSocket::bind("127.0.0.2:0")?.local_addr()?.port();
    let first = Tracker::start(node("127.0.0.2", port)?)?;
    let second = Tracker::start(node("127.0.0.3", port)?)?;
    let [here, there] = [&first, &second].map(|tracker| format!("udp://{}/announce", tracker.addresses()[0]));
    say(format!("two trackers, {here} and {there}, are one cluster"));

    // One file, and a .torrent for each tracker: the torrent is the same.
    let dir = tempfile::tempdir()?;
    let (original, copy) = (dir.path().join("original"), dir.path().join("copy"));
    fs::create_dir(&original)?;
    let payload: Vec<u8> =
        (0..20_000_000u32).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect();
    fs::write(original.join("payload"), &payload)?;
    let for_seeder = dir.path().join("here.torrent");
    let for_downloader = dir.path().join("there.torrent");
    let torrent = create_metainfo_file(&here, &for_seeder, &original.join("payload"), TIMEOUT)?;
    create_metainfo_file(&there, &for_downloader, &original.join("payload"), TIMEOUT)?;
    say(format!("{} has {} pieces", torrent.info_hash(), torrent.piece_count()));

    let options = |file, ip: &str| -> Result<Options, Box<dyn Error>> {
        Ok(Options { ip: Some(ip.parse()?), port: Some(0), ..Options::new(file) })
    };
    let seeder =
        App::new(Options { save_to: original, seed_only: true, ..options(for_seeder, "127.0.0.4")? });
    seeder.start()?;
    seeder.wait_completion(TIMEOUT)?;
    say(format!("the seeder at {} announces to the first tracker", seeder.addresses()[0]));

    let deadline = Instant::now() + TIMEOUT;
    while second.totals(Family::V4).peers == 0 {
        if Instant::now() > deadline {
            return Err("the second tracker has not heard of the seeder".into());
        }
        sleep(Duration::from_millis(50));
    }
    let counts = blocking::Tracker::connect(&there)?.scrape(&[torrent.info_hash()])?[0];
    say(format!("the second tracker has heard of it: {} seeder", counts.seeders));

    let seeding = Seeding::Never;
    let downloader =
        App::new(Options { save_to: copy.clone(), seeding, ..options(for_downloader, "127.0.0.5")? });
    downloader.start()?;
    say("the downloader asks the second tracker".to_owned());
    match downloader.wait_completion(TIMEOUT)? {
        Completion::Done(status) => say(format!("the downloader: {status}")),
        other => return Err(format!("it did not get everything: {other:?}").into()),
    }
    assert!(fs::read(copy.join("payload"))? == payload, "the copy differs");
    say(format!("the copy is right; the downloader has {:?}", downloader.join()?));
    say(format!("the seeder has {:?}", seeder.stop(TIMEOUT)?));

    for (name, tracker) in [("first", first), ("second", second)] {
        let counted = tracker.shutdown()?;
        let (announces, applied) = (counted.total(Count::Announces), counted.total(Count::LivesyncApplied));
        say(format!("the {name} tracker had {announces} announces, and {applied} records from the other"));
    }
    Ok(())
}

/// A tracker on any port of the address, whose cluster speaks on `port`.
fn node(ip: &str, port: u16) -> Result<Config, Box<dyn Error>> {
    let nodes: [SocketAddr; 2] = [([127, 0, 0, 2], port).into(), ([127, 0, 0, 3], port).into()];
    Ok(Config::from_toml(&format!(
        r#"
        listen = ["{ip}:0"]
        workers = 1
        [livesync]
        enabled = true
        interface = "{ip}"
        port = {port}
        group = ""
        nodes = ["127.0.0.2", "127.0.0.3"]
        unicast = ["{}", "{}"]
        "#,
        nodes[0], nodes[1],
    ))?)
}
