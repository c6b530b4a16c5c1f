//! What the system denies to users without privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::support::{PROGRAM, text};

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_privileged_port_without_privileges_is_reported_with_advice() {
    // Users may not reach the folder that the program was built in.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("tracker-bin");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // A network namespace of its own has the system's default of which ports are privileged.
    let mut denied = Command::new("unshare");
    denied.args(["--net", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let denied = denied.arg(&program).args(["--listen", "127.0.0.1:80"]).output().unwrap();
    let error = text(&denied.stderr);
    assert_eq!(denied.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot listen on udp://127.0.0.1:80"), "{error}");
    assert!(error.contains("ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"), "{error}");
}
