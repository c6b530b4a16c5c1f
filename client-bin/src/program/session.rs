//! `download` and `seed`.

use std::io::{self, IsTerminal, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use clap::Args;
use indicatif::{BinaryBytes, HumanDuration, ProgressBar};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use torrent_client::{App, Options, Phase, Seeding, Status, Stopper};

use super::{Outcome, log, progress};

/// Downloads to a folder, and ends when everything is downloaded, unless a seed time or ratio is given. Data on the
/// disk is checked and kept, so it can be interrupted in any way and started again.
#[derive(Debug, Args)]
pub(crate) struct Download {
    /// The .torrent file
    file: PathBuf,
    /// The folder to download to
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// The files to download, by their numbers in the output of `show`, such as 1,3-5; by default all
    #[arg(long, value_name = "NUMBERS", value_parser = numbers)]
    files: Option<Numbers>,
    #[command(flatten)]
    how: How,
}

/// Seeds a complete torrent until it is stopped or has reached a limit. Nothing is written.
#[derive(Debug, Args)]
pub(crate) struct Seed {
    /// The .torrent file
    file: PathBuf,
    /// The folder that contains the torrent's file or folder
    #[arg(short, long, value_name = "DIR")]
    dir: PathBuf,
    #[command(flatten)]
    how: How,
}

/// How to exchange.
#[derive(Debug, Args)]
struct How {
    /// The TCP port to listen on, 0 for any free one; by default 6881 or, if that is taken, any
    #[arg(short, long)]
    port: Option<u16>,
    /// The address to listen on and connect from; by default all
    #[arg(short, long, value_name = "ADDRESS")]
    ip: Option<IpAddr>,
    /// The most connections
    #[arg(short = 'M', long, value_name = "N", default_value_t = 100)]
    max_peers: usize,
    /// With fewer connections, trackers are asked for more peers ahead of time
    #[arg(short = 'm', long, value_name = "N", default_value_t = 1)]
    min_peers: usize,
    /// The most KiB to download per second
    #[arg(short = 'D', long, value_name = "KB/s")]
    download_rate: Option<u64>,
    /// The most KiB to upload per second
    #[arg(short = 'U', long, value_name = "KB/s")]
    upload_rate: Option<u64>,
    /// Seeds for this many hours, or until the ratio is reached
    #[arg(long, value_name = "HOURS", value_parser = hours)]
    seed_time: Option<Duration>,
    /// Seeds until the uploaded bytes reach this multiple of the wanted bytes, or until the time is up
    #[arg(long, value_name = "RATIO", value_parser = ratio)]
    seed_ratio: Option<f64>,
    /// A peer to connect to, in addition to those from trackers
    #[arg(long = "peer", value_name = "ADDRESS:PORT")]
    peers: Vec<SocketAddr>,
}

pub(crate) fn download(arguments: Download) -> Outcome {
    let Download { file, dir, files, how } = arguments;
    let seeding = match (how.seed_time, how.seed_ratio) {
        (None, None) => Seeding::Never,
        (time, ratio) => Seeding::Until { time, ratio },
    };
    let files = files.map(|numbers| numbers.0.iter().map(|number| number - 1).collect());
    run(Options { save_to: dir, seeding, files, ..how.options(file) })
}

pub(crate) fn seed(arguments: Seed) -> Outcome {
    let Seed { file, dir, how } = arguments;
    let seeding = Seeding::Until { time: how.seed_time, ratio: how.seed_ratio };
    run(Options { save_to: dir, seed_only: true, seeding, ..how.options(file) })
}

impl How {
    fn options(self, file: PathBuf) -> Options {
        Options {
            port: self.port,
            ip: self.ip,
            max_peers: self.max_peers,
            min_peers: self.min_peers,
            download_rate: self.download_rate.map(|rate| rate.saturating_mul(1024)),
            upload_rate: self.upload_rate.map(|rate| rate.saturating_mul(1024)),
            peers: self.peers,
            ..Options::new(file)
        }
    }
}

fn run(options: Options) -> Outcome {
    log::to_stderr();
    let app = App::new(options);
    // Before the session starts, so that no signal is missed.
    let signals = Signals::new([SIGINT, SIGTERM])?;
    app.start()?;
    for address in app.addresses() {
        eprintln!("listening on {address}");
    }
    if let Some(stopper) = app.stopper() {
        thread::spawn(move || obey(signals, &stopper));
    }
    let mut show = Show::new();
    while !app.wait_end(Duration::from_secs(1)) {
        show.status(&app.status());
    }
    show.status(&app.status());
    let complete = app.status().is_complete();
    app.join().inspect_err(|_| show.clear())?;
    show.end(complete);
    Ok(ExitCode::SUCCESS)
}

/// The first signal ends the session in order, the second ends the program at once.
fn obey(mut signals: Signals, stopper: &Stopper) {
    let mut signals = signals.forever();
    if signals.next().is_some() {
        stopper.stop();
    }
    if signals.next().is_some() {
        std::process::exit(1);
    }
}

/// Shows the status: as a bar on a terminal, as lines elsewhere.
enum Show {
    Lines,
    Bar(ProgressBar),
}

impl Show {
    fn new() -> Self {
        if io::stdout().is_terminal() { Self::Bar(progress::session(0)) } else { Self::Lines }
    }

    fn status(&mut self, status: &Status) {
        match self {
            // Unchecked pieces would look like missing ones.
            Self::Lines if status.phase == Phase::Checking || status.phase == Phase::Idle => {}
            Self::Lines => {
                let mut out = io::stdout().lock();
                // The reader may have closed its end; the download continues.
                let _ = writeln!(out, "{status}").and_then(|()| out.flush());
            }
            Self::Bar(bar) => {
                bar.set_length(status.wanted);
                bar.set_position(status.wanted - status.left.min(status.wanted));
                bar.set_message(text(status));
            }
        }
    }

    /// Shows the end of the session.
    fn end(&self, complete: bool) {
        if let Self::Bar(bar) = self {
            bar.abandon_with_message(if complete { "complete" } else { "stopped; start again to go on" });
        }
    }

    /// Removes the bar after a failure; the error is printed elsewhere.
    fn clear(&self) {
        if let Self::Bar(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn text(status: &Status) -> String {
    let peers = status.seeders + status.leechers;
    let (down, up) = (BinaryBytes(status.download_rate), BinaryBytes(status.upload_rate));
    match status.phase {
        Phase::Idle | Phase::Checking => format!("checking, piece {}", status.checked),
        Phase::Downloading => {
            let left = status.time_left().map_or_else(|| "?".into(), |left| HumanDuration(left).to_string());
            format!("of {}, {down}/s, {up}/s up, {peers} peers, {left} left", BinaryBytes(status.wanted))
        }
        Phase::Seeding => format!("seeding, {up}/s, {} given, {peers} peers", BinaryBytes(status.uploaded)),
        Phase::Stopping => "leaving".into(),
    }
}

/// Numbers of files, counted from 1.
#[derive(Clone, Debug)]
struct Numbers(Vec<usize>);

/// The highest file number; limits the memory for ranges.
const MOST_FILES: usize = 1_000_000;

fn numbers(text: &str) -> Result<Numbers, String> {
    let mut numbers = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let number = |text: &str| text.trim().parse().ok().filter(|number| (1..=MOST_FILES).contains(number));
        match (number(first), number(last)) {
            (Some(first), Some(last)) if first <= last => numbers.extend(first..=last),
            _ => return Err(format!("{part:?}: numbers and ranges such as 1,3-5 expected, counted from 1")),
        }
    }
    Ok(Numbers(numbers))
}

fn hours(text: &str) -> Result<Duration, String> {
    let hours: Option<f64> = text.parse().ok();
    let seconds = hours.and_then(|hours| Duration::try_from_secs_f64(hours * 3600.0).ok());
    seconds.ok_or_else(|| "a number of hours such as 72 or 0.5 expected".into())
}

fn ratio(text: &str) -> Result<f64, String> {
    let ratio: Option<f64> = text.parse().ok();
    ratio.filter(|ratio| *ratio >= 0.0).ok_or_else(|| "a ratio such as 1.5 expected".into())
}
