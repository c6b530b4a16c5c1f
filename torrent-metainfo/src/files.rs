//! The files of a torrent, one after the other, and those that a range of bytes overlaps.

use std::ops::Range;

/// A file in a torrent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileEntry {
    path: String,
    length: u64,
    offset: u64,
    padding: bool,
}

impl FileEntry {
    /// A file whose offset is not set yet.
    pub(crate) fn new(path: String, length: u64, padding: bool) -> Self {
        Self { path, length, offset: 0, padding }
    }

    /// Sets the offset of each file, and returns the sum of the lengths; or, if that exceeds `i64::MAX`, the index of
    /// the file with which it does.
    pub(crate) fn lay_out(files: &mut [Self]) -> Result<u64, usize> {
        let mut offset = 0_u64;
        for (index, file) in files.iter_mut().enumerate() {
            file.offset = offset;
            offset =
                offset.checked_add(file.length).filter(|end| i64::try_from(*end).is_ok()).ok_or(index)?;
        }
        Ok(offset)
    }

    /// The file's path within the torrent's folder, or, for a torrent of a single file, that file's name. The names are
    /// joined by `/` on every system, as in `music/01.ogg`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The components of [`path`](Self::path): the folders, then the file. At least one; none is empty, `.` or `..`,
    /// and none contains `/` or NUL.
    pub fn components(&self) -> impl Iterator<Item = &str> {
        self.path.split('/')
    }

    /// Length in bytes; can be 0.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Offset of the file's first byte in the torrent.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The range of the torrent's bytes that is this file.
    #[must_use]
    pub fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.length
    }

    /// Whether the file is padding: zeros that make the next file begin with a piece (BEP 47). It is hashed and
    /// transferred like any other but not written to disk; several may have the same path.
    #[must_use]
    pub fn is_padding(&self) -> bool {
        self.padding
    }
}

/// A range of bytes of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSlice {
    /// The file's index in [`Metainfo::files`](crate::Metainfo::files).
    pub file: usize,
    /// Offset of the slice in the file, in bytes.
    pub offset: u64,
    /// Length of the slice in bytes; never 0.
    pub length: u64,
}

/// The slices of files that make up a range of a torrent's bytes, in order.
#[derive(Clone, Debug)]
pub struct FileSlices<'a> {
    files: &'a [FileEntry],
    next: usize,
    range: Range<u64>,
}

impl<'a> FileSlices<'a> {
    pub(crate) fn new(files: &'a [FileEntry], range: Range<u64>) -> Self {
        let next = files.partition_point(|file| file.range().end <= range.start);
        Self { files, next, range }
    }
}

impl Iterator for FileSlices<'_> {
    type Item = FileSlice;

    fn next(&mut self) -> Option<FileSlice> {
        while self.range.start < self.range.end {
            let index = self.next;
            let file = self.files.get(index)?;
            self.next += 1;
            let end = file.range().end.min(self.range.end);
            if self.range.start < end {
                let slice = FileSlice {
                    file: index,
                    offset: self.range.start - file.offset,
                    length: end - self.range.start,
                };
                self.range.start = end;
                return Some(slice);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(lengths: &[u64]) -> Vec<FileEntry> {
        let named = |(index, length): (usize, &u64)| FileEntry::new(format!("d/{index}"), *length, false);
        let mut files: Vec<_> = lengths.iter().enumerate().map(named).collect();
        FileEntry::lay_out(&mut files).unwrap();
        files
    }

    fn slices(lengths: &[u64], range: Range<u64>) -> Vec<(usize, u64, u64)> {
        FileSlices::new(&files(lengths), range)
            .map(|slice| (slice.file, slice.offset, slice.length))
            .collect()
    }

    #[test]
    fn offsets_add_up() {
        let files = files(&[3, 0, 4]);
        assert_eq!(files.iter().map(FileEntry::offset).collect::<Vec<_>>(), [0, 3, 3]);
        assert_eq!(files[2].range(), 3..7);
        assert_eq!(files[2].components().collect::<Vec<_>>(), ["d", "2"]);
    }

    #[test]
    fn a_length_above_the_limit_is_reported_with_its_file() {
        let mut files: Vec<_> =
            [1, 1 << 62, (1 << 62) - 1, 0, 5].map(|length| FileEntry::new("a".into(), length, false)).into();
        assert_eq!(FileEntry::lay_out(&mut files), Err(2));
    }

    #[test]
    fn a_range_is_split_at_file_boundaries() {
        assert_eq!(slices(&[3, 4, 5], 0..12), [(0, 0, 3), (1, 0, 4), (2, 0, 5)]);
        assert_eq!(slices(&[3, 4, 5], 2..8), [(0, 2, 1), (1, 0, 4), (2, 0, 1)]);
        assert_eq!(slices(&[3, 4, 5], 3..7), [(1, 0, 4)]);
    }

    #[test]
    fn empty_files_have_no_slices() {
        assert_eq!(slices(&[0, 3, 0, 0, 2, 0], 2..5), [(1, 2, 1), (4, 0, 2)]);
    }

    #[test]
    fn ranges_beyond_the_end_and_empty_ranges_have_no_slices() {
        assert_eq!(slices(&[3, 4], 6..100), [(1, 3, 1)]);
        assert_eq!(slices(&[3, 4], 7..100), []);
        assert_eq!(slices(&[3, 4], 3..3), []);
        assert_eq!(slices(&[3, 4], u64::MAX - 1..u64::MAX), []);
    }
}
