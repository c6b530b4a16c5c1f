//! Passkeys: secrets in the announce URLs of a private tracker (BEP 41).

use std::fmt;
use std::str::FromStr;

use udp_tracker_proto::Options;

/// The most bytes of a passkey.
const MAX_LEN: usize = 64;
/// The part of an announce's URL data that is searched for a passkey, if the URL data comes in several options.
const MAX_URL: usize = 1024;

/// A passkey: 1 to 64 letters, digits, or `-`, `.`, `_`, `~`. These are the characters that clients never encode in
/// URLs.
///
/// ```
/// use udp_tracker::Passkey;
///
/// let key: Passkey = "0123456789abcdef".parse()?;
/// assert_eq!(key.as_str(), "0123456789abcdef");
/// # Ok::<(), udp_tracker::ParsePasskeyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Passkey(Box<str>);

/// A text that can't be a passkey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a passkey: 1 to 64 letters, digits, or - . _ ~")]
pub struct ParsePasskeyError;

impl Passkey {
    /// The passkey as in the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Passkey {
    type Err = ParsePasskeyError;

    fn from_str(text: &str) -> Result<Self, ParsePasskeyError> {
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        let is_passkey = (1..=MAX_LEN).contains(&text.len()) && text.bytes().all(is_unreserved);
        is_passkey.then(|| Self(text.into())).ok_or(ParsePasskeyError)
    }
}

impl fmt::Display for Passkey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<[u8]> for Passkey {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// Calls `check` with the passkey in an announce's options, if there is one. It may be any bytes, but not more than a
/// passkey can have.
pub(super) fn with_passkey<R>(options: Options<'_>, check: impl FnOnce(Option<&[u8]>) -> R) -> R {
    let mut parts = options.url_data();
    match (parts.next(), parts.next()) {
        (None, _) => check(None),
        // As nearly all clients send it.
        (Some(url), None) => check(in_url(url)),
        (Some(_), Some(_)) => {
            let (mut url, mut len) = ([0; MAX_URL], 0);
            for (place, byte) in url.iter_mut().zip(options.url_data().flatten()) {
                *place = *byte;
                len += 1;
            }
            check(in_url(&url[..len]))
        }
    }
}

/// The passkey in a URL's path and query: `/announce/KEY`, or `passkey=KEY` among the parameters.
fn in_url(url: &[u8]) -> Option<&[u8]> {
    let mut parts = url.splitn(2, |byte| *byte == b'?');
    let (path, query) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let in_path = path.strip_prefix(b"/announce/").and_then(|rest| rest.split(|byte| *byte == b'/').next());
    let parameters = query.split(|byte| *byte == b'&');
    let in_query = || parameters.filter_map(|parameter| parameter.strip_prefix(b"passkey=")).next();
    in_path.filter(|key| !key.is_empty()).or_else(in_query).filter(|key| (1..=MAX_LEN).contains(&key.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use udp_tracker_proto::{url_data_len, write_url_data};

    fn found(url: &str) -> Option<String> {
        let mut bytes = vec![0; url_data_len(url)];
        write_url_data(url, &mut bytes).unwrap();
        with_passkey(Options::new(&bytes), |key| key.map(|key| String::from_utf8(key.to_vec()).unwrap()))
    }

    #[test]
    fn finds_passkeys_in_path_and_query() {
        for url in [
            "/announce/s3cret",
            "/announce/s3cret/",
            "/announce/s3cret?a=b",
            "/announce?passkey=s3cret",
            "/announce/?passkey=s3cret",
            "/?a=b&passkey=s3cret&c=d",
            "?a&&passkey=s3cret",
            "/announce/s3cret?passkey=other",
        ] {
            assert_eq!(found(url).as_deref(), Some("s3cret"), "{url}");
        }
        let long = "k".repeat(64);
        assert_eq!(found(&format!("/announce/{long}")), Some(long));
    }

    #[test]
    fn finds_none_elsewhere() {
        let too_long = format!("/announce/{}", "k".repeat(65));
        for url in [
            "",
            "/",
            "/announce",
            "/announce/",
            "/announce?passkey=",
            "/s3cret",
            "/a?mypasskey=s3cret",
            &too_long,
        ] {
            assert_eq!(found(url), None, "{url}");
        }
        with_passkey(Options::NONE, |key| assert_eq!(key, None));
    }

    #[test]
    fn finds_a_passkey_that_is_split_over_options() {
        let url = format!("/announce?{}&passkey=s3cret", "p".repeat(240));
        assert!(url_data_len(&url) > url.len() + 2, "several options");
        assert_eq!(found(&url).as_deref(), Some("s3cret"));
        let beyond = format!("/announce?{}&passkey=s3cret", "p".repeat(MAX_URL));
        assert_eq!(found(&beyond), None);
        with_passkey(Options::new(b"\x02\x0c/announce/s3\x02\x04cret"), |key| {
            assert_eq!(key, Some(&b"s3cret"[..]));
        });
    }

    #[test]
    fn parses_passkeys() {
        for good in ["a", "0123456789abcdefABCDEF", "a-b.c_d~e", &"k".repeat(64)] {
            assert_eq!(good.parse::<Passkey>().unwrap().to_string(), good);
        }
        for bad in ["", "a b", "a/b", "a%41", "a#b", "a?b", "\u{e9}", "a\n", &"k".repeat(65)] {
            assert_eq!(bad.parse::<Passkey>(), Err(ParsePasskeyError), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_options_give_a_short_passkey_or_none(bytes in prop::collection::vec(any::<u8>(), 0..1500)) {
            let len = with_passkey(Options::new(&bytes), |key| key.map(<[u8]>::len));
            prop_assert!(len.is_none_or(|len| (1..=MAX_LEN).contains(&len)));
        }

        #[test]
        fn any_url_with_a_passkey_in_it_is_understood(
            key in "[-._~A-Za-z0-9]{1,64}",
            before in "([a-o]=[0-9]&){0,60}",
        ) {
            prop_assert_eq!(found(&format!("/announce/{key}")), Some(key.clone()));
            prop_assert_eq!(found(&format!("/announce?{before}passkey={key}")), Some(key));
        }
    }
}
