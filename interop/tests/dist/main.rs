//! The files in `dist/`, judged by the programs that they are written for.

mod linux;
mod monitoring;

use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A file in `dist/`.
fn dist(path: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../dist").join(path);
    path.canonicalize().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn read(path: &str) -> String {
    fs::read_to_string(dist(path)).unwrap()
}

/// Runs a command to its end. Returns whether it succeeded, and what it printed.
fn run(command: &mut Command) -> (bool, String) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?} cannot be started: {error}"));
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&printed).into_owned())
}
