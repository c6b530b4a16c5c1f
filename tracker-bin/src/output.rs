//! Standard output and standard error that never keep the tracker from its work.
//!
//! A stream can be full (a disk), closed (the reader has ended) or blocked (a pipe that is not read). Lines therefore go
//! through a queue of bounded length to a thread of their own. A line that finds the queue full, or that can't be written,
//! is dropped and counted; the next line that can be written is preceded by the count.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

/// Lines that may wait to be written. A line of the log has some 200 bytes, so this is well below a megabyte.
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
    /// Answered when everything before it was written or dropped.
    Flush(SyncSender<()>),
}

impl Output {
    /// Starts the thread that writes to `stream`.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub(crate) fn start(name: &str, stream: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, jobs) = channel();
        let state = Arc::new(State::default());
        let mut writer = Writer { stream, jobs, state: Arc::clone(&state) };
        std::thread::Builder::new().name(name.into()).spawn(move || writer.run())?;
        Ok(Self { queue, state })
    }

    /// Queues a line, which ends in a line feed; drops it if too many wait.
    pub(crate) fn line(&self, line: Vec<u8>) {
        if self.state.waiting.fetch_add(1, Relaxed) >= MAX_WAITING
            || self.queue.send(Job::Line(line)).is_err()
        {
            self.state.waiting.fetch_sub(1, Relaxed);
            self.state.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until all lines before are written or dropped, but not longer than `patience`.
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

    /// Writes a line, after the number of those that were dropped before it.
    fn write(&mut self, line: &[u8]) {
        let dropped = self.state.dropped.swap(0, Relaxed);
        let notice = match dropped {
            0 => String::new(),
            _ => format!(
                "tracker-bin: {dropped} lines before this one could not be written and were dropped\n"
            ),
        };
        // A stream that fails in the middle of a line is not asked for the rest of it.
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

    /// Keeps what is written while it is not full.
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
    fn reports_how_many_lines_a_full_disk_cost() {
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
        let notice = "tracker-bin: 2 lines before this one could not be written and were dropped";
        assert_eq!(disk.text(), format!("one\n{notice}\nfour\n"));
    }

    /// Blocks until a message comes, once.
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
    fn a_blocked_stream_blocks_nothing_and_its_queue_has_an_end() {
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
