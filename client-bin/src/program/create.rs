//! `create`.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use torrent_metainfo::{Builder, Existing};

use super::{Outcome, progress, show};

#[derive(Debug, Args)]
pub(crate) struct Create {
    /// The file or folder to share
    target: PathBuf,
    /// The .torrent file to write
    #[arg(short, long, value_name = "FILE")]
    output: PathBuf,
    /// A tracker; repeat for more, which are used only if the earlier ones fail
    #[arg(short, long = "tracker", value_name = "URL")]
    trackers: Vec<String>,
    /// Bytes of a piece, such as 262144 or 256K: a power of two from 16K to 16M; by default chosen by the length
    #[arg(short = 'l', long, value_name = "BYTES", value_parser = bytes)]
    piece_length: Option<u32>,
    /// Allows only peers from the trackers (private torrent)
    #[arg(long)]
    private: bool,
    /// A comment for the .torrent file
    #[arg(short, long, value_name = "TEXT")]
    comment: Option<String>,
    /// Replaces the .torrent file if it exists
    #[arg(long)]
    force: bool,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn create(arguments: &Create) -> Outcome {
    let mut builder = Builder::new(&arguments.target)
        .private(arguments.private)
        .created_by(concat!("client-bin/", env!("CARGO_PKG_VERSION")));
    for tracker in &arguments.trackers {
        builder = builder.tracker_tier([tracker]);
    }
    if let Some(bytes) = arguments.piece_length {
        builder = builder.piece_length(bytes);
    }
    if let Some(comment) = &arguments.comment {
        builder = builder.comment(comment);
    }
    let existing = if arguments.force { Existing::Replace } else { Existing::Refuse };
    let bar = progress::bytes("hashing", 0);
    let torrent = builder.create(&arguments.output, existing, |progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        ControlFlow::Continue(())
    });
    bar.finish_and_clear();
    show::write(torrent?.metainfo(), arguments.json)?;
    Ok(ExitCode::SUCCESS)
}

/// A number, optionally with the unit K (KiB) or M (MiB).
fn bytes(text: &str) -> Result<u32, String> {
    let (number, unit) = match text.to_ascii_uppercase() {
        upper if upper.ends_with('K') => (text.len() - 1, 1 << 10),
        upper if upper.ends_with('M') => (text.len() - 1, 1 << 20),
        _ => (text.len(), 1),
    };
    let number: Option<u32> = text.get(..number).and_then(|digits| digits.parse().ok());
    number
        .and_then(|number| number.checked_mul(unit))
        .ok_or_else(|| "a number such as 262144, 256K or 1M expected".into())
}
