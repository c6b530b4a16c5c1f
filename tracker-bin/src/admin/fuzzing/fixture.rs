//! A tracker with an admin side and access lists.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Parser;
use tokio::runtime::{Builder, Runtime};
use udp_tracker::{AccessRules, Tracker};

use crate::access::{self, AccessFiles};
use crate::admin::{Context, Token};
use crate::command::Command;
use crate::operations::Operations;

pub(super) const TOKEN: &str = "0123456789abcdef";

/// Files and their texts.
const FILES: [(&str, &str); 4] = [
    ("torrents", "# torrents\n1111111111111111111111111111111111111111 until=2030-01-01 # removed\n"),
    ("networks", "192.0.2.0/24 by=me # flood\n2001:db8::/32\n"),
    ("clients", "-XX%00 # bad\n"),
    ("keys", "s3cret by=\"J. Doe\"\n"),
];

pub(super) struct Fixture {
    pub(super) runtime: Runtime,
    pub(super) context: Arc<Context>,
    folder: PathBuf,
    tracker: Tracker,
    /// The rules of the files as they are at the start of each input.
    rules: Arc<AccessRules>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        // In memory if possible, since each change waits for the disk.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { memory.into() } else { std::env::temp_dir() };
        let folder = folder.join(format!("tracker-bin-fuzzing-{}", std::process::id()));
        write_files(&folder);
        let config = folder.join("tracker.toml");
        let arguments =
            Command::parse_from(["tracker-bin".as_ref(), "--config".as_ref(), config.as_os_str()]).serve;
        let config = arguments.configuration().expect("a valid configuration");
        let mut access = AccessFiles::new(config.access.clone());
        let service = config.service(access.load().expect("valid lists")).expect("a service");
        let tracker = Tracker::start(service, &config.server().expect("settings")).expect("a tracker");
        let operations = Operations::new(arguments, config, access, Arc::clone(tracker.service()));
        let token = Some(Token::new(TOKEN));
        let context = Context::new(tracker.monitor().clone(), Arc::new(operations), None, token);
        Self {
            runtime: Builder::new_current_thread().enable_time().build().expect("a runtime"),
            context: Arc::new(context),
            folder,
            rules: tracker.service().access(),
            tracker,
        }
    }

    pub(super) fn rules(&self) -> Arc<AccessRules> {
        self.tracker.service().access()
    }

    /// Undoes what the last input has changed.
    pub(super) fn write_files(&mut self) {
        write_files(&self.folder);
        if !Arc::ptr_eq(&self.rules, &self.rules()) {
            self.context.operations.reload().expect("a valid configuration");
            self.rules = self.rules();
        }
    }

    pub(super) fn remove_files(&self) {
        fs::remove_dir_all(&self.folder).expect("a folder to remove");
    }

    /// The rules in force are those that a restarted tracker reads.
    pub(super) fn check_files(&self) {
        let config = self.context.operations.config();
        let read = AccessFiles::new(config.access).load().expect("lists that can be read");
        let texts = |rules: &AccessRules| {
            let listed = access::list(rules, 0);
            let mut texts: Vec<_> = listed
                .map(|listed| {
                    format!("{} {:?} {:?} {:?}", listed.entry, listed.reason, listed.until, listed.by)
                })
                .collect();
            texts.sort();
            texts
        };
        assert_eq!(texts(&self.rules()), texts(&read), "rules in force, and those in the files");
        assert_eq!(fs::read_dir(&self.folder).expect("a folder").count(), FILES.len() + 1, "files left over");
    }

    pub(super) fn check_unchanged(&self) {
        for (name, text) in FILES {
            assert_eq!(
                fs::read_to_string(self.folder.join(name)).expect("a list"),
                text,
                "changed without the token"
            );
        }
    }
}

fn write_files(folder: &Path) {
    fs::create_dir_all(folder).expect("a folder");
    let at = folder.display();
    let config = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 1\n[access]\ntorrents = \"unlisted\"\ntorrent_list = \"{at}/torrents\"\n\
         network_list = \"{at}/networks\"\nclient_list = \"{at}/clients\"\nkey_list = \"{at}/keys\"\n[admin]\n\
         listen = \"\"\n"
    );
    for (name, text) in FILES.into_iter().chain([("tracker.toml", config.as_str())]) {
        fs::write(folder.join(name), text).expect("a file to write");
    }
}
