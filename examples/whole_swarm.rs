//! All parts together in one process: two trackers joined by livesync, a seeder at one of them, a downloader at the
//! other, and a report of each step. Takes 15 seconds, because livesync sends only every 15 seconds.
//!
//! ```sh
//! cargo run -p examples --example whole_swarm
//! ```

use std::error::Error;
use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use torrent_client::{App, Completion, Options, Seeding, create_metainfo_file};
use udp_tracker::{
    Count, Family, LivesyncCount, LivesyncSettings, ServerSettings, Service, Settings, Tracker,
};
use udp_tracker_proto::blocking;

/// The port on which the two trackers receive each other's packets.
const PORT: u16 = 9696;
const TIMEOUT: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    let start = Instant::now();
    let report = |what: String| println!("{:>5.1} s  {what}", start.elapsed().as_secs_f32());

    // Two trackers, each with its own address, that send each other the announces they receive.
    let first = node("127.0.0.2")?;
    let second = node("127.0.0.3")?;
    let [here, there] = [&first, &second].map(|tracker| format!("udp://{}/announce", tracker.addresses()[0]));
    report(format!("two trackers, {here} and {there}, are one cluster"));

    // One file, and a .torrent file for each tracker. The info_hash is the same.
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
    report(format!("{} has {} pieces", torrent.info_hash(), torrent.piece_count()));

    let options = |file, ip: &str| -> Result<Options, Box<dyn Error>> {
        Ok(Options { ip: Some(ip.parse()?), port: Some(0), ..Options::new(file) })
    };
    let seeder =
        App::new(Options { save_to: original, seed_only: true, ..options(for_seeder, "127.0.0.4")? });
    seeder.start()?;
    seeder.wait_completion(TIMEOUT)?;
    report(format!("the seeder at {} announces to the first tracker", seeder.addresses()[0]));

    let deadline = Instant::now() + TIMEOUT;
    while second.service().stores().totals(Family::V4).peers == 0 {
        if Instant::now() > deadline {
            return Err("the second tracker does not have the seeder".into());
        }
        // There is no event for a synchronized peer, so look again.
        sleep(Duration::from_millis(50));
    }
    let counts = blocking::Tracker::connect(&there)?.scrape(&[torrent.info_hash()])?[0];
    report(format!("the second tracker has it: {} seeder", counts.seeders));

    let seeding = Seeding::Never;
    let downloader =
        App::new(Options { save_to: copy.clone(), seeding, ..options(for_downloader, "127.0.0.5")? });
    downloader.start()?;
    report("the downloader announces to the second tracker".to_owned());
    match downloader.wait_completion(TIMEOUT)? {
        Completion::Done(status) => report(format!("the downloader: {status}")),
        other => return Err(format!("the download is not complete: {other:?}").into()),
    }
    assert!(fs::read(copy.join("payload"))? == payload, "the copy differs");
    report(format!("the copy is right; the downloader has {:?}", downloader.join()?));
    report(format!("the seeder has {:?}", seeder.stop(TIMEOUT)?));

    for (name, mut tracker) in [("first", first), ("second", second)] {
        tracker.shutdown()?;
        let announces = tracker.service().counters().total(Count::Announces);
        let applied = tracker.livesync_counters().total(LivesyncCount::Applied);
        report(format!("the {name} tracker had {announces} announces, and {applied} records from the other"));
    }
    Ok(())
}

/// A tracker on any port of the address, with [`PORT`] for its cluster.
fn node(ip: &str) -> Result<Tracker, Box<dyn Error>> {
    let (ip, nodes) = (ip.parse()?, [2, 3].map(|host| [127, 0, 0, host].into()));
    let mut livesync = LivesyncSettings::new(ip, nodes.to_vec());
    (livesync.group, livesync.port) = (None, PORT);
    livesync.unicast = nodes.iter().map(|node: &IpAddr| format!("{node}:{PORT}")).collect();
    let mut server = ServerSettings::default();
    server.listen = Some(vec![SocketAddr::new(ip, 0)]);
    server.workers = 1;
    server.livesync = Some(livesync);
    Ok(Tracker::start(Arc::new(Service::new(Settings::default())?), &server)?)
}
