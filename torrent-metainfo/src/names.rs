//! Which names a torrent's files may have: nothing that leads out of its folder, and no two things in one place.

use std::path::{Component, Path};

use crate::error::{KeyPath, NameFault, ReadError};
use crate::files::FileEntry;

/// Checks that a name is one step down, for this system and for others.
///
/// A backslash is an ordinary character of a name, except where the system takes it for a separator: Linux has files
/// with backslashes (systemd's `dev-disk-by\x2duuid.swap`), and on Windows they could lead out of the folder.
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

/// Checks that no two files have one path, and that no file is another's folder. Padding is left out: it is never
/// written, and makers give the same path to padding of the same length (BEP 47).
///
/// # Complexity
///
/// O(n log n) comparisons of paths; 8 octets per file.
pub(crate) fn check_tree(files: &[FileEntry]) -> Result<(), ReadError> {
    let mut order: Vec<usize> = (0..files.len()).filter(|index| !files[*index].is_padding()).collect();
    // By components, so that what lies in a folder follows right after a file of the folder's name.
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
    fn ordinary_names_pass() {
        for name in ["a", "a b", ".hidden", "...", "..a", "é", "a:b", "-", "con", "~"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_backslash_is_a_character() {
        assert_eq!(check_name("..\\a"), Ok(()));
    }

    #[test]
    #[cfg(windows)]
    fn what_windows_takes_for_a_path_is_refused() {
        for name in ["..\\a", "C:", "C:a", "\\a"] {
            assert_eq!(check_name(name), Err(NameFault::NotOneName), "{name}");
        }
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
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
    fn siblings_and_near_misses_pass() {
        assert_eq!(tree(&["a/b", "a/c", "a.b", "a b", "ab", "A/b", "b"]), Ok(()));
    }

    #[test]
    fn a_path_taken_twice_is_refused() {
        let error = ReadError::DuplicatePath { at: KeyPath::file(2), other: 0 };
        assert_eq!(tree(&["a/b", "a/c", "a/b"]), Err(error));
    }

    #[test]
    fn a_file_that_is_also_a_folder_is_refused() {
        // `a!` sorts before `a/` as text, but not between `a` and its content as a path.
        let error = ReadError::FileAndFolder { at: KeyPath::file(3), other: 1 };
        assert_eq!(tree(&["a!", "a/b/c", "a!b", "a"]), Err(error));
    }
}
