//! `announce` and `scrape`.

use std::error::Error;
use std::io::{self, Write};
use std::net::Ipv4Addr;

use client::Ask;
use serde_json::json;
use udp_tracker_proto::{
    AnnounceRequest, ConnectionId, Dialect, MAX_SCRAPE_HASHES, Options, PeerId, TrackerUrl, TransactionId,
    write_url_data,
};

use crate::command::{Announce, Scrape};

pub(crate) fn announce(arguments: &Announce) -> Result<(), Box<dyn Error>> {
    let url = TrackerUrl::parse(&arguments.url)?;
    let mut options = vec![0; url.path_and_query.len() / 255 * 2 + 2 + url.path_and_query.len()];
    let len =
        if url.path_and_query.is_empty() { 0 } else { write_url_data(url.path_and_query, &mut options)? };
    let mut peer_id = *b"-UT0001-............";
    peer_id[8..].copy_from_slice(&rand::random::<[u8; 12]>());
    let told = Ask::connect(&url)?.announce(&AnnounceRequest {
        dialect: Dialect::Bep15,
        connection_id: ConnectionId(0),
        transaction_id: TransactionId(0),
        info_hash: arguments.info_hash,
        peer_id: PeerId(peer_id),
        downloaded: 0,
        left: arguments.left,
        uploaded: 0,
        event: arguments.event.into(),
        ip: Ipv4Addr::UNSPECIFIED,
        key: rand::random(),
        num_want: arguments.num_want,
        port: arguments.port,
        options: Options::new(&options[..len]),
    })?;
    let mut out = io::stdout().lock();
    if arguments.json {
        let (interval, leechers, seeders) = (told.interval, told.leechers, told.seeders);
        let peers: Vec<String> = told.peers.iter().map(ToString::to_string).collect();
        let told = json!({"interval": interval, "leechers": leechers, "seeders": seeders, "peers": peers});
        writeln!(out, "{told}")?;
    } else {
        let count = |count: Option<u32>| count.map_or("?".into(), |count| count.to_string());
        let (seeders, leechers) = (count(told.seeders), count(told.leechers));
        writeln!(out, "{seeders} seeders, {leechers} leechers; again in {} s", told.interval)?;
        for peer in &told.peers {
            writeln!(out, "{peer}")?;
        }
    }
    Ok(())
}

pub(crate) fn scrape(arguments: &Scrape) -> Result<(), Box<dyn Error>> {
    let ask = Ask::connect(&TrackerUrl::parse(&arguments.url)?)?;
    let mut entries = Vec::new();
    for some in arguments.info_hash.chunks(MAX_SCRAPE_HASHES) {
        entries.extend(ask.scrape(some)?);
    }
    let mut out = io::stdout().lock();
    let rows = arguments.info_hash.iter().zip(entries);
    if arguments.json {
        let rows = rows.map(|(hash, entry)| {
            let (seeders, completed, leechers) = (entry.seeders, entry.completed, entry.leechers);
            json!({"info_hash": hash.to_string(), "seeders": seeders, "completed": completed, "leechers": leechers})
        });
        writeln!(out, "{}", serde_json::Value::from_iter(rows))?;
    } else {
        writeln!(out, "{:<40} {:>9} {:>9} {:>9}", "info_hash", "seeders", "completed", "leechers")?;
        for (hash, entry) in rows {
            writeln!(out, "{hash} {:>9} {:>9} {:>9}", entry.seeders, entry.completed, entry.leechers)?;
        }
    }
    Ok(())
}
