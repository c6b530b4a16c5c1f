//! Which trackers run on a host, as its TXT record says (BEP 34).

/// The words of a record that begins with `BITTORRENT`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Preferences {
    /// Ports of UDP trackers, the preferred one first.
    pub(super) udp: Vec<u16>,
    /// Ports of HTTP trackers.
    pub(super) tcp: Vec<u16>,
}

impl Preferences {
    /// Reads a TXT record. `None` if it is about something else. As BEP 34 asks, case matters, and other words are
    /// ignored.
    pub(super) fn parse(record: &str) -> Option<Self> {
        let mut words = record.split(' ').filter(|word| !word.is_empty());
        if words.next()? != "BITTORRENT" {
            return None;
        }
        let ports = |protocol: &str| {
            let ports = words.clone().filter_map(|word| word.strip_prefix(protocol)?.parse().ok());
            ports.filter(|port| *port != 0).collect()
        };
        Some(Self { udp: ports("UDP:"), tcp: ports("TCP:") })
    }

    /// Whether the host declares that it has no tracker.
    pub(super) fn deny_all(&self) -> bool {
        self.udp.is_empty() && self.tcp.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of BEP 34.
    #[test]
    fn parses_the_examples_of_the_specification() {
        let parse = |record| Preferences::parse(record).unwrap();
        assert!(parse("BITTORRENT").deny_all());
        assert!(parse("BITTORRENT DENY ALL").deny_all());
        let both = parse("BITTORRENT UDP:1337 TCP:80");
        assert_eq!((both.udp, both.tcp), (vec![1337], vec![80]));
        let several = parse("BITTORRENT TCP:80 TCP:443 UDP:1337");
        assert_eq!((several.udp, several.tcp), (vec![1337], vec![80, 443]));
    }

    #[test]
    fn ignores_other_records_words_and_ports() {
        for other in ["", "v=spf1 -all", "bittorrent UDP:1", "BITTORRENTS UDP:1", "UDP:1 BITTORRENT"] {
            assert_eq!(Preferences::parse(other), None, "{other}");
        }
        let parsed = Preferences::parse("BITTORRENT  hello udp:1 UDP:0 UDP:65536 UDP:x UDP:7").unwrap();
        assert_eq!((parsed.udp, parsed.tcp), (vec![7], vec![]));
    }

    proptest! {
        #[test]
        fn arbitrary_text_is_no_trouble(text in ".{0,100}") {
            Preferences::parse(&format!("BITTORRENT {text}"));
        }
    }
}
