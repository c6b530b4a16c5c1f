//! The threads that do the disk work, so that sockets and disk never wait for each other.
//!
//! The caller's [buffers](crate::disk::Buffer) bound the queue: every job that could accumulate holds one.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use mio::Waker;
use peer_wire_proto::{BLOCK_LENGTH, Block};
use sha1::{Digest, Sha1};

use super::{Checker, Files};
use crate::disk::{BUFFER, Done, Job, StorageError, Verdict};
use crate::pieces::{LayoutExt, layout_of};

/// The threads. When this is dropped, they end after their current job.
pub(crate) struct Disk {
    workers: Vec<Handle>,
    results: Receiver<Done>,
    shared: Arc<Shared>,
}

struct Handle {
    jobs: Option<Sender<Vec<Task>>>,
    /// Tasks for the next [`flush`](Disk::flush): one wake-up for many jobs.
    batch: Vec<Task>,
    thread: Option<JoinHandle<()>>,
}

/// A task of one thread.
enum Task {
    /// Check piece `from` and every `step`-th piece after it.
    Check {
        from: usize,
        step: usize,
    },
    Job(Job),
}

struct Shared {
    files: Files,
    waker: Arc<Waker>,
    /// Whether the waker was called for the results that wait.
    announced: AtomicBool,
    stop: AtomicBool,
}

impl Disk {
    /// Starts one thread per core, at most four. They call the waker when there are results.
    pub(crate) fn start(files: Files, waker: Arc<Waker>) -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from).min(4);
        let shared = Arc::new(Shared {
            files,
            waker,
            announced: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let (sender, results) = mpsc::channel();
        let mut disk = Self { workers: Vec::new(), results, shared };
        for at in 0..count {
            let (jobs, receiver) = mpsc::channel();
            let worker = Worker {
                shared: Arc::clone(&disk.shared),
                results: sender.clone(),
                checker: Checker::new(),
                hashing: HashMap::new(),
            };
            let thread =
                thread::Builder::new().name(format!("disk-{at}")).spawn(move || worker.run(&receiver))?;
            disk.workers.push(Handle { jobs: Some(jobs), batch: Vec::new(), thread: Some(thread) });
        }
        Ok(disk)
    }

    /// Adds a job; it starts after the next [`flush`](Self::flush).
    pub(crate) fn add(&mut self, job: Job) {
        let piece = match &job {
            Job::Check => {
                let step = self.workers.len();
                for (from, worker) in self.workers.iter_mut().enumerate() {
                    worker.batch.push(Task::Check { from, step });
                }
                return;
            }
            Job::Create => 0,
            Job::Write(block, _) | Job::Read(_, block, _) => block.index,
            Job::Judge { piece, .. } => *piece,
        };
        // All jobs of a piece go to the same thread, so that they stay in order.
        let at = usize::try_from(piece).unwrap_or(0) % self.workers.len();
        self.workers[at].batch.push(Task::Job(job));
    }

    /// Hands the added jobs to the threads.
    pub(crate) fn flush(&mut self) {
        for worker in self.workers.iter_mut().filter(|worker| !worker.batch.is_empty()) {
            let batch = mem::take(&mut worker.batch);
            if let Some(jobs) = &worker.jobs {
                // A thread ends only when this value is dropped.
                let _ = jobs.send(batch);
            }
        }
    }

    /// The next result, if there is one. After this returned `None`, the waker is called for the next result.
    pub(crate) fn poll(&self) -> Option<Done> {
        if let Ok(done) = self.results.try_recv() {
            return Some(done);
        }
        self.shared.announced.store(false, Ordering::SeqCst);
        // A result may have arrived before the flag was reset.
        self.results.try_recv().ok()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for worker in &mut self.workers {
            worker.jobs = None;
        }
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            let _ = thread.join();
        }
    }
}

struct Worker {
    shared: Arc<Shared>,
    results: Sender<Done>,
    checker: Checker,
    hashing: HashMap<u32, Hashing>,
}

/// A piece that is hashed while its blocks arrive in order. Blocks that arrive out of order are read again at the end.
#[derive(Default)]
struct Hashing {
    sha1: Sha1,
    done: u32,
}

impl Worker {
    fn run(mut self, jobs: &Receiver<Vec<Task>>) {
        while let Ok(batch) = jobs.recv() {
            for task in batch {
                if self.shared.stop.load(Ordering::Relaxed) {
                    return;
                }
                let done = match task {
                    Task::Check { from, step } => self.check(from, step),
                    Task::Job(job) => self.work(job),
                };
                if let Err(error) = done {
                    self.report(Done::Failed(error));
                }
            }
        }
    }

    fn work(&mut self, job: Job) -> Result<(), StorageError> {
        match job {
            // `add` divides this job among the threads.
            Job::Check => Ok(()),
            Job::Create => {
                self.shared.files.create()?;
                self.report(Done::Created);
                Ok(())
            }
            Job::Write(block, buffer) => {
                let written = self.write(block, &buffer[..]);
                self.report(Done::Written(buffer));
                written
            }
            Job::Judge { piece, digests } => {
                let verdict = self.judge(piece, digests)?;
                self.report(Done::Judged(verdict));
                Ok(())
            }
            Job::Read(peer, block, mut buffer) => {
                let files = &self.shared.files;
                let offset = layout_of(files.metainfo()).offset(block.index, block.begin);
                let length = usize::try_from(block.length).unwrap_or(usize::MAX).min(BUFFER);
                if !files.read(offset, &mut buffer[..length])? {
                    return Err(files.changed(offset, u64::from(block.length)));
                }
                self.report(Done::Read(peer, block, buffer));
                Ok(())
            }
        }
    }

    fn check(&mut self, from: usize, step: usize) -> Result<(), StorageError> {
        let shared = Arc::clone(&self.shared);
        for piece in (from..).step_by(step) {
            if shared.stop.load(Ordering::Relaxed) {
                break;
            }
            let Some(good) = self.checker.check(&shared.files, piece)? else { break };
            let piece = u32::try_from(piece).unwrap_or(u32::MAX);
            self.report(Done::Checked { piece, good });
        }
        Ok(())
    }

    fn write(&mut self, block: Block, buffer: &[u8]) -> Result<(), StorageError> {
        let data = &buffer[..usize::try_from(block.length).unwrap_or(usize::MAX).min(buffer.len())];
        let files = &self.shared.files;
        files.write(layout_of(files.metainfo()).offset(block.index, block.begin), data)?;
        let hashing = self.hashing.entry(block.index).or_default();
        if block.begin < hashing.done {
            // The piece is downloaded again.
            *hashing = Hashing::default();
        }
        if block.begin == hashing.done {
            hashing.sha1.update(data);
            hashing.done += block.length;
        }
        Ok(())
    }

    fn judge(&mut self, piece: u32, digests: bool) -> Result<Verdict, StorageError> {
        let Hashing { mut sha1, done } = self.hashing.remove(&piece).unwrap_or_default();
        let files = &self.shared.files;
        let layout = layout_of(files.metainfo());
        let end = layout.offset(piece, layout.piece_length(piece).unwrap_or(0));
        let whole = self.checker.hash(files, layout.offset(piece, done)..end, &mut sha1)?;
        let index = usize::try_from(piece).unwrap_or(usize::MAX);
        let hash = files.metainfo().piece_hash(index);
        let good = whole && hash.is_some_and(|hash| sha1.finalize()[..] == hash[..]);
        let mut verdict = Verdict { piece, good, digests: Vec::new() };
        if digests || !good {
            for block in layout.blocks(piece, BLOCK_LENGTH) {
                let offset = layout.offset(piece, block.begin);
                let mut sha1 = Sha1::new();
                self.checker.hash(files, offset..offset + u64::from(block.length), &mut sha1)?;
                verdict.digests.push(sha1.finalize().into());
            }
        }
        Ok(verdict)
    }

    fn report(&self, done: Done) {
        // Without a receiver, the thread is about to end.
        let _ = self.results.send(done);
        if !self.shared.announced.swap(true, Ordering::SeqCst) {
            let _ = self.shared.waker.wake();
        }
    }
}
