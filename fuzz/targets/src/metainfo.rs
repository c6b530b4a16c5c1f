//! Arbitrary bytes as a .torrent file.

use std::path::Component;

use torrent_metainfo::Metainfo;

/// Any bytes as a .torrent file.
///
/// # Panics
/// If the parts of a file that was read contradict each other, or if a path leads out of the folder.
pub fn metainfo(bytes: &[u8]) {
    let Ok(torrent) = Metainfo::from_bytes(bytes) else { return };
    let mut end = 0;
    for (at, file) in torrent.files().iter().enumerate() {
        assert_eq!(file.offset(), end, "files without gaps");
        end += file.length();
        assert_eq!(file.range().end, end);
        if let Some(path) = torrent.disk_path(at) {
            assert!(path.components().all(|part| matches!(part, Component::Normal(_))), "{path:?}");
        }
    }
    assert_eq!(end, torrent.length());
    let mut covered = 0;
    for piece in 0..torrent.piece_count() {
        let range = torrent.piece_range(piece).expect("a range of each piece");
        assert_eq!(range.start, covered, "pieces without gaps");
        covered = range.end;
        assert!(torrent.piece_hash(piece).is_some());
        let slices: u64 = torrent.slices(range.clone()).map(|slice| slice.length).sum();
        assert_eq!(slices, range.end - range.start, "a piece is in files");
    }
    assert_eq!(covered, torrent.length());
    assert!(torrent.info_bytes().starts_with(b"d") && torrent.info_bytes().ends_with(b"e"));
}
