//! Clients that are refused, by the beginning of their peer_id.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use udp_tracker_proto::PeerId;

use super::Rule;
use super::prefixes::Prefixes;

/// The beginning of a peer_id, such as `-XX0001-`: 1 to 20 bytes.
///
/// As text, bytes that are not printable ASCII, and `%` and `#`, are written as in URLs: `%00`.
///
/// ```
/// use udp_tracker::ClientPrefix;
///
/// let prefix: ClientPrefix = "-XX%00".parse()?;
/// assert_eq!(prefix.as_bytes(), b"-XX\0");
/// assert_eq!(prefix.to_string(), "-XX%00");
/// # Ok::<(), udp_tracker::ParseClientPrefixError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientPrefix {
    /// Filled up with zeros.
    bytes: [u8; 20],
    len: u8,
}

/// A text that is not the beginning of a peer_id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected the first 1 to 20 bytes of a peer_id, such as -XX0001-, others than printable ASCII as %00"
)]
pub struct ParseClientPrefixError;

impl ClientPrefix {
    /// A prefix with these bytes. `None` if there are none, or more than 20.
    #[must_use]
    pub fn new(prefix: &[u8]) -> Option<Self> {
        let len = u8::try_from(prefix.len()).ok().filter(|len| (1..=20).contains(len))?;
        let mut bytes = [0; 20];
        bytes[..prefix.len()].copy_from_slice(prefix);
        Some(Self { bytes, len })
    }

    /// The bytes with which the peer_id begins.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len.into()]
    }

    /// The first and the last peer_id that begins with it.
    fn range(&self) -> ([u8; 20], [u8; 20]) {
        let mut last = self.bytes;
        last[self.len.into()..].fill(0xff);
        (self.bytes, last)
    }
}

impl FromStr for ClientPrefix {
    type Err = ParseClientPrefixError;

    fn from_str(text: &str) -> Result<Self, ParseClientPrefixError> {
        let (mut bytes, mut rest) = (Vec::with_capacity(20), text.as_bytes());
        while let [first, tail @ ..] = rest {
            (bytes, rest) = match (first, tail) {
                (b'%', [high, low, tail @ ..]) => {
                    let digit =
                        |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    let (high, low) = digit(*high).zip(digit(*low)).ok_or(ParseClientPrefixError)?;
                    bytes.push(high << 4 | low);
                    (bytes, tail)
                }
                (byte, tail) if is_plain(*byte) => {
                    bytes.push(*byte);
                    (bytes, tail)
                }
                _ => return Err(ParseClientPrefixError),
            };
        }
        Self::new(&bytes).ok_or(ParseClientPrefixError)
    }
}

impl fmt::Display for ClientPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| {
            if is_plain(*byte) { write!(f, "{}", char::from(*byte)) } else { write!(f, "%{byte:02X}") }
        })
    }
}

/// Whether a byte stands for itself in the text form.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !matches!(byte, b'%' | b'#')
}

/// Rules about clients whose announces are refused. For a peer_id, the rule with the longest prefix applies; if that
/// one has ended, the next longest. A clone shares the rules with the original.
#[derive(Clone, Debug, Default)]
pub struct ClientRules(Arc<Prefixes<[u8; 20], ClientPrefix>>);

impl ClientRules {
    /// The rule that applies to a client at `unix`, in seconds since 1970.
    #[must_use]
    pub fn find(&self, client: &PeerId, unix: u64) -> Option<&Rule<ClientPrefix>> {
        self.0.longest(client.0, unix)
    }

    /// The rule about exactly this prefix, whether it has ended or not.
    #[must_use]
    pub fn get(&self, prefix: &ClientPrefix) -> Option<&Rule<ClientPrefix>> {
        self.0.get(prefix.range()).map(|rule| &**rule)
    }

    /// Removes the rule about exactly this prefix. `false` if there was none.
    pub fn remove(&mut self, prefix: &ClientPrefix) -> bool {
        let before = self.len();
        self.rebuild(|rules| rules.retain(|rule| rule.subject().range() != prefix.range()));
        self.len() < before
    }

    /// All rules, also those that have ended, in the order of their prefixes.
    pub fn iter(&self) -> impl Iterator<Item = &Rule<ClientPrefix>> {
        self.0.iter().map(|rule| &**rule)
    }

    /// How many rules there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn rebuild(&mut self, change: impl FnOnce(&mut Vec<Arc<Rule<ClientPrefix>>>)) {
        let mut rules = self.0.iter().cloned().collect();
        change(&mut rules);
        self.0 = Arc::new(Prefixes::new(rules, ClientPrefix::range));
    }

    /// Shares the rules that `old` has too, and takes over the hits of those that have changed.
    pub(super) fn keep_hits_of(&mut self, old: &Self) {
        self.rebuild(|rules| {
            for rule in rules {
                let other = old.0.get(rule.subject().range());
                super::keep_hits(rule, other);
            }
        });
    }
}

impl Extend<Rule<ClientPrefix>> for ClientRules {
    /// Adds rules, all at once. Those about the same prefixes are replaced, and their hits are kept.
    fn extend<I: IntoIterator<Item = Rule<ClientPrefix>>>(&mut self, rules: I) {
        self.rebuild(|all| all.extend(rules.into_iter().map(Arc::new)));
    }
}

impl FromIterator<Rule<ClientPrefix>> for ClientRules {
    fn from_iter<I: IntoIterator<Item = Rule<ClientPrefix>>>(rules: I) -> Self {
        let mut all = Self::default();
        all.extend(rules);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{SizeRange, vec};
    use proptest::prelude::*;

    #[test]
    fn parses_and_displays_prefixes() {
        for text in ["-", "-XX0001-abcdefghijkl", "%00%FF%25%23%20", "S58B-----"] {
            assert_eq!(text.parse::<ClientPrefix>().unwrap().to_string(), text);
        }
        for wrong in ["", "-XX0001-abcdefghijklm", "%0", "%", "%zz", "a b", "a#", "\u{e9}", "a\n", "%+1"] {
            assert_eq!(wrong.parse::<ClientPrefix>(), Err(ParseClientPrefixError), "{wrong:?}");
        }
    }

    /// Few different bytes, the extremes among them, so that prefixes are often nested.
    fn any_bytes(len: impl Into<SizeRange>) -> impl Strategy<Value = Vec<u8>> {
        vec(prop::sample::select(&[0, 1, 255][..]), len)
    }

    proptest! {
        #[test]
        fn finds_the_longest_prefix_that_a_scan_finds(
            prefixes in vec(any_bytes(1..=20), 0..30),
            ids in vec(any_bytes(20), 1..20),
        ) {
            let rules = prefixes.iter().map(|prefix| Rule::new(ClientPrefix::new(prefix).unwrap()));
            let rules = ClientRules::from_iter(rules);
            for id in ids {
                let longest = prefixes.iter().filter(|prefix| id.starts_with(prefix)).max_by_key(|prefix| prefix.len());
                let id = PeerId(id.try_into().unwrap());
                let found = rules.find(&id, 0).map(|rule| rule.subject().as_bytes().len());
                prop_assert_eq!(found, longest.map(Vec::len));
            }
        }

        #[test]
        fn any_prefix_survives_its_text_form(bytes in vec(any::<u8>(), 1..=20)) {
            let prefix = ClientPrefix::new(&bytes).unwrap();
            prop_assert_eq!(prefix.to_string().parse(), Ok(prefix));
        }

        #[test]
        fn any_text_is_parsed_or_refused(text: String) {
            let _ = text.parse::<ClientPrefix>();
        }
    }

    #[test]
    fn removes_exactly_one_prefix() {
        let prefix = |text: &str| text.parse::<ClientPrefix>().unwrap();
        let mut rules = ClientRules::from_iter(["-XX", "-XX0001-"].map(|text| Rule::new(prefix(text))));
        let client = PeerId(*b"-XX0001-abcdefghijkl");
        assert!(rules.remove(&prefix("-XX0001-")) && !rules.remove(&prefix("-X")));
        assert_eq!(rules.find(&client, 0).map(|rule| rule.subject().to_string()), Some("-XX".into()));
        assert!(rules.get(&prefix("-XX0001-")).is_none() && rules.len() == 1);
    }
}
