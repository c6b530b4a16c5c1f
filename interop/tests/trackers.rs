//! The client library against several trackers, this workspace's included: what they answer, and what becomes of its
//! connection ids when they end and come back.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use interop::{Program, Signal, aquatic_udp, binary, poll_until};
use tempfile::NamedTempFile;
use udp_tracker_proto::blocking::{Error, Tracker};
use udp_tracker_proto::client::{Announce, Policy, Schedule};
use udp_tracker_proto::{Event, InfoHash, ScrapeEntry};

const TORRENT: InfoHash = InfoHash([0xd0; 20]);
const OTHER: InfoHash = InfoHash([0x0d; 20]);
const LIMIT: Duration = Duration::from_secs(20);
/// So that silence is noticed soon.
const OFTEN: Policy =
    Policy::both(Schedule { first: Duration::from_millis(300), factor: 1, transmissions: u32::MAX });

/// A port that was free a moment ago: foreign trackers don't choose one and tell.
fn free_address() -> SocketAddr {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

fn client(address: SocketAddr) -> Tracker {
    Tracker::connect(&format!("udp://{address}/announce")).unwrap().with_timeout(LIMIT).with_policy(OFTEN)
}

fn peer(port: u16, left: u64) -> Announce<'static> {
    Announce { event: Event::Started, ..Announce::new(TORRENT, [b'x'; 20], port, left) }
}

/// A tracker on 127.0.0.1 that is started, ended and started again.
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

/// `own` is how often a tracker counts the peer that it answers to.
fn check(mut foreign: Foreign, own: u32) {
    let mut tracker = client(foreign.address);
    let told = tracker.announce(&peer(7001, 0)).unwrap();
    assert_eq!(told.counts.map(|counts| (counts.seeders, counts.leechers)), Some((own, 0)));
    let told = tracker.announce(&peer(7002, 5)).unwrap();
    assert_eq!(told.counts.map(|counts| (counts.seeders, counts.leechers)), Some((1, own)));
    let seeder = SocketAddr::from((Ipv4Addr::LOCALHOST, 7001));
    assert!(told.peers.contains(&seeder), "{told:?}");
    let entries = tracker.scrape(&[OTHER, TORRENT]).unwrap();
    assert_eq!(entries, [ScrapeEntry::default(), ScrapeEntry { seeders: 1, completed: 0, leechers: 1 }]);

    // Gone: the request ends at its time, and says that nobody answers.
    foreign.end();
    let mut impatient = client(foreign.address).with_timeout(Duration::from_secs(1));
    assert!(matches!(impatient.announce(&peer(7001, 0)), Err(Error::Silence { closed: true, .. })));

    // Back, with another secret: the id of before is refused, or met with silence, and fetched anew.
    foreign.resume();
    let told = tracker.announce(&peer(7003, 0)).unwrap();
    assert_eq!(told.counts.map(|counts| counts.seeders), Some(own));

    // Gone while a request waits, and back before it is given up.
    foreign.end();
    let waiting = std::thread::spawn(move || tracker.announce(&peer(7004, 0)));
    foreign.resume();
    waiting.join().unwrap().unwrap();
}

#[test]
#[ignore = "builds tracker-bin: run scripts/test"]
fn ours() {
    let address = free_address();
    let start = move || {
        let mut command = Command::new(binary("tracker-bin"));
        (Program::start("tracker-bin", command.args(["--listen", &address.to_string()])), None)
    };
    check(Foreign::start(address, start), 1);
}

#[test]
#[ignore = "needs aquatic_udp: run scripts/test"]
fn aquatic() {
    let address = free_address();
    let start = move || {
        let (program, config) = aquatic_udp(address);
        (program, Some(config))
    };
    check(Foreign::start(address, start), 0);
}

#[test]
#[ignore = "needs opentracker: run scripts/test"]
fn opentracker() {
    let address = free_address();
    let dir = tempfile::tempdir().unwrap();
    // Started as root it becomes `nobody`, who must be able to read the list.
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
    // A torrent that is not in its list: refused, in eight octets and without a word.
    let other = Announce { info_hash: OTHER, ..peer(7001, 0) };
    let refused = client(foreign.address).announce(&other).unwrap_err();
    assert_eq!(refused.to_string(), "the tracker refused");
    check(foreign, 1);
}
