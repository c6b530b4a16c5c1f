//! A disk in memory, whose operations fail and crash when a test wants it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Cursor, ErrorKind, Write};
use std::path::PathBuf;
use std::rc::Rc;

use super::disk::Disk;

/// What happens at an operation, counted from 0. All of a disk's operations count, each write and each read too.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// This one fails with this error.
    Error(usize, ErrorKind),
    /// From this one on, the disk is full, until something is removed.
    Full(usize),
    /// The machine crashes: this one and all later ones fail.
    Crash(usize),
}

/// What a crash leaves of the bytes that were not brought to the disk.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lost {
    Nothing,
    /// The file has its length, and zeros.
    Zeroed,
    /// The half of it.
    CutOff,
    All,
}

pub(super) const LOST: [Lost; 4] = [Lost::Nothing, Lost::Zeroed, Lost::CutOff, Lost::All];

#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedDisk(Rc<RefCell<State>>);

#[derive(Clone, Debug, Default)]
struct State {
    files: Vec<Content>,
    names: BTreeMap<String, usize>,
    /// The names after each operation since they were last brought to the disk; the first are those that survive.
    history: Vec<BTreeMap<String, usize>>,
    fault: Option<Fault>,
    operations: usize,
    full: bool,
    /// The most bytes that a write takes.
    write_len: usize,
}

#[derive(Clone, Debug, Default)]
struct Content {
    bytes: Vec<u8>,
    /// What survives a crash.
    synced: Vec<u8>,
}

impl State {
    fn operation(&mut self) -> io::Result<()> {
        let now = self.operations;
        self.operations += 1;
        match self.fault {
            Some(Fault::Error(at, kind)) if now == at => Err(kind.into()),
            Some(Fault::Crash(at)) if now >= at => Err(ErrorKind::Other.into()),
            Some(Fault::Full(at)) => {
                self.full |= now == at;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn named(&mut self, change: impl FnOnce(&mut BTreeMap<String, usize>)) {
        if self.history.is_empty() {
            self.history.push(self.names.clone());
        }
        change(&mut self.names);
        self.history.push(self.names.clone());
    }
}

impl SimulatedDisk {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Counts from 0 again.
    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        let mut state = self.0.borrow_mut();
        (state.fault, state.operations, state.full) = (fault, 0, false);
    }

    pub(super) fn set_write_len(&self, bytes: usize) {
        self.0.borrow_mut().write_len = bytes;
    }

    pub(super) fn operations(&self) -> usize {
        self.0.borrow().operations
    }

    /// The disks that a crash now may leave: the names as they were after any of the last operations, and of the bytes
    /// that were not brought to the disk something or nothing.
    pub(super) fn after_crash(&self) -> Vec<Self> {
        let state = self.0.borrow();
        let histories =
            if state.history.is_empty() { vec![state.names.clone()] } else { state.history.clone() };
        let mut disks = Vec::new();
        for names in histories {
            for lost in LOST {
                let files = state.files.iter().map(|file| {
                    let bytes = match lost {
                        _ if file.synced == file.bytes => file.bytes.clone(),
                        Lost::Nothing => file.bytes.clone(),
                        Lost::Zeroed => vec![0; file.bytes.len()],
                        Lost::CutOff => file.bytes[..file.bytes.len() / 2].to_vec(),
                        Lost::All => file.synced.clone(),
                    };
                    Content { synced: bytes.clone(), bytes }
                });
                let state = State { files: files.collect(), names: names.clone(), ..State::default() };
                disks.push(Self(Rc::new(RefCell::new(state))));
            }
        }
        disks
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.0.borrow().names.keys().cloned().collect()
    }

    pub(super) fn bytes(&self, name: &str) -> Option<Vec<u8>> {
        let state = self.0.borrow();
        Some(state.files[*state.names.get(name)?].bytes.clone())
    }

    pub(super) fn put(&self, name: &str, bytes: &[u8]) {
        let mut state = self.0.borrow_mut();
        let at = state.files.len();
        state.files.push(Content { bytes: bytes.to_vec(), synced: bytes.to_vec() });
        state.names.insert(name.to_owned(), at);
    }
}

pub(super) struct SimulatedFile {
    disk: SimulatedDisk,
    file: usize,
}

impl Write for SimulatedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.disk.0.borrow_mut();
        state.operation()?;
        if state.full {
            return Err(ErrorKind::StorageFull.into());
        }
        let len = match state.write_len {
            0 => bytes.len(),
            most => bytes.len().min(most),
        };
        state.files[self.file].bytes.extend_from_slice(&bytes[..len]);
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Disk for SimulatedDisk {
    type Writer = SimulatedFile;
    type Reader = Cursor<Vec<u8>>;

    fn create(&self, name: &str) -> io::Result<SimulatedFile> {
        let mut state = self.0.borrow_mut();
        state.operation()?;
        // A file that is emptied keeps nothing after a crash either; a new one is the same to its reader.
        let file = state.files.len();
        state.files.push(Content::default());
        state.named(|names| {
            names.insert(name.to_owned(), file);
        });
        Ok(SimulatedFile { disk: self.clone(), file })
    }

    fn open(&self, name: &str) -> io::Result<Cursor<Vec<u8>>> {
        self.0.borrow_mut().operation()?;
        self.bytes(name).map(Cursor::new).ok_or_else(|| ErrorKind::NotFound.into())
    }

    fn sync(&self, file: SimulatedFile) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.operation()?;
        let content = &mut state.files[file.file];
        content.synced = content.bytes.clone();
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.operation()?;
        if !state.names.contains_key(from) {
            return Err(ErrorKind::NotFound.into());
        }
        state.named(|names| {
            if let Some(file) = names.remove(from) {
                names.insert(to.to_owned(), file);
            }
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.operation()?;
        state.full = false;
        state.named(|names| {
            names.remove(name);
        });
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.0.borrow_mut();
        state.operation()?;
        state.history.clear();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}
