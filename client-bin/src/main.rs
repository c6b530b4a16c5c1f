//! The client as a program: see `client-bin --help`.

mod ask;
mod command;
mod query;

use std::process::ExitCode;

use clap::Parser;

use command::{Action, Command};

fn main() -> ExitCode {
    let result = match Command::parse().action {
        Action::Announce(arguments) => query::announce(&arguments),
        Action::Scrape(arguments) => query::scrape(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("client-bin: {error}");
            ExitCode::FAILURE
        }
    }
}
