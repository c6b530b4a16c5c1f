//! The content of a torrent's files as one stream, each opened and read once.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::slice;
use std::time::SystemTime;

use super::MakeError;
use super::walk::{Identity, SourceFile};

/// Reads files one after the other, and checks that they do not change meanwhile.
pub(super) struct Content<'a> {
    files: slice::Iter<'a, SourceFile>,
    open: Option<Open<'a>>,
}

struct Open<'a> {
    source: &'a SourceFile,
    file: File,
    left: u64,
    modified: Option<SystemTime>,
}

impl<'a> Content<'a> {
    pub(super) fn new(files: &'a [SourceFile]) -> Self {
        Self { files: files.iter(), open: None }
    }

    /// Fills the buffer across file boundaries, and returns the number of bytes: fewer than its length only at the end
    /// of the last file.
    pub(super) fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, MakeError> {
        let mut filled = 0;
        // Also when the buffer is full, so that the end of the last file is checked.
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => match self.files.next() {
                    Some(source) => self.open.insert(Open::new(source)?),
                    None => return Ok(filled),
                },
            };
            if open.left == 0 {
                open.check_end()?;
                self.open = None;
            } else if filled == buffer.len() {
                return Ok(filled);
            } else {
                filled += open.read(&mut buffer[filled..])?;
            }
        }
    }
}

impl<'a> Open<'a> {
    fn new(source: &'a SourceFile) -> Result<Self, MakeError> {
        let file = File::open(&source.disk).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => changed(source),
            _ => MakeError::io("read", &source.disk)(error),
        })?;
        let mut open = Self { source, file, left: source.length, modified: None };
        open.modified = open.metadata()?.modified().ok();
        Ok(open)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, MakeError> {
        let wanted = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let got = match self.file.read(&mut buffer[..wanted]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            result => result.map_err(MakeError::io("read", &self.source.disk))?,
        };
        if got == 0 {
            return Err(changed(self.source));
        }
        // A reader returns at most as many bytes as requested, which is at most `left`.
        self.left -= u64::try_from(got).unwrap_or(self.left);
        Ok(got)
    }

    fn check_end(&self) -> Result<(), MakeError> {
        if self.metadata()?.modified().ok() == self.modified { Ok(()) } else { Err(changed(self.source)) }
    }

    fn metadata(&self) -> Result<Metadata, MakeError> {
        let metadata = self.file.metadata().map_err(MakeError::io("read", &self.source.disk))?;
        let same = metadata.is_file()
            && metadata.len() == self.source.length
            && Identity::of(&metadata) == self.source.identity;
        if same { Ok(metadata) } else { Err(changed(self.source)) }
    }
}

fn changed(source: &SourceFile) -> MakeError {
    MakeError::Changed { path: source.disk.clone() }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::io::Write;

    use super::super::walk::walk;
    use super::*;

    /// Reads a folder with files `a` and `b`, in buffers of `step` bytes; `meddle` is called after the first.
    fn read(
        a: &str,
        b: &str,
        step: usize,
        meddle: impl FnOnce(&std::path::Path),
    ) -> Result<String, MakeError> {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), a).unwrap();
        fs::write(folder.path().join("b"), b).unwrap();
        let found = walk(folder.path(), false)?;
        let mut content = Content::new(&found.files);
        let (mut all, mut meddle) = (String::new(), Some(meddle));
        loop {
            let mut buffer = vec![0; step];
            let got = content.fill(&mut buffer)?;
            all.push_str(std::str::from_utf8(&buffer[..got]).unwrap());
            if got < step {
                return Ok(all);
            }
            if let Some(meddle) = meddle.take() {
                meddle(folder.path());
            }
        }
    }

    fn append(path: &std::path::Path) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"!").unwrap();
    }

    #[test]
    fn files_follow_each_other() {
        for step in 1..12 {
            assert_eq!(read("hello", "world", step, |_| ()).unwrap(), "helloworld");
        }
        assert_eq!(read("", "x", 3, |_| ()).unwrap(), "x");
        assert_eq!(read("x", "", 3, |_| ()).unwrap(), "x");
    }

    #[test]
    fn rejects_a_file_that_changes() {
        let changed = |result: Result<String, MakeError>, name: &str| {
            assert!(matches!(result, Err(MakeError::Changed { path }) if path.ends_with(name)));
        };
        changed(read("hello", "world", 2, |folder| append(&folder.join("a"))), "a");
        changed(read("hello", "world", 2, |folder| append(&folder.join("b"))), "b");
        changed(read("hello", "world", 2, |folder| fs::write(folder.join("a"), "x").unwrap()), "a");
        changed(read("hello", "world", 2, |folder| fs::write(folder.join("b"), "").unwrap()), "b");
        changed(read("hello", "world", 2, |folder| fs::remove_file(folder.join("b")).unwrap()), "b");
    }

    #[test]
    #[cfg(unix)]
    fn rejects_a_file_that_is_replaced() {
        let swap = |folder: &std::path::Path| {
            fs::write(folder.join("c"), "other").unwrap();
            fs::rename(folder.join("c"), folder.join("b")).unwrap();
        };
        assert!(matches!(read("hello", "world", 2, swap), Err(MakeError::Changed { .. })));
    }
}
