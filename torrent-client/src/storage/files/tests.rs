use std::os::unix::fs::symlink;

use torrent_metainfo::Builder;

use super::*;

/// Three files, one of them empty, in a folder within a folder.
fn metainfo() -> Arc<Metainfo> {
    let made = tempfile::tempdir().unwrap();
    let album = made.path().join("album");
    std::fs::create_dir_all(album.join("sub")).unwrap();
    std::fs::write(album.join("a"), [1; 10]).unwrap();
    std::fs::write(album.join("empty"), []).unwrap();
    std::fs::write(album.join("sub/b"), [2; 20_000]).unwrap();
    Arc::new(Builder::new(&album).piece_length(16 << 10).make().unwrap().into_metainfo())
}

fn files(folder: &Path) -> Files {
    Files::new(metainfo(), folder, Access::Write, None).unwrap()
}

#[test]
fn reads_what_was_written_across_files() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(&folder.path().join("new/folder"));
    files.create().unwrap();
    let album = folder.path().join("new/folder/album");
    assert_eq!(album.join("empty").metadata().unwrap().len(), 0);
    assert_eq!(album.join("sub/b").metadata().unwrap().len(), 20_000);
    files.write(5, &[7; 10]).unwrap();
    let mut read = [0; 12];
    assert!(files.read(4, &mut read).unwrap());
    assert_eq!(read, [0, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 0]);
    assert_eq!(std::fs::read(album.join("a")).unwrap(), [0, 0, 0, 0, 0, 7, 7, 7, 7, 7]);
}

#[test]
fn reading_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let files = Files::new(metainfo(), folder.path(), Access::Read, None).unwrap();
    assert!(!files.read(0, &mut [0; 5]).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let missing = folder.path().join("missing");
    let error = Files::new(metainfo(), &missing, Access::Read, None).unwrap_err();
    assert!(matches!(error, StorageError::Io { action: "open", .. }), "{error}");
}

#[test]
fn links_are_not_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::create_dir(folder.path().join("album")).unwrap();
    symlink(outside.path(), folder.path().join("album/sub")).unwrap();
    let error = files(folder.path()).create().unwrap_err();
    assert!(matches!(&error, StorageError::Symlink { path } if path.ends_with("album/sub")), "{error}");
    assert!(matches!(files(folder.path()).write(15, &[1]), Err(StorageError::Symlink { .. })));

    std::fs::remove_file(folder.path().join("album/sub")).unwrap();
    std::fs::remove_file(folder.path().join("album/a")).unwrap();
    std::fs::write(outside.path().join("precious"), "precious").unwrap();
    symlink(outside.path().join("precious"), folder.path().join("album/a")).unwrap();
    assert!(matches!(files(folder.path()).write(0, &[1]), Err(StorageError::Symlink { .. })));
    assert_eq!(std::fs::read(outside.path().join("precious")).unwrap(), b"precious");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn does_not_change_other_files_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("album/a")).unwrap();
    let error = files(folder.path()).create().unwrap_err();
    assert!(matches!(error, StorageError::NotA { expected: "file", .. }), "{error}");
    std::fs::remove_dir(folder.path().join("album/a")).unwrap();
    std::fs::write(folder.path().join("album/a"), [3; 11]).unwrap();
    let error = files(folder.path()).create().unwrap_err();
    assert!(matches!(error, StorageError::TooLong { expected: 10, got: 11, .. }), "{error}");
    assert_eq!(std::fs::read(folder.path().join("album/a")).unwrap(), [3; 11]);
}

#[test]
fn reports_the_changed_file() {
    let folder = tempfile::tempdir().unwrap();
    let files = files(folder.path());
    files.create().unwrap();
    File::options().write(true).open(folder.path().join("album/sub/b")).unwrap().set_len(5).unwrap();
    let mut read = [0; 100];
    assert!(!files.read(0, &mut read).unwrap());
    let error = files.changed(0, 100);
    assert!(matches!(&error, StorageError::Changed { path } if path.ends_with("album/sub/b")), "{error}");
}
