//! What the program gives up once its sockets are open: the user, capabilities, files and system calls.
//!
//! Somebody who makes the running tracker execute code of theirs must not get more than what the tracker itself needs:
//! its sockets, `state_dir`, and the files that the configuration names. All this is done while there is one thread, so
//! it applies to every thread that is started later, and it can't be undone.
//!
//! | by | what stays |
//! |---|---|
//! | `user` | the user and groups of that name, no capabilities |
//! | no new privileges | programs with set-user-ID gain nothing |
//! | Landlock | some folders, no TCP to others, no signals to others: [`files`] |
//! | seccomp | the system calls of [`calls`]; those that only an attacker would make end the process |
//!
//! A kernel without Landlock or seccomp leaves out that part, with a warning.

mod calls;
mod files;
mod privileges;
mod seccomp;

use std::error::Error;

use tracing::{info, warn};

pub(crate) use files::Folders;
pub(crate) use privileges::drop_privileges;

/// Restricts this thread and those that it will start: to these folders, and to the system calls of a running tracker.
pub(crate) fn enter(folders: &Folders) {
    let mut done = Vec::new();
    let mut note = |what: &str, result: Result<String, Box<dyn Error>>| match result {
        Ok(detail) => done.push(format!("{what}{detail}")),
        Err(error) => warn!("the sandbox is incomplete, without {what}: {error}"),
    };
    // In this order: the filter of system calls forbids to set up the others, and needs the first.
    note("no new privileges", seccomp::no_new_privileges().map(|()| String::new()).map_err(Into::into));
    note("files and TCP by Landlock", folders.restrict().map_err(Into::into));
    note("system calls by seccomp", seccomp::restrict().map(|()| String::new()));
    info!("sandbox: {}", done.join(", "));
}
