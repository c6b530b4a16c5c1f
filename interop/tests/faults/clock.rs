//! A system clock that is set, an hour ahead and an hour back, by libfaketime: for the tracker alone.

use std::fs;

use interop::client::{self, Counts};
use interop::{Netns, Tracker};

use crate::{INFO_HASH, LIMIT};

/// Where Debian has it, by architecture.
const LIBRARY: &str = "/usr/$LIB/faketime/libfaketimeMT.so.1";

#[test]
#[ignore = "needs libfaketime: run scripts/test"]
fn peers_stay_for_their_lifetime_when_the_clock_is_set() {
    for jump in ["+3600", "-3600", "+86400", "-86400"] {
        let netns = Netns::new();
        let offset = tempfile::NamedTempFile::new().expect("a temporary file");
        fs::write(offset.path(), "+0").expect("the offset can be written");
        let environment = [
            ("LD_PRELOAD", LIBRARY.into()),
            ("FAKETIME_TIMESTAMP_FILE", offset.path().into()),
            ("FAKETIME_NO_CACHE", "1".into()),
            // A real machine's monotonic clock goes on when the system's clock is set.
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ];
        let tracker = Tracker::start_with_environment(&netns, "127.0.0.1:6969", "", &environment);
        let announce = |port: &str, options: &[&str]| {
            let options = [&["--port", port][..], options].concat();
            client::announce(&netns, &tracker.url(), INFO_HASH, &options)
                .unwrap_or_else(|failed| panic!("{jump}: {failed}"))
        };
        announce("1", &["--left", "0"]);
        fs::write(offset.path(), jump).expect("the offset can be written");
        // No peer expires early or late, since lifetimes are not measured by this clock.
        let announced = announce("2", &["--left", "1"]);
        assert_eq!((announced.seeders, announced.peers.len()), (1, 1), "{jump}: {announced:?}");
        fs::write(offset.path(), "+0").expect("the offset can be written");
        let announced = announce("3", &["--left", "1"]);
        assert_eq!((announced.seeders, announced.peers.len()), (1, 2), "{jump}: {announced:?}");
        let counts = Counts { seeders: 1, completed: 0, leechers: 2 };
        client::wait_for_counts(&netns, &tracker.url(), INFO_HASH, counts, LIMIT);
    }
}
