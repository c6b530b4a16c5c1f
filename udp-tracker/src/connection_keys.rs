//! The secret keys of connection ids, and when one follows another.
//!
//! A new key is published [`LEAD`] seconds before its first use. So all trackers that read the keys from one file know it
//! before the first id is made with it. A key is accepted until the last id that was made with it has expired.

use std::fmt;
use std::str::FromStr;

/// Seconds for which ids are made with one key: a day.
const PERIOD: u64 = 86_400;

/// Seconds between the publication of a key and its first use. Trackers with the same file must read it more often, and
/// their clocks must not differ by more.
const LEAD: u64 = 600;

/// The most keys in a text. Rotation never leaves more than four.
const MOST: usize = 8;

/// The secret keys of connection ids: the one that new ids are made with, and others that are accepted.
///
/// The text form has a line for each key, with the time of its first use in seconds since 1970, and 32 hex digits. Lines
/// that begin with `#` are comments.
///
/// ```
/// use udp_tracker::ConnectionKeys;
///
/// let first = ConnectionKeys::new(1_800_000_000, [1; 16]);
/// assert_eq!(first.rotated(1_800_000_000, 120, [2; 16]), None);
/// let second = first.rotated(1_800_086_400, 120, [2; 16]).expect("a day later");
/// assert_eq!(second.to_string().parse(), Ok(second));
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionKeys(Vec<DatedKey>);

/// A key and the time of its first use, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct DatedKey {
    pub(crate) from: u64,
    pub(crate) key: [u8; 16],
}

/// Why a text has no connection keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct ParseConnectionKeysError {
    /// The line, counted from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: &'static str,
}

impl ConnectionKeys {
    /// One key, in use from this time on, in seconds since 1970. Only [`rotated`](Self::rotated) needs the time.
    #[must_use]
    pub fn new(from: u64, key: [u8; 16]) -> Self {
        Self(vec![DatedKey { from, key }])
    }

    /// The same keys, and another one that is accepted, but that no ids are made with.
    #[must_use]
    pub fn accepting(mut self, key: [u8; 16]) -> Self {
        self.0.insert(0, DatedKey { from: 0, key });
        self
    }

    /// The keys at this time, in seconds since 1970, if they have changed: `fresh` follows the newest key when that is a
    /// day old, and keys whose last id has expired are gone. `lifetime`: how long an id is accepted, in seconds.
    ///
    /// Keys from the future, as a clock that was ahead leaves them, count as made now.
    #[must_use]
    pub fn rotated(&self, now: u64, lifetime: u32, fresh: [u8; 16]) -> Option<Self> {
        let mut keys = self.0.clone();
        if keys.iter().any(|key| key.from > now + LEAD) {
            keys.iter_mut().for_each(|key| key.from = key.from.min(now));
        }
        let newest = keys.last().map_or(0, |key| key.from);
        if newest.saturating_add(PERIOD) <= now + LEAD {
            keys.push(DatedKey { from: now + LEAD, key: fresh });
        }
        let accepted = u64::from(lifetime) + LEAD;
        let is_over = |next: &DatedKey| next.from.saturating_add(accepted) <= now;
        let over = keys.iter().skip(1).take_while(|next| is_over(next)).count();
        keys.drain(..over);
        (keys != self.0).then_some(Self(keys))
    }

    /// The oldest first.
    pub(crate) fn keys(&self) -> &[DatedKey] {
        &self.0
    }
}

/// In use from the beginning of time.
impl From<[u8; 16]> for ConnectionKeys {
    fn from(key: [u8; 16]) -> Self {
        Self::new(0, key)
    }
}

/// The text form, with the secrets.
impl fmt::Display for ConnectionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|DatedKey { from, key }| writeln!(f, "{from} {:032x}", u128::from_be_bytes(*key)))
    }
}

/// Without the secrets.
impl fmt::Debug for ConnectionKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| key.from)).finish()
    }
}

impl FromStr for ConnectionKeys {
    type Err = ParseConnectionKeysError;

    fn from_str(text: &str) -> Result<Self, ParseConnectionKeysError> {
        let mut keys: Vec<DatedKey> = Vec::new();
        for (line, text) in (1..).zip(text.lines()) {
            if text.is_empty() || text.starts_with('#') {
                continue;
            }
            let error = |problem| ParseConnectionKeysError { line, problem };
            let key = dated_key(text).ok_or(error("a time in seconds and 32 hex digits expected"))?;
            if keys.last().is_some_and(|before| before.from > key.from) {
                return Err(error("a later time than in the line before expected"));
            }
            keys.push(key);
            if keys.len() > MOST {
                return Err(error("too many keys"));
            }
        }
        if keys.is_empty() {
            return Err(ParseConnectionKeysError { line: 1, problem: "there is no key" });
        }
        Ok(Self(keys))
    }
}

fn dated_key(line: &str) -> Option<DatedKey> {
    let (from, digits) = line.split_once(' ')?;
    let is_hex = digits.len() == 32 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let key = u128::from_str_radix(digits, 16).ok().filter(|_| is_hex)?;
    Some(DatedKey { from: from.parse().ok()?, key: key.to_be_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: u64 = 1_800_000_000;

    fn key(number: u64) -> [u8; 16] {
        u128::from(number).to_be_bytes()
    }

    /// Looks every 30 seconds for a week, as a program would.
    #[test]
    fn a_key_is_published_before_its_day_and_accepted_until_its_ids_have_expired() {
        for lifetime in [10, 120, 86_400] {
            let mut keys = ConnectionKeys::new(START, key(0));
            let mut seen: Vec<(u64, [u8; 16])> = vec![(START, key(0))];
            for now in (START..START + 7 * PERIOD).step_by(30) {
                if let Some(rotated) = keys.rotated(now, lifetime, key(now)) {
                    let newest = *rotated.keys().last().unwrap();
                    if newest.key == key(now) {
                        assert_eq!(newest.from, now + LEAD, "published ahead");
                        assert!(newest.from >= seen.last().unwrap().0 + PERIOD, "a day after the one before");
                        seen.push((newest.from, newest.key));
                    }
                    keys = rotated;
                }
                assert!(keys.keys().len() <= 4);
                for (nth, (from, key)) in seen.iter().enumerate() {
                    let until = seen.get(nth + 1).map_or(u64::MAX, |next| next.0 + u64::from(lifetime));
                    let is_kept = keys.keys().iter().any(|kept| kept.key == *key);
                    assert!(is_kept || now > until, "the key from {from} is gone at {now}");
                    assert!(!is_kept || now <= until.saturating_add(LEAD + 30), "{from} is kept at {now}");
                }
            }
            assert_eq!(seen.len(), 8, "one a day");
        }
    }

    #[test]
    fn a_clock_that_was_ahead_does_not_stop_rotation() {
        let ahead = ConnectionKeys::new(START + 3 * 365 * PERIOD, key(1));
        let now = ahead.rotated(START, 120, key(2)).expect("its time is corrected");
        assert_eq!(now, ConnectionKeys::new(START, key(1)));
        assert_eq!(now.rotated(START + PERIOD, 120, key(3)).map(|keys| keys.keys().len()), Some(2));
        // A clock that is an hour behind for a while changes nothing.
        let rotated = now.rotated(START + PERIOD, 120, key(3)).unwrap();
        let behind = rotated.rotated(START + PERIOD - 3600, 120, key(4)).unwrap();
        assert!(behind.keys().iter().any(|kept| kept.key == key(1)));
        assert!(behind.keys().iter().any(|kept| kept.key == key(3)));
    }

    #[test]
    fn after_years_without_a_tracker_there_is_a_new_key() {
        let old = ConnectionKeys::new(START, key(1));
        let now = START + 1000 * PERIOD;
        let new = old.rotated(now, 120, key(2)).unwrap();
        assert_eq!(new.keys().last().map(|key| key.from), Some(now + LEAD));
        assert_eq!(new.rotated(now + LEAD + 120 + LEAD, 120, key(3)).map(|keys| keys.keys().len()), Some(1));
    }

    #[test]
    fn reads_what_it_writes_and_refuses_everything_else() {
        let keys = ConnectionKeys::new(START, key(1)).rotated(START + PERIOD, 120, key(0xabc)).unwrap();
        let text = "# a comment\n\n1800000000 00000000000000000000000000000001\n\
                    1800087000 00000000000000000000000000000abc\n";
        assert_eq!(text.parse(), Ok(keys));
        for (text, line, problem) in [
            ("", 1, "there is no key"),
            ("# only\n", 1, "there is no key"),
            ("0 0000000000000000000000000000001", 1, "a time in seconds and 32 hex digits expected"),
            ("0 +0000000000000000000000000000001", 1, "a time in seconds and 32 hex digits expected"),
            ("00000000000000000000000000000001", 1, "a time in seconds and 32 hex digits expected"),
            ("\n-1 00000000000000000000000000000001", 2, "a time in seconds and 32 hex digits expected"),
            (
                "2 00000000000000000000000000000001\n1 00000000000000000000000000000001",
                2,
                "a later time than in the line before expected",
            ),
        ] {
            assert_eq!(
                text.parse::<ConnectionKeys>(),
                Err(ParseConnectionKeysError { line, problem }),
                "{text}"
            );
        }
        let many = "0 00000000000000000000000000000001\n".repeat(9);
        assert_eq!(many.parse::<ConnectionKeys>().map_err(|error| error.problem), Err("too many keys"));
        assert_eq!(format!("{:?}", ConnectionKeys::new(5, key(7))), "[5]", "no secrets in logs");
    }
}
