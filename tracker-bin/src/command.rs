//! The command line.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::{Config, ConfigError};

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
    /// Prints the default configuration, with an explanation of every key
    Config,
    /// Checks a configuration and the files that it names, on this machine
    Check {
        /// A TOML file
        file: PathBuf,
    },
    /// Prints a script that completes this command line in a shell
    Completions {
        /// The shell's name
        shell: Shell,
    },
    /// Writes manual pages: one for the program, one for each subcommand
    Man {
        /// The directory that they are written to
        #[arg(value_name = "DIR")]
        directory: PathBuf,
    },
}

/// Serves until SIGINT or SIGTERM; SIGHUP reads the access list again.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// A TOML file; `tracker-bin config` prints one that explains every key
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Addresses to listen on; port 0 is any free one. May be repeated [default: 0.0.0.0:6969 and [::]:6969]
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    listen: Vec<SocketAddr>,
    /// Threads that answer; 0 is one for each core
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
    /// The configuration from the file, with the flags applied.
    pub(crate) fn configuration(&self) -> Result<Config, ConfigError> {
        let mut config = self.config.as_deref().map_or_else(Config::new, Config::read)?;
        if !self.listen.is_empty() {
            config.set_listen(self.listen.clone());
        }
        if let Some(workers) = self.workers {
            config.set_workers(workers.into());
        }
        Ok(config)
    }
}

/// Prints to standard output. That the reader closes it early is no error.
pub(crate) fn print(text: &str) -> Result<(), Box<dyn Error>> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Reports the first error in a configuration.
pub(crate) fn check(file: &Path) -> Result<(), Box<dyn Error>> {
    let path = file.display();
    let config = Config::check(file)?;
    for warning in &config.warnings {
        let _ = writeln!(io::stderr(), "{path}: warning: {warning}");
    }
    print(&format!("{path}: nothing wrong\n"))
}
