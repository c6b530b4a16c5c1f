//! The command line.

use std::error::Error;
use std::fs;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use udp_tracker::{Config, Service};

/// A BitTorrent UDP tracker.
#[derive(Debug, Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) serve: Serve,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Prints the default configuration, every key explained
    Config,
    /// Says what is wrong with a configuration
    Check {
        /// A TOML file
        file: PathBuf,
    },
}

/// Serves until SIGINT or SIGTERM; SIGHUP makes it read its lists again.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file; `tracker-bin config` prints one with every key explained
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where to listen; port 0 means any. May be given more than once [default: 0.0.0.0:6969 and [::]:6969]
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    listen: Vec<SocketAddr>,
    /// Threads that answer; 0 means one for each core
    #[arg(long, value_name = "N", value_parser = workers)]
    workers: Option<u16>,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 0.0.0.0:6969 or [::]:6969")
}

fn workers(text: &str) -> Result<u16, &'static str> {
    let number = text.parse().ok().filter(|number| *number <= 1024);
    number.ok_or("expected a whole number from 0 to 1024, such as 4")
}

impl Serve {
    /// The configuration that the file and the flags make.
    pub(crate) fn configuration(&self) -> Result<Config, Box<dyn Error>> {
        let mut config = match &self.config {
            Some(file) => read(file)?.0,
            None => Config::default(),
        };
        if !self.listen.is_empty() {
            config.listen = Some(self.listen.clone());
        }
        if let Some(workers) = self.workers {
            config.workers = workers.into();
        }
        Ok(config)
    }
}

/// A configuration, and the text that it was read from.
fn read(file: &Path) -> Result<(Config, String), Box<dyn Error>> {
    let path = file.display();
    let text = fs::read_to_string(file).map_err(|error| format!("cannot read {path}: {error}"))?;
    let config = Config::from_toml(&text).map_err(|error| format!("{path}: {error}"))?;
    Ok((config, text))
}

/// Prints to stdout; that nobody reads it to its end is no failure.
pub(crate) fn print(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Reads a configuration and the files that it names, and compares it with this machine.
pub(crate) fn check(file: &Path) -> Result<(), Box<dyn Error>> {
    let path = file.display();
    let (config, text) = read(file)?;
    config.check_machine(&text).map_err(|error| format!("{path}: {error}"))?;
    Service::new(config).map_err(|error| format!("{path}: {error}"))?;
    print(&format!("{path}: nothing wrong\n"))
}
