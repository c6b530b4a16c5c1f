//! aquatic_udp, built from its crate.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use tempfile::NamedTempFile;

use crate::Program;

/// Starts aquatic_udp on an address. It doesn't print when it is ready.
///
/// The file is its configuration, which it reads when it starts.
#[must_use]
pub fn aquatic_udp(address: SocketAddr) -> (Program, NamedTempFile) {
    let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/foreign/bin/aquatic_udp");
    let config = NamedTempFile::new().expect("a temporary file");
    std::fs::write(config.path(), format!("[network]\naddress = \"{address}\"\n"))
        .expect("it can be written");
    let program = Program::start("aquatic_udp", Command::new(installed).arg("-c").arg(config.path()));
    (program, config)
}
