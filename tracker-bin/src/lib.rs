//! The program, as a library for its own fuzz targets: nothing in it is a stable interface. To embed a tracker, use
//! `udp-tracker`.

mod access;
mod access_commands;
mod admin;
mod admin_client;
mod command;
mod config;
mod connection_key;
mod doctor;
mod documents;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod memory;
mod notify;
mod operations;
mod output;
mod replace;
mod sandbox;
mod serve;
mod snapshots;
mod status;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use command::{Action, Command};

/// Runs the program with the command line of this process.
pub fn main() -> ExitCode {
    let command = Command::parse();
    let Some(action) = command.action else { return serve::serve(command.serve) };
    let result = match &action {
        Action::Doctor(arguments) => return doctor::run(arguments),
        Action::Config => command::print(config::DEFAULT_TOML),
        Action::Check { file } => command::check(file),
        Action::Status(arguments) => status::status(arguments),
        Action::Deny(edit) => access_commands::deny(edit),
        Action::Allow(edit) => access_commands::allow(edit),
        Action::Key { action } => access_commands::key(action),
        Action::Access { action } => access_commands::access(action),
        Action::Completions { shell } => documents::completions(*shell),
        Action::Man { directory } => documents::man(directory),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // A failure to write changes nothing about the exit code.
            let _ = writeln!(io::stderr(), "tracker-bin: {error}");
            ExitCode::FAILURE
        }
    }
}
