//! The command line.

use std::error::Error;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use udp_tracker::DEFAULT_PORT;

use crate::access::Entry;
use crate::admin_client::AdminClient;
use crate::config::{Config, ConfigError};
use crate::doctor::Listed;

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
    /// Shows what a running tracker does
    Status(Status),
    /// Makes a running tracker refuse a torrent, a network, or clients
    Deny(Edit),
    /// Takes back what `deny` did, or adds a torrent to the list of served ones
    Allow(Edit),
    /// Adds or revokes a passkey of a running tracker
    Key {
        #[command(subcommand)]
        action: KeyAction,
    },
    /// Shows who is served and who is not
    Access {
        #[command(subcommand)]
        action: AccessAction,
    },
    /// Looks at this machine and the configuration, and prints what is wrong with the command that helps
    Doctor(Doctor),
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

/// Exit code 0 if nothing is a problem, otherwise 1. Run it as root to have everything checked.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// The tracker's TOML file
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Also checks what lists of trackers ask for; needs --host
    #[arg(long, requires = "host")]
    listing: bool,
    /// The tracker's name in lists [default port: the configured one]
    #[arg(long, value_name = "NAME[:PORT]", requires = "listing", value_parser = host)]
    host: Option<(String, Option<u16>)>,
    /// The DNS server to ask for the name [default: the system's]
    #[arg(long, value_name = "ADDR:PORT", requires = "listing", value_parser = address)]
    dns: Option<SocketAddr>,
    /// Prints JSON: a list of objects with id, severity, what and fix
    #[arg(long)]
    pub(crate) json: bool,
}

/// A torrent, a network, or clients, and what is kept about them.
#[derive(Debug, Args)]
pub(crate) struct Edit {
    /// An info_hash, a network such as 192.0.2.0/24, or the beginning of a peer_id such as client:-XX0001-
    #[arg(value_name = "INFO_HASH|NETWORK|client:PREFIX")]
    pub(crate) entry: Entry,
    #[command(flatten)]
    pub(crate) details: Details,
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyAction {
    /// Adds a passkey
    Add(KeyEdit),
    /// Revokes a passkey
    Revoke(KeyEdit),
}

#[derive(Debug, Args)]
pub(crate) struct KeyEdit {
    /// 1 to 64 letters, digits, or - . _ ~
    pub(crate) key: String,
    #[command(flatten)]
    pub(crate) details: Details,
}

#[derive(Debug, Args)]
pub(crate) struct Details {
    /// One sentence for the users who are refused
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// The last day, such as 2026-12-31 (in UTC), or a time, such as 2026-12-31T18:00:00Z
    #[arg(long, value_name = "DATE")]
    pub(crate) until: Option<String>,
    /// Who asked for it
    #[arg(long, value_name = "NAME")]
    pub(crate) by: Option<String>,
    #[command(flatten)]
    pub(crate) running: Running,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccessAction {
    /// Prints all entries of a running tracker, with how often each was hit
    List {
        #[command(flatten)]
        running: Running,
        /// Prints JSON, an entry on each line
        #[arg(long)]
        json: bool,
    },
    /// Prints an nftables table with the denied networks, so that the kernel drops their datagrams: load it with `nft -f`
    Nft {
        /// The tracker's configuration
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    #[command(flatten)]
    pub(crate) running: Running,
    /// Prints JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// Prints again every two seconds, until SIGINT
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Where a running tracker is found.
#[derive(Debug, Args)]
pub(crate) struct Running {
    /// The configuration that it was started with, which has its admin address and token
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Its admin address, if it is not in the configuration [default: 127.0.0.1:6970]
    #[arg(long, value_name = "ADDR:PORT", value_parser = address)]
    pub(crate) admin: Option<SocketAddr>,
}

impl Running {
    /// A client that can read.
    pub(crate) fn reader(&self) -> Result<AdminClient, Box<dyn Error>> {
        let config = self.config.as_deref().map_or_else(Config::new, Config::read)?;
        Ok(AdminClient { address: self.address(&config)?, token: None })
    }

    /// A client that can change something. The token's file must be readable.
    pub(crate) fn writer(&self) -> Result<AdminClient, Box<dyn Error>> {
        let config = self.config.as_deref().map_or_else(Config::new, Config::read)?;
        Ok(AdminClient { address: self.address(&config)?, token: config.admin.token()? })
    }

    fn address(&self, config: &Config) -> Result<SocketAddr, &'static str> {
        let address = self.admin.or(config.admin.listen);
        address.ok_or("the configuration has no admin address: set admin.listen")
    }
}

/// Serves until SIGINT or SIGTERM; SIGHUP reads the configuration again.
#[derive(Clone, Debug, Args)]
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
    /// Takes over from the running tracker with the same state_dir: its sockets, its peers. No request is lost
    #[arg(long)]
    pub(crate) replace: bool,
}

fn address(text: &str) -> Result<SocketAddr, &'static str> {
    text.parse().map_err(|_| "expected an IP address and a port, such as 0.0.0.0:6969 or [::]:6969")
}

fn workers(text: &str) -> Result<u16, &'static str> {
    let number = text.parse().ok().filter(|number| *number <= 1024);
    number.ok_or("expected a whole number from 0 to 1024, such as 4")
}

fn host(text: &str) -> Result<(String, Option<u16>), &'static str> {
    const EXPECTED: &str =
        "expected a host name, and a port if it is another, such as tracker.example.org:6969";
    let (name, port) = match text.split_once(':') {
        Some((name, port)) => (name, Some(port.parse().ok().filter(|port| *port != 0).ok_or(EXPECTED)?)),
        None => (text, None),
    };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    if name.is_empty() || !name.chars().all(is_name) { Err(EXPECTED) } else { Ok((name.into(), port)) }
}

impl Doctor {
    /// The tracker that lists are to name, if that is to be checked.
    pub(crate) fn listed(&self, listening: &[SocketAddr]) -> Option<Listed<'_>> {
        let (host, port) = self.host.as_ref().filter(|_| self.listing)?;
        let configured = listening.iter().map(SocketAddr::port).find(|port| *port != 0);
        Some(Listed { host, port: port.or(configured).unwrap_or(DEFAULT_PORT), dns: self.dns })
    }
}

impl Serve {
    /// The configuration's file.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

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
