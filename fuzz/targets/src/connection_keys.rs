//! Arbitrary texts as the file with the keys of connection ids.

use udp_tracker::ConnectionKeys;

/// Any text as the file with the keys of connection ids.
///
/// # Panics
/// If keys that were read are others when they are written and read again, or if a rotation leaves keys that can't be
/// read.
pub fn connection_keys(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(keys) = text.parse::<ConnectionKeys>() else { return };
    let written = keys.to_string();
    assert_eq!(written.parse(), Ok(keys.clone()));
    let logged = format!("{keys:?}");
    assert!(
        written.split_whitespace().all(|word| word.len() < 32 || !logged.contains(word)),
        "a secret in a log"
    );
    for now in [0, 1_800_000_000, 1_800_086_400, 1 << 40] {
        if let Some(rotated) = keys.rotated(now, 120, [7; 16]) {
            assert_eq!(rotated.to_string().parse(), Ok(rotated.clone()));
            assert!(rotated.rotated(now, 120, [8; 16]).is_none(), "rotated twice at once");
        }
    }
}
