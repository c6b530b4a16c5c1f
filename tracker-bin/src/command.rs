//! The command line.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};

use crate::access::{AccessFiles, nft_table};
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
    /// Shows who is served and who is not
    Access {
        #[command(subcommand)]
        action: AccessAction,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessAction {
    /// Prints an nftables table with the denied networks, so that the kernel drops their datagrams: load it with `nft -f`
    Nft {
        /// The tracker's configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Serves until SIGINT or SIGTERM; SIGHUP reads the access lists again.
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

impl AccessAction {
    pub(crate) fn run(&self) -> Result<(), Box<dyn Error>> {
        let Self::Nft { config } = self;
        let config = config.as_deref().map_or_else(Config::new, Config::read)?;
        let rules = AccessFiles::new(config.access.clone()).load()?;
        let ports: Vec<_> = config.addresses().iter().map(SocketAddr::port).collect();
        if ports.contains(&0) {
            return Err("listen: port 0 is any free port, so there is no port for the rules: set one".into());
        }
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs());
        print(&nft_table(&rules.networks, &ports, unix))
    }
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
