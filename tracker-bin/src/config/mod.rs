//! The configuration: a TOML file, the files that it names, and the library's settings made from them.

mod access;
mod error;
mod file;
mod keys;
mod values;

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Access, access};
use udp_tracker::{
    AccessRules, ConnectionKeys, InvalidValue, LivesyncSettings, ServerSettings, Service, Settings,
};

use crate::access::{AccessFiles, AccessSettings};
use crate::connection_key;
use crate::memory;
use crate::sandbox::Folders;

pub(crate) use error::ConfigError;
pub(crate) use file::{DEFAULT_TOML, LogFormat};
pub(crate) use keys::Values;

use error::at_line;
use file::File;

/// The contents of a file, with the flags on the command line applied.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) settings: Settings,
    /// Without livesync's key, which is in a file.
    pub(crate) server: ServerSettings,
    pub(crate) access: AccessSettings,
    /// Whether the file sets `max_store_bytes`, maybe to 0 for none.
    has_store_ceiling: bool,
    connection_key_file: Option<PathBuf>,
    livesync_key_file: Option<PathBuf>,
    /// Seconds between two logs of the counters; 0 is never.
    pub(crate) counters_interval: u64,
    pub(crate) log_format: LogFormat,
    /// The folder of what is kept over a restart; `None` if nothing is.
    pub(crate) state_dir: Option<PathBuf>,
    /// Seconds between two snapshots; 0 is only at the end.
    pub(crate) snapshot_interval: u64,
    /// The user to become once the sockets are open.
    pub(crate) user: Option<String>,
    /// Whether files and system calls are restricted.
    pub(crate) sandbox: bool,
    pub(crate) admin: Admin,
    /// The keys of the file with their values, and the defaults of the others.
    pub(crate) keys: Values,
    /// Texts about what still works, but should be changed.
    pub(crate) warnings: Vec<String>,
}

/// The page, the metrics and the API.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    /// `None` for none.
    pub(crate) listen: Option<SocketAddr>,
    /// Whether the address is in the file. If not, it is no error that another program has it.
    pub(crate) is_set: bool,
    token_file: Option<PathBuf>,
}

/// A day, in seconds. After that, all peers of a snapshot have expired.
const LONGEST_SNAPSHOT_INTERVAL: u64 = 86_400;

/// Each costs a hash for every id that is not valid.
const MOST_CONNECTION_KEYS: usize = 4;

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
    /// interface is an address of this machine, and that the folder for the state can be written to.
    pub(crate) fn check(path: &Path) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        let check = || {
            let config = Self::parse(&text)?;
            config.check_interface().map_err(|invalid| at_line(&text, invalid))?;
            config.check_state_dir().map_err(|invalid| at_line(&text, invalid))?;
            config.service(AccessFiles::new(config.access.clone()).load()?)?;
            config.server()?;
            config.admin.token()?;
            Ok(config)
        };
        check().map_err(|error: ConfigError| error.in_file(path))
    }

    /// Reads a TOML text. Keys that are not in it keep their defaults.
    pub(crate) fn parse(text: &str) -> Result<Self, ConfigError> {
        if let Some((key, place, near)) = keys::first_unknown(text) {
            return Err(ConfigError::Unknown { key, place, near });
        }
        let file: File = toml::from_str(text).map_err(ConfigError::Toml)?;
        let warnings = file::renamed_keys(text);
        let config = file.into_config(warnings).map(|config| Self { keys: keys::values(text), ..config });
        config.and_then(|config| config.validate().map(|()| config)).map_err(|invalid| at_line(text, invalid))
    }

    fn validate(&self) -> Result<(), InvalidValue> {
        self.settings.check()?;
        self.server.check()?;
        if let Some(livesync) = &self.server.livesync {
            livesync.check(&self.settings)?;
        }
        self.admin.check()?;
        if self.snapshot_interval > LONGEST_SNAPSHOT_INTERVAL {
            let problem =
                format!("{} is out of range: 0 to {LONGEST_SNAPSHOT_INTERVAL}", self.snapshot_interval);
            return Err(InvalidValue { field: "snapshot_interval", problem });
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

    /// Checks that the folder can be written to, or made, by this user.
    fn check_state_dir(&self) -> Result<(), InvalidValue> {
        let Some(path) = &self.state_dir else { return Ok(()) };
        let problem = if path.is_dir() {
            match access(path, Access::WRITE_OK | Access::EXEC_OK) {
                Ok(()) => return Ok(()),
                Err(error) => format!("this user can't write to {} ({error})", path.display()),
            }
        } else {
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            if !path.exists() && parent.unwrap_or(Path::new(".")).is_dir() {
                return Ok(());
            }
            format!("{} is no folder, and can't be made one", path.display())
        };
        Err(InvalidValue { field: "state_dir", problem })
    }

    pub(crate) fn set_listen(&mut self, addresses: Vec<SocketAddr>) {
        self.server.listen = Some(addresses);
    }

    pub(crate) fn set_workers(&mut self, workers: usize) {
        self.server.workers = workers;
    }

    /// The most bytes of the store, 0 for no ceiling; `None` if it depends on the machine.
    pub(crate) fn max_store_bytes(&self) -> Option<usize> {
        self.has_store_ceiling.then_some(self.settings.max_store_bytes)
    }

    /// Whether connection ids are made with a key that other machines may have too.
    pub(crate) fn has_connection_key(&self) -> bool {
        self.connection_key_file.is_some()
    }

    /// The files with secrets that the configuration names, each with its key.
    pub(crate) fn secret_files(&self) -> Vec<(&'static str, PathBuf)> {
        let files = [
            ("connection_key_file", self.connection_key_file.clone()),
            ("state_dir", self.state_dir.as_ref().map(|dir| dir.join(connection_key::NAME))),
            ("livesync.key_file", self.livesync_key_file.clone()),
            ("admin.token_file", self.admin.token_file.clone()),
            ("access.key_list", self.access.key_list.clone()),
        ];
        files.into_iter().filter_map(|(key, path)| Some((key, path?))).collect()
    }

    /// The folders that a running tracker needs: of the configuration's `file`, and of those that it names.
    pub(crate) fn folders(&self, file: Option<&Path>) -> Folders {
        let mut folders = Folders::default();
        file.into_iter().for_each(|file| folders.read_file(file));
        self.secret_files().iter().for_each(|(_, file)| folders.read_file(file));
        let AccessSettings { torrent_list, network_list, client_list, key_list, .. } = &self.access;
        let lists = [torrent_list, network_list, client_list, key_list];
        lists.into_iter().flatten().for_each(|list| folders.replace_file(list));
        self.state_dir.iter().for_each(|dir| folders.write_folder(dir));
        folders
    }

    /// A service made from the configuration and the files that it names, with these access rules.
    pub(crate) fn service(&self, rules: AccessRules) -> Result<Arc<Service>, ConfigError> {
        let mut settings = self.settings.clone();
        if !self.has_store_ceiling {
            settings.max_store_bytes = memory::allowed().as_ref().map_or(0, memory::half);
        }
        let service = Service::new(settings)?.with_access(rules);
        if let Some(keys) = self.connection_keys()? {
            service.set_connection_keys(&keys);
        }
        Ok(Arc::new(service))
    }

    /// The keys in `connection_key_file`, if there is one.
    pub(crate) fn connection_keys(&self) -> Result<Option<ConnectionKeys>, ConfigError> {
        let path = self.connection_key_file.as_deref();
        path.map(|path| read_key("connection_key_file", path, connection_keys)).transpose()
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

impl Admin {
    fn check(&self) -> Result<(), InvalidValue> {
        let Some(listen) = self.listen else { return Ok(()) };
        if listen.ip().to_canonical().is_loopback() || self.token_file.is_some() {
            return Ok(());
        }
        let problem = format!(
            "{listen} can be reached from other machines: set admin.token_file too, or listen on a loopback address, such \
             as 127.0.0.1:6970"
        );
        Err(InvalidValue { field: "admin.listen", problem })
    }

    /// The token that changes need; `None` if there are to be none.
    pub(crate) fn token(&self) -> Result<Option<String>, ConfigError> {
        let Some(path) = &self.token_file else { return Ok(None) };
        let parse = |text: &str| {
            let is_token = text.len() >= 16 && text.bytes().all(|byte| byte.is_ascii_graphic());
            is_token
                .then(|| text.to_owned())
                .ok_or("one word of at least 16 characters expected (openssl rand -hex 16)")
        };
        read_key("admin.token_file", path, parse).map(Some)
    }
}

fn read_text(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.into(), source })
}

/// A key on each line, the first for new ids.
fn connection_keys(text: &str) -> Result<ConnectionKeys, &'static str> {
    let keys = text.lines().map(|line| connection_key(line.trim())).collect::<Result<Vec<_>, _>>()?;
    let (first, others) = keys.split_first().ok_or("32 hex digits expected")?;
    if keys.len() > MOST_CONNECTION_KEYS {
        return Err("at most four keys expected, one on each line");
    }
    Ok(others.iter().fold(ConnectionKeys::from(*first), |keys, key| keys.accepting(*key)))
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
