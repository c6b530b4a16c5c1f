//! `load`: sends a tracker as many requests as it can answer, and checks every reply.

mod arguments;
mod print;

use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use tracker_load::{Generator, LoadError, Phase, Settings};

pub(crate) use arguments::Load;
use print::LiveLine;

pub(crate) fn load(arguments: &Load) -> Result<ExitCode, Box<dyn Error>> {
    let settings = arguments.settings()?;
    if arguments.print_torrents {
        return print_torrents(&settings).map(|()| ExitCode::SUCCESS);
    }
    let mut generator = Generator::start(&settings)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    let mut live = LiveLine::new();
    let mut reports = Vec::new();
    for (name, phase) in phases(arguments) {
        let report = generator.run(&phase, &mut |progress| {
            live.show(progress);
            if stop.load(Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        reports.push((name, report));
    }
    live.clear();
    print::print(arguments.json, &settings, &reports)?;
    if reports.iter().any(|(_, report)| report.answers() == 0) {
        return Err(LoadError::Silent(settings.tracker).into());
    }
    Ok(ExitCode::SUCCESS)
}

/// The phases, with their names in JSON.
fn phases(arguments: &Load) -> Vec<(&'static str, Phase)> {
    if arguments.fill {
        let verify = arguments.verify.then_some(("verify", Phase::Verify));
        return [("fill", Phase::Fill)].into_iter().chain(verify).collect();
    }
    let mix = |seconds| Phase::Mix { mix: arguments.mix, time: Duration::from_secs(seconds) };
    let warm_up = (arguments.warm_up > 0).then(|| ("warm_up", mix(arguments.warm_up)));
    warm_up.into_iter().chain([("mix", mix(arguments.seconds))]).collect()
}

fn print_torrents(settings: &Settings) -> Result<(), Box<dyn Error>> {
    let mut out = BufWriter::new(io::stdout().lock());
    for info_hash in settings.info_hashes()? {
        writeln!(out, "{info_hash}")?;
    }
    Ok(out.flush()?)
}
