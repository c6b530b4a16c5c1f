//! What the doctor prints.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::running::PROGRAM;

/// A copy of the program for other users, who may not be able to read the folder of the built one.
pub(crate) struct Copy(TempDir);

impl Copy {
    pub(crate) fn new() -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        fs::copy(PROGRAM, copy.path()).unwrap();
        fs::set_permissions(copy.0.path(), Permissions::from_mode(0o755)).unwrap();
        copy
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("tracker-bin")
    }

    /// The start of a command by a user without privileges, who may get some by more options of setpriv.
    pub(crate) fn as_nobody(&self, options: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).args(options);
        command.arg(self.path());
        command
    }
}

/// The findings and the exit code of one run.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) code: Option<i32>,
    findings: Vec<Value>,
}

impl Report {
    /// Runs `tracker-bin doctor --json` with more arguments.
    pub(crate) fn of(arguments: &[&str]) -> Self {
        Self::by(Command::new(PROGRAM).args(["doctor", "--json"]).args(arguments))
    }

    /// Runs a command that ends in `tracker-bin doctor --json ..`.
    pub(crate) fn by(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let findings = serde_json::from_slice(&stdout);
        let findings = findings.unwrap_or_else(|_| panic!("{status}: {}", String::from_utf8_lossy(&stderr)));
        Self { code: status.code(), findings }
    }

    /// The findings of one check, as `severity: what`.
    pub(crate) fn all(&self, id: &str) -> Vec<String> {
        let of_check = self.findings.iter().filter(|finding| finding["id"] == id);
        of_check
            .map(|finding| format!("{}: {}", text(&finding["severity"]), text(&finding["what"])))
            .collect()
    }

    /// The only finding of a check.
    #[track_caller]
    pub(crate) fn one(&self, id: &str) -> String {
        let all = self.all(id);
        assert_eq!(all.len(), 1, "{id}: {self:?}");
        all[0].clone()
    }

    /// The fix in the first finding of a check.
    #[track_caller]
    pub(crate) fn fix(&self, id: &str) -> String {
        let finding = self.findings.iter().find(|finding| finding["id"] == id);
        text(&finding.unwrap_or_else(|| panic!("{id}: {self:?}"))["fix"]).to_owned()
    }

    pub(crate) fn has_problem(&self) -> bool {
        self.findings.iter().any(|finding| finding["severity"] == "problem")
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("a text, not {value}"))
}
