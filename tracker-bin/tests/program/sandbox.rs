//! The sandbox, seen from outside: what the kernel reports about a running tracker's threads, and what still works.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::chown;
use std::path::Path;

use crate::running::{PATIENCE, PROGRAM, Running, connects, run, text};

/// `nobody`, on every system that these tests run on.
const NOBODY: u32 = 65534;

struct Tracker {
    running: Running,
    address: SocketAddr,
    page: SocketAddr,
    dir: tempfile::TempDir,
}

impl Tracker {
    /// With this configuration, in a folder of its own, in which DIR is that folder.
    fn start(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        chown(dir.path(), Some(NOBODY), None).or_else(|_| chown(dir.path(), None, None)).unwrap();
        let config = config.replace("DIR", dir.path().to_str().unwrap());
        let file = dir.path().join("tracker.toml");
        fs::write(dir.path().join("list"), "").unwrap();
        fs::write(dir.path().join("token"), "a token of sixteen".replace(' ', "-")).unwrap();
        fs::write(&file, format!("listen = [\"127.0.0.1:0\"]\n{config}")).unwrap();
        let mut running = Running::start(&["--config", file.to_str().unwrap()]);
        let (address, page) = (running.address(), running.page());
        Self { running, address, page, dir }
    }

    /// The values of a field of all threads, as the kernel reports them.
    fn status(&self, field: &str) -> Vec<String> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.running.child.id())).unwrap();
        let status = tasks.map(|task| fs::read_to_string(task.unwrap().path().join("status")).unwrap());
        let prefix = format!("{field}:");
        let value = |status: String| {
            let line =
                status.lines().find_map(|line| line.strip_prefix(&prefix)).expect("the field").to_owned();
            line.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        status.map(value).collect()
    }

    fn all_have(&self, field: &str, expected: &str) {
        let values = self.status(field);
        assert!(values.len() >= 5, "output, workers and the page: {values:?}");
        assert!(values.iter().all(|value| value == expected), "{field}: {values:?}");
    }

    fn http(&self, request: &str) -> String {
        let mut stream = TcpStream::connect(self.page).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

const ADMIN: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

#[test]
fn every_thread_has_no_new_privileges_and_a_filter_of_system_calls() {
    let tracker = Tracker::start(&format!("workers = 2\n{ADMIN}"));
    connects(tracker.address);
    tracker.all_have("NoNewPrivs", "1");
    tracker.all_have("Seccomp", "2");
}

#[test]
fn sandbox_false_restricts_nothing() {
    let tracker = Tracker::start(&format!("workers = 2\nsandbox = false\n{ADMIN}"));
    tracker
        .all_have("Seccomp", &fs::read_to_string("/proc/self/status").map(|own| seccomp_of(&own)).unwrap());
}

fn seccomp_of(status: &str) -> String {
    status.lines().find_map(|line| line.strip_prefix("Seccomp:")).unwrap().trim().to_owned()
}

#[test]
fn everything_that_changes_while_it_runs_still_works() {
    let access = "[access]\ntorrents = \"unlisted\"\ntorrent_list = \"DIR/list\"\n";
    let mut tracker = Tracker::start(&format!(
        "state_dir = \"DIR\"\nworkers = 1\n{access}{ADMIN}token_file = \"DIR/token\"\n"
    ));
    let log = tracker.running.log();
    let ok = |answer: &str| assert!(answer.starts_with("HTTP/1.1 20"), "{answer}");
    for path in ["/", "/metrics", "/healthz", "/api/status", "/api/history"] {
        ok(&tracker.http(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")));
    }
    // A list is replaced by a new file.
    let torrent = "e5d5fdac66b48270c93842b333061ea4dd7233e9";
    ok(&tracker.http(&format!(
        "PUT /api/access/torrents/{torrent} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\
         Authorization: Bearer a-token-of-sixteen\r\n\r\n{{}}"
    )));
    assert!(fs::read_to_string(tracker.dir.path().join("list")).unwrap().contains(torrent));
    // An editor puts a new file in the place of the configuration.
    let (file, new) = (tracker.dir.path().join("tracker.toml"), tracker.dir.path().join("new"));
    let config = fs::read_to_string(&file).unwrap();
    fs::write(&new, format!("announce_interval = 900\n{config}")).unwrap();
    fs::rename(&new, &file).unwrap();
    tracker.running.signal("-HUP");
    assert!(log.line_with("read the configuration").contains("changed: announce_interval"));
    connects(tracker.address);
    tracker.running.signal("-TERM");
    log.line_with("stopped");
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn becomes_the_user_with_no_capabilities_and_keeps_its_state() {
    let tracker = Tracker::start(&format!("user = \"nobody\"\nstate_dir = \"DIR\"\nworkers = 2\n{ADMIN}"));
    connects(tracker.address);
    let nobody = [NOBODY; 4].map(|uid| uid.to_string()).join(" ");
    tracker.all_have("Uid", &nobody);
    for capabilities in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        tracker.all_have(capabilities, "0000000000000000");
    }
    // None of root's groups stays.
    assert!(tracker.status("Groups").iter().all(|groups| !groups.split(' ').any(|group| group == "0")));
    let key = fs::metadata(tracker.dir.path().join("connection_key")).unwrap();
    assert_eq!(std::os::unix::fs::MetadataExt::uid(&key), NOBODY);
}

#[test]
fn an_unknown_user_stops_the_start_with_advice() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let config =
        "listen = [\"127.0.0.1:0\"]\nuser = \"no-such-user-here\"\n[admin]\nlisten = \"127.0.0.1:0\"\n";
    fs::write(file.path(), config).unwrap();
    let refused = run(&["--config", file.path().to_str().unwrap()]);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("there is no user \"no-such-user-here\""), "{error}");
    assert_eq!(text(&refused.stdout), "", "nothing was served");
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn another_user_than_root_can_not_become_somebody_else() {
    // Such users may not be able to read the folder of the built program.
    let dir = tempfile::tempdir().unwrap();
    let copy = |name: &str, from: &Path| {
        let to = dir.path().join(name);
        fs::copy(from, &to).unwrap();
        to
    };
    let program = copy("tracker-bin", Path::new(PROGRAM));
    let config = dir.path().join("tracker.toml");
    fs::write(&config, "listen = [\"127.0.0.1:0\"]\nuser = \"root\"\n").unwrap();
    fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = std::process::Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    let refused = command.arg("--config").arg(config).output().unwrap();
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("only root can become \"root\""), "{error}");
}
