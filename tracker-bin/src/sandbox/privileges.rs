//! Becoming another user, and giving up capabilities.

use std::ffi::CString;

use nix::errno::Errno;
use nix::unistd::{User, geteuid, getuid, initgroups, setgid, setuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, clear_ambient_capability_set, set_capabilities,
};
use tracing::warn;

/// Why privileges can't be given up. Then the tracker must not serve: the operator counts on it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PrivilegeError {
    #[error("user: there is no user {0:?} on this machine: adduser --system {0}, or choose another")]
    Unknown(String),
    #[error("user: cannot look for {name:?}: {source}")]
    LookUp { name: String, source: Errno },
    #[error(
        "user: only root can become {name:?}: start the tracker as root or as that user, or set user = \"\""
    )]
    NotRoot { name: String },
    #[error("user: cannot become {name:?}: {source}")]
    Become { name: String, source: Errno },
}

/// Becomes the user, if there is one to become, and gives up all capabilities, unless it is root who stays. There must be
/// no other thread.
///
/// # Errors
/// There is no such user, or this process may not become it.
pub(crate) fn drop_privileges(user: Option<&str>) -> Result<(), PrivilegeError> {
    if let Some(name) = user {
        become_user(name)?;
    }
    if !geteuid().is_root()
        && let Err(error) = give_up_capabilities()
    {
        warn!("cannot give up capabilities: {error}");
    }
    Ok(())
}

fn become_user(name: &str) -> Result<(), PrivilegeError> {
    let found =
        User::from_name(name).map_err(|source| PrivilegeError::LookUp { name: name.into(), source })?;
    let user = found.ok_or_else(|| PrivilegeError::Unknown(name.into()))?;
    if (getuid(), geteuid()) == (user.uid, user.uid) {
        return Ok(());
    }
    if !geteuid().is_root() {
        return Err(PrivilegeError::NotRoot { name: name.into() });
    }
    let change = || {
        let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
        initgroups(&name, user.gid)?;
        setgid(user.gid)?;
        // Of a process of root, this sets the real, the effective and the saved user.
        setuid(user.uid)?;
        // There must be no way back.
        if user.uid.is_root() || setuid(0.into()) == Err(Errno::EPERM) { Ok(()) } else { Err(Errno::EPERM) }
    };
    change().map_err(|source| PrivilegeError::Become { name: name.into(), source })
}

fn give_up_capabilities() -> rustix::io::Result<()> {
    // Kernels without ambient capabilities have none to clear.
    let _ = clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    // A service manager may have taken the call away together with the capabilities.
    if capabilities(None)?.permitted == none {
        return Ok(());
    }
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none })
}
