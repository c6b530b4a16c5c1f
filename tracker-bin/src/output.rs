//! Standard output and standard error that never block the tracker.
//!
//! A stream can be full (a disk), closed (the reader has ended) or blocked (a pipe that is not read). So lines go
//! through a queue of bounded length to a thread that writes them. A line is dropped and counted if the queue is full
//! or if it can't be written. The count is written before the next line.
//!
//! The thread starts when the program has put itself into its sandbox, so that it is in there too. Lines wait until then.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// The most lines that wait to be written. A log line has about 200 bytes, so they take well below a megabyte.
const MAX_WAITING: usize = 1024;

/// One end of the queue; all clones write to the same stream.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    queue: Sender<Job>,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    waiting: AtomicUsize,
    dropped: AtomicUsize,
}

#[derive(Debug)]
enum Job {
    Line(Vec<u8>),
    /// Answered when all lines before it are written or dropped.
    Flush(SyncSender<()>),
}

/// The other end of the queue, before its thread is started.
#[derive(Debug)]
pub(crate) struct Unwritten {
    jobs: Receiver<Job>,
    state: Arc<State>,
}

impl Unwritten {
    /// Starts the thread that writes to `stream`.
    ///
    /// # Errors
    /// The system's error when it can't start a thread.
    pub(crate) fn write_to(self, name: &str, stream: impl Write + Send + 'static) -> io::Result<()> {
        let mut writer = Writer { stream, jobs: self.jobs, state: self.state };
        std::thread::Builder::new().name(name.into()).spawn(move || writer.run())?;
        Ok(())
    }
}

impl Output {
    /// A queue whose lines wait until somebody writes them.
    pub(crate) fn queue() -> (Self, Unwritten) {
        let (queue, jobs) = channel();
        let state = Arc::new(State::default());
        (Self { queue, state: Arc::clone(&state) }, Unwritten { jobs, state })
    }

    /// A queue, and the thread that writes its lines to `stream`.
    #[cfg(test)]
    pub(crate) fn start(name: &str, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (output, unwritten) = Self::queue();
        unwritten.write_to(name, stream)?;
        Ok(output)
    }

    /// Queues a line, which must end in a line feed. Drops it if the queue is full.
    pub(crate) fn line(&self, line: Vec<u8>) {
        if self.state.waiting.fetch_add(1, Relaxed) >= MAX_WAITING
            || self.queue.send(Job::Line(line)).is_err()
        {
            self.state.waiting.fetch_sub(1, Relaxed);
            self.drop_line();
        }
    }

    /// Counts a line as dropped.
    pub(crate) fn drop_line(&self) {
        self.state.dropped.fetch_add(1, Relaxed);
    }

    /// Waits until all earlier lines are written or dropped, for at most `patience`.
    pub(crate) fn flush(&self, patience: Duration) {
        let (done, is_done) = sync_channel(1);
        if self.queue.send(Job::Flush(done)).is_ok() {
            let _ = is_done.recv_timeout(patience);
        }
    }
}

/// For `tracing`, which writes each event with one call.
impl Write for Output {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Writer<W> {
    stream: W,
    jobs: Receiver<Job>,
    state: Arc<State>,
}

impl<W: Write> Writer<W> {
    fn run(&mut self) {
        while let Ok(job) = self.jobs.recv() {
            match job {
                Job::Line(line) => {
                    self.write(&line);
                    self.state.waiting.fetch_sub(1, Relaxed);
                }
                Job::Flush(done) => {
                    self.write(&[]);
                    let _ = done.send(());
                }
            }
        }
    }

    /// Writes a line, after the number of lines that were dropped before it.
    fn write(&mut self, line: &[u8]) {
        let dropped = self.state.dropped.swap(0, Relaxed);
        let notice = match dropped {
            0 => String::new(),
            _ => format!("tracker-bin: {dropped} lines before this one were dropped\n"),
        };
        // After an error in the middle of a line, the rest of the line is dropped.
        if self.stream.write_all(notice.as_bytes()).is_err() {
            self.state.dropped.fetch_add(dropped + usize::from(!line.is_empty()), Relaxed);
        } else if self.stream.write_all(line).and_then(|()| self.stream.flush()).is_err() {
            self.state.dropped.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// Keeps what is written, unless it is full.
    #[derive(Clone, Default)]
    struct Disk(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Disk {
        fn set_full(&self, full: bool) {
            self.0.lock().unwrap().1 = full;
        }

        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (written, full) = &mut *self.0.lock().unwrap();
            if *full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            written.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn reports_how_many_lines_a_full_disk_lost() {
        let disk = Disk::default();
        let output = Output::start("test", disk.clone()).unwrap();
        output.line(b"one\n".to_vec());
        output.flush(PATIENCE);
        disk.set_full(true);
        output.line(b"two\n".to_vec());
        output.line(b"three\n".to_vec());
        output.flush(PATIENCE);
        disk.set_full(false);
        output.line(b"four\n".to_vec());
        output.flush(PATIENCE);
        let notice = "tracker-bin: 2 lines before this one were dropped";
        assert_eq!(disk.text(), format!("one\n{notice}\nfour\n"));
    }

    /// Blocks once, until a message arrives.
    struct Blocked(Receiver<()>, Disk);

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            self.1.write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_stream_blocks_nothing_and_its_queue_is_bounded() {
        let (unblock, blocked) = channel();
        let disk = Disk::default();
        let output = Output::start("test", Blocked(blocked, disk.clone())).unwrap();
        for _ in 0..MAX_WAITING + 5 {
            output.line(b"line\n".to_vec());
        }
        output.flush(Duration::from_millis(1));
        assert_eq!(disk.text(), "");
        drop(unblock);
        output.flush(PATIENCE);
        let text = disk.text();
        assert_eq!(text.matches("line\n").count(), MAX_WAITING, "{text}");
        assert!(text.contains("tracker-bin: 5 lines before"), "{text}");
    }
}
