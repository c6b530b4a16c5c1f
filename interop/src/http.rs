//! HTTP requests inside a network namespace.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Netns;
use crate::torrent::PYTHON;

const CLIENT: &str = include_str!("../scripts/http_client.py");

/// A client in a network namespace. Each request has a time limit of its own.
pub struct Http {
    client: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// An answer, or why there is none.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum HttpAnswer {
    /// The server has answered.
    Answered {
        /// The status code.
        status: u16,
        /// All of the body.
        body: String,
    },
    /// It has not.
    Failed {
        /// The reason.
        error: String,
    },
}

impl Http {
    /// Starts the client.
    #[must_use]
    pub fn start(netns: &Netns) -> Self {
        let mut command = netns.command(PYTHON);
        command.args(["-u", "-c", CLIENT]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut client = command.spawn().expect("python can be started");
        let requests = client.stdin.take().expect("stdin is piped");
        let answers = BufReader::new(client.stdout.take().expect("stdout is piped"));
        Self { client, requests, answers }
    }

    /// Sends a request and waits for the answer.
    pub fn request(&mut self, method: &str, url: &str, body: Option<&Value>) -> HttpAnswer {
        let request = json!({ "method": method, "url": url, "body": body.map(Value::to_string) });
        writeln!(self.requests, "{request}").expect("the client reads requests");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("the client's answer can be read");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("the client printed {line:?}: {error}"))
    }

    /// The body of a successful answer.
    pub fn get(&mut self, url: &str) -> String {
        match self.request("GET", url, None) {
            HttpAnswer::Answered { status: 200, body } => body,
            other => panic!("{url}: {other:?}"),
        }
    }

    /// The same, as JSON.
    pub fn get_json(&mut self, url: &str) -> Value {
        let body = self.get(url);
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body}"))
    }
}

impl Drop for Http {
    fn drop(&mut self) {
        let _ = self.client.kill();
        let _ = self.client.wait();
    }
}
