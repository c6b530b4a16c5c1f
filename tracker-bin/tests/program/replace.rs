//! `--replace`: a tracker takes over from another one.

use std::fs;
use std::io::IoSliceMut;
use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, UdpSocket};
use std::ops::ControlFlow;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rustix::io::FdFlags;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use tracker_load::{Generator, Kind, Pace, Phase, Report, Settings};

use crate::running::{Log, PATIENCE, PROGRAM, Running, connects, run, text};

/// A folder with the state and the configuration of trackers that follow one another.
struct Service {
    dir: tempfile::TempDir,
}

impl Service {
    fn new(config: &str) -> Self {
        let service = Self { dir: tempfile::tempdir().unwrap() };
        service.configure(config);
        service
    }

    fn configure(&self, config: &str) {
        let state = self.dir.path().join("state");
        let _ = fs::create_dir(&state);
        let common = format!("listen = [\"127.0.0.1:0\"]\nstate_dir = {state:?}\n");
        fs::write(self.config(), format!("{common}{config}\n[admin]\nlisten = \"127.0.0.1:0\"\n")).unwrap();
    }

    fn config(&self) -> std::path::PathBuf {
        self.dir.path().join("tracker.toml")
    }

    fn control(&self) -> std::path::PathBuf {
        self.dir.path().join("state/control")
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(PROGRAM);
        command.arg("--config").arg(self.config()).args(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A tracker, its addresses, and its log.
    fn start(&self, arguments: &[&str]) -> Started {
        self.spawn(&mut self.command(arguments))
    }

    fn spawn(&self, command: &mut Command) -> Started {
        let mut running = Running::spawn(command);
        let (address, page) = (running.address(), running.page());
        let log = running.log();
        Started { running, address, page, log }
    }
}

struct Started {
    running: Running,
    address: SocketAddr,
    page: SocketAddr,
    log: Log,
}

impl Started {
    fn has_ended(mut self) {
        self.log.line_with("has taken over");
        assert_eq!(crate::running::exit_code(&mut self.running.child), Some(0));
    }
}

/// Fills a tracker, and then asks it without a pause until it is told to stop. All answers are checked: each peer has
/// announced, so a missing one is a wrong answer.
struct Load {
    stop: Arc<AtomicBool>,
    thread: thread::JoinHandle<Report>,
}

impl Load {
    fn start(tracker: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, (filled, is_filled)) = (Arc::clone(&stop), std::sync::mpsc::channel());
        let thread = thread::spawn(move || {
            let mut settings = Settings::new(tracker);
            (settings.torrents, settings.peers) = (200, 4000);
            // The kernel distributes the sockets of the generator over those of the tracker.
            settings.sockets = 16;
            settings.pace = Pace::Rate(5000);
            let mut generator = Generator::start(&settings).unwrap();
            generator.run(&Phase::Fill, &mut |_| ControlFlow::Continue(())).unwrap();
            filled.send(()).unwrap();
            let mix = Phase::Mix { mix: "10:80:10".parse().unwrap(), time: PATIENCE };
            let go_on = |_: &tracker_load::Progress<'_>| {
                if stopped.load(Ordering::Acquire) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            };
            let report = generator.run(&mix, &mut { go_on }).expect("all answers are right");
            generator.run(&Phase::Verify, &mut |_| ControlFlow::Continue(())).expect("no peer is missing");
            report
        });
        is_filled.recv_timeout(PATIENCE).expect("the tracker is filled");
        Self { stop, thread }
    }

    fn end(self) -> Report {
        self.stop.store(true, Ordering::Release);
        self.thread.join().unwrap()
    }
}

#[test]
fn no_answer_is_lost_or_wrong_while_one_tracker_follows_another() {
    for (before, after) in [("2", "2"), ("1", "3"), ("3", "1")] {
        let service = Service::new("");
        let mut tracker = service.start(&["--workers", before]);
        let load = Load::start(tracker.address);
        for workers in [after, before, after] {
            let successor = service.start(&["--workers", workers, "--replace"]);
            assert_eq!((successor.address, successor.page), (tracker.address, tracker.page));
            std::mem::replace(&mut tracker, successor).has_ended();
        }
        let report = load.end();
        assert_eq!(report.lost(), 0, "{before} and {after} workers: {report}");
        assert!(report.answered(Kind::Announce) > 100, "{report}");
    }
}

#[test]
fn a_successor_that_fails_leaves_the_tracker_serving() {
    let service = Service::new("");
    let tracker = service.start(&[]);
    let load = Load::start(tracker.address);
    let refused = |service: &Service, arguments: &[&str], expected: &str| {
        let output = service.command(arguments).output().unwrap();
        let error = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains(expected), "{error}");
    };
    service.configure("nonsense = 1");
    refused(&service, &["--replace"], "there is no key nonsense");
    service.configure("[access]\ntorrents = \"listed\"\ntorrent_list = \"/nonexistent/list\"");
    refused(&service, &["--replace"], "/nonexistent/list");
    service.configure("user = \"no-such-user-here\"");
    refused(&service, &["--replace"], "there is no user");
    service.configure("");
    // After it has connected.
    refused(&service, &["--replace", "--listen", "192.0.2.1:1"], "cannot listen on udp://192.0.2.1:1");
    tracker.log.line_with("a successor has failed");
    let report = load.end();
    assert_eq!(report.lost(), 0, "{report}");
    // And another one can follow.
    let successor = service.start(&["--replace"]);
    tracker.has_ended();
    connects(successor.address);
}

/// Says what a successor says, up to some message.
fn pretend(service: &Service, messages: &[&[u8]]) -> UnixStream {
    let mut stream = UnixStream::connect(service.control()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    messages.iter().for_each(|message| stream.write_all(message).unwrap());
    stream
}

fn hello(version: &str) -> Vec<u8> {
    let len = u32::try_from(version.len()).unwrap().to_le_bytes();
    [&[1], &len[..], version.as_bytes()].concat()
}

const READY: &[u8] = &[5, 0, 0, 0, 0];

fn own_version() -> String {
    format!("tracker-bin {} 1", env!("CARGO_PKG_VERSION"))
}

#[test]
fn a_successor_of_another_version_is_refused_with_a_reason() {
    let service = Service::new("");
    let tracker = service.start(&[]);
    let mut stream = pretend(&service, &[&hello("tracker-bin 0.0.0 0")]);
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    assert_eq!(answer[0], 2);
    assert!(text(&answer[5..]).starts_with("the running tracker is of another version"), "{answer:?}");
    tracker.log.line_with("it is of another version");
    connects(tracker.address);
}

#[test]
fn a_successor_that_ends_midway_or_sends_nonsense_changes_nothing() {
    let service = Service::new("");
    let tracker = service.start(&[]);
    let load = Load::start(tracker.address);
    drop(pretend(&service, &[]));
    tracker.log.line_with("a successor has failed");
    drop(pretend(&service, &[b"GET / HTTP/1.1\r\n"]));
    tracker.log.line_with("a successor has failed");
    drop(pretend(&service, &[&hello(&own_version())]));
    tracker.log.line_with("a successor has failed");
    // It has everything, and ends instead of serving.
    let mut last = pretend(&service, &[&hello(&own_version()), READY]);
    let mut bytes = [0; 1 << 16];
    // The last message is empty, and says that the tracker has paused.
    let mut end = Vec::new();
    while !end.ends_with(&[8, 0, 0, 0, 0]) {
        let received = last.read(&mut bytes).unwrap();
        assert!(received > 0, "the tracker has closed the connection");
        end.extend_from_slice(&bytes[..received]);
        end.drain(..end.len().saturating_sub(5));
    }
    drop(last);
    tracker.log.line_with("this tracker serves again");
    let report = load.end();
    assert_eq!(report.lost(), 0, "{report}");
}

#[test]
fn only_the_tracker_and_root_can_reach_the_socket() {
    let service = Service::new("");
    let tracker = service.start(&[]);
    connects(tracker.address);
    let mode = fs::metadata(service.control()).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn another_user_is_refused_even_if_the_file_is_open_to_everybody() {
    let service = Service::new("");
    let tracker = service.start(&[]);
    // Such users may not be able to read the folder of the built program.
    let program = service.dir.path().join("tracker-bin");
    fs::copy(PROGRAM, &program).unwrap();
    for path in [service.dir.path().to_path_buf(), service.dir.path().join("state"), service.control()] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let mut stranger = Command::new("setpriv");
    stranger.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    let output = stranger.arg("--config").arg(service.config()).arg("--replace").output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("while receiving the sockets of the running tracker"), "{error}");
    tracker.log.line_with("it belongs to another user");
    connects(tracker.address);
}

#[test]
fn without_a_running_tracker_or_a_state_dir_the_reason_is_reported() {
    let service = Service::new("");
    let output = service.command(&["--replace"]).output().unwrap();
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(
        error.contains("no tracker can be reached at") && error.contains("start it without --replace"),
        "{error}"
    );
    let output = run(&["--replace", "--listen", "127.0.0.1:0"]);
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("--replace needs state_dir in the configuration"), "{error}");
}

/// The service manager's side.
struct Manager {
    socket: UnixDatagram,
    dir: tempfile::TempDir,
}

const CONNECT: [u8; 16] = [0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4];

/// A copy that a child process gets, with a number that it doesn't use for another file.
fn inheritable(file: &OwnedFd) -> i32 {
    let copy = rustix::io::fcntl_dupfd_cloexec(file, 100).unwrap();
    rustix::io::fcntl_setfd(&copy, FdFlags::empty()).unwrap();
    copy.into_raw_fd()
}

impl Manager {
    /// A message with open files.
    fn files(&self) -> (String, Vec<OwnedFd>) {
        let mut bytes = [0; 1000];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(64))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        let buffer = &mut [IoSliceMut::new(&mut bytes)];
        let length = recvmsg(&self.socket, buffer, &mut ancillary, RecvFlags::CMSG_CLOEXEC).unwrap().bytes;
        let files = ancillary.drain().flat_map(|message| match message {
            RecvAncillaryMessage::ScmRights(files) => files.collect::<Vec<_>>(),
            _ => Vec::new(),
        });
        let files = files.collect();
        (String::from_utf8(bytes[..length].to_vec()).unwrap(), files)
    }

    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(dir.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket, dir }
    }

    fn message(&self) -> String {
        let mut bytes = [0; 1000];
        let length = self.socket.recv(&mut bytes).expect("a message");
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }
}

/// The manager gets copies of the sockets, and passes them to the next process, as systemd does with `FileDescriptorStoreMax`.
#[test]
fn the_service_manager_keeps_the_sockets_over_a_restart() {
    let (service, manager) = (Service::new(""), Manager::new());
    let environment = |command: &mut Command| {
        command.env("NOTIFY_SOCKET", manager.dir.path().join("notify")).env("FDSTORE", "100");
    };
    let mut command = service.command(&["--workers", "2"]);
    environment(&mut command);
    let tracker = service.spawn(&mut command);
    assert!(manager.message().starts_with("READY=1"));
    assert_eq!(manager.message(), "FDSTOREREMOVE=1\nFDNAME=tracker");
    let (message, stored) = manager.files();
    assert_eq!(message, "FDSTORE=1\nFDNAME=tracker\nFDPOLL=0");
    assert_eq!(stored.len(), 3, "two workers' sockets and the page");
    let address = tracker.address;
    tracker.running.signal("-KILL");
    drop(tracker);
    // Nobody serves, and the request waits.
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.send_to(&CONNECT, address).unwrap();
    // A shell puts the files where sd_listen_fds(3) says, and its own process id into the environment.
    let mut command = Command::new("bash");
    let redirect = r#"exec 3<&$1 4<&$2 5<&$3; shift 3; export LISTEN_PID=$$ LISTEN_FDS=3; exec "$@""#;
    let numbers = stored.iter().map(|file| inheritable(file).to_string());
    command.args(["-c", redirect, "bash"]).args(numbers).arg(PROGRAM).arg("--config").arg(service.config());
    command.args(["--workers", "1"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    environment(&mut command);
    let restarted = service.spawn(&mut command);
    assert_eq!(restarted.address, address);
    assert_eq!(client.recv(&mut [0; 100]).unwrap(), 16);
}

#[test]
fn the_service_manager_follows_to_the_successor() {
    let (service, manager) = (Service::new(""), Manager::new());
    let tracker = service.spawn(service.command(&[]).env("NOTIFY_SOCKET", manager.dir.path().join("notify")));
    assert!(manager.message().starts_with("READY=1"));
    // Started by hand: it finds the service manager through its predecessor.
    let successor = service.start(&["--replace"]);
    assert_eq!(manager.message(), format!("MAINPID={}", successor.running.child.id()));
    let ready = format!("READY=1\nSTATUS=listening on udp://{}", successor.address);
    assert_eq!(manager.message(), ready);
    tracker.has_ended();
    successor.running.signal("-TERM");
    assert_eq!(manager.message(), "STOPPING=1");
}
