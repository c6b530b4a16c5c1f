//! Any text as an access list, and as the texts in one.

use std::path::Path;

use udp_tracker::RuleDetails;

use super::entry::{Entry, Kind};
use super::{date, line, list};

/// Any text as a list, and an edit of it. The first byte chooses the kind of list. Up to the first line break, the text
/// is the line that is put into the list.
///
/// # Panics
/// If an entry is another one when it is written and read again, if an edit changes another line, or if an error could
/// confuse a terminal.
pub fn access_lists(input: &[u8]) {
    let Some((kind, text)) = input.split_first() else { return };
    let kind = Kind::ALL[usize::from(kind & 3)];
    let Ok(text) = std::str::from_utf8(text) else { return };
    let (new, text) = text.split_once('\n').unwrap_or((text, ""));
    for read in list::entries(kind, Path::new("a.list"), text) {
        match read {
            Ok((entry, details)) => survives(kind, &entry, &details),
            Err(error) => {
                let error = error.to_string();
                assert!(!error.contains(char::is_control) && error.len() < 1000, "{error:?}");
            }
        }
    }
    if let Ok(Some((entry, details))) = line::parse(kind, new) {
        edit(kind, text, &entry, &details);
    }
}

fn survives(kind: Kind, entry: &Entry, details: &RuleDetails) {
    let details = line::normalized(details);
    let line = line::format(entry, &details);
    assert_eq!(line.lines().count(), 1, "{line:?}");
    assert_eq!(line::parse(kind, &line), Ok(Some((entry.clone(), details))), "{line:?}");
    assert_eq!(entry.to_string().parse(), Ok(entry.clone()));
}

fn edit(kind: Kind, text: &str, entry: &Entry, details: &RuleDetails) {
    let details = line::normalized(details);
    let put = list::edited(text, entry, Some(&details)).expect("an edit that adds");
    assert_eq!(others(&put, entry), others(text, entry), "other lines");
    let lines: Vec<&str> =
        of_list(&put).filter(|line| line::entry(kind, line).as_ref() == Some(entry)).collect();
    let [line] = lines[..] else { panic!("{} lines of one entry", lines.len()) };
    assert_eq!(line::parse(kind, line), Ok(Some((entry.clone(), details.clone()))));
    assert_eq!(list::edited(&put, entry, Some(&details)).as_deref(), Some(put.as_str()), "put again");
    let removed = list::edited(&put, entry, None).expect("an entry that is there");
    assert_eq!(others(&removed, entry), others(text, entry));
    assert_eq!(list::edited(&removed, entry, None), None, "removed and still there");
}

fn others<'a>(text: &'a str, entry: &Entry) -> Vec<&'a str> {
    of_list(text).filter(|line| line::entry(entry.kind(), line).as_ref() != Some(entry)).collect()
}

fn of_list(text: &str) -> impl Iterator<Item = &str> {
    text.trim_start_matches('\u{feff}').split('\n').filter(|line| !line.is_empty())
}

/// Any text as a date, a network, the beginning of a peer_id, a passkey, or an info_hash.
///
/// # Panics
/// If one that was read is another one when it is written and read again.
pub fn access_texts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(seconds) = date::parse(text) {
        let shown = date::text(seconds);
        let again = date::parse(&shown).expect("a date that was written");
        assert_eq!(date::text(again), shown);
        // Later times become the last one that can be written.
        assert!(again == seconds || shown.starts_with("9999-12-30T"), "{text}: {shown}");
        assert!(date::time_text(seconds).ends_with('Z'));
    }
    for kind in Kind::ALL {
        if let Some(entry) = kind.parse(text) {
            let shown = entry.value();
            assert_eq!(kind.parse(&shown), Some(entry), "{text:?}: {shown:?}");
            assert!(!shown.contains(char::is_whitespace) && !shown.is_empty(), "{shown:?}");
        }
    }
    if let Ok(entry) = text.parse::<Entry>() {
        assert_eq!(entry.to_string().parse(), Ok(entry));
    }
}
