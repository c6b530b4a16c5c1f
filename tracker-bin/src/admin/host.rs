//! What the system knows about the machine and this process. Each figure is missing where the system doesn't have it.

use std::fs;
use std::path::Path;

use serde::Serialize;

/// Figures of the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Host {
    /// Bytes of this process in memory.
    #[serde(skip)]
    pub(crate) resident_bytes: Option<u64>,
    /// Connections that the kernel tracks, and the most that it can track.
    pub(crate) conntrack_entries: Option<u64>,
    pub(crate) conntrack_limit: Option<u64>,
    /// Packets that the kernel dropped before any socket, because a processor's queue was full. Since the machine was
    /// started, for all programs.
    pub(crate) softnet_dropped: Option<u64>,
    /// How often the kernel stopped receiving although there were packets, to let other work run.
    pub(crate) softnet_squeezed: Option<u64>,
    /// Datagrams that UDP sockets of this machine dropped because their buffer was full.
    pub(crate) udp_buffer_errors: Option<u64>,
}

/// Bytes of this process in memory.
pub(super) fn resident_bytes() -> Option<u64> {
    resident_in(&fs::read_to_string("/proc/self/status").ok()?)
}

impl Host {
    pub(super) fn read() -> Self {
        Self::read_from(Path::new("/proc"))
    }

    fn read_from(proc: &Path) -> Self {
        let text = |path: &str| fs::read_to_string(proc.join(path)).ok();
        let number = |path: &str| text(path)?.trim().parse().ok();
        let softnet = text("net/softnet_stat").map(|text| softnet(&text));
        let udp = ["net/snmp", "net/snmp6"].map(|path| text(path).map_or(0, |text| buffer_errors(&text)));
        Self {
            resident_bytes: text("self/status").and_then(|text| resident_in(&text)),
            conntrack_entries: number("sys/net/netfilter/nf_conntrack_count"),
            conntrack_limit: number("sys/net/netfilter/nf_conntrack_max"),
            softnet_dropped: softnet.map(|(dropped, _)| dropped),
            softnet_squeezed: softnet.map(|(_, squeezed)| squeezed),
            udp_buffer_errors: text("net/snmp").map(|_| udp.iter().sum()),
        }
    }
}

/// `VmRSS:     1234 kB` in /proc/self/status.
fn resident_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    kilobytes.checked_mul(1024)
}

/// The second and third columns of /proc/net/softnet_stat, hexadecimal, a line for each processor: dropped packets, and
/// how often receiving was stopped. Returns their sums.
fn softnet(text: &str) -> (u64, u64) {
    let column =
        |line: &str, at| line.split_whitespace().nth(at).and_then(|word| u64::from_str_radix(word, 16).ok());
    text.lines().fold((0, 0), |(dropped, squeezed), line| {
        let add = |sum: u64, at| sum.saturating_add(column(line, at).unwrap_or(0));
        (add(dropped, 1), add(squeezed, 2))
    })
}

/// `RcvbufErrors` of UDP: in /proc/net/snmp a column of the second line that begins with `Udp:`, in /proc/net/snmp6 the
/// line `Udp6RcvbufErrors`.
fn buffer_errors(text: &str) -> u64 {
    let v6 = text.lines().find_map(|line| line.strip_prefix("Udp6RcvbufErrors"));
    let mut v4 = text.lines().filter_map(|line| line.strip_prefix("Udp:"));
    let names_and_values = v4.next().zip(v4.next());
    let word = v6.map(str::trim).or_else(|| {
        let (names, values) = names_and_values?;
        let at = names.split_whitespace().position(|name| name == "RcvbufErrors")?;
        values.split_whitespace().nth(at)
    });
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_system_files_of_this_machine() {
        let host = Host::read();
        assert!(host.resident_bytes.is_some_and(|bytes| bytes > 100_000), "{host:?}");
    }

    #[test]
    fn reads_the_figures_of_all_processors_and_both_families() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("self/status", "Name:\ttracker-bin\nVmHWM:\t    9 kB\nVmRSS:\t    2048 kB\n");
        write("net/softnet_stat", "0000ffff 00000010 00000002 0\n00000001 00000001 00000001 0\n");
        write("net/snmp", "Ip: A\nIp: 1\nUdp: InDatagrams RcvbufErrors SndbufErrors\nUdp: 9 7 8\n");
        write("net/snmp6", "Ip6InReceives 3\nUdp6RcvbufErrors                \t5\n");
        write("sys/net/netfilter/nf_conntrack_count", "12\n");
        write("sys/net/netfilter/nf_conntrack_max", "65536\n");
        let expected = Host {
            resident_bytes: Some(2048 * 1024),
            conntrack_entries: Some(12),
            conntrack_limit: Some(65536),
            softnet_dropped: Some(17),
            softnet_squeezed: Some(3),
            udp_buffer_errors: Some(12),
        };
        assert_eq!(Host::read_from(folder.path()), expected);
    }

    #[test]
    fn missing_or_strange_files_leave_figures_out() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Host::read_from(folder.path()), Host::default());
        for text in ["", "VmRSS:", "VmRSS: x kB", "VmRSS: 99999999999999999999 kB"] {
            assert_eq!(resident_in(text), None);
        }
        assert_eq!(softnet("zz\n1 ffffffffffffffff 1\n1 2 ffffffffffffffff"), (u64::MAX, u64::MAX));
        assert_eq!(buffer_errors("Udp: RcvbufErrors\n"), 0);
    }
}
