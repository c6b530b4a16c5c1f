//! The text of a list: read as a whole, or with one entry changed.

use std::path::Path;

use udp_tracker::RuleDetails;

use super::AccessError;
use super::entry::{Entry, Kind};
use super::line;

/// Some editors write this mark at the start of a text.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Reads all entries of a list.
pub(super) fn entries<'a>(
    kind: Kind,
    path: &'a Path,
    text: &'a str,
) -> impl Iterator<Item = Result<(Entry, RuleDetails), AccessError>> + use<'a> {
    let lines = text.trim_start_matches(BYTE_ORDER_MARK).lines().enumerate();
    lines.filter_map(move |(at, line)| {
        let parsed = line::parse(kind, line);
        let in_line = |problem| AccessError::Line { path: path.into(), line: at + 1, problem };
        parsed.map_err(in_line).transpose()
    })
}

/// The text with the line of an entry replaced, or a line added, or without the lines of the entry. Everything else is
/// kept. `None`: there was no such line, and nothing is to be removed.
pub(super) fn edited(text: &str, entry: &Entry, details: Option<&RuleDetails>) -> Option<String> {
    let mut new_line = details.map(|details| line::format(entry, details) + "\n");
    let mut result = String::with_capacity(text.len() + new_line.as_ref().map_or(0, String::len) + 1);
    let body = text.trim_start_matches(BYTE_ORDER_MARK);
    let before = text.len() - body.len();
    result.push_str(&text[..before]);
    let mut found = false;
    for line in body.split_inclusive('\n') {
        if line::entry(entry.kind(), line).as_ref() == Some(entry) {
            found = true;
            // In place of the first one. If there are more, they would be in the way of the next change.
            result.push_str(&new_line.take().unwrap_or_default());
        } else {
            result.push_str(line);
        }
    }
    if let Some(line) = new_line {
        if result.len() > before && !result.ends_with('\n') {
            result.push('\n');
        }
        result.push_str(&line);
    } else if !found {
        return None;
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A: &str = "1111111111111111111111111111111111111111";
    const B: &str = "2222222222222222222222222222222222222222";

    fn put(text: &str, entry: &str, reason: &str) -> String {
        let mut details = RuleDetails::default();
        details.reason = (!reason.is_empty()).then(|| reason.into());
        edited(text, &entry.parse().unwrap(), Some(&details)).unwrap()
    }

    fn remove(text: &str, entry: &str) -> Option<String> {
        edited(text, &entry.parse().unwrap(), None)
    }

    #[test]
    fn an_edit_keeps_comments_order_and_unknown_lines() {
        let text = format!("\u{feff}# my list\n\n{A} until=2030-01-01 # x\n{B} a film\nnot an entry");
        assert_eq!(put(&text, A, "y"), text.replace(" until=2030-01-01 # x", " # y"));
        assert_eq!(put(&text, B, ""), text.replace(" a film", ""));
        let other = "3".repeat(40);
        let marked = format!("{A} x\u{feff}");
        assert_eq!(
            put(&marked, &other, ""),
            format!("{marked}\n{other}\n"),
            "a mark that is not at the start"
        );
        assert_eq!(put(&text, &other, "z"), format!("{text}\n{other} # z\n"));
        assert_eq!(remove(&text, B).unwrap(), text.replace(&format!("{B} a film\n"), ""));
        assert_eq!(remove(&text, &other), None);
        assert_eq!(put("", &other, ""), format!("{other}\n"));
        assert_eq!(put("\u{feff}", &other, ""), format!("\u{feff}{other}\n"));
    }

    #[test]
    fn an_edit_finds_other_spellings_and_duplicates() {
        let text = "192.0.2.7/24 # one\n2001:DB8::/32\n::ffff:192.0.2.9/120 # two\n";
        assert_eq!(put(text, "192.0.2.0/24", "new"), "192.0.2.0/24 # new\n2001:DB8::/32\n");
        assert_eq!(remove(text, "192.0.2.1/24").unwrap(), "2001:DB8::/32\n");
        assert_eq!(remove(text, "192.0.2.0/25"), None);
    }

    #[test]
    fn an_error_names_file_and_line() {
        let text = format!("\u{feff}{A}\n# x\nrubbish\n");
        let error =
            entries(Kind::Torrent, Path::new("/a/list"), &text).collect::<Result<Vec<_>, _>>().unwrap_err();
        assert_eq!(error.to_string(), "/a/list, line 3: \"rubbish\": an info_hash of 40 hex digits expected");
    }

    proptest! {
        #[test]
        fn after_an_edit_the_list_has_the_entry_or_not_and_all_others(
            lines in prop::collection::vec((0..4u8, "[ #a-z]{0,8}"), 0..20),
            edits in prop::collection::vec((0..6u8, proptest::option::of(".*")), 0..20),
            ends_with_line_break: bool,
        ) {
            let hash = |number: u8| number.to_string().repeat(40);
            let lines: Vec<_> = lines.iter().map(|(number, rest)| format!("{} #{rest}", hash(*number))).collect();
            let mut text = lines.join("\n");
            if ends_with_line_break && !text.is_empty() {
                text.push('\n');
            }
            let read = |text: &str| {
                let all = entries(Kind::Torrent, Path::new("list"), text).collect::<Result<Vec<_>, _>>();
                all.unwrap().into_iter().collect::<std::collections::BTreeMap<_, _>>()
            };
            let mut model = read(&text);
            for (number, reason) in edits {
                let entry: Entry = hash(number).parse().unwrap();
                if let Some(reason) = reason {
                    let mut details = RuleDetails::default();
                    details.reason = Some(reason.into());
                    let details = line::normalized(&details);
                    text = edited(&text, &entry, Some(&details)).unwrap();
                    model.insert(entry, details);
                } else {
                    let without = edited(&text, &entry, None);
                    prop_assert_eq!(without.is_some(), model.remove(&entry).is_some());
                    text = without.unwrap_or(text);
                }
                prop_assert_eq!(&read(&text), &model);
            }
        }
    }
}
