//! A tracker that is stopped for a minute, as by a debugger or when a virtual machine is moved.

use std::thread;
use std::time::Duration;

use interop::client::{self, Counts, Load};
use interop::{Http, Netns, Program, Signal, Tracker, poll_until};

use crate::{INFO_HASH, LIMIT};

#[test]
#[ignore = "takes a minute: run scripts/test"]
fn a_tracker_that_was_stopped_for_a_minute_serves_and_has_forgotten_expired_peers() {
    let netns = Netns::new();
    let config = "announce_interval = 30\npeer_lifetime = 40\n";
    let tracker = Tracker::start_with(&netns, "127.0.0.1:6969", config);
    client::announce(&netns, &tracker.url(), INFO_HASH, &["--left", "0"]).expect("an answer");
    let one = Counts { seeders: 1, completed: 0, leechers: 0 };
    client::wait_for_counts(&netns, &tracker.url(), INFO_HASH, one, LIMIT);

    // More than its receive buffer holds. What it can read later is from long ago.
    let mut flood = netns.command(interop::binary("client-bin"));
    flood.args(["load", &tracker.url(), "--rate", "20000", "--seconds", "5", "--timeout", "100"]);
    let mut flood = Program::start("a flood", &mut flood);
    let status = format!("{}/api/status", tracker.page());
    let mut http = Http::start(&netns);
    poll_until("the flood", LIMIT, || match http.get_json(&status)["requests"]["received"].as_u64() {
        Some(1000..) => Ok(()),
        other => Err(format!("{other:?}")),
    });
    tracker.signal(Signal::SIGSTOP);
    flood.wait_exit(LIMIT);
    thread::sleep(Duration::from_secs(60));
    tracker.signal(Signal::SIGCONT);

    let options = ["--port", "7", "--left", "1"];
    let announced = client::announce(&netns, &tracker.url(), INFO_HASH, &options).expect("an answer");
    assert_eq!((announced.seeders, announced.peers.len()), (0, 0), "{announced:?}");
    let loaded = Load::start(&netns, &tracker.url(), &["--rate", "1000", "--seconds", "2"]).wait_done(LIMIT);
    assert_eq!(loaded.lost, 0, "{loaded:?}");
    tracker.stop(Signal::SIGTERM);
}
