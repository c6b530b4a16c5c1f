//! `/api/access`: who is served, and who is not.

use hyper::body::Bytes;
use hyper::{Method, StatusCode, Uri};
use serde::{Deserialize, Serialize};
use serde_json::json;
use udp_tracker::RuleDetails;

use super::Context;
use super::api::{self, Answer};
use crate::access::{self, AccessError, Entry, Kind, Listed};
use crate::operations::Change;

/// The most entries in an answer.
const PAGE: usize = 1000;

/// What is kept with an entry.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Details {
    reason: Option<String>,
    until: Option<String>,
    by: Option<String>,
}

/// The body of `deny` and `allow`.
#[derive(Debug, Deserialize)]
struct Request {
    entry: String,
    reason: Option<String>,
    until: Option<String>,
    by: Option<String>,
}

#[derive(Debug, Serialize)]
struct Item<'a> {
    entry: String,
    kind: &'static str,
    reason: Option<&'a str>,
    until: Option<String>,
    by: Option<&'a str>,
    hits: u64,
    last_hit: Option<String>,
}

/// A part of all entries: those after the first `offset`, in the order of the API.
pub(super) fn list(context: &Context, uri: &Uri) -> Answer {
    let query = uri.query().unwrap_or_default();
    let offset = query.split('&').find_map(|pair| pair.strip_prefix("offset=")).unwrap_or("0");
    let Ok(offset) = offset.parse::<usize>() else {
        return api::error(StatusCode::BAD_REQUEST, "offset: a whole number expected, such as 1000");
    };
    let rules = context.monitor.service().access();
    let mut entries = access::list(&rules, offset);
    let items: Vec<_> = entries.by_ref().take(PAGE).map(|listed| item(&listed)).collect();
    let next = entries.next().map(|_| offset + PAGE);
    api::json_of(StatusCode::OK, &json!({ "entries": items, "next_offset": next }))
}

fn item<'a>(listed: &Listed<'a>) -> Item<'a> {
    Item {
        kind: listed.entry.kind().name(),
        entry: listed.entry.to_string(),
        reason: listed.reason,
        until: listed.until.map(access::date_text),
        by: listed.by,
        hits: listed.hits,
        last_hit: listed.last_hit.map(access::time_text),
    }
}

/// Whether a path is one of a change.
pub(super) fn is_change(path: &str) -> bool {
    path == "/api/access/deny" || path == "/api/access/allow" || entry_text(path).is_some()
}

/// The list and the text of the entry in a path, such as `/api/access/networks/192.0.2.0/24`.
fn entry_text(path: &str) -> Option<(Kind, &str)> {
    let (list, text) = path.strip_prefix("/api/access/")?.split_once('/')?;
    let kind = match list {
        "torrents" => Kind::Torrent,
        "networks" => Kind::Network,
        "clients" => Kind::Client,
        "keys" => Kind::Key,
        _ => return None,
    };
    Some((kind, text))
}

/// Changes an entry in its file, and puts the change in force. It may take a second when the file is long.
pub(super) fn change(context: &Context, method: &Method, path: &str, body: &Bytes) -> Answer {
    match parse(method, path, body) {
        Ok((change, entry, details)) => match context.operations.change_access(change, &entry, &details) {
            Ok(()) => api::json_of(StatusCode::OK, &json!({ "entry": entry.to_string() })),
            Err(problem) => api::error(code_of(&problem), &problem.to_string()),
        },
        Err((code, problem)) => api::error(code, &problem),
    }
}

fn parse(
    method: &Method,
    path: &str,
    body: &[u8],
) -> Result<(Change, Entry, RuleDetails), (StatusCode, String)> {
    let bad = |problem: String| (StatusCode::BAD_REQUEST, problem);
    if let Some((kind, text)) = entry_text(path) {
        let change = match *method {
            Method::PUT => Change::Put,
            Method::DELETE => Change::Remove,
            _ => return Err((StatusCode::METHOD_NOT_ALLOWED, "use the method PUT or DELETE".into())),
        };
        // A network has a slash, and a prefix of a peer_id a percent sign. Both may be encoded as in any path.
        let text = decoded(text);
        let entry = kind.parse(&text).ok_or_else(|| bad(format!("{text}: {} expected", kind.expected())))?;
        let details = if body.is_empty() { Ok(Details::default()) } else { serde_json::from_slice(body) };
        let Details { reason, until, by } = details.map_err(|problem| bad(format!("the body: {problem}")))?;
        return Ok((change, entry, details_of(reason, until, by).map_err(bad)?));
    }
    if *method != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "use the method POST".into()));
    }
    let change = if path.ends_with("/deny") { Change::Deny } else { Change::Allow };
    let Request { entry, reason, until, by } =
        serde_json::from_slice(body).map_err(|problem| bad(format!("the body: {problem}")))?;
    let entry =
        entry.parse().map_err(|problem: access::ParseEntryError| bad(format!("{entry}: {problem}")))?;
    Ok((change, entry, details_of(reason, until, by).map_err(bad)?))
}

fn details_of(
    reason: Option<String>,
    until: Option<String>,
    by: Option<String>,
) -> Result<RuleDetails, String> {
    let until =
        until.map(|until| access::parse_date(&until).map_err(|problem| format!("until: {until}: {problem}")));
    let mut details = RuleDetails::default();
    details.reason = reason.map(Into::into);
    details.until = until.transpose()?;
    details.by = by.map(Into::into);
    Ok(details)
}

/// A part of a path without percent-encoding. A percent sign that is not followed by two hex digits stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let code =
            tail.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let code = code.and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn code_of(problem: &AccessError) -> StatusCode {
    match problem {
        AccessError::NotListed { .. } => StatusCode::NOT_FOUND,
        AccessError::AllTorrents | AccessError::NoFile { .. } | AccessError::Line { .. } => {
            StatusCode::CONFLICT
        }
        AccessError::TooLong { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        AccessError::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
        AccessError::Read { .. } | AccessError::Write { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(method: &Method, path: &str, body: &str) -> Result<(Change, String, RuleDetails), u16> {
        let parsed = parse(method, path, body.as_bytes());
        parsed
            .map(|(change, entry, details)| (change, entry.to_string(), details))
            .map_err(|(code, _)| code.as_u16())
    }

    #[test]
    fn reads_entries_from_paths_and_bodies() {
        let (change, entry, details) = parsed(
            &Method::PUT,
            "/api/access/networks/192.0.2.0%2F24",
            r#"{"reason": "a flood", "until": "1970-01-02", "by": "me"}"#,
        )
        .unwrap();
        assert_eq!((change, entry.as_str()), (Change::Put, "192.0.2.0/24"));
        assert_eq!((details.reason.as_deref(), details.by.as_deref()), (Some("a flood"), Some("me")));
        // The end of that day.
        assert_eq!(details.until, Some(2 * 86_400));
        let hash = "0a".repeat(20);
        let removed = parsed(&Method::DELETE, &format!("/api/access/torrents/{hash}"), "").unwrap();
        assert_eq!((removed.0, removed.1), (Change::Remove, hash.clone()));
        let denied = parsed(&Method::POST, "/api/access/deny", r#"{"entry": "client:-XX"}"#).unwrap();
        assert_eq!((denied.0, denied.1.as_str()), (Change::Deny, "client:-XX"));
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        let hash = "0a".repeat(20);
        let put = |path: &str, body: &str| parsed(&Method::PUT, path, body).unwrap_err();
        assert_eq!(put("/api/access/torrents/xyz", ""), 400);
        assert_eq!(put(&format!("/api/access/torrents/{hash}"), "{\"reson\": \"x\"}"), 400);
        assert_eq!(put(&format!("/api/access/torrents/{hash}"), "{\"until\": \"soon\"}"), 400);
        assert_eq!(put("/api/access/deny", "{}"), 405);
        assert_eq!(parsed(&Method::POST, &format!("/api/access/torrents/{hash}"), ""), Err(405));
        assert_eq!(parsed(&Method::POST, "/api/access/deny", "{}"), Err(400));
        assert!(!is_change("/api/access/peers/x") && !is_change("/api/access"));
    }
}
