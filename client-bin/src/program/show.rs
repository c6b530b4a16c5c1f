//! `show`, and the output of `create`.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use indicatif::BinaryBytes;
use serde_json::{Value, json};
use torrent_metainfo::Metainfo;

use super::Outcome;

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The .torrent file
    file: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn show(arguments: &Show) -> Outcome {
    let metainfo = Metainfo::from_file(&arguments.file)?;
    write(&metainfo, arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the content of a .torrent file.
pub(super) fn write(metainfo: &Metainfo, json: bool) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        return writeln!(out, "{}", as_json(metainfo));
    }
    writeln!(out, "name          {}", metainfo.name())?;
    writeln!(out, "info_hash     {}", metainfo.info_hash())?;
    writeln!(out, "length        {} ({} bytes)", BinaryBytes(metainfo.length()), metainfo.length())?;
    let piece_length = BinaryBytes(metainfo.piece_length().into());
    writeln!(out, "pieces        {} of {piece_length}", metainfo.piece_count())?;
    writeln!(out, "private       {}", if metainfo.is_private() { "yes" } else { "no" })?;
    for (tier, urls) in metainfo.trackers().iter().enumerate() {
        writeln!(out, "trackers {:<4} {}", tier + 1, urls.join(" "))?;
    }
    if let Some(comment) = metainfo.comment() {
        writeln!(out, "comment       {}", printable(comment))?;
    }
    if let Some(program) = metainfo.created_by() {
        writeln!(out, "created by    {}", printable(program))?;
    }
    for (number, file) in (1..).zip(metainfo.files()).filter(|(_, file)| !file.is_padding()) {
        writeln!(out, "file {number:<8} {} ({} bytes)", printable(file.path()), file.length())?;
    }
    Ok(())
}

fn as_json(metainfo: &Metainfo) -> Value {
    let files = metainfo.files().iter().filter(|file| !file.is_padding());
    let files = files.map(|file| json!({"path": file.path(), "length": file.length()}));
    json!({
        "info_hash": metainfo.info_hash().to_string(),
        "name": metainfo.name(),
        "length": metainfo.length(),
        "piece_length": metainfo.piece_length(),
        "pieces": metainfo.piece_count(),
        "private": metainfo.is_private(),
        "trackers": metainfo.trackers(),
        "comment": metainfo.comment(),
        "created_by": metainfo.created_by(),
        "creation_date": metainfo.creation_date(),
        "files": files.collect::<Value>(),
    })
}

/// Replaces control characters, which a terminal could interpret.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
