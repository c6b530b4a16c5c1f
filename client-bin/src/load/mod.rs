//! `load`: asks a tracker as much as it can answer, and checks every answer.
//!
//! One thread, which never sleeps: a sleeping reader would make each answer of the tracker cost a wake-up, and be measured
//! itself. Nothing is allocated while it runs, but for the live line.

mod arguments;
mod check;
mod engine;
mod pending;
mod population;
mod question;
mod report;
mod run;
mod wire;

use std::cell::Cell;
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

pub(crate) use arguments::Load;
use check::Rules;
use engine::{Engine, Wiring};
use population::{Population, Size};
use report::Report;
use run::{Pace, Run, Script};

/// How long the first connects may take: a tracker that was just started may still read its lists.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn load(arguments: &Load) -> Result<ExitCode, Box<dyn Error>> {
    let tracker = arguments.tracker()?;
    let sources = arguments.sources(tracker)?;
    let population = Population::new(&Size {
        seed: arguments.seed,
        torrents: arguments.torrents,
        peers: arguments.peers(),
        sources: sources.count,
        seeders_percent: arguments.seeders,
        zipf: arguments.zipf,
    })?;
    if arguments.print_torrents {
        return Ok(print_torrents(&population).map(|()| ExitCode::SUCCESS)?);
    }
    let pace = arguments.rate.map_or(Pace::Window(arguments.window), Pace::Rate);
    let timeout = arguments.timeout();
    let room = pace.room(timeout) + sources.count as usize;
    let rules = Rules {
        num_want: arguments.num_want,
        scrape_torrents: arguments.scrape_torrents,
        first_source: sources.first,
        sources: sources.count,
        alone: !arguments.others,
        own: arguments.own,
        complete: false,
        most_given: Cell::new(0),
    };
    let wiring = Wiring { tracker, sources, sockets: arguments.sockets, segment: !arguments.no_segments };
    let mut engine = Engine::new(&wiring, room, rules, population)?;
    engine.connect(CONNECT_PATIENCE)?;
    let mut run = Run::new(engine, pace, timeout, room)?;
    let mut reports = Vec::new();
    if arguments.fill {
        reports.push(("fill", run.phase(&mut Script::fill(), None)?));
        if arguments.verify {
            reports.push(("verify", run.phase(&mut Script::verify(), None)?));
        }
    } else {
        let mut script = Script::mix(arguments.mix, arguments.seed);
        let seconds = Duration::from_secs;
        if arguments.warm_up > 0 {
            reports.push(("warm_up", run.phase(&mut script, Some(seconds(arguments.warm_up)))?));
        }
        reports.push(("mix", run.phase(&mut script, Some(seconds(arguments.seconds)))?));
    }
    run.finish();
    show(arguments, &reports)?;
    if reports.iter().any(|(_, report)| report.tally.answers() == 0) {
        return Err(engine::Failure::Silent(tracker).into());
    }
    Ok(ExitCode::SUCCESS)
}

fn print_torrents(population: &Population) -> io::Result<()> {
    let mut out = BufWriter::new(io::stdout().lock());
    for torrent in 0..population.torrents() {
        let hash = udp_tracker_proto::InfoHash(population.info_hash(torrent));
        writeln!(out, "{hash}")?;
    }
    out.flush()
}

/// Prints what the phases have measured: as JSON one object, with a key for each.
fn show(arguments: &Load, reports: &[(&str, Report)]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if !arguments.json {
        return reports.iter().try_for_each(|(phase, report)| writeln!(out, "{phase}: {report}"));
    }
    let load = json!({
        "torrents": arguments.torrents,
        "peers": arguments.peers(),
        "zipf": arguments.zipf,
        "num_want": arguments.num_want,
        "window": arguments.rate.is_none().then_some(arguments.window),
        "rate": arguments.rate,
        "seed": arguments.seed,
    });
    let phases = reports.iter().map(|(phase, report)| ((*phase).to_owned(), report.to_json()));
    let all: Value = [("load".to_owned(), load)].into_iter().chain(phases).collect();
    writeln!(out, "{all}")
}
