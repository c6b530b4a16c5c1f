//! Requests to a running tracker's API.

use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time;

/// How long to wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer.
const ANSWER_LEN: usize = 256 << 20;

/// A running tracker's admin address, and the token for changes.
pub(crate) struct AdminClient {
    pub(crate) address: SocketAddr,
    pub(crate) token: Option<String>,
}

impl AdminClient {
    /// Sends a request, and returns the JSON of the answer.
    ///
    /// # Errors
    /// No tracker answers at the address, or it refuses the request.
    pub(crate) fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, Box<dyn Error>> {
        let address = self.address;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        // The timer is made within the runtime that drives it.
        let answer =
            runtime.block_on(async { time::timeout(TIMEOUT, self.exchange(method, path, body)).await });
        let answer =
            answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs()).into()));
        let (is_success, bytes) = answer.map_err(|error| {
            let is_refused = error
                .downcast_ref::<io::Error>()
                .is_some_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
            let advice = if is_refused { "; does the tracker run, and with this admin.listen?" } else { "" };
            format!("cannot ask the tracker at http://{address}/: {error}{advice}")
        })?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|_| {
            format!("http://{address}{path} does not answer with JSON: is it a tracker's admin address?")
        })?;
        if is_success {
            return Ok(value);
        }
        let problem = value["error"].as_str().unwrap_or("the tracker refuses the request");
        Err(problem.to_owned().into())
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<(bool, Bytes), Box<dyn Error>> {
        let stream = TcpStream::connect(self.address).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut request = Request::builder().method(method).uri(path).header(HOST, self.address.to_string());
        if let Some(token) = &self.token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request.header(CONTENT_TYPE, "application/json").body(Full::new(body))?;
        let answer = async {
            let answer = sender.send_request(request).await?;
            let is_success = answer.status().is_success();
            let bytes = Limited::new(answer.into_body(), ANSWER_LEN)
                .collect()
                .await
                .map_err(|error| error.to_string())?;
            Ok((is_success, bytes.to_bytes()))
        };
        tokio::pin!(answer);
        tokio::select! {
            answer = &mut answer => answer,
            ended = connection => {
                ended?;
                answer.await
            }
        }
    }
}
