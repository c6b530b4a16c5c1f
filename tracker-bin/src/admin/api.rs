//! Paths and methods, and what they answer.

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{
    ACCEPT, ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE,
};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::{Context, metrics, page, status};

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) async fn answer(context: &Context, head: &Parts, body: &[u8]) -> Answer {
    let path = head.uri.path();
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    match path {
        _ if is_read => read(context, head, path),
        "/api/reload" if head.method == Method::POST => change(context, head, || reload(context)),
        _ => write(context, head, path, body),
    }
}

fn read(context: &Context, head: &Parts, path: &str) -> Answer {
    let monitor = &context.monitor;
    match path {
        "/metrics" => {
            let (_, busy) = context.history.now(monitor);
            let Ok(text) = metrics::openmetrics(monitor, busy) else {
                return error(StatusCode::INTERNAL_SERVER_ERROR, "the metrics can't be written");
            };
            let accepts =
                head.headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
            if accepts.contains("application/openmetrics-text") {
                text_of(StatusCode::OK, metrics::OPENMETRICS, text)
            } else {
                text_of(StatusCode::OK, metrics::PROMETHEUS, metrics::prometheus(&text))
            }
        }
        "/healthz" => {
            if status::is_healthy(&monitor.workers()) {
                text_of(StatusCode::OK, "text/plain; charset=utf-8", "all workers turn\n".into())
            } else {
                let text = "a worker hangs: see /api/status\n".into();
                text_of(StatusCode::SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", text)
            }
        }
        "/api/status" => json_of(StatusCode::OK, &status::status(context)),
        "/api/history" => json_of(StatusCode::OK, &context.history.points()),
        _ => match (page::find(path), path.strip_prefix("/api/torrents/")) {
            (Some((kind, text)), _) => page::answer(kind, text),
            (None, Some(info_hash)) => torrent(context, head, info_hash),
            (None, None) => not_found(),
        },
    }
}

/// The swarms of a torrent: their counts, and with the token a sample of their peers.
fn torrent(context: &Context, head: &Parts, info_hash: &str) -> Answer {
    let info_hash = match info_hash.parse::<udp_tracker::InfoHash>() {
        Ok(info_hash) => info_hash,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    json_of(StatusCode::OK, &super::torrent::torrent(&context.monitor, &info_hash, may_write(context, head)))
}

fn write(context: &Context, head: &Parts, path: &str, body: &[u8]) -> Answer {
    let _ = (context, body);
    if path == "/api/reload" {
        return wrong_method("POST");
    }
    let _ = head;
    not_found()
}

/// A change, if the request brings the token.
fn change(context: &Context, head: &Parts, change: impl FnOnce() -> Answer) -> Answer {
    if may_write(context, head) {
        return change();
    }
    let problem = if context.token.is_none() {
        "changes are switched off: set admin.token_file, and send the token in it as `Authorization: Bearer TOKEN`"
    } else {
        "changes need the token in admin.token_file, as `Authorization: Bearer TOKEN`"
    };
    let mut answer = error(StatusCode::UNAUTHORIZED, problem);
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn may_write(context: &Context, head: &Parts) -> bool {
    let sent = head.headers.get(AUTHORIZATION).and_then(|value| value.as_bytes().strip_prefix(b"Bearer "));
    sent.zip(context.token.as_ref()).is_some_and(|(sent, token)| token.matches(sent.trim_ascii()))
}

fn reload(context: &Context) -> Answer {
    match context.operations.reload() {
        Ok(reloaded) => json_of(StatusCode::OK, &reloaded),
        Err(problem) => error(StatusCode::UNPROCESSABLE_ENTITY, &problem.to_string()),
    }
}

pub(super) fn too_long(most: usize) -> Answer {
    error(
        StatusCode::PAYLOAD_TOO_LARGE,
        &format!("the request's body is cut off or has more than {most} bytes"),
    )
}

pub(super) fn too_slow() -> Answer {
    error(StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time")
}

fn not_found() -> Answer {
    error(StatusCode::NOT_FOUND, "there is no such path; see / and /api/status")
}

fn wrong_method(allowed: &'static str) -> Answer {
    let mut answer = error(StatusCode::METHOD_NOT_ALLOWED, &format!("use the method {allowed}"));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    answer
}

pub(super) fn error(code: StatusCode, problem: &str) -> Answer {
    json_of(code, &json!({ "error": problem }))
}

fn json_of(code: StatusCode, value: &impl Serialize) -> Answer {
    // Fails only for maps whose keys are no texts, and there are none.
    let mut text = serde_json::to_string(value).unwrap_or_default();
    text.push('\n');
    text_of(code, "application/json", text)
}

fn text_of(code: StatusCode, kind: &'static str, text: String) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(text)));
    *answer.status_mut() = code;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
