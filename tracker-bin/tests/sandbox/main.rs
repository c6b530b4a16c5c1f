//! The sandbox from inside: this program enters it as the tracker does, and then tries what an attacker would.

#[path = "../../src/sandbox/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the tests need only a part")]
mod sandbox;

use std::fs;
use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Output, exit};

use rustix::process::Signal;
use sandbox::Folders;
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// Names a folder with the files that the attempts need.
const INSIDE: &str = "SANDBOX_TEST_FOLDER";

/// Runs `attempt` in a process of its own, which has entered the sandbox. `Err` of the attempt, or its end by a signal, is
/// in the output.
fn inside(name: &str, attempt: impl FnOnce(&Path) -> std::io::Result<()>) -> Output {
    inside_without(None, name, attempt)
}

/// The same on a kernel without a system call.
fn inside_without(
    missing: Option<i64>,
    name: &str,
    attempt: impl FnOnce(&Path) -> std::io::Result<()>,
) -> Output {
    if let Some(folder) = std::env::var_os(INSIDE) {
        missing.into_iter().for_each(take_away);
        let folder = Path::new(&folder);
        let mut folders = Folders::default();
        folders.write_folder(&folder.join("state"));
        folders.read_file(&folder.join("etc/tracker.toml"));
        sandbox::enter(&folders);
        let result = attempt(folder);
        let _ = write!(std::io::stderr(), "result: {result:?}");
        exit(i32::from(result.is_err()));
    }
    let folder = tempfile::tempdir().unwrap();
    for file in ["state/key", "etc/tracker.toml", "other/secret"] {
        let path = folder.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "content").unwrap();
    }
    let own = std::env::current_exe().unwrap();
    let arguments = ["--exact", name, "--include-ignored", "--nocapture"];
    Command::new(own).args(arguments).env(INSIDE, folder.path()).output().unwrap()
}

/// From now on, the call fails as on a kernel that doesn't have it.
fn take_away(call: i64) {
    let action = SeccompAction::Errno(38);
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let filter = SeccompFilter::new([(call, Vec::new())].into(), SeccompAction::Allow, action, arch).unwrap();
    seccompiler::apply_filter(&BpfProgram::try_from(filter).unwrap()).unwrap();
}

#[track_caller]
fn succeeds(output: &Output) {
    assert!(output.status.success(), "{output:?}");
}

#[track_caller]
fn fails_with(output: &Output, kind: ErrorKind) {
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text.contains(&format!("kind: {kind:?}")), "{text}");
}

#[track_caller]
fn is_killed(output: &Output) {
    assert_eq!(output.status.signal(), Some(Signal::SYS.as_raw()), "{output:?}");
}

#[test]
fn its_own_files_can_be_read_and_replaced() {
    succeeds(&inside("its_own_files_can_be_read_and_replaced", |folder| {
        let state = folder.join("state");
        fs::read(folder.join("etc/tracker.toml"))?;
        fs::write(state.join("new"), "other content")?;
        fs::rename(state.join("new"), state.join("key"))?;
        fs::File::open(&state)?.sync_all()?;
        fs::remove_file(state.join("key"))?;
        fs::read_to_string("/proc/self/status").map(|_| ())
    }));
}

#[test]
fn other_files_can_not_be_read() {
    let output =
        inside("other_files_can_not_be_read", |folder| fs::read(folder.join("other/secret")).map(|_| ()));
    fails_with(&output, ErrorKind::PermissionDenied);
}

#[test]
fn no_file_of_the_system_can_be_read() {
    let output = inside("no_file_of_the_system_can_be_read", |_| fs::read("/etc/passwd").map(|_| ()));
    fails_with(&output, ErrorKind::PermissionDenied);
}

#[test]
fn nothing_can_be_written_outside_of_the_state() {
    let output = inside("nothing_can_be_written_outside_of_the_state", |folder| {
        fs::write(folder.join("etc/tracker.toml"), "")
    });
    fails_with(&output, ErrorKind::PermissionDenied);
}

#[test]
fn no_program_can_be_started() {
    let output = inside("no_program_can_be_started", |_| Command::new("/bin/true").status().map(|_| ()));
    // There can be no process for it.
    fails_with(&output, ErrorKind::Unsupported);
}

#[test]
fn no_program_can_take_the_place_of_this_one() {
    let output = inside("no_program_can_take_the_place_of_this_one", |_| {
        Err(std::os::unix::process::CommandExt::exec(&mut Command::new("/bin/true")))
    });
    is_killed(&output);
}

#[test]
fn nothing_can_be_reached_over_tcp() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let output = inside("nothing_can_be_reached_over_tcp", |_| TcpStream::connect(address).map(|_| ()));
    fails_with(&output, ErrorKind::PermissionDenied);
}

#[test]
fn datagrams_can_be_sent_and_threads_started() {
    let (socket, other) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
    succeeds(&inside("datagrams_can_be_sent_and_threads_started", |_| {
        let started = std::thread::Builder::new().spawn(|| vec![1_u8; 64 << 20].len())?;
        assert_eq!(started.join().unwrap(), 64 << 20);
        socket.send_to(b"?", other.local_addr()?)?;
        other.recv(&mut [0]).map(|_| ())
    }));
}

#[test]
fn the_restrictions_are_for_threads_that_are_started_later_too() {
    let output = inside("the_restrictions_are_for_threads_that_are_started_later_too", |folder| {
        let secret = folder.join("other/secret");
        std::thread::spawn(move || fs::read(secret).map(|_| ())).join().unwrap()
    });
    fails_with(&output, ErrorKind::PermissionDenied);
}

#[test]
fn without_landlock_the_rest_is_in_force() {
    let name = "without_landlock_the_rest_is_in_force";
    let output = inside_without(Some(libc::SYS_landlock_create_ruleset), name, |folder| {
        fs::read(folder.join("other/secret"))?;
        Err(std::os::unix::process::CommandExt::exec(&mut Command::new("/bin/true")))
    });
    is_killed(&output);
}

#[test]
fn without_seccomp_the_rest_is_in_force() {
    let output = inside_without(Some(libc::SYS_seccomp), "without_seccomp_the_rest_is_in_force", |folder| {
        // This process can be made, but the program can't be read.
        assert!(Command::new("/bin/true").status().is_err());
        fs::read(folder.join("other/secret")).map(|_| ())
    });
    fails_with(&output, ErrorKind::PermissionDenied);
}
