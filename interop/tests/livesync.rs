//! Clients that get each other as peers, although each uses another tracker of a cluster.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use interop::client::{self, Counts};
use interop::{Aria2, Lan, Libtorrent, Netns, OwnClient, Torrent, Tracker};

/// A record waits up to 15 s for a packet to fill.
const SYNC: Duration = Duration::from_secs(25);
/// For one complete download.
const DOWNLOAD: Duration = Duration::from_secs(90);

fn node(netns: &Netns, [own, second, third]: [Ipv4Addr; 3]) -> Tracker {
    let livesync = format!(
        "[livesync]\nenabled = true\ninterface = \"{own}\"\nnodes = [\"{own}\", \"{second}\", \"{third}\"]\n"
    );
    Tracker::start_with(netns, &format!("{own}:0"), &livesync)
}

/// Nodes at these addresses, and three torrents with the same content, each of which names another node.
fn cluster(machines: [&Netns; 3], at: [Ipv4Addr; 3], seed: u64) -> ([Tracker; 3], [Torrent; 3]) {
    let [a, b, c] = at;
    let nodes = [node(machines[0], [a, b, c]), node(machines[1], [b, c, a]), node(machines[2], [c, a, b])];
    let torrents = nodes.each_ref().map(|node| Torrent::make_folder(&node.url(), seed));
    assert_eq!(torrents[0].info_hash(), torrents[1].info_hash());
    assert_eq!(torrents[0].info_hash(), torrents[2].info_hash());
    (nodes, torrents)
}

fn wait_for_counts(
    netns: &Netns,
    torrent: &Torrent,
    node: &Tracker,
    [seeders, completed, leechers]: [u32; 3],
) {
    let counts = Counts { seeders, completed, leechers };
    client::wait_for_counts(netns, &node.url(), torrent.info_hash(), counts, SYNC);
}

#[test]
#[ignore = "needs libtorrent: run scripts/test"]
fn three_nodes_on_one_host_share_swarms() {
    let netns = Netns::new();
    let at = [2, 3, 4].map(|host| Ipv4Addr::new(127, 0, 0, host));
    let (nodes, torrents) = cluster([&netns; 3], at, 21);

    let seeder =
        OwnClient::seed(&netns, &torrents[0], &torrents[0].original_dir(), Ipv4Addr::new(127, 0, 0, 5));
    for node in &nodes {
        wait_for_counts(&netns, &torrents[0], node, [1, 0, 0]);
    }
    let dir = torrents[1].subdir("libtorrent");
    let local = IpAddr::from([127, 0, 0, 6]);
    let libtorrent = Libtorrent::start(&netns, "libtorrent", &torrents[1], &dir, local);
    libtorrent.wait_finished(DOWNLOAD);
    torrents[1].assert_complete_in(&dir);
    for node in &nodes {
        wait_for_counts(&netns, &torrents[1], node, [2, 1, 0]);
    }
    // Stopped peers are synchronized, too.
    libtorrent.stop();
    seeder.stop();
    for node in &nodes {
        wait_for_counts(&netns, &torrents[1], node, [0, 1, 0]);
    }
}

#[test]
#[ignore = "needs libtorrent, aria2: run scripts/test"]
fn three_machines_on_a_bridge_share_swarms() {
    let lan = Lan::new();
    let machines = [1, 2, 3].map(|host| lan.machine(host));
    let at = [1, 2, 3].map(|host| Ipv4Addr::new(198, 51, 100, host));
    let (nodes, torrents) = cluster(machines.each_ref(), at, 22);

    let seeder = OwnClient::seed(&machines[0], &torrents[0], &torrents[0].original_dir(), at[0]);
    // A client that announces too early would get an interval longer than this test.
    for which in [1, 2] {
        wait_for_counts(&machines[which], &torrents[which], &nodes[which], [1, 0, 0]);
    }
    let dir = torrents[1].subdir("libtorrent");
    let libtorrent = Libtorrent::start(&machines[1], "libtorrent", &torrents[1], &dir, at[1].into());
    let aria2 = Aria2::start(&machines[2], &torrents[2], at[2]);
    libtorrent.wait_finished(DOWNLOAD);
    torrents[1].assert_complete_in(&dir);
    aria2.wait_finished(DOWNLOAD);
    torrents[2].assert_complete_in(aria2.dir());

    // The third is disconnected and misses a stopped peer; the others don't.
    for which in [0, 1, 2] {
        wait_for_counts(&machines[which], &torrents[which], &nodes[which], [3, 2, 0]);
    }
    lan.connect(3, false);
    libtorrent.stop();
    wait_for_counts(&machines[0], &torrents[0], &nodes[0], [2, 2, 0]);
    wait_for_counts(&machines[2], &torrents[2], &nodes[2], [3, 2, 0]);
    lan.connect(3, true);
    aria2.stop();
    for which in [0, 1] {
        wait_for_counts(&machines[which], &torrents[which], &nodes[which], [1, 2, 0]);
    }
    seeder.stop();
    wait_for_counts(&machines[2], &torrents[2], &nodes[2], [1, 2, 0]);
}
