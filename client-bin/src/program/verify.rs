//! `verify`.

use std::io::{self, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use serde_json::json;
use torrent_metainfo::Metainfo;

use super::{Outcome, progress};

/// The exit code is 1 if a piece is missing or wrong.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The .torrent file
    file: PathBuf,
    /// The folder that contains the torrent's file or folder
    #[arg(short, long, value_name = "DIR")]
    dir: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn verify(arguments: &Verify) -> Outcome {
    let metainfo = Arc::new(Metainfo::from_file(&arguments.file)?);
    let bar = progress::bytes("checking", metainfo.length());
    let verified = torrent_client::verify(&metainfo, &arguments.dir, |progress| {
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    let verified = verified?;
    let (have, total) = (verified.have.count(), verified.have.pieces());
    let mut out = io::stdout().lock();
    if arguments.json {
        writeln!(out, "{}", json!({"have": have, "total": total}))?;
    } else {
        writeln!(out, "{have} of {total} pieces are present, {} bytes are missing", verified.left)?;
    }
    if have == total {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("client-bin: {} of {total} pieces are missing or wrong: `download` fetches them", total - have);
    Ok(ExitCode::FAILURE)
}
