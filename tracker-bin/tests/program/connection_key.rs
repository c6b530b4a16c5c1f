//! Connection ids over a restart.

use std::fs::{self, Permissions};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::running::{PATIENCE, Running, run, text};

/// A tracker with this configuration, which is written to the folder.
fn start(dir: &Path, config: &str) -> (Running, SocketAddr) {
    let file = dir.join("tracker.toml");
    fs::write(&file, format!("listen = [\"127.0.0.1:0\"]\nworkers = 1\n{config}")).unwrap();
    let mut tracker = Running::start(&["--config", file.to_str().unwrap()]);
    let address = tracker.address();
    (tracker, address)
}

fn with_state(dir: &Path) -> (Running, SocketAddr) {
    start(dir, &format!("state_dir = {dir:?}\n"))
}

fn end(tracker: Running) {
    tracker.signal("-TERM");
    let (code, log) = tracker.end();
    assert_eq!(code, Some(0), "{log}");
}

struct Client(UdpSocket);

impl Client {
    fn new() -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn ask(&self, tracker: SocketAddr, request: &[u8]) -> Vec<u8> {
        let mut reply = [0; 2000];
        self.0.send_to(request, tracker).unwrap();
        let length = self.0.recv(&mut reply).unwrap();
        reply[..length].to_vec()
    }

    fn connect(&self, tracker: SocketAddr) -> [u8; 8] {
        let reply = self.ask(tracker, &[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4]);
        reply[8..16].try_into().unwrap()
    }

    /// Whether a scrape with this id is answered, rather than with an error.
    fn is_accepted(&self, tracker: SocketAddr, id: [u8; 8]) -> bool {
        let scrape = [&id[..], &[0, 0, 0, 2, 1, 2, 3, 4], &[7; 20]].concat();
        match self.ask(tracker, &scrape)[3] {
            2 => true,
            3 => false,
            action => panic!("action {action}"),
        }
    }
}

#[test]
fn ids_survive_a_restart_with_the_same_state_dir() {
    let (dir, client) = (tempfile::tempdir().unwrap(), Client::new());
    let (tracker, address) = with_state(dir.path());
    let id = client.connect(address);
    assert!(client.is_accepted(address, id));
    end(tracker);
    // Another port of the same address, and another socket of the client.
    let (restarted, address) = with_state(dir.path());
    assert!(client.is_accepted(address, id));
    assert!(Client::new().is_accepted(address, id));
    end(restarted);
    let (other, address) = with_state(tempfile::tempdir().unwrap().path());
    assert!(!client.is_accepted(address, id), "another folder has another key");
    drop(other);
    let key = fs::metadata(dir.path().join("connection_key")).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn a_reload_takes_new_keys_from_the_file_and_accepts_the_previous_one() {
    let (dir, client) = (tempfile::tempdir().unwrap(), Client::new());
    let path = dir.path().join("keys");
    let (old, new) = ("00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100");
    let write = |text: &str| fs::write(&path, text).unwrap();
    write(old);
    let (mut tracker, address) = start(dir.path(), &format!("connection_key_file = {path:?}\n"));
    let log = tracker.log();
    let id = client.connect(address);
    let reload = |keys: &str| {
        write(keys);
        tracker.signal("-HUP");
        log.line_with("read the configuration and the access lists again");
    };
    reload(&format!("{new}\n{old}\n"));
    assert!(client.is_accepted(address, id));
    let newer = client.connect(address);
    reload(new);
    assert!(!client.is_accepted(address, id));
    assert!(client.is_accepted(address, newer));
}

#[test]
fn a_key_that_others_can_read_stops_the_start_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    end(with_state(dir.path()).0);
    let key = dir.path().join("connection_key");
    fs::set_permissions(&key, Permissions::from_mode(0o644)).unwrap();
    let config = dir.path().join("tracker.toml");
    fs::write(&config, format!("listen = [\"127.0.0.1:0\"]\nstate_dir = {:?}\n", dir.path())).unwrap();
    let config = config.to_str().unwrap();
    let refused = run(&["--config", config]);
    let error = text(&refused.stderr);
    assert_eq!(refused.status.code(), Some(1), "{error}");
    assert!(error.contains("other users can read or change the secret keys in"), "{error}");
    assert!(error.contains("remove the file, so that the tracker makes new keys"), "{error}");
    let report = run(&["doctor", "--config", config]);
    let report = text(&report.stdout);
    assert!(report.contains("problem  state_dir: all users of this machine can read or change"), "{report}");
}
