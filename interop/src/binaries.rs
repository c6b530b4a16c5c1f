//! Paths of this workspace's own programs.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde::Deserialize;

/// Variables that name a program to test instead of the workspace's own, such as an installed release.
const OVERRIDES: [(&str, &str); 2] = [("tracker-bin", "TRACKER_BIN"), ("client-bin", "CLIENT_BIN")];

/// The path of `tracker-bin` or `client-bin`, up to date with the sources.
///
/// The first call in a process builds the programs that are not overridden. Cargo prints their paths, so this works
/// with any target directory.
#[must_use]
pub fn path(name: &str) -> &'static Path {
    static BUILT: OnceLock<HashMap<String, PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build).get(name).unwrap_or_else(|| panic!("the workspace has no program {name}"))
}

fn build() -> HashMap<String, PathBuf> {
    let mut found = HashMap::new();
    let mut cargo = Command::new(env!("CARGO"));
    // Prints the compiler's messages to standard error, and everything else as JSON to standard output.
    cargo.args(["build", "--message-format=json-render-diagnostics"]);
    cargo.current_dir(env!("CARGO_MANIFEST_DIR")).stderr(Stdio::inherit());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    for (name, variable) in OVERRIDES {
        match std::env::var_os(variable) {
            Some(path) => drop(found.insert(name.to_owned(), path.into())),
            None => drop(cargo.args(["--package", name])),
        }
    }
    if found.len() == OVERRIDES.len() {
        return found;
    }
    let output = cargo.output().expect("cargo can be started");
    assert!(output.status.success(), "{cargo:?} failed; its messages are above");
    for line in output.stdout.split(|&byte| byte == b'\n') {
        if let Ok(Message::Artifact { target, executable: Some(path) }) = serde_json::from_slice(line) {
            found.entry(target.name).or_insert(path);
        }
    }
    found
}

/// One of the lines that cargo prints; only those about finished executables matter.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-artifact")]
    Artifact { target: Target, executable: Option<PathBuf> },
}

#[derive(Deserialize)]
struct Target {
    name: String,
}
