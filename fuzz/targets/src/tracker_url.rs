//! Arbitrary texts as a tracker's URL, and as the URLData option of an announce.

use udp_tracker_proto::{Options, TrackerUrl, write_url_data};

/// Any text as the URL of a tracker.
///
/// # Panics
/// If a URL that was read is another one when it is written and read again.
pub fn tracker_url(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let Ok(url) = TrackerUrl::parse(text) else { return };
    assert_ne!(url.port, 0);
    assert!(text.contains(url.path_and_query));
    let shown = url.to_string();
    assert_eq!(TrackerUrl::parse(&shown), Ok(url), "{shown:?}");
    let mut out = vec![0; text.len() + text.len() / 255 * 2 + 8];
    let len = write_url_data(url.path_and_query, &mut out).expect("enough room");
    let read: Vec<u8> = Options::new(&out[..len]).url_data().flatten().copied().collect();
    assert_eq!(read, url.path_and_query.as_bytes());
}
