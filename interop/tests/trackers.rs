//! The tracker client library against several trackers, this workspace's included: their replies, and the client's
//! connection_ids when a tracker is restarted.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use interop::{Program, Signal, aquatic_udp, binary, own_loopback, poll_until};
use tempfile::NamedTempFile;
use udp_tracker_proto::blocking::{Error, Tracker};
use udp_tracker_proto::client::{Announce, Policy, Schedule};
use udp_tracker_proto::{Event, InfoHash, ScrapeEntry};

const TORRENT: InfoHash = InfoHash([0xd0; 20]);
const OTHER: InfoHash = InfoHash([0x0d; 20]);
const LIMIT: Duration = Duration::from_secs(20);
/// Retransmits often, so that a missing reply is detected soon.
const OFTEN: Policy =
    Policy::both(Schedule { first: Duration::from_millis(300), factor: 1, transmissions: u32::MAX });

fn client(address: SocketAddr) -> Tracker {
    Tracker::connect(&format!("udp://{address}/announce")).unwrap().with_timeout(LIMIT).with_policy(OFTEN)
}

fn peer(port: u16, left: u64) -> Announce<'static> {
    Announce { event: Event::Started, ..Announce::new(TORRENT, [b'x'; 20], port, left) }
}

/// A tracker that is started, ended and started again.
struct Foreign {
    start: Box<dyn Fn() -> (Program, Option<NamedTempFile>)>,
    running: Option<(Program, Option<NamedTempFile>)>,
    address: SocketAddr,
}

impl Foreign {
    fn start(address: SocketAddr, start: impl Fn() -> (Program, Option<NamedTempFile>) + 'static) -> Self {
        let mut foreign = Self { start: Box::new(start), running: None, address };
        foreign.resume();
        foreign
    }

    fn resume(&mut self) {
        self.running = Some((self.start)());
        // Connects by a client of its own.
        poll_until("the tracker to answer", LIMIT, || {
            let mut probe = client(self.address).with_timeout(Duration::from_millis(500));
            probe.scrape(&[TORRENT]).map(drop).map_err(|error| error.to_string())
        });
    }

    fn end(&mut self) {
        let (mut program, _) = self.running.take().expect("it runs");
        program.signal(Signal::SIGKILL);
        program.wait_exit(LIMIT);
    }
}

/// `own`: whether the tracker's counts include the announcing peer, 1 or 0.
fn check(mut foreign: Foreign, own: u32) {
    let mut tracker = client(foreign.address);
    let reply = tracker.announce(&peer(7001, 0)).unwrap();
    assert_eq!(reply.counts.map(|counts| (counts.seeders, counts.leechers)), Some((own, 0)));
    let reply = tracker.announce(&peer(7002, 5)).unwrap();
    assert_eq!(reply.counts.map(|counts| (counts.seeders, counts.leechers)), Some((1, own)));
    let seeder = SocketAddr::from((Ipv4Addr::LOCALHOST, 7001));
    assert!(reply.peers.contains(&seeder), "{reply:?}");
    let entries = tracker.scrape(&[OTHER, TORRENT]).unwrap();
    assert_eq!(entries, [ScrapeEntry::default(), ScrapeEntry { seeders: 1, completed: 0, leechers: 1 }]);

    // Ended: the request fails at its timeout, with a closed port.
    foreign.end();
    let mut impatient = client(foreign.address).with_timeout(Duration::from_secs(1));
    assert!(matches!(impatient.announce(&peer(7001, 0)), Err(Error::Silence { closed: true, .. })));

    // Started again, with another secret: the old connection_id is refused or ignored, and replaced.
    foreign.resume();
    let reply = tracker.announce(&peer(7003, 0)).unwrap();
    assert_eq!(reply.counts.map(|counts| counts.seeders), Some(own));

    // Ended while a request waits, and started again before its timeout.
    foreign.end();
    let waiting = std::thread::spawn(move || tracker.announce(&peer(7004, 0)));
    foreign.resume();
    waiting.join().unwrap().unwrap();
}

#[test]
#[ignore = "builds tracker-bin: run scripts/test"]
fn own_tracker() {
    let address = own_loopback(6961);
    let start = move || {
        let mut command = Command::new(binary("tracker-bin"));
        (Program::start("tracker-bin", command.args(["--listen", &address.to_string()])), None)
    };
    check(Foreign::start(address, start), 1);
}

#[test]
#[ignore = "needs aquatic_udp: run scripts/test"]
fn aquatic() {
    let address = own_loopback(6962);
    let start = move || {
        let (program, config) = aquatic_udp(address);
        (program, Some(config))
    };
    check(Foreign::start(address, start), 0);
}

#[test]
#[ignore = "needs opentracker: run scripts/test"]
fn opentracker() {
    let address = own_loopback(6963);
    let dir = tempfile::tempdir().unwrap();
    // Started as root it runs as the user `nobody`, which must be able to read the list.
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(dir.path(), open).unwrap();
    let list: PathBuf = dir.path().join("whitelist");
    std::fs::write(&list, format!("{TORRENT}\n")).unwrap();
    let start = move || {
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let mut command = Command::new("opentracker");
        command.args(["-i", &ip, "-p", &port, "-P", &port, "-d", ".", "-w", "whitelist"]);
        (Program::start("opentracker", command.current_dir(dir.path())), None)
    };
    let foreign = Foreign::start(address, start);
    // A torrent that is not listed: refused, in eight bytes without a message.
    let other = Announce { info_hash: OTHER, ..peer(7001, 0) };
    let refused = client(foreign.address).announce(&other).unwrap_err();
    assert_eq!(refused.to_string(), "the tracker refused");
    check(foreign, 1);
}
