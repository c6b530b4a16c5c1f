//! The tracker as a program: see `tracker-bin --help`.

mod command;
mod config;
mod documents;
mod notify;
mod output;
mod serve;

use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

use command::{Action, Command};

fn main() -> ExitCode {
    let command = Command::parse();
    let result = match &command.action {
        None => return serve::serve(&command.serve),
        Some(Action::Config) => command::print(config::DEFAULT_TOML),
        Some(Action::Check { file }) => command::check(file),
        Some(Action::Completions { shell }) => documents::completions(*shell),
        Some(Action::Man { directory }) => documents::man(directory),
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
