//! Connections: how many, how long, and how much they may send.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::AbortHandle;
use tokio::time;

use super::{Context, api};

/// The most connections.
const CONNECTIONS: usize = 64;
/// How long a connection may keep its place while another client waits for one.
const OWN_TIME: Duration = Duration::from_millis(500);
/// How long a request's head may take to arrive.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a request's body may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a connection may last, with all its requests. A browser and Prometheus open another one.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(60);
/// The most bytes of a request's head.
const HEAD_LEN: usize = 16 << 10;
/// The most header lines.
const HEADERS: usize = 64;
/// The most bytes of a request's body.
const BODY_LEN: usize = 16 << 10;
/// The pause after an error in accepting, such as too many open files.
const ERROR_PAUSE: Duration = Duration::from_millis(100);

/// Why the admin address can't be opened.
#[derive(Debug, thiserror::Error)]
#[error(
    "cannot listen on http://{address}: {source}; choose another address in admin.listen, or \"\" for none"
)]
pub(crate) struct AdminError {
    pub(crate) address: SocketAddr,
    pub(crate) source: io::Error,
}

pub(super) async fn run(listener: std::net::TcpListener, context: Arc<Context>) -> io::Result<Infallible> {
    let listener = TcpListener::from_std(listener)?;
    tokio::spawn(super::history::record(Arc::clone(&context)));
    tokio::spawn(super::doctor::look(Arc::clone(&context)));
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(_) => {
                time::sleep(ERROR_PAUSE).await;
                continue;
            }
        };
        let place = free_place(&places, &mut connections).await;
        let context = Arc::clone(&context);
        let connection = tokio::spawn(async move {
            // It keeps its place until it ends.
            let _place = place;
            converse(TokioIo::new(stream), context).await;
        });
        connections.push_back((Instant::now(), connection.abort_handle()));
    }
}

/// Waits for a place for one more connection. If none becomes free, the oldest connection gives way once it has had its
/// time: most likely it is one of those that send nothing. It is not ended at once, because then a flood of connections
/// would end each before its request is answered.
async fn free_place(
    places: &Arc<Semaphore>,
    connections: &mut VecDeque<(Instant, AbortHandle)>,
) -> Option<OwnedSemaphorePermit> {
    connections.retain(|(_, connection)| !connection.is_finished());
    let age = connections.front().map_or(Duration::ZERO, |(begun, _)| begun.elapsed());
    let place = time::timeout(OWN_TIME.saturating_sub(age), Arc::clone(places).acquire_owned());
    if let Ok(place) = place.await {
        return place.ok();
    }
    if let Some((_, oldest)) = connections.pop_front() {
        oldest.abort();
    }
    Arc::clone(places).acquire_owned().await.ok()
}

/// Answers the requests of a connection.
pub(super) async fn converse(stream: impl Read + Write + Unpin, context: Arc<Context>) {
    let answer = service_fn(move |request| answer(Arc::clone(&context), request));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(HEADERS)
        .max_buf_size(HEAD_LEN)
        .serve_connection(stream, answer);
    // An error concerns this client alone, which learns of it from the end of its connection.
    let _ = time::timeout(CONNECTION_TIMEOUT, connection).await;
}

async fn answer(
    context: Arc<Context>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = time::timeout(BODY_TIMEOUT, Limited::new(body, BODY_LEN).collect()).await;
    let response = match body {
        Ok(Ok(body)) => api::answer(&context, head, body.to_bytes()).await,
        Ok(Err(_)) => api::too_long(BODY_LEN),
        Err(_) => api::too_slow(),
    };
    Ok(response)
}
