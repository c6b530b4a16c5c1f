//! A line of a list: `VALUE [until=DATE] [by=NAME] [# reason]`.

use udp_tracker::RuleDetails;

use super::date;
use super::entry::{Entry, Kind};

/// Reads a line. `None` for an empty line and for a comment.
///
/// In a list of torrents, other words after the info_hash are allowed, and end what is read of the line: the lists of
/// other trackers have names there.
pub(super) fn parse(kind: Kind, line: &str) -> Result<Option<(Entry, RuleDetails)>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (word, mut rest) = first_word(line);
    let entry = kind.parse(word).ok_or_else(|| format!("{}: {} expected", shown(word), kind.expected()))?;
    let mut details = RuleDetails::default();
    loop {
        rest = rest.trim_start();
        if let Some(reason) = rest.strip_prefix('#') {
            details.reason = Some(reason.trim()).filter(|reason| !reason.is_empty()).map(Into::into);
            break;
        }
        let (word, tail) = first_word(rest);
        rest = match word.split_once('=') {
            Some(("until", value)) => {
                details.until =
                    Some(date::parse(value).map_err(|error| format!("until={}: {error}", shown(value)))?);
                tail
            }
            Some(("by", _)) => {
                let (name, tail) = name(&rest["by=".len()..])?;
                details.by = Some(name).filter(|name| !name.is_empty()).map(Into::into);
                tail
            }
            // Probably misspelt, and a rule without its end would be a surprise.
            Some((option, _))
                if !option.is_empty() && option.bytes().all(|byte| byte.is_ascii_lowercase()) =>
            {
                return Err(format!("{}: until=DATE, by=NAME or # and a reason expected", shown(word)));
            }
            _ if word.is_empty() || kind == Kind::Torrent => break,
            _ => return Err(format!("{}: until=DATE, by=NAME or # and a reason expected", shown(word))),
        };
    }
    Ok(Some((entry, details)))
}

/// The entry in a line, if there is one. Much faster than to read the whole line.
pub(super) fn entry(kind: Kind, line: &str) -> Option<Entry> {
    kind.parse(first_word(line.trim()).0)
}

fn first_word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).unwrap_or((text, ""))
}

/// A name, in quotation marks if there are spaces in it, and what follows.
fn name(text: &str) -> Result<(&str, &str), String> {
    let Some(quoted) = text.strip_prefix('"') else { return Ok(first_word(text)) };
    quoted.split_once('"').ok_or_else(|| format!("by={}: the second quotation mark is missing", shown(text)))
}

/// A word for an error message, without what could confuse a terminal.
fn shown(word: &str) -> String {
    const LONGEST: usize = 80;
    let cut = &word[..word.floor_char_boundary(LONGEST)];
    format!("{cut:?}{}", if cut.len() < word.len() { "..." } else { "" })
}

/// Writes the line, without a line break in it or after it.
pub(super) fn format(entry: &Entry, details: &RuleDetails) -> String {
    let mut line = entry.value();
    if let Some(until) = details.until {
        line.push_str(" until=");
        line.push_str(&date::text(until));
    }
    if let Some(by) = &details.by {
        let by = one_line(by).replace('"', "'");
        let is_plain = !by.contains(|char: char| char.is_whitespace() || char == '#');
        line.push_str(&if is_plain { format!(" by={by}") } else { format!(" by=\"{by}\"") });
    }
    if let Some(reason) = &details.reason {
        line.push_str(" # ");
        line.push_str(&one_line(reason));
    }
    line
}

/// The details as they are after they were written and read again, so that no text can pretend to be another line, and
/// no terminal is confused by one.
pub(super) fn normalized(details: &RuleDetails) -> RuleDetails {
    let text = |text: &Option<Box<str>>| text.as_deref().map(one_line).filter(|text| !text.is_empty());
    let mut normalized = RuleDetails::default();
    normalized.until = details.until.map(|until| date::parse(&date::text(until)).unwrap_or(until));
    normalized.by = text(&details.by).map(|by| by.replace('"', "'").into());
    normalized.reason = text(&details.reason).map(Into::into);
    normalized
}

/// Words separated by single spaces, without control characters and the characters that change the direction of text.
fn one_line(text: &str) -> String {
    let is_strange = |char: char| {
        char.is_control()
            || matches!(char, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let words =
        text.split(|char: char| char.is_whitespace() || is_strange(char)).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HASH: &str = "e5d5fdac66b48270c93842b333061ea4dd7233e9";

    fn details(reason: &str, until: Option<u64>, by: &str) -> RuleDetails {
        let text = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Into::into);
        let mut details = RuleDetails::default();
        (details.reason, details.until, details.by) = (text(reason), until, text(by));
        details
    }

    #[test]
    fn parses_lines_of_lists() {
        for (kind, line, expected) in [
            (Kind::Torrent, HASH.to_owned(), details("", None, "")),
            (Kind::Torrent, format!("  {} \r", HASH.to_uppercase()), details("", None, "")),
            (Kind::Torrent, format!("{HASH} a film of mine # ignored"), details("", None, "")),
            (Kind::Torrent, format!("{HASH}\t#  gone for good  "), details("gone for good", None, "")),
            (
                Kind::Network,
                "192.0.2.0/24 until=2026-12-31 by=me # flood # 2".into(),
                details("flood # 2", Some(1_798_761_600), "me"),
            ),
            (
                Kind::Network,
                "192.0.2.1 by=\"J. Doe\" until=2026-12-31T18:00:00Z".into(),
                details("", Some(1_798_740_000), "J. Doe"),
            ),
            (Kind::Client, "-XX%00 #".into(), details("", None, "")),
            (Kind::Key, "s3cret by=\"\" # bob".into(), details("bob", None, "")),
        ] {
            let (entry, found) = parse(kind, &line).unwrap().unwrap();
            assert_eq!((entry.kind(), found), (kind, expected), "{line}");
            assert_eq!(super::entry(kind, &line), Some(entry));
        }
        for line in ["", "  ", "# a comment", "   # another"] {
            assert_eq!(parse(Kind::Torrent, line), Ok(None));
            assert_eq!(entry(Kind::Torrent, line), None);
        }
    }

    #[test]
    fn refuses_other_lines_with_what_is_expected() {
        for (kind, line, expected) in [
            (Kind::Torrent, "rubbish".to_owned(), "\"rubbish\": an info_hash of 40 hex digits expected"),
            (
                Kind::Torrent,
                format!("{HASH} until=never"),
                "until=\"never\": expected a date such as 2026-12-31",
            ),
            (
                Kind::Torrent,
                format!("{HASH} untill=2026-12-31"),
                "\"untill=2026-12-31\": until=DATE, by=NAME or #",
            ),
            (Kind::Torrent, format!("{HASH} by=\"me"), "by=\"\\\"me\": the second quotation mark is missing"),
            (
                Kind::Network,
                "192.0.2.0/24 flood".into(),
                "\"flood\": until=DATE, by=NAME or # and a reason expected",
            ),
            (Kind::Network, "192.0.2.0/40".into(), "\"192.0.2.0/40\": a network such as 192.0.2.0/24"),
            (Kind::Client, "-XX%0".into(), "\"-XX%0\": the first 1 to 20 bytes of a peer_id"),
            (Kind::Key, "a/b".into(), "\"a/b\": a passkey of 1 to 64"),
            (Kind::Key, format!("{}\u{1b}[2J", "a".repeat(200)), "a\"...: a passkey"),
        ] {
            let error = parse(kind, &line).unwrap_err();
            assert!(error.contains(expected) && !error.contains('\u{1b}'), "{line}: {error}");
        }
    }

    #[test]
    fn texts_cannot_forge_lines_or_options() {
        let forged = format!("a\n{HASH}\r\n# b\u{2028}{HASH}\u{85}x\u{1b}[2J\u{202e}");
        let given = details(&forged, Some(5), &format!("\" until=2030-01-01\n{HASH} #"));
        let line = format(&Entry::Torrent(HASH.parse().unwrap()), &given);
        assert!(!line.contains(|char: char| char.is_control()), "{line:?}");
        let (entry, found) = parse(Kind::Torrent, &line).unwrap().unwrap();
        assert_eq!(entry.value(), HASH);
        assert_eq!(found, normalized(&given));
        assert_eq!(found.until, Some(5));
        assert_eq!(found.reason.as_deref(), Some(format!("a {HASH} # b {HASH} x [2J").as_str()));
    }

    proptest! {
        #[test]
        fn any_details_survive_a_line(
            reason: Option<String>,
            by: Option<String>,
            until in proptest::option::of(0..200_000_000_000u64),
        ) {
            let given = details(reason.as_deref().unwrap_or(""), until, by.as_deref().unwrap_or(""));
            for entry in ["192.0.2.0/24", "client:-%23", "key:k", HASH] {
                let entry: Entry = entry.parse().unwrap();
                let line = format(&entry, &normalized(&given));
                prop_assert_eq!(line.lines().count(), 1);
                prop_assert_eq!(parse(entry.kind(), &line), Ok(Some((entry, normalized(&given)))));
            }
        }

        #[test]
        fn any_line_is_parsed_or_refused(line: String) {
            for kind in Kind::ALL {
                let _ = parse(kind, &line);
            }
        }
    }
}
