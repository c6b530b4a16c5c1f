//! Errors for users without privileges.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::running::{PROGRAM, text};

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_privileged_port_without_privileges_is_reported_with_advice() {
    // Such users may not be able to read the folder of the built program.
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("tracker-bin");
    fs::copy(PROGRAM, &program).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    // A new network namespace has the system's default limit for privileged ports.
    let mut denied = Command::new("unshare");
    denied.args(["--net", "setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    let denied = denied.arg(&program).args(["--listen", "127.0.0.1:80"]).output().unwrap();
    let error = text(&denied.stderr);
    assert_eq!(denied.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot listen on udp://127.0.0.1:80"), "{error}");
    assert!(error.contains("ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"), "{error}");
}
