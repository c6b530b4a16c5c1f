//! Checks of file names: no path leads out of the torrent's folder, and no two files have the same path.

use std::path::{Component, Path};

use crate::error::{KeyPath, NameFault, ReadError};
use crate::files::FileEntry;

/// Checks that a name is one component of a path, on this system and on others.
///
/// A backslash is an ordinary character, except on systems where it is a separator: Linux has files with backslashes
/// (systemd's `dev-disk-by\x2duuid.swap`), and on Windows they could lead out of the folder.
pub(crate) fn check_name(name: &str) -> Result<(), NameFault> {
    match name {
        "" => return Err(NameFault::Empty),
        "." => return Err(NameFault::CurrentFolder),
        ".." => return Err(NameFault::ParentFolder),
        _ if name.contains('\0') => return Err(NameFault::Nul),
        _ if name.starts_with('/') => return Err(NameFault::Absolute),
        _ if name.contains('/') => return Err(NameFault::Separator),
        _ => {}
    }
    let mut components = Path::new(name).components();
    match (components.next(), components.next()) {
        (Some(Component::Normal(only)), None) if only == name => Ok(()),
        _ => Err(NameFault::NotOneName),
    }
}

/// Checks that no two files have the same path, and that no file is another's folder. Padding is left out: it is never
/// written, and programs give the same path to padding of the same length (BEP 47).
///
/// # Complexity
///
/// O(n log n) comparisons of paths; 8 bytes per file.
pub(crate) fn check_tree(files: &[FileEntry]) -> Result<(), ReadError> {
    let mut order: Vec<usize> = (0..files.len()).filter(|index| !files[*index].is_padding()).collect();
    // By components, so that the content of a folder directly follows a file of the folder's name.
    order.sort_by(|a, b| files[*a].components().cmp(files[*b].components()).then(a.cmp(b)));
    for pair in order.windows(2) {
        let (upper, lower) = (pair[0], pair[1]);
        let below = files[lower].path().strip_prefix(files[upper].path());
        match below {
            Some("") => return Err(ReadError::DuplicatePath { at: KeyPath::file(lower), other: upper }),
            Some(rest) if rest.starts_with('/') => {
                return Err(ReadError::FileAndFolder { at: KeyPath::file(upper), other: lower });
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str]) -> Result<(), ReadError> {
        let files: Vec<_> = paths.iter().map(|path| FileEntry::new((*path).to_owned(), 1, false)).collect();
        check_tree(&files)
    }

    #[test]
    fn accepts_ordinary_names() {
        for name in ["a", "a b", ".hidden", "...", "..a", "é", "a:b", "-", "con", "~"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn accepts_a_backslash() {
        assert_eq!(check_name("..\\a"), Ok(()));
    }

    #[test]
    #[cfg(windows)]
    fn rejects_windows_paths() {
        for name in ["..\\a", "C:", "C:a", "\\a"] {
            assert_eq!(check_name(name), Err(NameFault::NotOneName), "{name}");
        }
    }

    #[test]
    fn rejects_names_that_lead_elsewhere() {
        assert_eq!(check_name(""), Err(NameFault::Empty));
        assert_eq!(check_name("."), Err(NameFault::CurrentFolder));
        assert_eq!(check_name(".."), Err(NameFault::ParentFolder));
        assert_eq!(check_name("/etc/passwd"), Err(NameFault::Absolute));
        assert_eq!(check_name("a/b"), Err(NameFault::Separator));
        assert_eq!(check_name("../a"), Err(NameFault::Separator));
        assert_eq!(check_name("a/"), Err(NameFault::Separator));
        assert_eq!(check_name("a\0"), Err(NameFault::Nul));
    }

    #[test]
    fn accepts_siblings_and_similar_names() {
        assert_eq!(tree(&["a/b", "a/c", "a.b", "a b", "ab", "A/b", "b"]), Ok(()));
    }

    #[test]
    fn rejects_a_duplicate_path() {
        let error = ReadError::DuplicatePath { at: KeyPath::file(2), other: 0 };
        assert_eq!(tree(&["a/b", "a/c", "a/b"]), Err(error));
    }

    #[test]
    fn rejects_a_file_that_is_also_a_folder() {
        // `a!` sorts before `a/` as text, but not between `a` and its content as a path.
        let error = ReadError::FileAndFolder { at: KeyPath::file(3), other: 1 };
        assert_eq!(tree(&["a!", "a/b/c", "a!b", "a"]), Err(error));
    }
}
