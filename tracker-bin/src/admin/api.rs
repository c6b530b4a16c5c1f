//! Paths and methods, and what they answer.

use std::sync::Arc;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use hyper::http::request::Parts;
use hyper::{Method, Response, StatusCode};
use serde::Serialize;
use serde_json::json;
use tokio::task;

use super::{Context, access, metrics, page, status, torrent};

pub(super) type Answer = Response<Full<Bytes>>;

pub(super) async fn answer(context: &Arc<Context>, head: Parts, body: Bytes) -> Answer {
    if matches!(head.method, Method::GET | Method::HEAD) {
        return read(context, &head);
    }
    let path = head.uri.path();
    if path != "/api/reload" && !access::is_change(path) {
        return not_found();
    }
    if !may_write(context, &head) {
        return unauthorized(context);
    }
    // Files are read and written meanwhile, so this thread goes on with other clients.
    let context = Arc::clone(context);
    let change = task::spawn_blocking(move || match head.uri.path() {
        "/api/reload" if head.method == Method::POST => reload(&context),
        "/api/reload" => error(StatusCode::METHOD_NOT_ALLOWED, "use the method POST"),
        path => access::change(&context, &head.method, path, &body),
    });
    change
        .await
        .unwrap_or_else(|_| error(StatusCode::INTERNAL_SERVER_ERROR, "the change has failed, see the log"))
}

fn read(context: &Context, head: &Parts) -> Answer {
    let monitor = &context.monitor;
    match head.uri.path() {
        "/metrics" => {
            let (_, busy) = context.history.now(monitor);
            let Ok(text) = metrics::openmetrics(monitor, busy, context.snapshots.as_ref()) else {
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
        "/api/history" => history(context, head.uri.query().unwrap_or_default()),
        // It contains passkeys, and who asked for a rule.
        "/api/access" if may_write(context, head) => access::list(context, &head.uri),
        "/api/access" => unauthorized(context),
        path => match (page::find(path), path.strip_prefix("/api/torrents/")) {
            (Some((kind, text)), _) => page::answer(kind, text),
            (None, Some(info_hash)) => swarms(context, head, info_hash),
            (None, None) => not_found(),
        },
    }
}

/// The last hour; with `last=N`, only its newest points.
fn history(context: &Context, query: &str) -> Answer {
    let last = if query.is_empty() {
        Some(usize::MAX)
    } else {
        query.strip_prefix("last=").and_then(|n| n.parse().ok())
    };
    match last {
        Some(last) => json_of(StatusCode::OK, &context.history.points(last)),
        None => error(StatusCode::BAD_REQUEST, "the only parameter is last=N, for the newest N points"),
    }
}

/// The swarms of a torrent: their counts, and with the token a sample of their peers.
fn swarms(context: &Context, head: &Parts, info_hash: &str) -> Answer {
    let info_hash = match info_hash.parse::<udp_tracker::InfoHash>() {
        Ok(info_hash) => info_hash,
        Err(problem) => return error(StatusCode::BAD_REQUEST, &problem.to_string()),
    };
    json_of(StatusCode::OK, &torrent::torrent(&context.monitor, &info_hash, may_write(context, head)))
}

fn unauthorized(context: &Context) -> Answer {
    let problem = if context.token.is_none() {
        "this is switched off: set admin.token_file, and send the token in it as `Authorization: Bearer TOKEN`"
    } else {
        "this needs the token in admin.token_file, as `Authorization: Bearer TOKEN`"
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

pub(super) fn error(code: StatusCode, problem: &str) -> Answer {
    json_of(code, &json!({ "error": problem }))
}

pub(super) fn json_of(code: StatusCode, value: &impl Serialize) -> Answer {
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
