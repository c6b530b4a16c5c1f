//! Where the kernel keeps datagrams until the tracker takes them: the sockets' receive buffers, and before them the
//! queues of the processor cores.

use std::net::{Ipv4Addr, UdpSocket};

use rustix::net::sockopt;

use super::finding::{Finding, Severity};
use super::machine::Machine;
use super::process::Capability;
use super::running::Running;

/// What a request takes of a receive buffer; see `receive_buffer_bytes` in the default configuration.
const BYTES_PER_REQUEST: usize = 384;

/// Less than this is full after some 170 requests: the pause of a worker for a millisecond.
const TOO_SMALL: usize = 64 << 10;

/// From one packet in a thousand on, dropped packets are a problem.
const TOO_MANY_OF: u64 = 1000;

/// A receive buffer, in bytes as a program asks for them. The kernel allocates the double.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReceiveBuffer {
    /// `receive_buffer_bytes`, at least 1.
    wanted: usize,
    granted: usize,
    /// What a program without CAP_NET_ADMIN gets now.
    unprivileged: usize,
    of: Whose,
}

/// Whose receive buffer was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whose {
    Tracker,
    /// It gets any size that it asks for.
    TrackerWithNetAdmin,
    /// No running tracker can be looked at.
    NewSocket,
}

impl ReceiveBuffer {
    /// Asks the kernel: for the buffer of the running tracker's sockets if they can be looked at, and for that of a
    /// new socket of a program without privileges.
    pub(super) fn look(machine: &Machine, running: Option<&Running>, configured: usize) -> Option<Self> {
        let system_default = machine.number("proc/sys/net/core/rmem_default");
        let wanted = match configured {
            0 => usize::try_from(system_default.unwrap_or(212_992)).ok()? / 2,
            set => set,
        };
        let unprivileged = grant_without_privileges(wanted)?;
        let process = running.and_then(|running| running.process.as_ref());
        let of_tracker = process.and_then(|process| Some((process, process.receive_buffer(machine)?)));
        let (granted, of) = match of_tracker {
            Some((process, granted)) if process.has(machine, Capability::NetAdmin) => {
                (granted, Whose::TrackerWithNetAdmin)
            }
            Some((_, granted)) => (granted, Whose::Tracker),
            None => (unprivileged, Whose::NewSocket),
        };
        Some(Self { wanted, granted, unprivileged, of })
    }

    fn is_short(&self) -> bool {
        self.granted < self.wanted
    }

    pub(super) fn finding(&self) -> Finding {
        const ID: &str = "receive_buffer";
        let Self { wanted, granted, unprivileged, of } = *self;
        if self.is_short() {
            let room = granted / BYTES_PER_REQUEST;
            let owner = match of {
                Whose::NewSocket => "net.core.rmem_max allows receive buffers of",
                _ => "the receive buffers of the running tracker have",
            };
            let what = format!("{owner} {granted} bytes instead of {wanted}: room for {room} requests");
            let severity = if granted < TOO_SMALL { Severity::Problem } else { Severity::Warning };
            return Finding::new(severity, ID, what, self.fix());
        }
        let what = format!("receive buffers: {granted} bytes for each socket");
        match of {
            _ if unprivileged >= wanted => Finding::ok(ID, what),
            Whose::TrackerWithNetAdmin => {
                let note = format!("by CAP_NET_ADMIN; net.core.rmem_max allows {unprivileged}");
                Finding::ok(ID, format!("{what}, {note}"))
            }
            _ => {
                let next = format!("net.core.rmem_max allows only {unprivileged} at the next start");
                Finding::warning(ID, format!("{what}, but {next}"), self.raise())
            }
        }
    }

    fn fix(&self) -> String {
        let Self { wanted, unprivileged, of, .. } = *self;
        match of {
            Whose::NewSocket => self.raise(),
            Whose::Tracker if unprivileged < wanted => format!("{}, and restart the tracker", self.raise()),
            _ => format!("restart the tracker: now it would get {wanted} bytes"),
        }
    }

    fn raise(&self) -> String {
        format!("sysctl -w net.core.rmem_max={}", self.wanted)
    }
}

/// The receive buffer that a new socket gets with no more rights than net.core.rmem_max gives.
fn grant_without_privileges(wanted: usize) -> Option<usize> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    sockopt::set_socket_recv_buffer_size(&socket, wanted).ok()?;
    Some(sockopt::socket_recv_buffer_size(&socket).ok()? / 2)
}

/// Datagrams that the running tracker has lost because a receive buffer was full, and why.
pub(super) fn socket_drops(running: &Running, buffer: Option<&ReceiveBuffer>) -> Finding {
    const ID: &str = "socket_drops";
    let drops: u64 = running.sockets.iter().map(|socket| socket.drops).sum();
    if drops == 0 {
        return Finding::ok(ID, "no datagram was dropped at the tracker's sockets");
    }
    let what = format!("{drops} datagrams were dropped at the tracker's sockets since it was started");
    match buffer {
        Some(buffer) if buffer.is_short() => {
            let size = match buffer.of {
                Whose::NewSocket => String::new(),
                _ => format!(" of {} bytes", buffer.granted),
            };
            Finding::problem(ID, format!("{what}: their receive buffers{size} were full"), buffer.fix())
        }
        _ => Finding::warning(
            ID,
            format!("{what}: their receive buffers were full"),
            "if the number grows, give the tracker more workers or a larger receive_buffer_bytes",
        ),
    }
}

/// Packets that were dropped before they reached a socket, because the queue of a core was full.
pub(super) fn backlog(machine: &Machine) -> Option<Finding> {
    const ID: &str = "backlog";
    let cores = softnet(&machine.text("proc/net/softnet_stat")?);
    let limit = machine.number("proc/sys/net/core/netdev_max_backlog");
    let processed: u64 = cores.iter().map(|core| core.processed).sum();
    let dropped: u64 = cores.iter().map(|core| core.dropped).sum();
    let queue = match limit {
        Some(limit) => format!("queues of {limit} packets for each core (net.core.netdev_max_backlog)"),
        None => "queues of the cores (net.core.netdev_max_backlog)".into(),
    };
    if dropped == 0 {
        return Some(Finding::ok(ID, format!("no packet was dropped at the {queue}")));
    }
    let what = format!(
        "{dropped} of {processed} packets were dropped since the machine was started: the {queue} were full"
    );
    let larger = limit.unwrap_or_default().saturating_mul(4).max(16_384);
    let is_many = dropped.saturating_mul(TOO_MANY_OF) >= processed;
    let severity = if is_many { Severity::Problem } else { Severity::Warning };
    Some(Finding::new(severity, ID, what, format!("sysctl -w net.core.netdev_max_backlog={larger}")))
}

struct Softnet {
    processed: u64,
    dropped: u64,
}

/// One line of hexadecimal numbers for each core: packets processed, dropped, and more.
fn softnet(text: &str) -> Vec<Softnet> {
    let line = |line: &str| {
        let mut fields = line.split_whitespace().map(|field| u64::from_str_radix(field, 16).ok());
        Some(Softnet { processed: fields.next()??, dropped: fields.next()?? })
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::doctor::machine::tests::Pretend;
    use crate::doctor::sockets;

    fn buffer(wanted: usize, granted: usize, unprivileged: usize, of: Whose) -> ReceiveBuffer {
        ReceiveBuffer { wanted, granted, unprivileged, of }
    }

    #[test]
    fn a_buffer_as_large_as_configured_is_ok() {
        let finding = buffer(4096, 4096, 4096, Whose::NewSocket).finding();
        assert_eq!((finding.severity, finding.fix), (Severity::Ok, None));
        let finding = buffer(4_194_304, 4_194_304, 4096, Whose::TrackerWithNetAdmin).finding();
        assert_eq!(finding.severity, Severity::Ok);
        assert!(finding.what.ends_with("by CAP_NET_ADMIN; net.core.rmem_max allows 4096"), "{finding}");
    }

    #[test]
    fn a_limit_that_was_lowered_since_the_start_is_reported_before_the_next_one() {
        let finding = buffer(4_194_304, 4_194_304, 4096, Whose::Tracker).finding();
        assert_eq!(finding.severity, Severity::Warning);
        assert!(finding.what.ends_with("allows only 4096 at the next start"), "{finding}");
        assert_eq!(finding.fix.as_deref(), Some("sysctl -w net.core.rmem_max=4194304"));
    }

    #[test]
    fn a_smaller_buffer_is_reported_with_its_room_and_the_sysctl() {
        let finding = buffer(4_194_304, 4096, 4096, Whose::Tracker).finding();
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.what.contains("4096 bytes instead of 4194304: room for 10 requests"), "{finding}");
        let fix = "sysctl -w net.core.rmem_max=4194304, and restart the tracker";
        assert_eq!(finding.fix.as_deref(), Some(fix));
        let finding = buffer(4_194_304, 212_992, 212_992, Whose::NewSocket).finding();
        assert_eq!(finding.severity, Severity::Warning);
        assert_eq!(finding.fix.as_deref(), Some("sysctl -w net.core.rmem_max=4194304"));
        let finding = buffer(4_194_304, 212_992, 4_194_304, Whose::Tracker).finding();
        let restart = "restart the tracker: now it would get 4194304 bytes";
        assert_eq!(finding.fix.as_deref(), Some(restart));
        let finding = buffer(4_194_304, 4096, 4096, Whose::TrackerWithNetAdmin).finding();
        assert_eq!(finding.fix.as_deref(), Some(restart));
    }

    #[test]
    fn a_new_socket_gets_what_it_asks_for_if_that_is_little() {
        assert_eq!(grant_without_privileges(54_321), Some(54_321));
    }

    #[test]
    fn dropped_datagrams_are_a_problem_with_a_small_buffer() {
        let local = "127.0.0.1:6969".parse().unwrap();
        let sockets = [3, 4].map(|drops| sockets::UdpSocket { local, inode: drops, drops });
        let running = |sockets: &[sockets::UdpSocket]| Running { sockets: sockets.into(), process: None };
        let small = buffer(4_194_304, 4096, 4096, Whose::Tracker);
        let finding = socket_drops(&running(&sockets), Some(&small));
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.what.starts_with("7 datagrams were dropped"), "{finding}");
        assert!(finding.fix.unwrap().starts_with("sysctl -w net.core.rmem_max=4194304"));
        let unknown = buffer(4_194_304, 4096, 4096, Whose::NewSocket);
        let finding = socket_drops(&running(&sockets), Some(&unknown));
        assert!(finding.what.ends_with("their receive buffers were full"), "{finding}");
        let large = buffer(4096, 4096, 4096, Whose::Tracker);
        assert_eq!(socket_drops(&running(&sockets), Some(&large)).severity, Severity::Warning);
        assert_eq!(socket_drops(&running(&sockets), None).severity, Severity::Warning);
        assert_eq!(socket_drops(&running(&[]), Some(&small)).severity, Severity::Ok);
    }

    #[test]
    fn packets_dropped_at_the_backlog_are_reported_by_their_share() {
        let of = |softnet: &str| {
            let files =
                [("proc/net/softnet_stat", softnet), ("proc/sys/net/core/netdev_max_backlog", "1000\n")];
            backlog(&Pretend::with(&files).machine).unwrap()
        };
        assert_eq!(of("000003e8 00000000 0000001e\n000003e8 00000000 00000000\n").severity, Severity::Ok);
        let finding = of("000003e7 00000001 0000001e\n000003e9 00000001 00000000\n");
        assert_eq!(finding.severity, Severity::Problem);
        assert!(finding.what.starts_with("2 of 2000 packets"), "{finding}");
        assert_eq!(finding.fix.as_deref(), Some("sysctl -w net.core.netdev_max_backlog=16384"));
        assert_eq!(
            of("000003e8 00000001 0000001e\n000003e8 00000000 00000000\n").severity,
            Severity::Warning
        );
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,200}", words in "[0-9a-f \n]{0,200}") {
            softnet(&text);
            softnet(&words);
        }
    }
}
