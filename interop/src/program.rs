//! A child process, and waiting for its output.

use std::cell::Cell;
use std::fmt::Write as _;
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, waitid};
use nix::unistd::Pid;

/// A running program. Its output is kept; a test can wait for a line of it, write to it, signal it, and wait for its
/// end.
///
/// Dropping it kills it and its process group. If the test is panicking then, the program's output is printed too, so
/// that the report has the output of every program of the test.
pub struct Program {
    name: String,
    child: Child,
    pid: Pid,
    stdin: Option<ChildStdin>,
    shared: Arc<Shared>,
    /// Whether the output is already part of a panic message.
    shown: Cell<bool>,
}

impl Program {
    /// Starts `command` with pipes for its standard streams, in a process group of its own. `name` is for messages.
    pub fn start(name: &str, command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| panic!("{name} cannot be started with {command:?}: {error}"));
        let pid = Pid::from_raw(i32::try_from(child.id()).expect("process ids fit into i32"));
        let shared = Arc::new(Shared::default());
        let stdout = child.stdout.take().expect("stdout is piped");
        let stderr = child.stderr.take().expect("stderr is piped");
        let stdin = child.stdin.take();
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.collect(stdout, Stream::Stdout)
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.collect(stderr, Stream::Stderr)
        });
        thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.watch(pid)
        });
        Self { name: name.to_owned(), child, pid, stdin, shared, shown: Cell::new(false) }
    }

    /// Waits for a line for which `accept` returns something, and returns that.
    ///
    /// Passes each line of both streams to `accept`. After a match, the lines of that stream up to the match are not
    /// passed again. Panics with all the output after `limit`, or at once when the program has ended without such a
    /// line. `what` completes the sentence "waited for ...".
    pub fn wait_for<T>(&self, what: &str, limit: Duration, mut accept: impl FnMut(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        let mut next = 0;
        loop {
            while let Some(line) = state.lines.get(next) {
                if !line.consumed
                    && let Some(found) = accept(&line.text)
                {
                    let stream = line.stream;
                    let upto = state.lines.iter_mut().take(next + 1);
                    upto.filter(|line| line.stream == stream).for_each(|line| line.consumed = true);
                    return found;
                }
                next += 1;
            }
            if state.is_over() {
                self.fail(&state, &format!("it ended without {what}"));
            }
            state = self.wait_for_change(state, deadline, limit, what);
        }
    }

    /// Waits until the program has ended and all its output is read.
    pub fn wait_exit(&mut self, limit: Duration) -> ExitStatus {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        while !state.is_over() {
            state = self.wait_for_change(state, deadline, limit, "its end");
        }
        drop(state);
        self.child.wait().expect("an ended child can be waited for")
    }

    /// The process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the program itself, not to its process group.
    pub fn signal(&self, signal: Signal) {
        signal::kill(self.pid, signal)
            .unwrap_or_else(|error| panic!("{} cannot be sent {signal}: {error}", self.name));
    }

    /// Writes a line to the program's standard input.
    pub fn write_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is piped");
        if let Err(error) = writeln!(stdin, "{line}") {
            self.fail(&self.shared.lock(), &format!("it can't be written the line {line:?}: {error}"));
        }
    }

    /// What it has printed to standard output so far.
    #[must_use]
    pub fn stdout(&self) -> String {
        self.printed(Stream::Stdout)
    }

    /// What it has printed to standard error so far.
    #[must_use]
    pub fn stderr(&self) -> String {
        self.printed(Stream::Stderr)
    }

    fn printed(&self, stream: Stream) -> String {
        let state = self.shared.lock();
        let lines = state.lines.iter().filter(|line| line.stream == stream);
        lines.fold(String::new(), |text, line| text + &line.text + "\n")
    }

    fn wait_for_change<'a>(
        &self,
        state: MutexGuard<'a, State>,
        deadline: Instant,
        limit: Duration,
        what: &str,
    ) -> MutexGuard<'a, State> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            self.fail(&state, &format!("waited {limit:?} for {what}"));
        }
        let waited = self.shared.changed.wait_timeout(state, left);
        waited.unwrap_or_else(PoisonError::into_inner).0
    }

    fn fail(&self, state: &State, message: &str) -> ! {
        self.shown.set(true);
        panic!("{}: {message}\n{}", self.name, state.render(&self.name));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Not an error if all processes of the group have ended already.
        let _ = signal::killpg(self.pid, Signal::SIGKILL);
        let _ = self.child.wait();
        if thread::panicking() && !self.shown.get() {
            eprintln!("{}", self.shared.lock().render(&self.name));
        }
    }
}

/// What the threads of one program share: two that read its output, one that waits for its end, and the test.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<Line>,
    closed_streams: usize,
    exited: bool,
}

struct Line {
    stream: Stream,
    text: String,
    /// Not passed to the `accept` of [`Program::wait_for`] any more.
    consumed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stream {
    Stdout,
    Stderr,
}

impl Shared {
    /// A panicking test must still be able to show the output, so poison is ignored.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads `pipe` to its end. A carriage return ends a line too: programs draw their progress with it.
    fn collect(&self, mut pipe: impl Read, stream: Stream) {
        let mut unfinished = Vec::new();
        let mut chunk = [0; 4096];
        while let Ok(length @ 1..) = pipe.read(&mut chunk) {
            let mut state = self.lock();
            for &byte in &chunk[..length] {
                if byte == b'\n' || byte == b'\r' {
                    state.push(stream, &mut unfinished);
                } else {
                    unfinished.push(byte);
                }
            }
            self.changed.notify_all();
        }
        let mut state = self.lock();
        state.push(stream, &mut unfinished);
        state.closed_streams += 1;
        self.changed.notify_all();
    }

    /// Waits for the process to end, without reaping it, so that its id stays valid until [`Program`] reaps it.
    fn watch(&self, pid: Pid) {
        let _ = waitid(Id::Pid(pid), WaitPidFlag::WEXITED | WaitPidFlag::WNOWAIT);
        self.lock().exited = true;
        self.changed.notify_all();
    }
}

impl State {
    fn push(&mut self, stream: Stream, bytes: &mut Vec<u8>) {
        if !bytes.is_empty() {
            let text = String::from_utf8_lossy(bytes).into_owned();
            self.lines.push(Line { stream, text, consumed: false });
            bytes.clear();
        }
    }

    /// Whether no more output can come.
    fn is_over(&self) -> bool {
        self.exited && self.closed_streams == 2
    }

    fn render(&self, name: &str) -> String {
        let mut text = format!("--- output of {name} ---\n");
        for line in &self.lines {
            let mark = if line.stream == Stream::Stdout { "out" } else { "err" };
            let _ = writeln!(text, "{mark}| {}", line.text);
        }
        text + "--- end ---"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    const SOON: Duration = Duration::from_secs(10);

    fn sh(script: &str) -> Program {
        Program::start("sh", Command::new("sh").args(["-c", script]))
    }

    fn panic_message(work: impl FnOnce()) -> String {
        let payload = catch_unwind(AssertUnwindSafe(work)).unwrap_err();
        *payload.downcast::<String>().unwrap()
    }

    #[test]
    fn wait_for_passes_lines_once_and_in_order() {
        let program = sh("echo a 1; echo b; echo a 2; read -r _");
        let number = |line: &str| line.strip_prefix("a ").map(str::to_owned);
        assert_eq!(program.wait_for("a", SOON, number), "1");
        assert_eq!(program.wait_for("a", SOON, number), "2");
    }

    #[test]
    fn a_carriage_return_ends_a_line() {
        let program = sh(r"printf '10 %%\r20 %%\r'; read -r _");
        program.wait_for("20 %", SOON, |line| (line == "20 %").then_some(()));
    }

    #[test]
    fn reads_both_streams_and_the_exit_code() {
        let mut program = sh("read -r word; echo \"got $word\"; echo oops >&2; exit 3");
        program.write_line("it");
        assert_eq!(program.wait_exit(SOON).code(), Some(3));
        assert_eq!((program.stdout().as_str(), program.stderr().as_str()), ("got it\n", "oops\n"));
    }

    #[test]
    fn a_missed_deadline_panics_with_the_output() {
        let program = sh("echo something else; read -r _");
        program.wait_for("output", SOON, |_| Some(()));
        let message =
            panic_message(|| program.wait_for("a miracle", Duration::from_millis(1), |_| None::<()>));
        assert!(message.contains("a miracle") && message.contains("out| something else"), "{message}");
    }

    #[test]
    fn an_early_end_panics_before_the_deadline() {
        let program = sh("echo gave up >&2; exit 1");
        let message = panic_message(|| program.wait_for("a miracle", SOON * 1000, |_| None::<()>));
        assert!(message.contains("ended without a miracle") && message.contains("err| gave up"), "{message}");
    }

    #[test]
    fn delivers_signals() {
        // A signal ends `wait` at once, and then the trap runs.
        let mut program =
            sh("sleep 600 >/dev/null & trap 'echo caught; kill $!; exit 0' TERM; echo ready; wait");
        program.wait_for("ready", SOON, |line| (line == "ready").then_some(()));
        program.signal(Signal::SIGTERM);
        assert!(program.wait_exit(SOON).success());
        assert!(program.stdout().ends_with("caught\n"));
    }
}
