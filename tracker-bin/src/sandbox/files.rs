//! The folders that stay, by Landlock.
//!
//! Landlock knows files by what is on the disk, not by name: an editor or the API puts a new file in the place of a list
//! or a configuration, and the rule for the old one would not apply to it. So the rules are for the folders of these files.
//! That is why each configuration should have a folder of its own, such as `/etc/tracker-bin`.

use std::fs;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, RulesetError, RulesetStatus, Scope,
};

/// The newest version of Landlock whose restrictions this module knows. Version 9 would restrict the way to the service
/// manager's socket.
const NEWEST: ABI = ABI::V8;

/// Where the kernel has the figures that the page, the metrics and the doctor show.
const FIGURES: [&str; 2] = ["/proc", "/sys"];

/// The folders that a running tracker needs. The files below them are meant too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Folders {
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

/// Why files are not restricted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FilesError {
    #[error("this kernel doesn't have it, or it is switched off (the boot parameter lsm=)")]
    Missing,
    #[error(transparent)]
    Ruleset(#[from] RulesetError),
}

impl Folders {
    /// A file that is read again.
    pub(crate) fn read_file(&mut self, path: &Path) {
        self.read.extend(folders_of(path));
    }

    /// A file that is replaced by a new one.
    pub(crate) fn replace_file(&mut self, path: &Path) {
        self.write.extend(folders_of(path));
    }

    /// A folder whose files are read, made, and removed.
    pub(crate) fn write_folder(&mut self, path: &Path) {
        self.write.push(path.into());
    }

    /// Takes away everything else. What a kernel's version of Landlock doesn't know stays; the text says which version
    /// that is.
    pub(super) fn restrict(&self) -> Result<String, FilesError> {
        let ruleset = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(NEWEST))?
            .handle_access(AccessNet::from_all(NEWEST))?
            .scope(Scope::Signal)?
            .create()?;
        let read = AccessFs::ReadFile;
        let replace = read
            | AccessFs::ReadDir
            | AccessFs::WriteFile
            | AccessFs::Truncate
            | AccessFs::MakeReg
            | AccessFs::MakeSock
            | AccessFs::RemoveFile;
        let ruleset =
            self.read.iter().try_fold(ruleset, |ruleset, path| allow(ruleset, path, read.into()))?;
        let ruleset = self.write.iter().try_fold(ruleset, |ruleset, path| allow(ruleset, path, replace))?;
        let figures = read | AccessFs::ReadDir;
        let ruleset =
            FIGURES.iter().try_fold(ruleset, |ruleset, path| allow(ruleset, Path::new(path), figures))?;
        match ruleset.restrict_self()?.ruleset {
            RulesetStatus::FullyEnforced => Ok(String::new()),
            RulesetStatus::PartiallyEnforced => Ok(" (as far as this kernel's version has it)".into()),
            RulesetStatus::NotEnforced => Err(FilesError::Missing),
        }
    }
}

/// A folder that doesn't exist gets no rule: then there is nothing to reach.
fn allow(
    ruleset: RulesetCreated,
    path: &Path,
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    let Ok(folder) = PathFd::new(path) else { return Ok(ruleset) };
    ruleset.add_rule(PathBeneath::new(folder, access))
}

/// The folder of a file, and if the file is a link, that of the file that it leads to.
fn folders_of(path: &Path) -> impl Iterator<Item = PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Some(PathBuf::from(".")),
        parent => parent.map(Into::into),
    };
    [folder(path), fs::canonicalize(path).ok().and_then(|path| folder(&path))].into_iter().flatten()
}
