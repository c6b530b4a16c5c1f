//! The tracker as a program: see `tracker-bin --help`.

mod command;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use command::{Action, Command};

fn main() -> ExitCode {
    let command = Command::parse();
    let result = match &command.action {
        None => serve::serve(&command.serve),
        Some(Action::Config) => command::print(tracker::DEFAULT_TOML),
        Some(Action::Check { file }) => command::check(file),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("tracker-bin: {error}");
            ExitCode::FAILURE
        }
    }
}
