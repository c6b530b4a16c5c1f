//! Files with secrets, and the folder in which the tracker keeps its state.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{Access, access, statvfs};

use super::finding::{Finding, Severity};

/// The permissions of users who are neither the owner nor in the group.
const OTHERS: u32 = 0o007;

/// Less free space than this is a warning: a snapshot of ten million peers takes some hundred megabytes.
const LITTLE_SPACE: u64 = 1 << 30;
/// Less than this is a problem.
const NO_SPACE: u64 = 64 << 20;

/// Checks that a file with a secret is closed to other users. `key`: the key of the configuration that names it.
pub(super) fn secret(key: &str, path: &Path) -> Option<Finding> {
    const ID: &str = "secret_file";
    let mode = fs::metadata(path).ok()?.permissions().mode();
    let path = path.display();
    if mode & OTHERS == 0 {
        return Some(Finding::ok(ID, format!("{key}: {path} is closed to other users")));
    }
    let what =
        format!("{key}: all users of this machine can read or change {path} (mode {:03o})", mode & 0o777);
    Some(Finding::problem(ID, what, format!("chmod o-rwx '{path}', and replace the secret in it")))
}

const STATE_DIR: &str = "state_dir";

/// Checks that this user can write to the folder, and that there is space.
pub(super) fn state_dir(key: &str, path: &Path) -> Finding {
    let name = path.display();
    if !path.is_dir() {
        let what = format!("{key}: {name} is no folder");
        let fix = format!("install -d -m 700 -o USER '{name}', with the tracker's user");
        return Finding::problem(STATE_DIR, what, fix);
    }
    if let Err(error) = access(path, Access::WRITE_OK | Access::EXEC_OK) {
        let what = format!("{key}: this user can't write to {name} ({error})");
        return Finding::problem(STATE_DIR, what, format!("chown USER '{name}', with the tracker's user"));
    }
    let free = statvfs(path).map_or(u64::MAX, |system| system.f_bavail.saturating_mul(system.f_frsize));
    space(format!("{key}: {} MiB are free in {name}", free >> 20), free)
}

fn space(what: String, free: u64) -> Finding {
    let severity = match free {
        0..NO_SPACE => Severity::Problem,
        NO_SPACE..LITTLE_SPACE => Severity::Warning,
        _ => return Finding::ok(STATE_DIR, what),
    };
    Finding::new(severity, STATE_DIR, what, "delete files there, or choose a folder on another disk")
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;

    use super::*;

    #[test]
    fn a_secret_that_other_users_can_read_is_a_problem() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let with = |mode| {
            fs::set_permissions(file.path(), Permissions::from_mode(mode)).unwrap();
            secret("livesync.key_file", file.path()).unwrap()
        };
        assert_eq!(with(0o600).severity, Severity::Ok);
        assert_eq!(with(0o640).severity, Severity::Ok);
        let finding = with(0o644);
        assert_eq!(finding.severity, Severity::Problem);
        assert!(
            finding.what.contains("(mode 644)") && finding.what.contains("livesync.key_file"),
            "{finding}"
        );
        assert_eq!(with(0o602).severity, Severity::Problem);
        assert_eq!(secret("livesync.key_file", Path::new("/nonexistent")), None);
    }

    #[test]
    fn a_state_folder_must_exist_and_have_space() {
        let folder = tempfile::tempdir().unwrap();
        let finding = state_dir("state_dir", folder.path());
        assert!(finding.what.contains("MiB are free"), "{finding}");
        let severity = |free| space(String::new(), free).severity;
        assert_eq!(severity((64 << 20) - 1), Severity::Problem);
        assert_eq!((severity(64 << 20), severity((1 << 30) - 1)), (Severity::Warning, Severity::Warning));
        assert_eq!(severity(1 << 30), Severity::Ok);
        let missing = folder.path().join("missing");
        let finding = state_dir("state_dir", &missing);
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.fix.unwrap().starts_with("install -d "));
        // Nobody can write there.
        assert_eq!(state_dir("state_dir", Path::new("/proc/self/fdinfo")).severity, Severity::Problem);
    }
}
