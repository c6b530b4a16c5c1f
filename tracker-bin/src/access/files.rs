//! The access rules as files, which people and the running tracker change.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use udp_tracker::{Access, AccessRules, IpNet, NetworkRules, Rule, RuleDetails};

use super::AccessError;
use super::disk::TextFile;
use super::entry::{Entry, Kind};
use super::{line, list};

/// Bytes of texts from others, so that a list stays readable, and a reason fits into a reply.
const MAX_REASON: usize = 400;
const MAX_BY: usize = 100;

/// How often an edit starts again because somebody else has changed the file at the same time.
const ATTEMPTS: usize = 5;

/// What the configuration says about access.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct AccessSettings {
    /// What the list of torrents means.
    pub(crate) mode: Access,
    pub(crate) torrent_list: Option<PathBuf>,
    pub(crate) network_list: Option<PathBuf>,
    pub(crate) client_list: Option<PathBuf>,
    pub(crate) key_list: Option<PathBuf>,
}

/// The files with the access rules, and the rules that were last read from them or written to them.
///
/// A change is written first, and then the rules are returned, to be put in force. So whatever is in force is in the
/// files, and a change that was reported as done is not lost.
#[derive(Debug)]
pub(crate) struct AccessFiles {
    settings: AccessSettings,
    rules: AccessRules,
    /// Of the text of each file, in the order of [`Kind::ALL`]: tells whether it is the text of `rules`.
    digests: [Option<u64>; 4],
    hasher: RandomState,
}

impl AccessSettings {
    /// The file of a kind, if there is one that is used.
    fn path(&self, kind: Kind) -> Option<&Path> {
        match kind {
            // The list has no meaning then.
            Kind::Torrent if self.mode == Access::All => None,
            Kind::Torrent => self.torrent_list.as_deref(),
            Kind::Network => self.network_list.as_deref(),
            Kind::Client => self.client_list.as_deref(),
            Kind::Key => self.key_list.as_deref(),
        }
    }
}

impl AccessFiles {
    /// Nothing is read yet.
    pub(crate) fn new(settings: AccessSettings) -> Self {
        Self { settings, rules: AccessRules::all(), digests: [None; 4], hasher: RandomState::new() }
    }

    /// Reads all files. Rules that were there before keep their hits.
    ///
    /// # Errors
    /// A file can't be read, or has an invalid line. Then nothing changes.
    pub(crate) fn load(&mut self) -> Result<AccessRules, AccessError> {
        self.load_with(self.settings.clone())
    }

    /// The same, by a new configuration, which stays in use if all its files can be read.
    ///
    /// # Errors
    /// As [`load`](Self::load). Then the old configuration stays in use too.
    pub(crate) fn load_with(&mut self, settings: AccessSettings) -> Result<AccessRules, AccessError> {
        let mut rules = AccessRules::all();
        rules.mode = settings.mode;
        let mut digests = [None; 4];
        for (kind, digest) in Kind::ALL.into_iter().zip(&mut digests) {
            let Some(path) = settings.path(kind) else { continue };
            let file = read(path)?;
            replace_rules(&mut rules, kind, list::entries(kind, path, file.text()))?;
            *digest = Some(self.hasher.hash_one(file.text()));
        }
        let rules = rules.keeping_hits_of(&self.rules);
        (self.settings, self.rules, self.digests) = (settings, rules.clone(), digests);
        Ok(rules)
    }

    /// Denies a torrent, a network or a client; a passkey is revoked. In a list of served torrents, the torrent is
    /// removed, and `details` are not kept anywhere.
    ///
    /// # Errors
    /// As [`put`](Self::put) and [`remove`](Self::remove).
    pub(crate) fn deny(&mut self, entry: &Entry, details: &RuleDetails) -> Result<AccessRules, AccessError> {
        if self.is_list_of_allowed(entry.kind()) { self.remove(entry) } else { self.put(entry, details) }
    }

    /// Takes back [`deny`](Self::deny). In a list of served torrents, the torrent is added; a passkey is added.
    ///
    /// # Errors
    /// As [`put`](Self::put) and [`remove`](Self::remove).
    pub(crate) fn allow(&mut self, entry: &Entry, details: &RuleDetails) -> Result<AccessRules, AccessError> {
        if self.is_list_of_allowed(entry.kind()) { self.put(entry, details) } else { self.remove(entry) }
    }

    /// Whether what is in the list is let in, and everything else is not.
    fn is_list_of_allowed(&self, kind: Kind) -> bool {
        kind == Kind::Key || (kind == Kind::Torrent && self.settings.mode == Access::Listed)
    }

    /// Adds an entry to its list, or replaces it there, in the file and in the rules that are returned.
    ///
    /// # Errors
    /// There is no such list, a text is too long, or the file can't be read or written or has an invalid line. Then
    /// nothing changes, and the file is as it was.
    pub(crate) fn put(&mut self, entry: &Entry, details: &RuleDetails) -> Result<AccessRules, AccessError> {
        let details = line::normalized(details);
        let texts =
            [("reason", &details.reason, MAX_REASON), ("name of who asked for it", &details.by, MAX_BY)];
        for (field, text, most) in texts {
            let got = text.as_ref().map_or(0, |text| text.len());
            if got > most {
                return Err(AccessError::TooLong { field, got, most });
            }
        }
        self.edit(entry, Some(&details))
    }

    /// Removes an entry from its list, in the file and in the rules that are returned.
    ///
    /// # Errors
    /// The entry is not there, or as for [`put`](Self::put).
    pub(crate) fn remove(&mut self, entry: &Entry) -> Result<AccessRules, AccessError> {
        self.edit(entry, None)
    }

    fn edit(&mut self, entry: &Entry, details: Option<&RuleDetails>) -> Result<AccessRules, AccessError> {
        let kind = entry.kind();
        if kind == Kind::Torrent && self.settings.mode == Access::All {
            return Err(AccessError::AllTorrents);
        }
        let path = self.settings.path(kind).ok_or(AccessError::NoFile { kind })?;
        for _ in 0..ATTEMPTS {
            let file = read(path)?;
            let text =
                list::edited(file.text(), entry, details).ok_or_else(|| self.not_listed(entry, path))?;
            let mut rules = self.rules.clone();
            if self.digests[kind as usize] == Some(self.hasher.hash_one(file.text())) {
                change_rule(&mut rules, entry, details);
            } else {
                // Somebody has edited the file. Their changes count from now on too.
                replace_rules(&mut rules, kind, list::entries(kind, path, &text))?;
                rules = rules.keeping_hits_of(&self.rules);
            }
            let replaced = file.replace(&text);
            if replaced.map_err(|source| AccessError::Write { path: path.into(), source })? {
                self.digests[kind as usize] = Some(self.hasher.hash_one(text.as_str()));
                self.rules = rules.clone();
                return Ok(rules);
            }
        }
        Err(AccessError::Busy { path: path.into() })
    }

    fn not_listed(&self, entry: &Entry, path: &Path) -> AccessError {
        let around = match entry {
            Entry::Network(network) => narrowest_around(&self.rules.networks, network),
            _ => None,
        };
        AccessError::NotListed { entry: entry.clone(), path: path.into(), around }
    }
}

fn read(path: &Path) -> Result<TextFile, AccessError> {
    TextFile::read(path).map_err(|source| AccessError::Read { path: path.into(), source })
}

fn narrowest_around(rules: &NetworkRules, network: &IpNet) -> Option<IpNet> {
    let around = rules.iter().map(|rule| *rule.subject()).filter(|other| other.contains(network));
    around.max_by_key(IpNet::prefix_len)
}

/// Replaces all rules of a kind.
fn replace_rules(
    rules: &mut AccessRules,
    kind: Kind,
    entries: impl Iterator<Item = Result<(Entry, RuleDetails), AccessError>>,
) -> Result<(), AccessError> {
    let (mut networks, mut clients) = (Vec::new(), Vec::new());
    match kind {
        Kind::Torrent => rules.torrents = Default::default(),
        Kind::Key => rules.keys = Some(Default::default()),
        Kind::Network | Kind::Client => {}
    }
    for entry in entries {
        let (entry, details) = entry?;
        match entry {
            Entry::Network(network) => networks.push(Rule::with_details(network, details)),
            Entry::Client(prefix) => clients.push(Rule::with_details(prefix, details)),
            entry => change_rule(rules, &entry, Some(&details)),
        }
    }
    match kind {
        Kind::Network => rules.networks = networks.into_iter().collect(),
        Kind::Client => rules.clients = clients.into_iter().collect(),
        Kind::Torrent | Kind::Key => {}
    }
    Ok(())
}

/// Adds or replaces one rule, or removes it.
fn change_rule(rules: &mut AccessRules, entry: &Entry, details: Option<&RuleDetails>) {
    match (entry, details.cloned()) {
        (Entry::Torrent(torrent), Some(details)) => {
            rules.torrents.insert(Rule::with_details(*torrent, details));
        }
        (Entry::Torrent(torrent), None) => {
            rules.torrents.remove(&torrent.0);
        }
        (Entry::Network(network), Some(details)) => {
            rules.networks.extend([Rule::with_details(*network, details)]);
        }
        (Entry::Network(network), None) => {
            rules.networks.remove(*network);
        }
        (Entry::Client(prefix), Some(details)) => {
            rules.clients.extend([Rule::with_details(*prefix, details)]);
        }
        (Entry::Client(prefix), None) => {
            rules.clients.remove(prefix);
        }
        (Entry::Key(key), details) => {
            let keys = rules.keys.get_or_insert_default();
            match details {
                Some(details) => keys.insert(Rule::with_details(key.clone(), details)),
                None => {
                    keys.remove(key.as_ref());
                }
            }
        }
    }
}
