//! Runs two clients through a whole transfer, as a test framework would: makes a .torrent file, starts a seeder and a
//! downloader that find each other through a tracker, waits, compares the files, stops both.
//!
//! ```sh
//! cargo run -p examples --example manage_two_apps
//! ```

use std::error::Error;
use std::fs;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use torrent_client::{App, Completion, Options, create_metainfo_file};
use udp_tracker::{ServerSettings, Service, Settings, Tracker};

const TIMEOUT: Duration = Duration::from_secs(10);

fn main() -> Result<(), Box<dyn Error>> {
    let dir = tempfile::tempdir()?;
    let (original, copy) = (dir.path().join("original"), dir.path().join("copy"));
    fs::create_dir(&original)?;
    fs::write(original.join("payload"), vec![42; 5_000_000])?;

    let mut server = ServerSettings::default();
    server.listen = Some(vec![(Ipv4Addr::LOCALHOST, 0).into()]);
    let mut tracker = Tracker::start(Arc::new(Service::new(Settings::default())?), &server)?;
    let url = format!("udp://{}", tracker.addresses()[0]);
    let metainfo_file = dir.path().join("payload.torrent");
    let metainfo = create_metainfo_file(&url, &metainfo_file, &original.join("payload"), TIMEOUT)?;
    println!("{} is shared through {url}", metainfo.info_hash());

    let options =
        Options { ip: Some(Ipv4Addr::LOCALHOST.into()), port: Some(0), ..Options::new(metainfo_file) };
    let seeder = App::new(Options { save_to: original.clone(), seed_only: true, ..options.clone() });
    let downloader = App::new(Options { save_to: copy.clone(), ..options });

    seeder.start()?;
    // An original seeder is complete as soon as its files are checked.
    let checked = seeder.wait_completion(TIMEOUT)?;
    println!("the seeder at {}: {checked:?}", seeder.addresses()[0]);

    downloader.start()?;
    loop {
        match downloader.wait_completion(TIMEOUT)? {
            Completion::Done(status) => break println!("the downloader: {status}"),
            Completion::Progress(status) => println!("the downloader: {status}"),
            Completion::TimedOut(_) => return Err("no piece arrived in time".into()),
        }
    }
    assert!(fs::read(original.join("payload"))? == fs::read(copy.join("payload"))?, "the copy differs");

    // Both announce `stopped` to the tracker. Either could be started again.
    println!("the downloader: {:?}", downloader.stop(TIMEOUT)?);
    println!("the seeder: {:?}", seeder.stop(TIMEOUT)?);
    tracker.shutdown()?;
    Ok(())
}
