//! An interface that vanishes and comes back as another one with the same address.

use interop::client::{self, Counts};
use interop::{Lan, Netns, Tracker};

use crate::{INFO_HASH, LIMIT};

fn node(machine: &Netns, own: u8) -> Tracker {
    let livesync = format!(
        "[livesync]\nenabled = true\ninterface = \"198.51.100.{own}\"\nnodes = [\"198.51.100.1\", \"198.51.100.2\"]\n"
    );
    Tracker::start_with(machine, &format!("198.51.100.{own}:6969"), &livesync)
}

/// The tracker's own address is away with the interface, and so is its membership of the multicast group.
#[test]
#[ignore = "needs iproute2 and util-linux: run scripts/test"]
fn a_node_serves_and_syncs_again_when_its_interface_is_back() {
    let lan = Lan::new();
    let machines = [lan.machine(1), lan.machine(2)];
    let nodes = [node(&machines[0], 1), node(&machines[1], 2)];
    let shared = |at: usize, port: &str, seeders| {
        let (from, to) = (at, 1 - at);
        client::announce(&machines[from], &nodes[from].url(), INFO_HASH, &["--left", "0", "--port", port])
            .unwrap_or_else(|failed| panic!("node {from}: {failed}"));
        let counts = Counts { seeders, completed: 0, leechers: 0 };
        client::wait_for_counts(&machines[to], &nodes[to].url(), INFO_HASH, counts, LIMIT);
    };
    shared(0, "1001", 1);
    for away in 0..3u32 {
        let plug = lan.unplug(1, &machines[0]);
        let unreachable = client::announce(&machines[0], &nodes[0].url(), INFO_HASH, &[]);
        assert!(unreachable.is_err(), "{unreachable:?}");
        plug();
        // Both ways: it sends to the group, and receives from it.
        shared(0, &format!("{}", 2000 + away), 2 + 2 * away);
        shared(1, &format!("{}", 3000 + away), 3 + 2 * away);
    }
}
