//! Chromium, driven over WebDriver.

use std::time::Duration;

use nix::unistd::geteuid;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http::HttpAnswer;
use crate::program::Program;
use crate::{Http, Netns};

/// chromedriver's address in the namespace, where nothing else uses the port.
const DRIVER: &str = "http://127.0.0.1:9515";
const START_LIMIT: Duration = Duration::from_secs(20);
/// The key of an element's id in JSON, as the standard defines it.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A headless Chromium with one page.
pub struct Browser {
    http: Http,
    session: String,
    /// Held for their `Drop`: the processes before their directory.
    _driver: Program,
    _profile: TempDir,
}

impl Browser {
    /// Starts it with an empty page, 1280 pixels wide.
    #[must_use]
    pub fn start(netns: &Netns) -> Self {
        let profile = tempfile::tempdir().expect("a temporary directory");
        // A process namespace, whose processes all end with its first: Chromium has a dozen, in several process groups.
        let mut command = netns.command("unshare");
        command.args(["--pid", "--fork", "--kill-child", "chromedriver", "--port=9515"]);
        let driver = Program::start("chromedriver", command.env("HOME", profile.path()));
        driver.wait_for("`started successfully`", START_LIMIT, |line| {
            line.contains("started successfully").then_some(())
        });
        let mut arguments = vec!["--headless=new".to_owned(), "--window-size=1280,900".to_owned()];
        arguments.push(format!("--user-data-dir={}", profile.path().display()));
        // Containers have a small /dev/shm, and no graphics.
        arguments.extend(["--disable-dev-shm-usage", "--disable-gpu"].map(str::to_owned));
        if geteuid().is_root() {
            arguments.push("--no-sandbox".to_owned());
        }
        let capabilities = json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "binary": "/usr/bin/chromium", "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL", "performance": "ALL" },
        } } });
        let mut http = Http::start(netns);
        let session = post(&mut http, "/session", &capabilities);
        let session = session["sessionId"].as_str().expect("a session has an id").to_owned();
        Self { http, session, _driver: driver, _profile: profile }
    }

    /// Opens a page and waits until it is loaded.
    pub fn open(&mut self, url: &str) {
        self.post("/url", &json!({ "url": url }));
    }

    /// Runs the body of a function, and returns what it returns.
    pub fn run(&mut self, script: &str) -> Value {
        self.post("/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// What a script returns, as text.
    pub fn text(&mut self, script: &str) -> String {
        let value = self.run(script);
        value.as_str().map(str::to_owned).unwrap_or_else(|| panic!("{script} is {value}"))
    }

    /// Shows the page as on a device of this size, in pixels.
    pub fn resize(&mut self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600 });
        self.post(
            "/goog/cdp/execute",
            &json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": size }),
        );
    }

    /// Whether the system's colours are dark.
    pub fn prefer_dark(&mut self, dark: bool) {
        let scheme = json!({ "name": "prefers-color-scheme", "value": if dark { "dark" } else { "light" } });
        let media = json!({ "cmd": "Emulation.setEmulatedMedia", "params": { "features": [scheme] } });
        self.post("/goog/cdp/execute", &media);
    }

    /// Presses and releases a key: a character, or one that WebDriver has a character for.
    pub fn press(&mut self, key: char) {
        let actions = ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key }));
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": actions });
        self.post("/actions", &json!({ "actions": [keyboard] }));
    }

    /// The role and the name that a screen reader is told, of each element that matches a selector.
    pub fn roles_and_names(&mut self, selector: &str) -> Vec<(String, String)> {
        let found = self.post("/elements", &json!({ "using": "css selector", "value": selector }));
        let ids =
            found.as_array().expect("a list").iter().map(|element| element[ELEMENT].as_str().expect("an id"));
        ids.map(|id| (self.computed(id, "computedrole"), self.computed(id, "computedlabel"))).collect()
    }

    fn computed(&mut self, element: &str, what: &str) -> String {
        let url = format!("{DRIVER}/session/{}/element/{element}/{what}", self.session);
        self.http.get_json(&url)["value"].as_str().expect("a text").to_owned()
    }

    /// The messages of the console since the last call.
    pub fn console(&mut self) -> Vec<Value> {
        self.log("browser")
    }

    /// The addresses that were requested since the last call.
    pub fn requested(&mut self) -> Vec<String> {
        let messages = self.log("performance").into_iter().map(|entry| {
            let message = entry["message"].as_str().expect("a text").to_owned();
            serde_json::from_str::<Value>(&message).expect("JSON")["message"].take()
        });
        let requests = messages.filter(|message| message["method"] == "Network.requestWillBeSent");
        requests
            .map(|message| message["params"]["request"]["url"].as_str().expect("a URL").to_owned())
            .collect()
    }

    fn log(&mut self, kind: &str) -> Vec<Value> {
        match self.post("/se/log", &json!({ "type": kind })) {
            Value::Array(entries) => entries,
            other => panic!("the log {kind} is {other}"),
        }
    }

    fn post(&mut self, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        post(&mut self.http, &path, body)
    }
}

fn post(http: &mut Http, path: &str, body: &Value) -> Value {
    match http.request("POST", &format!("{DRIVER}{path}"), Some(body)) {
        HttpAnswer::Answered { status: 200, body } => {
            serde_json::from_str::<Value>(&body).expect("JSON")["value"].take()
        }
        other => panic!("chromedriver on {path}: {other:?}"),
    }
}
