//! What the server answered, read as HTTP.

/// Checks that the bytes are complete answers, one after another.
pub(super) fn check(mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|part| part == b"\r\n\r\n").expect("the end of a head");
        let (head, rest) = bytes.split_at(end + 4);
        let head = std::str::from_utf8(head).expect("a head of text");
        let mut lines = head.split_terminator("\r\n").filter(|line| !line.is_empty());
        let code = status(lines.next().expect("a status line"));
        let (mut length, mut is_json) = (0, false);
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap_or_else(|| panic!("no header: {line:?}"));
            assert!(!value.contains(char::is_control), "{line:?}");
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().expect("a length"),
                "content-type" => is_json = value == "application/json",
                _ => {}
            }
        }
        assert_ne!(code, 500, "a change has failed");
        // The answer to HEAD has the length of what it leaves out.
        let has_body = length > 0 && !rest.is_empty() && !rest.starts_with(b"HTTP/1.");
        let (body, behind) = rest.split_at(if has_body { length } else { 0 });
        if is_json && has_body {
            serde_json::from_slice::<serde_json::Value>(body).expect("JSON");
        }
        bytes = behind;
    }
}

fn status(line: &str) -> u16 {
    let rest = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
    let code = rest.and_then(|rest| rest.get(..3)).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no status line: {line:?}"))
}
