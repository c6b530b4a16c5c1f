//! The denied networks as an nftables table, so that the kernel drops their datagrams.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use udp_tracker::{IpNet, NetworkRules};

/// Addresses from the first to the last, denied until a time in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: u128,
    last: u128,
    /// [`u64::MAX`] for no end.
    until: u64,
}

const FOREVER: u64 = u64::MAX;

/// A table for `nft -f -`, which replaces the one of before. At `unix`, in seconds since 1970: a network whose rule
/// ends gets the rest of that time, after which the kernel removes it.
///
/// It drops before connection tracking, which then keeps no entries for these datagrams.
pub(crate) fn table(networks: &NetworkRules, ports: &[u16], unix: u64) -> String {
    let in_force = || networks.iter().filter(|rule| rule.is_in_force(unix));
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for rule in in_force() {
        let until = rule.until().unwrap_or(FOREVER);
        match rule.subject() {
            IpNet::V4(network) => v4.push(Range {
                first: network.network().to_bits().into(),
                last: network.broadcast().to_bits().into(),
                until,
            }),
            IpNet::V6(network) => v6.push(Range {
                first: network.network().to_bits(),
                last: network.broadcast().to_bits(),
                until,
            }),
        }
    }
    let mut ports = ports.to_vec();
    ports.sort_unstable();
    ports.dedup();
    let ports: Vec<_> = ports.iter().map(u16::to_string).collect();
    let ports = ports.join(", ");
    let mut table = String::from(
        "# The networks that the tracker denies, made by `tracker-bin access nft`. Load it with `nft -f`. It replaces\n\
         # the table that was loaded before. Load a new one after a change of the list.\n\
         table inet tracker_access\n\
         delete table inet tracker_access\n\
         table inet tracker_access {\n",
    );
    let v4_address = |bits| IpAddr::from(Ipv4Addr::from_bits(u32::try_from(bits).unwrap_or(u32::MAX)));
    let v6_address = |bits| IpAddr::from(Ipv6Addr::from_bits(bits));
    set(&mut table, ("denied_ipv4", "ipv4_addr"), &disjoint(v4), unix, v4_address);
    set(&mut table, ("denied_ipv6", "ipv6_addr"), &disjoint(v6), unix, v6_address);
    let _ = write!(
        table,
        "\tchain prerouting {{\n\
         \t\ttype filter hook prerouting priority raw; policy accept;\n\
         \t\tudp dport {{ {ports} }} ip saddr @denied_ipv4 counter drop\n\
         \t\tudp dport {{ {ports} }} ip6 saddr @denied_ipv6 counter drop\n\
         \t}}\n\
         }}\n"
    );
    table
}

/// The same addresses as ranges that do not overlap, which sets need. Where ranges overlap, the latest end counts, as
/// it does for the tracker. The ranges are nested or apart, in the order of their first addresses, the widest first.
fn disjoint(nested: Vec<Range>) -> Vec<Range> {
    let mut result = Vec::new();
    let mut open: Vec<Range> = Vec::new();
    // The first address that is in no result yet, if any range is open.
    let mut next = 0;
    for mut range in nested {
        close(&mut open, &mut next, &mut result, |last| last < range.first);
        if let Some(around) = open.last() {
            range.until = range.until.max(around.until);
            if next < range.first {
                add(&mut result, Range { first: next, last: range.first - 1, until: around.until });
            }
        }
        next = range.first;
        open.push(range);
    }
    close(&mut open, &mut next, &mut result, |_| true);
    result
}

/// Ends the ranges whose last address lies before a place.
fn close(open: &mut Vec<Range>, next: &mut u128, result: &mut Vec<Range>, is_before: impl Fn(u128) -> bool) {
    while let Some(range) = open.pop_if(|range| is_before(range.last)) {
        if *next <= range.last {
            add(result, Range { first: *next, ..range });
        }
        // After the last of all addresses, the ranges around this one end too, and nothing is left of them.
        let Some(after) = range.last.checked_add(1) else { return open.clear() };
        *next = after;
    }
}

/// Adds a range, or makes the last one longer.
fn add(result: &mut Vec<Range>, range: Range) {
    match result.last_mut() {
        Some(last) if last.until == range.until && last.last.checked_add(1) == Some(range.first) => {
            last.last = range.last;
        }
        _ => result.push(range),
    }
}

fn set(
    table: &mut String,
    (name, of): (&str, &str),
    ranges: &[Range],
    unix: u64,
    address: impl Fn(u128) -> IpAddr,
) {
    let _ = write!(table, "\tset {name} {{\n\t\ttype {of}\n\t\tflags interval, timeout\n");
    for (at, range) in ranges.iter().enumerate() {
        // The system's set can't be empty braces.
        table.push_str(if at == 0 { "\t\telements = {\n" } else { ",\n" });
        let (first, last) = (address(range.first), address(range.last));
        let _ = match prefix_len(*range, if first.is_ipv4() { 32 } else { 128 }) {
            Some(len) => write!(table, "\t\t\t{first}/{len}"),
            None => write!(table, "\t\t\t{first}-{last}"),
        };
        if range.until != FOREVER {
            let _ = write!(table, " timeout {}s", range.until - unix);
        }
    }
    table.push_str(if ranges.is_empty() { "\t}\n" } else { "\n\t\t}\n\t}\n" });
}

/// The length of the prefix that all addresses of the range have, if no others have it.
fn prefix_len(range: Range, bits: u32) -> Option<u32> {
    let host_bits = u128::BITS - (range.first ^ range.last).leading_zeros();
    let hosts = u128::MAX.checked_shr(u128::BITS - host_bits).unwrap_or(0);
    (range.first & hosts == 0 && range.last & hosts == hosts).then_some(bits - host_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use udp_tracker::{Rule, RuleDetails};

    const NOW: u64 = 1_000;

    fn networks(list: &[(&str, Option<u64>)]) -> NetworkRules {
        let rule = |(network, until): &(&str, Option<u64>)| {
            let mut details = RuleDetails::default();
            details.until = *until;
            Rule::with_details(network.parse().unwrap(), details)
        };
        list.iter().map(rule).collect()
    }

    fn elements(table: &str) -> Vec<&str> {
        table
            .lines()
            .filter_map(|line| line.strip_prefix("\t\t\t"))
            .map(|line| line.trim_end_matches(','))
            .collect()
    }

    #[test]
    fn networks_become_elements_that_do_not_overlap() {
        let list = networks(&[
            ("192.0.2.0/24", None),
            ("192.0.2.128/25", Some(NOW + 60)),
            ("198.51.100.0/24", Some(NOW + 60)),
            ("198.51.100.64/26", None),
            ("198.51.100.0/30", Some(NOW + 30)),
            ("203.0.113.9/32", Some(NOW)),
            ("203.0.113.10/32", None),
            ("203.0.113.64/26", None),
            ("203.0.113.128/26", None),
            ("2001:db8::/32", None),
        ]);
        assert_eq!(
            elements(&table(&list, &[6969], NOW)),
            [
                "192.0.2.0/24",
                "198.51.100.0/26 timeout 60s",
                "198.51.100.64/26",
                "198.51.100.128/25 timeout 60s",
                "203.0.113.10/32",
                "203.0.113.64-203.0.113.191",
                "2001:db8::/32",
            ]
        );
        assert!(table(&list, &[7000, 6969, 7000], NOW).contains("udp dport { 6969, 7000 } ip saddr"));
    }

    proptest! {
        #[test]
        fn an_address_is_in_an_element_as_long_as_the_tracker_denies_it(
            list in prop::collection::vec((0..=255u8, 24..=32u8, proptest::option::of(NOW + 1..NOW + 4)), 0..30),
            wide: bool,
        ) {
            let named = |(low, len, until): &(u8, u8, _)| (format!("255.255.255.{low}/{len}"), *until);
            let list: Vec<_> = list.iter().map(named).collect();
            let mut list: Vec<_> = list.iter().map(|(network, until)| (network.as_str(), *until)).collect();
            if wide {
                list.push(("0.0.0.0/0", Some(NOW + 2)));
            }
            let rules = networks(&list);
            let nested = rules.iter().map(|rule| match rule.subject() {
                IpNet::V4(network) => Range {
                    first: network.network().to_bits().into(),
                    last: network.broadcast().to_bits().into(),
                    until: rule.until().unwrap_or(FOREVER),
                },
                IpNet::V6(_) => unreachable!("only IPv4"),
            });
            let ranges = disjoint(nested.collect());
            prop_assert!(ranges.windows(2).all(|pair| pair[0].last < pair[1].first), "{:?}", ranges);
            for low in 0..=255 {
                let address = Ipv4Addr::new(255, 255, 255, low);
                let bits = u128::from(address.to_bits());
                let range = ranges.iter().find(|range| (range.first..=range.last).contains(&bits));
                for unix in [NOW, NOW + 1, NOW + 2, NOW + 3] {
                    let denied = rules.find(address.into(), unix).is_some();
                    prop_assert_eq!(range.is_some_and(|range| unix < range.until), denied, "{} at {}", address, unix);
                }
            }
        }
    }

    #[test]
    fn the_whole_of_ipv6_is_one_element() {
        let list = networks(&[("::/0", None), ("ffff::/16", Some(NOW + 1)), ("::1/128", None)]);
        assert_eq!(elements(&table(&list, &[1], NOW)), ["::/0"]);
    }

    /// In a network namespace, so that the machine's own rules are neither seen nor touched.
    fn nft(script: &str, input: &str) -> String {
        let mut command = Command::new("unshare");
        command.args(["--net", "--map-root-user", "sh", "-ec", script]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(output.status.success(), "{}\n{input}", text(&output.stderr));
        text(&output.stdout)
    }

    #[test]
    #[ignore = "needs nft: run scripts/test"]
    fn the_kernel_takes_the_table_again_and_again() {
        let empty = table(&NetworkRules::default(), &[6969], NOW);
        nft("nft -c -f -", &empty);
        let list = networks(&[
            ("192.0.2.0/24", Some(NOW + 3600)),
            ("192.0.2.64/26", None),
            ("198.51.100.7/32", None),
            ("2001:db8::/32", None),
        ]);
        let full = table(&list, &[6969, 7000], NOW);
        let both = format!("{empty}{full}{full}");
        let listed = nft("nft -f - && nft list ruleset", &both);
        for expected in [
            "192.0.2.0/26 timeout 1h",
            "192.0.2.64/26",
            "198.51.100.7",
            "2001:db8::/32",
            "dport { 6969, 7000 }",
        ] {
            assert!(listed.contains(expected), "{expected}: {listed}");
        }
        assert_eq!(listed.matches("table inet").count(), 1, "{listed}");
    }
}
