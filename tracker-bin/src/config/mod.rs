//! The configuration: a TOML file, the files that it names, and the library's settings made from them.

mod error;
mod file;
mod values;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use udp_tracker::{
    Access, AccessList, AccessListError, InvalidValue, LivesyncSettings, ServerSettings, Service, Settings,
};

pub(crate) use error::ConfigError;
pub(crate) use file::DEFAULT_TOML;

use error::at_line;
use file::File;

/// The contents of a file, with the flags on the command line applied.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    /// Without livesync's key, which is in a file.
    pub(crate) server: ServerSettings,
    access: Access,
    access_list: Option<PathBuf>,
    connection_key_file: Option<PathBuf>,
    livesync_key_file: Option<PathBuf>,
    /// Seconds between two logs of the counters; 0 is never.
    pub(crate) counters_interval: u64,
    /// Texts about what still works, but should be changed.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// The default configuration.
    pub(crate) fn new() -> Result<Self, ConfigError> {
        Self::parse("")
    }

    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        Self::parse(&text).map_err(|error| error.in_file(path))
    }

    /// Like [`read`](Self::read), but also reads the files that the configuration names, and checks that livesync's
    /// interface is an address of this machine.
    pub(crate) fn check(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let check = || {
            let config = Self::parse(&text)?;
            config.check_interface().map_err(|invalid| at_line(&text, invalid))?;
            config.service()?;
            config.server()?;
            Ok(config)
        };
        check().map_err(|error: ConfigError| error.in_file(path))
    }

    /// Reads a TOML text. Keys that are not in it keep their defaults.
    fn parse(text: &str) -> Result<Self, ConfigError> {
        let file: File = toml::from_str(text).map_err(ConfigError::Toml)?;
        let warnings = file::renamed_keys(text);
        let config = file.into_config(warnings);
        config.and_then(|config| config.validate().map(|()| config)).map_err(|invalid| at_line(text, invalid))
    }

    fn validate(&self) -> Result<(), InvalidValue> {
        self.settings.check()?;
        self.server.check()?;
        if let Some(livesync) = &self.server.livesync {
            livesync.check(&self.settings)?;
        }
        if self.access != Access::All && self.access_list.is_none() {
            let problem = "needs access_list, a file with one info_hash on each line".into();
            return Err(InvalidValue { field: "access", problem });
        }
        Ok(())
    }

    /// Checks that livesync's interface is an address of this machine.
    fn check_interface(&self) -> Result<(), InvalidValue> {
        let Some(LivesyncSettings { interface, .. }) = &self.server.livesync else { return Ok(()) };
        // With any port: a running tracker may use the configured one.
        match UdpSocket::bind((*interface, 0)) {
            Ok(_) => Ok(()),
            Err(error) => Err(InvalidValue {
                field: "livesync.interface",
                problem: format!("{interface}: an address of this machine expected ({error})"),
            }),
        }
    }

    pub(crate) fn set_listen(&mut self, addresses: Vec<SocketAddr>) {
        self.server.listen = Some(addresses);
    }

    pub(crate) fn set_workers(&mut self, workers: usize) {
        self.server.workers = workers;
    }

    /// The files with secrets that the configuration names, each with its key.
    pub(crate) fn secret_files(&self) -> Vec<(&'static str, &Path)> {
        let files = [
            ("connection_key_file", &self.connection_key_file),
            ("livesync.key_file", &self.livesync_key_file),
        ];
        files.into_iter().filter_map(|(key, path)| Some((key, path.as_deref()?))).collect()
    }

    /// A service made from the configuration and the files that it names.
    pub(crate) fn service(&self) -> Result<Arc<Service>, ConfigError> {
        let mut service = Service::new(self.settings.clone())?.with_access_list(self.access_list()?);
        if let Some(path) = &self.connection_key_file {
            service = service.with_connection_key(read_key("connection_key_file", path, connection_key)?);
        }
        Ok(Arc::new(service))
    }

    /// The current contents of the access list's file.
    pub(crate) fn access_list(&self) -> Result<AccessList, AccessListError> {
        match &self.access_list {
            Some(path) if self.access != Access::All => AccessList::read(self.access, path),
            _ => Ok(AccessList::all()),
        }
    }

    /// The settings of sockets and threads, with livesync's key.
    pub(crate) fn server(&self) -> Result<ServerSettings, ConfigError> {
        let mut server = self.server.clone();
        if let (Some(livesync), Some(path)) = (&mut server.livesync, &self.livesync_key_file) {
            let parse = |digits: &str| digits.parse().map_err(|_| "64 hex digits expected");
            livesync.key = Some(read_key("livesync.key_file", path, parse)?);
        }
        Ok(server)
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })
}

fn connection_key(digits: &str) -> Result<[u8; 16], &'static str> {
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let key = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex);
    key.map(u128::to_be_bytes).ok_or("32 hex digits expected")
}

/// Reads a file and parses it without surrounding white space.
fn read_key<T>(
    key: &'static str,
    path: &Path,
    parse: impl FnOnce(&str) -> Result<T, &'static str>,
) -> Result<T, ConfigError> {
    let text = fs::read_to_string(path).map_err(|error| error.to_string());
    let parsed = text.and_then(|text| parse(text.trim()).map_err(Into::into));
    parsed.map_err(|problem| ConfigError::Key { key, path: path.into(), problem })
}

#[cfg(test)]
mod tests;
