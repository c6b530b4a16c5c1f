//! Standard output and standard error that are full, closed or blocked: the tracker still serves, and ends on a signal.

use std::fs::File;
use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::running::{PROGRAM, Running, connects, exit_code};

fn full_disk() -> File {
    File::options().write(true).open("/dev/full").unwrap()
}

fn closed_pipe() -> PipeWriter {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer
}

/// A pipe that is full. Nothing is read from it while the reader is kept.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    let flags = fcntl_getfl(&writer).unwrap();
    fcntl_setfl(&writer, flags | OFlags::NONBLOCK).unwrap();
    while writer.write(&[b'.'; 4096]).is_ok() {}
    while writer.write(b".").is_ok() {}
    fcntl_setfl(&writer, flags).unwrap();
    (reader, writer)
}

fn start(stdout: Stdio, stderr: Stdio) -> Running {
    Running::spawn(Command::new(PROGRAM).args(["--listen", "127.0.0.1:0"]).stdout(stdout).stderr(stderr))
}

/// Serves, logs and ends, with standard error on this stream.
fn serves_and_ends(stderr: Stdio) {
    let mut tracker = start(Stdio::piped(), stderr);
    let address = tracker.address();
    connects(address);
    tracker.signal("-HUP");
    connects(address);
    tracker.signal("-TERM");
    assert_eq!(exit_code(&mut tracker.child), Some(0));
}

#[test]
fn serves_and_ends_with_standard_error_on_a_full_disk() {
    serves_and_ends(full_disk().into());
}

#[test]
fn serves_and_ends_with_standard_error_closed() {
    serves_and_ends(closed_pipe().into());
}

#[test]
fn serves_and_ends_with_standard_error_blocked() {
    let (_reader, writer) = full_pipe();
    serves_and_ends(writer.into());
}

/// The address in the log line about the listening sockets.
fn logged_address(child: &mut Child) -> SocketAddr {
    let mut log = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("workers on [") {
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0, "a line with the address");
    }
    let (_, addresses) = line.split_once("workers on [").unwrap();
    // The log is not read any further, so this stream is closed too.
    addresses.split_once(']').unwrap().0.parse().unwrap()
}

#[test]
fn serves_and_ends_with_standard_output_full_closed_or_blocked() {
    let (_reader, blocked) = full_pipe();
    for stdout in [Stdio::from(full_disk()), closed_pipe().into(), blocked.into()] {
        let mut tracker = start(stdout, Stdio::piped());
        connects(logged_address(&mut tracker.child));
        tracker.signal("-TERM");
        assert_eq!(exit_code(&mut tracker.child), Some(0));
    }
}

#[test]
fn an_error_that_cannot_be_written_still_sets_the_exit_code() {
    let (_reader, blocked) = full_pipe();
    for stderr in [Stdio::from(full_disk()), closed_pipe().into(), blocked.into()] {
        let mut failing = Command::new(PROGRAM);
        let mut failing = failing.args(["--listen", "192.0.2.1:0"]).stderr(stderr).spawn().unwrap();
        assert_eq!(exit_code(&mut failing), Some(1));
    }
}
