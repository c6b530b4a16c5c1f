//! The page, the metrics and the API of a running program.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};

use socket2::{Domain, Socket, Type};

use crate::running::{PATIENCE, Running, connects, run, text};

const TOKEN: &str = "a-secret-for-this-test";

/// A tracker with an admin address that the system chose, and a folder for its files.
struct Tracker {
    running: Running,
    tracker: SocketAddr,
    admin: SocketAddr,
    folder: tempfile::TempDir,
    config: PathBuf,
}

fn start(more: &str) -> Tracker {
    let folder = tempfile::tempdir().unwrap();
    let (config, token) = (folder.path().join("tracker.toml"), folder.path().join("token"));
    fs::write(&token, format!("{TOKEN}\n")).unwrap();
    write_config(&config, &token, more);
    let mut running = Running::start(&["--config", config.to_str().unwrap()]);
    let tracker = running.address();
    let admin = running.page();
    Tracker { running, tracker, admin, folder, config }
}

fn write_config(config: &Path, token: &Path, more: &str) {
    let token = token.display();
    let text = format!(
        "listen = [\"127.0.0.1:0\"]\nworkers = 2\n{more}\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = \"{token}\"\n"
    );
    fs::write(config, text).unwrap();
}

/// An answer: its code, its head, and its body.
struct Answer {
    code: u16,
    head: String,
    body: String,
}

fn request(admin: SocketAddr, method: &str, path: &str, headers: &str) -> Answer {
    let mut stream = TcpStream::connect(admin).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n{headers}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let code = head.split(' ').nth(1).expect("a code").parse().unwrap();
    Answer { code, head: head.to_lowercase(), body: body.to_owned() }
}

fn get(admin: SocketAddr, path: &str) -> Answer {
    request(admin, "GET", path, "")
}

fn status(admin: SocketAddr) -> serde_json::Value {
    let answer = get(admin, "/api/status");
    assert_eq!(answer.code, 200);
    serde_json::from_str(&answer.body).unwrap()
}

/// The metrics: names with labels, and values.
fn metrics(admin: SocketAddr) -> BTreeMap<String, f64> {
    let lines = get(admin, "/metrics").body;
    let values = lines.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    });
    values.collect()
}

fn sum(metrics: &BTreeMap<String, f64>, name: &str) -> f64 {
    let own = metrics.iter().filter(|(key, _)| {
        key.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('{'))
    });
    own.map(|(_, value)| value).sum()
}

/// Sends a connect request and datagrams that are ignored and rejected.
fn send_some(tracker: SocketAddr) {
    connects(tracker);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A datagram that is too short, and an announce with an unknown connection_id.
    socket.send_to(b"short", tracker).unwrap();
    let mut announce = [0; 98];
    announce[11] = 1;
    socket.send_to(&announce, tracker).unwrap();
    let mut reply = [0; 100];
    assert!(socket.recv(&mut reply).unwrap() > 8 && reply[3] == 3);
}

#[test]
fn the_sum_of_the_metrics_holds_at_every_scrape_under_load() {
    let Tracker { running: _running, tracker, admin, .. } = start("");
    std::thread::scope(|scope| {
        let load = scope.spawn(|| (0..300).for_each(|_| send_some(tracker)));
        let mut received = 0.0;
        while !load.is_finished() {
            let metrics = metrics(admin);
            let sum_of = |name| sum(&metrics, name);
            let parts = [
                "tracker_answered_total",
                "tracker_rejected_total",
                "tracker_ignored_total",
                "tracker_not_sent_total",
            ];
            assert_eq!(sum_of("tracker_datagrams_received_total"), parts.map(sum_of).iter().sum::<f64>());
            assert!(sum_of("tracker_datagrams_received_total") >= received);
            received = sum_of("tracker_datagrams_received_total");
        }
    });
    // Counted after the last reply was sent.
    let deadline = std::time::Instant::now() + PATIENCE;
    while sum(&metrics(admin), "tracker_datagrams_received_total") < 900.0 {
        assert!(std::time::Instant::now() < deadline);
        std::thread::yield_now();
    }
    let metrics = metrics(admin);
    assert_eq!(metrics["tracker_answered_total{family=\"ipv4\",action=\"connect\"}"], 300.0);
    assert_eq!(metrics["tracker_rejected_total{family=\"ipv4\",reason=\"bad_connection_id\"}"], 300.0);
    assert_eq!(metrics["tracker_ignored_total{family=\"ipv4\",reason=\"bad_length\"}"], 300.0);
    assert!(metrics["tracker_reply_seconds_count"] >= 1.0);
    assert_eq!(metrics["tracker_reply_seconds_count"], metrics["tracker_reply_seconds_bucket{le=\"+Inf\"}"]);
    let status = status(admin);
    assert_eq!(status["requests"]["received"], 900);
    assert_eq!(status["requests"]["answered"], 300);
    assert_eq!(status["requests"]["ignored"]["bad_length"], 300);
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
}

#[test]
fn metrics_come_in_the_format_that_the_client_accepts() {
    let Tracker { running: _running, admin, .. } = start("");
    let older = get(admin, "/metrics");
    assert!(older.head.contains("content-type: text/plain; version=0.0.4"), "{}", older.head);
    assert!(older.body.contains("# TYPE tracker_datagrams_received_total counter\n"), "{}", older.body);
    let newer = request(admin, "GET", "/metrics", "Accept: application/openmetrics-text; version=1.0.0\r\n");
    assert!(newer.head.contains("content-type: application/openmetrics-text"), "{}", newer.head);
    assert!(
        newer.body.contains("# TYPE tracker_datagrams_received counter\n") && newer.body.ends_with("# EOF\n")
    );
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let Tracker { running: _running, admin, .. } = start("");
    let page = get(admin, "/");
    assert!(page.head.contains("content-security-policy: default-src 'none'"), "{}", page.head);
    for path in ["/page.css", "/page.js", "/icon.svg"] {
        assert!(page.body.contains(&format!("\"{path}\"")) && get(admin, path).code == 200);
    }
    for path in ["/", "/page.css", "/page.js", "/plots.js", "/units.js"] {
        let Answer { code, body, .. } = get(admin, path);
        assert_eq!(code, 200, "{path}");
        assert!(!body.contains("https://") && !body.contains("//cdn"), "{path}");
    }
    assert_eq!(get(admin, "/healthz").code, 200);
    assert_eq!(get(admin, "/api/history").body.trim(), "[]");
    assert_eq!(get(admin, "/api/history?last=3").body.trim(), "[]");
    for query in ["last=", "last=-1", "last=x", "first=3"] {
        assert_eq!(get(admin, &format!("/api/history?{query}")).code, 400, "{query}");
    }
}

#[test]
fn shows_a_torrent_and_its_peers_only_with_the_token() {
    let Tracker { running: _running, admin, .. } = start("");
    let path = format!("/api/torrents/{}", "0a".repeat(20));
    let open = get(admin, &path);
    assert_eq!(open.code, 200);
    let open: serde_json::Value = serde_json::from_str(&open.body).unwrap();
    assert_eq!((&open["ipv4"]["seeders"], open["ipv4"].get("peers")), (&0.into(), None));
    let with_token = request(admin, "GET", &path, &format!("Authorization: Bearer {TOKEN}\r\n")).body;
    let with_token: serde_json::Value = serde_json::from_str(&with_token).unwrap();
    assert_eq!(with_token["ipv4"]["peers"], serde_json::json!([]));
    let wrong = get(admin, "/api/torrents/xyz");
    assert_eq!(wrong.code, 400);
    assert!(wrong.body.contains("40 hex digits"), "{}", wrong.body);
}

#[test]
fn reload_takes_what_can_change_and_names_what_needs_a_restart() {
    let Tracker { running: _running, admin, folder, config, .. } = start("announce_interval = 900");
    let token = folder.path().join("token");
    let reload = |headers: &str| request(admin, "POST", "/api/reload", headers);
    let with_token = format!("Authorization: Bearer {TOKEN}\r\nContent-Length: 0\r\n");
    for wrong in
        ["Content-Length: 0\r\n", "Authorization: Bearer another-secret-of-it\r\nContent-Length: 0\r\n"]
    {
        assert_eq!(reload(wrong).code, 401);
    }
    write_config(&config, &token, "announce_interval = 1200\nmax_stored_peers = 1000");
    let answer: serde_json::Value = serde_json::from_str(&reload(&with_token).body).unwrap();
    let expected =
        serde_json::json!({ "changed": ["announce_interval"], "needs_restart": ["max_stored_peers"] });
    assert_eq!(answer, expected);
    write_config(&config, &token, "announce_interval = 1200\nanounce_interval = 5");
    let broken = reload(&with_token);
    assert_eq!(broken.code, 422);
    assert!(
        broken.body.contains("line 4, column 1") && broken.body.contains("is it announce_interval?"),
        "{}",
        broken.body
    );
    assert_eq!(get(admin, "/api/reload").code, 404);
}

#[test]
fn silent_and_endless_clients_keep_nobody_waiting() {
    let Tracker { running: _running, admin, tracker, .. } = start("");
    // More than there are places for.
    let silent: Vec<_> = (0..200).map(|_| TcpStream::connect(admin).unwrap()).collect();
    assert_eq!(get(admin, "/healthz").code, 200);
    let mut endless = TcpStream::connect(admin).unwrap();
    endless.set_read_timeout(Some(PATIENCE)).unwrap();
    endless.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    // Until the program ends the connection.
    let line = format!("X-Long: {}\r\n", "x".repeat(1000));
    let sent = (0..10_000).take_while(|_| endless.write_all(line.as_bytes()).is_ok()).count();
    assert!(sent < 10_000);
    let body = request(
        admin,
        "POST",
        "/api/reload",
        &format!("Content-Length: 1000000\r\n\r\n{}", "y".repeat(20_000)),
    );
    assert_eq!(body.code, 413);
    assert_eq!(get(admin, "/healthz").code, 200);
    connects(tracker);
    drop(silent);
}

#[test]
fn refuses_an_open_admin_address_without_a_token() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tracker.toml");
    fs::write(&config, "[admin]\nlisten = \"0.0.0.0:6970\"\n").unwrap();
    let output = run(&["--config", config.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let error = text(&output.stderr);
    assert!(error.contains("line 2") && error.contains("token_file"), "{error}");
}

#[test]
fn a_taken_admin_address_is_an_error_only_if_it_is_configured() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("tracker.toml");
    fs::write(&config, format!("[admin]\nlisten = \"{}\"\n", taken.local_addr().unwrap())).unwrap();
    let output = run(&["--config", config.to_str().unwrap(), "--listen", "127.0.0.1:0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("admin.listen"), "{}", text(&output.stderr));
}

#[test]
fn status_shows_a_table_or_json() {
    let Tracker { running: _running, admin, tracker, config, folder: _folder } = start("");
    send_some(tracker);
    let admin = admin.to_string();
    let shown = run(&["status", "--config", config.to_str().unwrap(), "--admin", &admin]);
    assert_eq!(shown.status.code(), Some(0), "{}", text(&shown.stderr));
    let table = text(&shown.stdout);
    assert!(table.contains("received") && table.contains(&format!("udp://{tracker}")), "{table}");
    let json = run(&["status", "--admin", &admin, "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert!(json["uptime_seconds"].as_f64().unwrap() > 0.0);
    // Bound, so that no other program has the port, but without listen(2).
    let nobody = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    nobody.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = nobody.local_addr().unwrap().as_socket().unwrap().to_string();
    let failed = run(&["status", "--admin", &address]);
    assert_eq!(failed.status.code(), Some(1));
    assert!(text(&failed.stderr).contains("does the tracker run"), "{}", text(&failed.stderr));
}
