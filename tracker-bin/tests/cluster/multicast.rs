//! Three nodes on one host that exchange packets by multicast over lo.

use std::process::Command;

use udp_tracker_proto::InfoHash;

use crate::process::{Client, FULL, HeldPort, Process, torrents};
use crate::running::poll_until;

#[test]
fn three_processes_on_one_host_share_peers_by_multicast() {
    let hosts = ["127.0.0.2", "127.0.0.3", "127.0.0.4"];
    let held = HeldPort::at(&hosts);
    let mut nodes = hosts.map(|host| {
        let config = format!(
            "listen = [\"{host}:0\"]\nworkers = 2\n[livesync]\nenabled = true\ninterface = \"{host}\"\n\
             port = {}\nnodes = {hosts:?}\n",
            held.number
        );
        Process::start(Command::new("env"), &config)
    });
    let addresses = nodes.each_mut().map(|node| node.running.address());
    drop(held);
    let mut clients = addresses.map(Client::of);
    for torrent in torrents() {
        clients[0].seed(torrent, 6881);
    }
    for (at, client) in clients.iter_mut().enumerate() {
        poll_until(&format!("node {at} has all seeders"), || client.has_seeders(u32::from(FULL)));
        assert_eq!(client.peers(InfoHash([7; 20])), ["127.0.0.1:6881".parse().unwrap()]);
    }
    let [first, _, third] = nodes;
    let log = first.end();
    assert!(log.contains("livesync_packets_sent=1/0") || log.contains("livesync_packets_sent=2/0"), "{log}");
    let log = third.end();
    assert!(
        log.contains("first packet from 127.0.0.2:") && log.contains("last packets: 127.0.0.2: "),
        "{log}"
    );
    assert!(log.contains("127.0.0.3: never"), "{log}");
}
