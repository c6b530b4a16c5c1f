//! The tracker that is running now, if there is one.

use std::net::SocketAddr;

use super::machine::Machine;
use super::process::Process;
use super::sockets::UdpSocket;

/// The sockets that have the configured addresses.
#[derive(Debug)]
pub(super) struct Running {
    /// At least one.
    pub(super) sockets: Vec<UdpSocket>,
    /// `None` if this user may not look at it.
    pub(super) process: Option<Process>,
}

impl Running {
    pub(super) fn find(machine: &Machine, listening: &[SocketAddr]) -> Option<Self> {
        let sockets = UdpSocket::all_at(machine, listening);
        if sockets.is_empty() {
            return None;
        }
        let process = Process::with_one_of(machine, &sockets);
        Some(Self { sockets, process })
    }
}
