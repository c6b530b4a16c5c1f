//! Three simulated machines: network namespaces, joined by one bridge for clients and one for the cluster. They vanish
//! when their processes end.

use std::io::Write;
use std::process::Command;

use crate::process::{Client, FULL, Process, torrents};
use crate::running::poll_until;

const INSIDE: &str = "LIVESYNC_TEST_INSIDE";

fn run(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status().unwrap();
    assert!(status.success(), "{command}");
}

/// The machine 10.8.0.`at` for clients, 10.9.0.`at` for the cluster.
fn machine(at: u8) -> Process {
    let config = format!(
        "workers = 1\nannounce_interval = 30\npeer_lifetime = 60\nlisten = [\"10.8.0.{at}:6969\"]\n[livesync]\n\
         enabled = true\ninterface = \"10.9.0.{at}\"\nnodes = [\"10.9.0.1\", \"10.9.0.2\", \"10.9.0.3\"]\n"
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", "echo unshared; read go; exec \"$@\"", "sh"]);
    let mut process = Process::start(command, &config);
    assert_eq!(process.running.line(), "unshared");
    let pid = process.running.child.id();
    for (network, bridge) in [("10.8.0", "pub"), ("10.9.0", "sync")] {
        run(&format!(
            "ip link add {bridge}{at} type veth peer name {bridge} netns {pid}
             ip link set {bridge}{at} master {bridge} up
             nsenter -t {pid} -n sh -ec 'ip addr add {network}.{at}/24 dev {bridge}; ip link set {bridge} up'"
        ));
    }
    process.running.child.stdin.take().unwrap().write_all(b"go\n").unwrap();
    assert_eq!(process.running.address().to_string(), format!("10.8.0.{at}:6969"));
    process
}

#[test]
#[ignore = "needs root: run scripts/test"]
fn a_node_that_was_cut_off_has_all_peers_after_the_next_announces() {
    if std::env::var_os(INSIDE).is_none() {
        let own = std::env::current_exe().unwrap();
        let name = "namespaces::a_node_that_was_cut_off_has_all_peers_after_the_next_announces";
        let mut inside = Command::new("unshare");
        inside.arg("--net").arg(own).args(["--exact", name, "--ignored", "--nocapture"]);
        assert!(inside.env(INSIDE, "1").status().unwrap().success());
        return;
    }
    run("ip link set lo up
         ip link add sync type bridge && ip link set sync up
         ip link add pub type bridge && ip addr add 10.8.0.254/24 dev pub && ip link set pub up");
    let machines = [1, 2, 3].map(machine);
    let mut clients = [1, 2, 3].map(|at| Client::of(format!("10.8.0.{at}:6969").parse().unwrap()));
    let seed = |client: &mut Client, port| torrents().for_each(|torrent| client.seed(torrent, port));
    let all = u32::from(FULL);

    seed(&mut clients[0], 1001);
    poll_until("all nodes have the first node's peers", || {
        clients.iter_mut().try_for_each(|client| client.has_seeders(all))
    });

    let third = machines[2].running.child.id();
    run(&format!("nsenter -t {third} -n ip link set sync down"));
    seed(&mut clients[0], 1002);
    seed(&mut clients[2], 1003);
    poll_until("the second node has the first node's peers", || clients[1].has_seeders(2 * all));
    assert_eq!((clients[0].seeders(), clients[2].seeders()), (2 * all, 2 * all));

    run(&format!("nsenter -t {third} -n ip link set sync up"));
    poll_until("all nodes have all peers after the next announces", || {
        seed(&mut clients[0], 1001);
        seed(&mut clients[0], 1002);
        seed(&mut clients[2], 1003);
        clients.iter_mut().try_for_each(|client| client.has_seeders(3 * all))
    });
    let given = clients.each_mut().map(|client| client.peers(torrents().next().unwrap()));
    let expected = [1001, 1002, 1003].map(|port| ([10, 8, 0, 254], port).into());
    assert_eq!(given, [expected; 3]);
    let logs = machines.map(Process::end);
    assert!(logs[2].contains("livesync_not_sent="), "{}", logs[2]);
}
