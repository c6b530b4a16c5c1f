//! The socket in `state_dir` where a successor finds the running tracker.

use std::fs;
use std::io;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process;

use rustix::fs::Mode;
use rustix::net::sockopt::socket_peercred;
use rustix::process::{geteuid, umask};

use super::socket_path;

/// A socket that waits for a successor. It has a name of its own until [`publish`](Self::publish), so that the tracker that
/// has the name until then stays reachable.
#[derive(Debug)]
pub(crate) struct Control {
    pub(super) listener: UnixListener,
    own: PathBuf,
    path: PathBuf,
}

impl Control {
    /// Only this user and root can connect. There must be no other thread.
    pub(crate) fn bind(state_dir: &Path) -> io::Result<Self> {
        let path = socket_path(state_dir);
        let own = path.with_file_name(format!(".control.{}", process::id()));
        let _ = fs::remove_file(&own);
        let before = umask(Mode::RWXG | Mode::RWXO);
        let listener = UnixListener::bind(&own);
        umask(before);
        Ok(Self { listener: listener?, own, path })
    }

    /// Takes the name that successors look for.
    pub(crate) fn publish(&self) -> io::Result<()> {
        fs::rename(&self.own, &self.path)
    }
}

/// Whether the other side is the same user, or root.
pub(super) fn is_trusted(stream: &UnixStream, also: Option<u32>) -> io::Result<bool> {
    let user = socket_peercred(stream)?.uid;
    Ok(user.is_root() || user == geteuid() || Some(user.as_raw()) == also)
}
