//! The program's commands for torrents, as a user or a test harness sees them.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use serde_json::{Value, json};
use tempfile::TempDir;
use torrent_client::{App, Options, Seeding};

const PATIENCE: Duration = Duration::from_secs(60);
const LENGTH: usize = 3_000_001;

/// A file, and a folder for everything else.
fn content() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = vec![0; LENGTH];
    StdRng::seed_from_u64(9).fill_bytes(&mut bytes);
    fs::create_dir(dir.path().join("original")).unwrap();
    let file = dir.path().join("original/payload");
    fs::write(&file, bytes).unwrap();
    (dir, file)
}

fn client(arguments: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_client-bin"));
    command.args(arguments).current_dir(dir).env_remove("RUST_LOG");
    command
}

fn run(arguments: &[&str], dir: &Path) -> Output {
    client(arguments, dir).output().unwrap()
}

fn ok(arguments: &[&str], dir: &Path) -> String {
    let output = run(arguments, dir);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn create(dir: &Path) {
    ok(&["create", "original/payload", "-o", "x.torrent", "-l", "64K"], dir);
}

/// Seeds in this process, at `upload_rate` bytes a second.
fn seeder(dir: &Path, upload_rate: Option<u64>) -> (App, String) {
    let app = App::new(Options {
        save_to: dir.join("original"),
        seed_only: true,
        ip: Some([127, 0, 0, 1].into()),
        port: Some(0),
        upload_rate,
        seeding: Seeding::Until { time: None, ratio: None },
        ..Options::new(dir.join("x.torrent"))
    });
    app.start().unwrap();
    let address = app.addresses()[0].to_string();
    (app, address)
}

fn wait_exit(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(Instant::now() < deadline, "the program does not end");
        thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
}

/// The numbers in a status line's first bracket.
fn bracket(line: &str) -> Option<Vec<u32>> {
    let (_, rest) = line.split_once('[')?;
    let (numbers, _) = rest.split_once(']')?;
    numbers.split('/').map(|number| number.parse().ok()).collect()
}

#[test]
fn create_show_and_verify() {
    let (dir, file) = content();
    let arguments = ["create", "original/payload", "-o", "x.torrent", "-t", "udp://a:1", "-t", "udp://b:2"];
    let json: Value = serde_json::from_str(&ok(
        &[&arguments[..], &["-l", "65536", "--private", "--json"]].concat(),
        dir.path(),
    ))
    .unwrap();
    for (key, value) in [
        ("name", json!("payload")),
        ("length", json!(LENGTH)),
        ("piece_length", json!(65_536)),
        ("pieces", json!(46)),
        ("private", json!(true)),
        ("trackers", json!([["udp://a:1"], ["udp://b:2"]])),
    ] {
        assert_eq!(json[key], value, "{key}");
    }
    assert_eq!(json["info_hash"].as_str().unwrap().len(), 40);
    assert_eq!(
        serde_json::from_str::<Value>(&ok(&["show", "x.torrent", "--json"], dir.path())).unwrap(),
        json
    );
    assert!(ok(&["show", "x.torrent"], dir.path()).contains("payload (3000001 bytes)"));

    let again = run(&arguments, dir.path());
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("exists already"));
    ok(&[&arguments[..], &["--force"]].concat(), dir.path());
    assert_eq!(run(&["create", "original/payload"], dir.path()).status.code(), Some(2));

    create_again(dir.path());
    assert_eq!(
        ok(&["verify", "x.torrent", "-d", "original", "--json"], dir.path()),
        "{\"have\":46,\"total\":46}\n"
    );
    let mut bytes = fs::read(&file).unwrap();
    bytes[70_000] ^= 1;
    fs::write(&file, bytes).unwrap();
    let verified = run(&["verify", "x.torrent", "-d", "original", "--json"], dir.path());
    assert_eq!(verified.status.code(), Some(1));
    assert_eq!(verified.stdout, b"{\"have\":45,\"total\":46}\n");
}

fn create_again(dir: &Path) {
    ok(&["create", "original/payload", "-o", "x.torrent", "-l", "64K", "--force"], dir);
}

#[test]
fn status_lines_have_the_format_of_ctorrent() {
    let (dir, file) = content();
    create(dir.path());
    let (_seeder, peer) = seeder(dir.path(), Some(1_000_000));
    let download = ["download", "x.torrent", "-d", "copy", "-p", "0", "-i", "127.0.0.1", "--peer", &peer];
    let mut child =
        client(&download, dir.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> =
        BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok).collect();
    assert_eq!(wait_exit(&mut child), Some(0));
    let numbers: Vec<_> =
        lines.iter().map(|line| bracket(line).unwrap_or_else(|| panic!("{line}"))).collect();
    assert!(numbers.len() >= 2, "{lines:?}");
    assert!(numbers.is_sorted_by_key(|numbers| numbers[0]));
    assert_eq!(numbers.last().unwrap()[..2], [46, 46]);
    let stderr: Vec<_> = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok).collect();
    assert!(stderr[0].starts_with("listening on 127.0.0.1:") && !stderr[0].ends_with(":0"), "{stderr:?}");
    assert_eq!(fs::read(dir.path().join("copy/payload")).unwrap(), fs::read(file).unwrap());
}

#[test]
fn the_first_signal_ends_in_order_and_the_second_at_once() {
    let (dir, _) = content();
    // A session that ends in order waits a little for this tracker's answer.
    let tracker = UdpSocket::bind("127.0.0.1:0").unwrap();
    tracker.set_read_timeout(Some(PATIENCE)).unwrap();
    let url = format!("udp://{}", tracker.local_addr().unwrap());
    ok(&["create", "original/payload", "-o", "x.torrent", "-l", "64K", "-t", &url], dir.path());
    let seed = ["seed", "x.torrent", "-d", "original", "-p", "0", "-i", "127.0.0.1"];
    let begin = || {
        let mut child =
            client(&seed, dir.path()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        assert_eq!(bracket(&lines.next().unwrap()), Some(vec![46, 46, 46]));
        (child, lines)
    };
    for ending in [Signal::SIGINT, Signal::SIGTERM] {
        let (mut child, _lines) = begin();
        signal(&child, ending);
        assert_eq!(wait_exit(&mut child), Some(0));
    }
    // Those two were never answered, so this announce is from the process started now.
    let (mut child, mut lines) = begin();
    let mut request = [0; 2048];
    let announced = loop {
        let (len, from) = tracker.recv_from(&mut request).unwrap();
        let is_announce = len >= 98;
        let body: &[u8] = if is_announce { &[0, 0, 7, 8, 0, 0, 0, 0, 0, 0, 0, 1] } else { &[9; 8] };
        tracker.send_to(&[&[0, 0, 0, request[11]], &request[12..16], body].concat(), from).unwrap();
        if is_announce {
            break request[83];
        }
    };
    assert_eq!(announced, 2, "started");
    // Announces that failed and that were answered, at the end of a status line.
    assert!(lines.any(|line| line.ends_with("E:0,1")));
    signal(&child, Signal::SIGINT);
    // It begins to end: with a connect before `stopped`, which is not answered.
    let (len, _) = tracker.recv_from(&mut request).unwrap();
    assert_eq!(len, 16, "connect");
    signal(&child, Signal::SIGINT);
    assert_eq!(wait_exit(&mut child), Some(1));
}

#[test]
fn completes_after_being_killed_ten_times() {
    let (dir, file) = content();
    create(dir.path());
    let (_seeder, peer) = seeder(dir.path(), Some(2_000_000));
    let download = ["download", "x.torrent", "-d", "copy", "-p", "0", "-i", "127.0.0.1", "--peer", &peer];
    let begin = || client(&download, dir.path()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let mut rng = StdRng::from_seed(rand::random());
    for _ in 0..10 {
        let mut child = begin();
        thread::sleep(Duration::from_millis(rng.random_range(0..300)));
        signal(&child, Signal::SIGKILL);
        wait_exit(&mut child);
    }
    assert_eq!(wait_exit(&mut begin()), Some(0));
    assert_eq!(fs::read(dir.path().join("copy/payload")).unwrap(), fs::read(file).unwrap());
}

#[test]
fn wrong_usage_exits_with_2() {
    let dir = tempfile::tempdir().unwrap();
    for arguments in [&["download"][..], &["seed", "x.torrent"], &["download", "x", "--files", "0"]] {
        assert_eq!(run(arguments, dir.path()).status.code(), Some(2), "{arguments:?}");
    }
    let output = run(&["download", "missing.torrent"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("missing.torrent") && stderr.contains("No such file"), "{stderr}");
}

mod small_disk {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};

    use super::*;

    /// A file system in memory, with space for `bytes` bytes.
    struct Tmpfs(PathBuf);

    impl Tmpfs {
        fn mount(at: PathBuf, bytes: usize) -> Self {
            fs::create_dir_all(&at).unwrap();
            let data = format!("size={bytes}");
            mount(Some("tmpfs"), &at, Some("tmpfs"), MsFlags::empty(), Some(data.as_str())).unwrap();
            Self(at)
        }

        fn remount(&self, flags: MsFlags, bytes: usize) {
            let data = format!("size={bytes}");
            mount(Some("tmpfs"), &self.0, Some("tmpfs"), flags | MsFlags::MS_REMOUNT, Some(data.as_str()))
                .unwrap();
        }
    }

    impl Drop for Tmpfs {
        fn drop(&mut self) {
            let _ = umount2(&self.0, MntFlags::MNT_DETACH);
        }
    }

    #[test]
    #[ignore = "needs root, to mount a small file system: run scripts/test"]
    fn a_full_disk_is_an_error_and_keeps_the_data() {
        let (dir, file) = content();
        create(dir.path());
        let disk = Tmpfs::mount(dir.path().join("disk"), 1 << 20);
        let (_seeder, peer) = seeder(dir.path(), None);
        let download = ["download", "x.torrent", "-d", "disk", "-p", "0", "-i", "127.0.0.1", "--peer", &peer];
        let output = run(&download, dir.path());
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("disk/payload") && stderr.contains("free some space"), "{stderr}");
        let verified = run(&["verify", "x.torrent", "-d", "disk", "--json"], dir.path());
        let verified: Value = serde_json::from_slice(&verified.stdout).unwrap();
        assert!(verified["have"].as_u64().unwrap() > 0, "{verified}");

        disk.remount(MsFlags::empty(), 8 << 20);
        ok(&download, dir.path());
        assert_eq!(fs::read(dir.path().join("disk/payload")).unwrap(), fs::read(file).unwrap());
    }

    #[test]
    #[ignore = "needs root, to mount a file system read-only: run scripts/test"]
    fn a_read_only_folder_is_an_error() {
        let (dir, _) = content();
        create(dir.path());
        let disk = Tmpfs::mount(dir.path().join("disk"), 8 << 20);
        disk.remount(MsFlags::MS_RDONLY, 8 << 20);
        let output = run(&["download", "x.torrent", "-d", "disk", "-p", "0", "-i", "127.0.0.1"], dir.path());
        assert_eq!(output.status.code(), Some(1));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("disk/payload") && stderr.contains("can be written to"), "{stderr}");
    }
}
