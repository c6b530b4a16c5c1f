//! The kernel's table of connections, and its statistics.

use std::net::IpAddr;

/// Numbers of entries by clients on other machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    /// Made by a request to the port.
    pub(super) requests: usize,
    /// Made by a reply from the port: its request was exempt.
    pub(super) replies: usize,
}

/// Counts the entries of a port in the text of /proc/net/nf_conntrack, without those among `own` addresses.
pub(super) fn seen(table: &str, port: u16, own: &[IpAddr]) -> Seen {
    let mut seen = Seen { requests: 0, replies: 0 };
    for entry in table.lines().filter_map(parse) {
        if entry.destination_port == port && !own.contains(&entry.source) {
            seen.requests += 1;
        } else if entry.source_port == port && !own.contains(&entry.destination) {
            seen.replies += 1;
        }
    }
    seen
}

/// The first packet of a UDP connection.
struct Entry {
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
}

/// `ipv4 2 udp 17 29 src=.. dst=.. sport=.. dport=.. [UNREPLIED] src=.. ..`: the first packet, then the reply to it.
fn parse(line: &str) -> Option<Entry> {
    let mut words = line.split_whitespace().skip_while(|word| *word != "udp");
    words.next()?;
    let value = |key: &str| {
        let mut values = words.clone().filter_map(|word| word.strip_prefix(key)?.strip_prefix('='));
        values.next()
    };
    Some(Entry {
        source: value("src")?.parse().ok()?,
        destination: value("dst")?.parse().ok()?,
        source_port: value("sport")?.parse().ok()?,
        destination_port: value("dport")?.parse().ok()?,
    })
}

/// The sum of the column `drop` in the text of /proc/net/stat/nf_conntrack: a header, and a line for each core.
pub(super) fn dropped(statistics: &str) -> Option<u64> {
    let mut lines = statistics.lines();
    let column = lines.next()?.split_whitespace().position(|name| name == "drop")?;
    let values = lines.filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(column)?, 16).ok());
    Some(values.fold(0, u64::saturating_add))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TABLE: &str = "\
        ipv4     2 udp      17 29 src=198.51.100.2 dst=198.51.100.1 sport=40000 dport=6969 [UNREPLIED] \
        src=198.51.100.1 dst=198.51.100.2 sport=6969 dport=40000 mark=0 zone=0 use=2\n\
        ipv4     2 udp      17 29 src=198.51.100.1 dst=198.51.100.3 sport=6969 dport=40001 [UNREPLIED] \
        src=198.51.100.3 dst=198.51.100.1 sport=40001 dport=6969 mark=0 zone=0 use=2\n\
        ipv4     2 udp      17 29 src=127.0.0.1 dst=127.0.0.1 sport=40002 dport=6969 \
        src=127.0.0.1 dst=127.0.0.1 sport=6969 dport=40002 mark=0 zone=0 use=2\n\
        ipv4     2 tcp      6 431999 ESTABLISHED src=198.51.100.2 dst=198.51.100.1 sport=40000 dport=6969 \
        src=198.51.100.1 dst=198.51.100.2 sport=6969 dport=40000 [ASSURED] mark=0 use=2\n\
        ipv6     10 udp      17 29 src=2001:0db8:0000:0000:0000:0000:0000:0002 \
        dst=2001:0db8:0000:0000:0000:0000:0000:0001 sport=5 dport=6969 [UNREPLIED] \
        src=2001:0db8:0000:0000:0000:0000:0000:0001 \
        dst=2001:0db8:0000:0000:0000:0000:0000:0002 sport=6969 dport=5 mark=0 use=2\n";

    #[test]
    fn counts_entries_of_other_machines_by_direction() {
        let own = ["127.0.0.1", "198.51.100.1"].map(|address| address.parse().unwrap());
        assert_eq!(seen(TABLE, 6969, &own), Seen { requests: 2, replies: 1 });
        assert_eq!(seen(TABLE, 80, &own), Seen { requests: 0, replies: 0 });
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,200}", words in "(udp |src=|dport=|[0-9.: \n]){0,60}") {
            for text in [&text, &words] {
                seen(text, 6969, &[]);
                dropped(text);
                dropped(&format!("entries drop\n{text}"));
            }
        }
    }
}
