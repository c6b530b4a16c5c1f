//! Restarts in order, and what prevents or spoils them.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::client::{Client, info_hash};
use crate::running::{Log, PATIENCE, Running, poll_until, run, text};

/// A folder with a configuration and room for the state.
fn configured(more: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let state = dir.path().join("state");
    let config = format!("listen = [\"127.0.0.1:0\"]\nworkers = 2\nstate_dir = {state:?}\n{more}\n");
    fs::write(dir.path().join("tracker.toml"), config).unwrap();
    dir
}

fn config(dir: &TempDir) -> String {
    dir.path().join("tracker.toml").to_str().unwrap().to_owned()
}

/// A tracker that has loaded what there is, with its log from then on, and the line about it.
fn start(dir: &TempDir) -> (Running, Client, Log, String) {
    let mut tracker = Running::start(&["--config", &config(dir)]);
    let log = tracker.log();
    let client = Client::connect(tracker.address(), PATIENCE).unwrap();
    let line = log.line_with("loaded");
    (tracker, client, log, line)
}

fn end(mut tracker: Running, log: Log) -> String {
    tracker.signal("-TERM");
    assert_eq!(tracker.child.wait().unwrap().code(), Some(0));
    log.rest().join("\n")
}

fn ports(mut ports: Vec<u16>) -> Vec<u16> {
    ports.sort_unstable();
    ports
}

#[test]
fn peers_survive_a_restart() {
    let dir = configured("");
    let (tracker, client, log, line) = start(&dir);
    assert!(line.contains("no snapshot is loaded: there is none in "), "{line}");
    (1..=20).for_each(|port| drop(client.announce(1, port).unwrap()));
    let ended = end(tracker, log);
    assert!(ended.contains("wrote a snapshot of 20 peers"), "{ended}");

    let (tracker, client, log, line) = start(&dir);
    assert!(line.contains("loaded 20 peers from "), "{line}");
    assert_eq!(ports(client.announce(1, 21).unwrap()), Vec::from_iter(1..=20));
    let ended = end(tracker, log);
    assert!(ended.contains("wrote a snapshot of 21 peers"), "{ended}");
    let names = |name: &str| dir.path().join("state").join(name).is_file();
    assert!(names("swarms.snapshot") && names("swarms.snapshot.previous") && names("access.hits"));
    assert!(!names("swarms.snapshot.new") && !names("swarms.snapshot.refused"));
}

#[test]
fn a_tracker_writes_snapshots_while_it_serves() {
    let dir = configured("snapshot_interval = 1");
    let (mut tracker, client, log, _) = start(&dir);
    client.announce(1, 1).unwrap();
    log.line_with("wrote a snapshot of 1 peers");
    tracker.child.kill().unwrap();
    tracker.child.wait().unwrap();
    let (_tracker, client, _, line) = start(&dir);
    assert!(line.contains("loaded 1 peers"), "{line}");
    assert_eq!(client.announce(1, 2).unwrap(), [1]);
}

#[test]
fn a_state_dir_of_another_tracker_is_refused() {
    let dir = configured("");
    let (tracker, ..) = start(&dir);
    let second = run(&["--config", &config(&dir)]);
    let error = text(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{error}");
    let expected = format!("is used by another tracker (process {}): stop that one", tracker.child.id());
    assert!(error.contains(&expected), "{error}");
    // It has touched neither the lock nor the one that has it.
    let third = run(&["--config", &config(&dir)]);
    assert!(text(&third.stderr).contains(&expected));
}

#[test]
fn a_damaged_snapshot_is_kept_aside_and_reported() {
    let dir = configured("[admin]\nlisten = \"127.0.0.1:0\"");
    let state = dir.path().join("state");
    let (tracker, client, log, _) = start(&dir);
    client.announce(1, 1).unwrap();
    end(tracker, log);
    let snapshot = state.join("swarms.snapshot");
    let mut bytes = fs::read(&snapshot).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&snapshot, &bytes).unwrap();

    let mut tracker = Running::start(&["--config", &config(&dir)]);
    let log = tracker.log();
    let client = Client::connect(tracker.address(), PATIENCE).unwrap();
    let page = tracker.page();
    let line = log.line_with("is not loaded");
    assert!(line.contains("it is damaged: the checksum of the bytes from "), "{line}");
    assert!(line.contains("it is kept as "), "{line}");
    assert!(client.announce(1, 2).unwrap().is_empty());
    assert_eq!(fs::read(state.join("swarms.snapshot.refused")).unwrap(), bytes);
    let status = run(&["status", "--json", "--admin", &page.to_string()]);
    let status: serde_json::Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["snapshot"]["failures"], 0);
    let findings = status["findings"].as_array().unwrap();
    let finding = findings.iter().find(|finding| finding["id"] == "snapshot_refused").expect("a finding");
    assert!(finding["what"].as_str().unwrap().contains("it is damaged"), "{finding}");
    end(tracker, log);
    assert!(snapshot.is_file());
}

#[test]
fn hits_of_access_rules_survive_a_restart() {
    let access = |dir: &Path| {
        let list = dir.join("torrents.list");
        let info_hash: String = info_hash(1).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(&list, format!("{info_hash} # gone\n")).unwrap();
        format!("[access]\ntorrents = \"unlisted\"\ntorrent_list = {list:?}")
    };
    let dir = configured("");
    let more = access(dir.path());
    fs::write(config(&dir), fs::read_to_string(config(&dir)).unwrap() + &more).unwrap();
    for hits in [1, 2] {
        let (tracker, client, log, _) = start(&dir);
        assert_eq!(client.refused(1, 1), "this torrent is not served: gone");
        end(tracker, log);
        let kept = fs::read_to_string(dir.path().join("state/access.hits")).unwrap();
        let line = kept.lines().nth(1).unwrap();
        assert_eq!(line.split(' ').nth(2), Some(hits.to_string().as_str()), "{kept}");
    }
}

#[test]
fn check_finds_a_state_dir_that_can_not_be_used() {
    let dir = configured("");
    let checked = run(&["check", &config(&dir)]);
    assert_eq!(checked.status.code(), Some(0), "{}", text(&checked.stderr));
    fs::write(dir.path().join("state"), "a file").unwrap();
    for arguments in [&["check", &config(&dir)][..], &["--config", &config(&dir)]] {
        let checked = run(arguments);
        let error = text(&checked.stderr);
        assert_eq!(checked.status.code(), Some(1), "{error}");
        assert!(error.contains(dir.path().join("state").to_str().unwrap()), "{error}");
    }
    let error = run(&["check", &config(&dir)]);
    assert!(text(&error.stderr).contains("line 3: state_dir: "), "{}", text(&error.stderr));
}

/// A file system of 64 KiB, in a namespace that ends with the tracker.
#[test]
#[ignore = "needs root: run scripts/test"]
fn a_full_disk_is_reported_and_stops_nothing() {
    let dir = configured("snapshot_interval = 1\n[admin]\nlisten = \"127.0.0.1:0\"");
    let state = dir.path().join("state");
    fs::create_dir(&state).unwrap();
    let script = "mount -t tmpfs -o size=64k tmpfs \"$1\" && exec \"$2\" --config \"$3\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).args([&state]);
    command.args([crate::running::PROGRAM, &config(&dir)]);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut tracker = Running::spawn(&mut command);
    let log = tracker.log();
    let client = Client::connect(tracker.address(), PATIENCE).unwrap();
    let page = tracker.page();
    (0..3000).for_each(|torrent| drop(client.announce(torrent, 1).unwrap()));
    let line = log.line_with("no snapshot was written");
    assert!(line.contains("cannot write ") && line.contains("No space left on device"), "{line}");
    poll_until("the finding", || {
        let status = run(&["status", "--json", "--admin", &page.to_string()]);
        let status = text(&status.stdout).to_owned();
        if status.contains("snapshot_failed") { Ok(()) } else { Err(status) }
    });
    client.announce(1, 2).unwrap();
    tracker.signal("-TERM");
    assert_eq!(tracker.child.wait().unwrap().code(), Some(0));
}
