//! The client program: see `client-bin --help`.

mod ask;
mod command;
mod load;
mod program;
mod query;

use std::process::ExitCode;

use clap::Parser;

use command::{Action, Command};

fn main() -> ExitCode {
    let result = match Command::parse().action {
        Action::Announce(arguments) => query::announce(&arguments).map_err(Into::into),
        Action::Scrape(arguments) => query::scrape(&arguments).map_err(Into::into),
        Action::Create(arguments) => program::create(&arguments),
        Action::Show(arguments) => program::show(&arguments),
        Action::Verify(arguments) => program::verify(&arguments),
        Action::Download(arguments) => program::download(arguments),
        Action::Seed(arguments) => program::seed(arguments),
        Action::Load(arguments) => load::load(&arguments),
    };
    match result {
        Ok(code) => code,
        Err(error) => {
            // Appends the causes that the text does not contain already.
            let mut text = error.to_string();
            let mut source = error.source();
            while let Some(error) = source {
                let reason = error.to_string();
                if !text.ends_with(&reason) && !text.contains(&format!("{reason};")) {
                    text = format!("{text}: {reason}");
                }
                source = error.source();
            }
            eprintln!("client-bin: {text}");
            ExitCode::FAILURE
        }
    }
}
