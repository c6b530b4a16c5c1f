//! A running program and its client, for all test programs of this folder.
#![allow(dead_code, reason = "none of them uses all")]

use std::io::{BufRead, BufReader, Read};
use std::net::{SocketAddr, UdpSocket};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Limits every wait. The longest, of 15 seconds, is for a livesync packet that is not full.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_tracker-bin");

pub(crate) fn run(arguments: &[&str]) -> Output {
    Command::new(PROGRAM).args(arguments).output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A running tracker, which is killed on drop.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: Option<BufReader<ChildStdout>>,
}

impl Running {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        Self::spawn(Command::new(PROGRAM).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()))
    }

    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().map(BufReader::new);
        Self { child, stdout }
    }

    /// The next line that it prints.
    pub(crate) fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.as_mut().unwrap().read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The address in the next line that it prints.
    pub(crate) fn address(&mut self) -> SocketAddr {
        self.line().strip_prefix("listening on udp://").expect("where it listens").parse().unwrap()
    }

    /// The address of the page, in the next line that it prints.
    pub(crate) fn page(&mut self) -> SocketAddr {
        let line = self.line();
        let address = line.strip_prefix("status page http://").expect("where the page is");
        address.trim_end_matches('/').parse().unwrap()
    }

    /// The lines of its log, from now on.
    pub(crate) fn log(&mut self) -> Log {
        let (lines, log) = channel();
        let stderr = BufReader::new(self.child.stderr.take().unwrap());
        thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| lines.send(line)));
        Log(log)
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Returns its exit code and its log.
    pub(crate) fn end(mut self) -> (Option<i32>, String) {
        let code = exit_code(&mut self.child);
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (code, log)
    }
}

/// The log of a running tracker.
pub(crate) struct Log(Receiver<String>);

impl Log {
    /// The next line with this text.
    pub(crate) fn line_with(&self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let patience = deadline.saturating_duration_since(Instant::now());
            let line = self.0.recv_timeout(patience).unwrap_or_else(|_| panic!("no line with {text:?}"));
            if line.contains(text) {
                return line;
            }
        }
    }

    /// All other lines, when the program has ended.
    pub(crate) fn rest(self) -> Vec<String> {
        self.0.iter().collect()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(crate) fn connects(tracker: SocketAddr) {
    let socket = UdpSocket::bind((tracker.ip(), 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.send_to(&[0, 0, 4, 0x17, 0x27, 0x10, 0x19, 0x80, 0, 0, 0, 0, 1, 2, 3, 4], tracker).unwrap();
    assert_eq!(socket.recv(&mut [0; 100]).unwrap(), 16);
}

pub(crate) fn signal(child: &Child, name: &str) {
    let kill = Command::new("kill").args([name, &child.id().to_string()]).status().unwrap();
    assert!(kill.success());
}

/// Waits until a child has ended. `None` if a signal ended it.
pub(crate) fn exit_code(child: &mut Child) -> Option<i32> {
    let pid = Pid::from_child(child);
    let ended = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let patience = Timespec::try_from(PATIENCE).unwrap();
    let ready = poll(&mut [PollFd::new(&ended, PollFlags::IN)], Some(&patience)).unwrap();
    if ready == 0 {
        child.kill().unwrap();
        panic!("the program has not ended");
    }
    child.wait().unwrap().code()
}

/// Polls until a state holds that no event reports: one of the kernel, or of another process. The error of `holds`
/// describes the current state.
pub(crate) fn poll_until(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(seen) = holds() {
        assert!(Instant::now() < deadline, "{what}; last seen: {seen}");
        thread::sleep(Duration::from_millis(20));
    }
}
