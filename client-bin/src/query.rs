//! `announce` and `scrape`.

use std::io::{self, Write};
use std::process::ExitCode;

use serde_json::{Value, json};
use udp_tracker_proto::client::{Announce as Report, Announced};
use udp_tracker_proto::{InfoHash, ScrapeEntry};

use crate::ask::{Answer, ask};
use crate::command::{Announce, Scrape};

pub(crate) fn announce(arguments: &Announce) -> io::Result<ExitCode> {
    let mut peer_id = *b"-UC0001-............";
    peer_id[8..].copy_from_slice(&rand::random::<[u8; 12]>());
    let report = Report {
        event: arguments.event.into(),
        num_want: arguments.num_want,
        // The same for all trackers, because it is the same peer.
        key: rand::random(),
        ..Report::new(arguments.info_hash, peer_id, arguments.port, arguments.left)
    };
    let answers = ask(&arguments.urls, &arguments.how, |tracker| tracker.announce(&report));
    show(&answers, arguments.how.json, announced_json, write_announced)
}

pub(crate) fn scrape(arguments: &Scrape) -> io::Result<ExitCode> {
    let (urls, hashes) = arguments.split();
    let answers = ask(&urls, &arguments.how, |tracker| tracker.scrape(&hashes));
    let to_json = |entries: &Vec<ScrapeEntry>| scraped_json(&hashes, entries);
    show(&answers, arguments.how.json, to_json, |out, entries| write_scraped(out, &hashes, entries))
}

/// Prints the answers to stdout and the failures to stderr.
///
/// As JSON, the answer of a single tracker is printed alone. For several trackers it is a list of objects, each with
/// the tracker and its answer or error.
fn show<T>(
    answers: &[Answer<T>],
    json: bool,
    to_json: impl Fn(&T) -> Value,
    write: impl Fn(&mut dyn Write, &T) -> io::Result<()>,
) -> io::Result<ExitCode> {
    let mut out = io::stdout().lock();
    let several = answers.len() > 1;
    for (url, answer) in answers {
        if let Err(error) = answer {
            eprintln!("client-bin: {url}: {error}");
        }
    }
    if json && several {
        let all = answers.iter().map(|(url, answer)| match answer {
            Ok(answer) => json!({"tracker": url, "answer": to_json(answer)}),
            Err(error) => json!({"tracker": url, "error": error.to_string()}),
        });
        writeln!(out, "{}", Value::from_iter(all))?;
    } else {
        for (url, answer) in answers {
            match answer {
                Ok(answer) if json => writeln!(out, "{}", to_json(answer))?,
                Ok(answer) => {
                    if several {
                        writeln!(out, "{url}")?;
                    }
                    write(&mut out, answer)?;
                }
                Err(_) => {}
            }
        }
    }
    let all_answered = answers.iter().all(|(_, answer)| answer.is_ok());
    Ok(if all_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn announced_json(announced: &Announced) -> Value {
    let peers: Vec<String> = announced.peers.iter().map(ToString::to_string).collect();
    let leechers = announced.counts.map(|counts| counts.leechers);
    let seeders = announced.counts.map(|counts| counts.seeders);
    json!({"interval": announced.interval, "leechers": leechers, "seeders": seeders, "peers": peers})
}

fn write_announced(out: &mut dyn Write, announced: &Announced) -> io::Result<()> {
    if let Some(counts) = announced.counts {
        write!(out, "{} seeders, {} leechers, ", counts.seeders, counts.leechers)?;
    }
    writeln!(out, "{} peers; announce again in {} s", announced.peers.len(), announced.interval)?;
    announced.peers.iter().try_for_each(|peer| writeln!(out, "{peer}"))
}

fn scraped_json(hashes: &[InfoHash], entries: &[ScrapeEntry]) -> Value {
    let rows = hashes.iter().zip(entries).map(|(hash, entry)| {
        let ScrapeEntry { seeders, completed, leechers } = *entry;
        json!({"info_hash": hash.to_string(), "seeders": seeders, "completed": completed, "leechers": leechers})
    });
    rows.collect()
}

fn write_scraped(out: &mut dyn Write, hashes: &[InfoHash], entries: &[ScrapeEntry]) -> io::Result<()> {
    writeln!(out, "{:<40} {:>10} {:>10} {:>10}", "info_hash", "seeders", "completed", "leechers")?;
    hashes.iter().zip(entries).try_for_each(|(hash, entry)| {
        writeln!(out, "{hash} {:>10} {:>10} {:>10}", entry.seeders, entry.completed, entry.leechers)
    })
}
