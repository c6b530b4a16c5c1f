//! The process that has the tracker's sockets, as far as this user may look at it.

use rustix::net::sockopt;
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};

use super::machine::Machine;
use super::sockets::UdpSocket;

/// What a process may do besides what all may. The numbers are bits; see capabilities(7).
#[derive(Clone, Copy, Debug)]
pub(super) enum Capability {
    /// To listen on all ports.
    NetBindService = 10,
    /// To get receive buffers of any size.
    NetAdmin = 12,
}

/// A process with some of the listening sockets, or this program's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) name: String,
    /// The numbers of the listening sockets among its open files.
    sockets: Vec<i32>,
}

impl Process {
    /// The process that has one of these sockets open. Without privileges only the user's own processes are found.
    pub(super) fn with_one_of(machine: &Machine, sockets: &[UdpSocket]) -> Option<Self> {
        let own = machine.link("proc/self");
        let others = machine.names("proc");
        let mut pids = own.into_iter().chain(others).filter_map(|pid| pid.parse::<i32>().ok());
        pids.find_map(|pid| {
            let folder = format!("proc/{pid}/fd");
            let mut files = machine.names(&folder);
            files.retain(|file| {
                let target = machine.link(&format!("{folder}/{file}"));
                let inode = target.as_deref().and_then(socket_inode);
                inode.is_some_and(|inode| sockets.iter().any(|socket| socket.inode == inode))
            });
            let sockets: Vec<_> = files.iter().filter_map(|file| file.parse().ok()).collect();
            (!sockets.is_empty()).then(|| Self::new(machine, pid, sockets))
        })
    }

    /// This program.
    pub(super) fn own(machine: &Machine) -> Self {
        let pid = machine.link("proc/self").and_then(|pid| pid.parse().ok());
        Self::new(machine, pid.unwrap_or_default(), Vec::new())
    }

    fn new(machine: &Machine, pid: i32, sockets: Vec<i32>) -> Self {
        let name = machine.text(&format!("proc/{pid}/comm")).unwrap_or_default();
        Self { pid, name: name.trim().escape_debug().to_string(), sockets }
    }

    pub(super) fn has(&self, machine: &Machine, capability: Capability) -> bool {
        let status = machine.text(&format!("proc/{}/status", self.pid)).unwrap_or_default();
        effective_capabilities(&status).is_some_and(|bits| bits >> (capability as u32) & 1 == 1)
    }

    /// The most files that it may have open, sockets among them.
    pub(super) fn max_open_files(&self, machine: &Machine) -> Option<u64> {
        max_open_files(&machine.text(&format!("proc/{}/limits", self.pid))?)
    }

    /// The receive buffer that its sockets really have, as bytes that a program asks for; the smallest one.
    pub(super) fn receive_buffer(&self, machine: &Machine) -> Option<usize> {
        if !machine.is_here() {
            return None;
        }
        let process = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        let sizes = self.sockets.iter().filter_map(|number| {
            let socket = pidfd_getfd(&process, *number, PidfdGetfdFlags::empty()).ok()?;
            // The kernel reports the double of what was asked for.
            sockopt::socket_recv_buffer_size(&socket).ok().map(|size| size / 2)
        });
        sizes.min()
    }
}

/// The inode in `socket:[583755]`.
fn socket_inode(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn effective_capabilities(status: &str) -> Option<u64> {
    let bits = status.lines().find_map(|line| line.strip_prefix("CapEff:"))?;
    u64::from_str_radix(bits.trim(), 16).ok()
}

/// The soft limit in the line `Max open files  1024  524288  files`.
fn max_open_files(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::machine::tests::Pretend;

    #[test]
    fn finds_the_process_its_capabilities_and_its_limit() {
        let limits = "Limit   Soft Limit  Hard Limit  Units\n\
                      Max open files            1024                 524288               files     \n";
        let pretend = Pretend::with(&[
            ("proc/70/comm", "other\n"),
            ("proc/71/comm", "tracker-bin\n"),
            ("proc/71/status", "Name:\ttracker-bin\nCapEff:\t0000000000001000\n"),
            ("proc/71/limits", limits),
            ("proc/sys/x", ""),
        ]);
        pretend.link("proc/70/fd/4", "socket:[5]");
        pretend.link("proc/71/fd/0", "/dev/null");
        pretend.link("proc/71/fd/9", "socket:[6]");
        let local = "127.0.0.1:6969".parse().unwrap();
        let sockets = [UdpSocket { local, inode: 6, drops: 0 }];
        let process = Process::with_one_of(&pretend.machine, &sockets).unwrap();
        assert_eq!(process, Process { pid: 71, name: "tracker-bin".into(), sockets: vec![9] });
        assert!(process.has(&pretend.machine, Capability::NetAdmin));
        assert!(!process.has(&pretend.machine, Capability::NetBindService));
        assert_eq!(process.max_open_files(&pretend.machine), Some(1024));
        assert_eq!(Process::with_one_of(&pretend.machine, &[]), None);
    }

    #[test]
    fn finds_this_process_and_the_buffers_of_its_sockets() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        sockopt::set_socket_recv_buffer_size(&socket, 54_321).unwrap();
        let machine = Machine::here();
        let sockets = UdpSocket::all_at(&machine, &[socket.local_addr().unwrap()]);
        let process = Process::with_one_of(&machine, &sockets).unwrap();
        assert_eq!(process.pid, i32::try_from(std::process::id()).unwrap());
        assert_eq!(process.receive_buffer(&machine), Some(54_321));
        assert!(process.max_open_files(&machine).unwrap() > 0);
    }

    #[test]
    fn reads_unlimited_open_files() {
        let limits = "Max open files            unlimited            unlimited            files     ";
        assert_eq!(max_open_files(limits), Some(u64::MAX));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,100}") {
            socket_inode(&text);
            effective_capabilities(&format!("CapEff:{text}"));
            max_open_files(&format!("Max open files{text}"));
        }
    }
}
