#![no_main]
//! Arbitrary bytes as a .torrent file.

use libfuzzer_sys::fuzz_target;
use torrent_metainfo::Metainfo;

fuzz_target!(|bytes: &[u8]| {
    let Ok(torrent) = Metainfo::from_bytes(bytes) else { return };
    let files: u64 = torrent.files().iter().map(|file| file.length()).sum();
    assert_eq!(files, torrent.length());
    for at in 0..torrent.files().len() {
        if let Some(path) = torrent.disk_path(at) {
            assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
        }
    }
});
