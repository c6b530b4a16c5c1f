//! The access lists of a running tracker.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use tempfile::TempDir;
use udp_tracker_proto::blocking::Tracker;
use udp_tracker_proto::client::Announce;
use udp_tracker_proto::{InfoHash, PeerId};

use crate::running::{PATIENCE, Running, run, text};

const TORRENT: InfoHash = InfoHash([7; 20]);

/// A configuration with lists of these texts.
fn configuration(torrents: &str, networks: &str, clients: &str, keys: Option<&str>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let mut config =
        String::from("listen = [\"127.0.0.1:0\"]\nworkers = 2\n[access]\ntorrents = \"unlisted\"\n");
    let lists = [
        ("torrent_list", Some(torrents)),
        ("network_list", Some(networks)),
        ("client_list", Some(clients)),
        ("key_list", keys),
    ];
    for (key, list) in lists {
        if let Some(list) = list {
            fs::write(path(key), list).unwrap();
            config += &format!("{key} = {:?}\n", path(key));
        }
    }
    fs::write(path("tracker.toml"), config).unwrap();
    dir
}

fn start(dir: &Path) -> Running {
    Running::start(&["--config", dir.join("tracker.toml").to_str().unwrap()])
}

/// The error text of an announce, or `served`.
fn announce(address: SocketAddr, path: &str, peer_id: &[u8; 20]) -> String {
    let mut tracker = Tracker::connect(&format!("udp://{address}{path}")).unwrap().with_timeout(PATIENCE);
    let announced = tracker.announce(&Announce::new(TORRENT, PeerId(*peer_id), 6881, 0));
    announced.map_or_else(|error| error.to_string(), |_| "served".into())
}

const CLIENT: &[u8; 20] = b"-ZZ0001-abcdefghijkl";

#[test]
fn refused_clients_get_the_reason_and_sighup_changes_the_rules() {
    let dir = configuration(&format!("{TORRENT} by=me # gone for good\n"), "", "-XX # too old\n", None);
    let mut tracker = start(dir.path());
    let address = tracker.address();
    assert!(announce(address, "/announce", CLIENT).ends_with("this torrent is not served: gone for good"));
    fs::write(dir.path().join("torrent_list"), "").unwrap();
    let log = tracker.log();
    tracker.signal("-HUP");
    let line = log.line_with("the access lists again");
    assert!(line.contains("0 torrents, 0 networks, 1 client"), "{line}");
    assert_eq!(announce(address, "/announce", CLIENT), "served");
    let refused = announce(address, "/announce", b"-XX0001-abcdefghijkl");
    assert!(refused.ends_with("this client is not served: too old"), "{refused}");
}

#[test]
fn a_passkey_in_the_url_lets_in() {
    let dir = configuration("", "", "", Some("s3cret # bob\n0ld until=2020-01-01\n"));
    let mut tracker = start(dir.path());
    let address = tracker.address();
    assert_eq!(announce(address, "/announce/s3cret", CLIENT), "served");
    assert_eq!(announce(address, "/announce?passkey=s3cret", CLIENT), "served");
    for (path, expected) in [
        ("/announce", "a passkey is needed: /announce/KEY at the end of the tracker's URL"),
        ("/announce/wrong", "the passkey in the tracker's URL is unknown or has ended"),
        ("/announce/0ld", "the passkey in the tracker's URL is unknown or has ended"),
    ] {
        let refused = announce(address, path, CLIENT);
        assert!(refused.ends_with(expected), "{path}: {refused}");
    }
}

#[test]
fn access_nft_prints_the_denied_networks() {
    let dir = configuration("", "192.0.2.0/24\n2001:db8::/32\n198.51.100.1 until=2020-01-01\n", "", None);
    let config = dir.path().join("tracker.toml");
    let config = config.to_str().unwrap();
    let refused = run(&["access", "nft", "--config", config]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("listen: port 0"), "{}", text(&refused.stderr));
    let with_ports = fs::read_to_string(config).unwrap().replace(":0\"]", ":7001\", \"[::1]:7002\"]");
    fs::write(config, with_ports).unwrap();
    let printed = run(&["access", "nft", "--config", config]);
    assert_eq!((printed.status.code(), text(&printed.stderr)), (Some(0), ""));
    let table = text(&printed.stdout);
    for expected in ["\t192.0.2.0/24\n", "\t2001:db8::/32\n", "dport { 7001, 7002 }"] {
        assert!(table.contains(expected), "{expected}: {table}");
    }
    assert!(!table.contains("198.51.100.1"), "it has ended: {table}");
    assert!(text(&run(&["access", "nft"]).stdout).contains("dport { 6969 }"));
}

#[test]
fn check_reports_a_broken_list() {
    let dir = configuration("rubbish\n", "", "", None);
    let checked = run(&["check", dir.path().join("tracker.toml").to_str().unwrap()]);
    assert_eq!(checked.status.code(), Some(1));
    let error = text(&checked.stderr);
    assert!(
        error.contains("torrent_list, line 1: \"rubbish\": an info_hash of 40 hex digits expected"),
        "{error}"
    );
}

#[test]
fn deny_and_allow_take_effect_at_once_and_are_in_the_file() {
    let dir = configuration("# removed on request\n", "", "", Some("s3cret\n"));
    let path = dir.path().join("tracker.toml");
    fs::write(dir.path().join("token"), "a-secret-for-this-test").unwrap();
    let token = dir.path().join("token");
    let admin = format!("\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken_file = {token:?}\n");
    fs::write(&path, fs::read_to_string(&path).unwrap() + &admin).unwrap();
    let torrent = TORRENT.to_string();
    let mut tracker = start(dir.path());
    let address = tracker.address();
    let admin = tracker.page().to_string();
    let tell = |arguments: &[&str]| {
        let output = run(&[arguments, &["--config", path.to_str().unwrap(), "--admin", &admin]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout).to_owned()
    };
    assert_eq!(announce(address, "/announce/s3cret", CLIENT), "served");
    tell(&["deny", &torrent, "--reason", "gone", "--until", "2999-12-31", "--by", "the author"]);
    let refused = announce(address, "/announce/s3cret", CLIENT);
    assert!(refused.ends_with("this torrent is not served: gone"), "{refused}");
    let expected = format!("# removed on request\n{TORRENT} until=2999-12-31 by=\"the author\" # gone\n");
    assert_eq!(fs::read_to_string(dir.path().join("torrent_list")).unwrap(), expected);
    let list = tell(&["access", "list"]);
    assert!(list.contains(&torrent) && list.contains("1 hit") && list.contains("# gone"), "{list}");
    tell(&["allow", &torrent]);
    assert_eq!(announce(address, "/announce/s3cret", CLIENT), "served");
    assert_eq!(fs::read_to_string(dir.path().join("torrent_list")).unwrap(), "# removed on request\n");
    tell(&["key", "add", "n3w"]);
    assert_eq!(announce(address, "/announce/n3w", CLIENT), "served");
    tell(&["key", "revoke", "n3w"]);
    assert!(announce(address, "/announce/n3w", CLIENT).contains("unknown"));
    let missing = run(&["allow", &torrent, "--config", path.to_str().unwrap(), "--admin", &admin]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing.stderr).contains("is not in"), "{}", text(&missing.stderr));
}
