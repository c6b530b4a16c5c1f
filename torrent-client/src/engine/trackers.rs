//! The trackers of the torrent: announces and their results.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tracing::{debug, info, warn};
use udp_tracker_proto::client::{
    Announce, Announced, Error, ManyTrackers, OwnedEvent, Policy, RequestId, Schedule,
};
use udp_tracker_proto::{Event, Host, TrackerUrl};

use super::{Action, Config, Engine, TrackerState, TrackerStatus};
use crate::announcer::{Announcer, Ask};

/// The most time for one announce: BEP 15's first wait, and some time for the reply to the second transmission.
const PATIENCE: Duration = Duration::from_secs(20);
/// The retransmission policy at the end of a session: several transmissions within a few seconds.
const HURRIED: Policy =
    Policy::both(Schedule { first: Duration::from_millis(500), factor: 2, transmissions: 4 });

/// A datagram for a tracker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// Its destination.
    pub to: SocketAddr,
    /// The number of its bytes, at the front of the buffer.
    pub len: usize,
}

type Client = ManyTrackers<Box<dyn FnMut() -> u32 + Send>>;

/// A torrent's trackers.
pub(super) struct Trackers {
    announcer: Announcer,
    places: Vec<Place>,
    client: Client,
    /// Announces in progress: the tracker, and the number of the announce. One announce has a request for each address
    /// of the tracker.
    requests: BTreeMap<RequestId, (usize, u64)>,
    question: u64,
    /// The announce that waits for the look-up of its tracker.
    looked_up: Option<Ask>,
    lookups: VecDeque<Action>,
    /// Whether trackers can be reached over IPv4, and over IPv6.
    reachable: [bool; 2],
    stopping: bool,
    rng: StdRng,
    answered: u32,
    failures: u32,
}

/// A tracker's addresses and status.
struct Place {
    status: TrackerStatus,
    /// One for each address family; empty until they are looked up.
    addresses: Vec<SocketAddr>,
}

impl Engine {
    /// Writes the next datagram for a tracker to the front of `out`, which must have at least 1452 bytes. May change
    /// after any call that takes `now`.
    pub fn poll_datagram(&mut self, now: Duration, out: &mut [u8]) -> Option<Datagram> {
        let transmit = self.trackers.client.poll_transmit(now, out)?;
        Some(Datagram { to: transmit.to, len: transmit.len })
    }

    /// Handles a datagram received from `source`.
    pub fn handle_datagram(&mut self, now: Duration, source: SocketAddr, datagram: &[u8]) {
        self.trackers.client.handle_input(now, source, datagram);
        self.turn_trackers(now);
        self.end_if_idle(now);
    }

    /// Handles the result of a [look-up](Action::LookUp): the addresses, or why there are none.
    pub fn handle_looked_up(
        &mut self,
        now: Duration,
        tracker: usize,
        addresses: Result<Vec<SocketAddr>, String>,
    ) {
        let report = self.announcement();
        if let Some(ask) = self.trackers.looked_up.take_if(|ask| ask.tracker == tracker) {
            self.trackers.resolved(now, ask, addresses, &report);
        }
        self.turn_trackers(now);
    }
}

impl Trackers {
    /// Trackers with other protocols than UDP are left out, with a warning.
    pub(super) fn new(config: &Config) -> Self {
        let usable = |url: &&String| {
            let usable = TrackerUrl::parse(url).inspect_err(|error| warn!("{url} is left out: {error}"));
            usable.is_ok()
        };
        let tiers: Vec<Vec<&String>> =
            config.trackers.iter().map(|tier| tier.iter().filter(usable).collect()).collect();
        let lengths: Vec<usize> = tiers.iter().map(Vec::len).collect();
        let place = |url: &String| Place {
            status: TrackerStatus {
                url: url.clone(),
                state: TrackerState::Unused,
                seeders: None,
                leechers: None,
                error: None,
            },
            addresses: Vec::new(),
        };
        let mut rng = StdRng::seed_from_u64(config.seed);
        Self {
            announcer: Announcer::new(&lengths, rng.next_u64()),
            places: tiers.into_iter().flatten().map(place).collect(),
            client: client(Policy::BEP_15, &mut rng),
            requests: BTreeMap::new(),
            question: 0,
            looked_up: None,
            lookups: VecDeque::new(),
            reachable: [config.ipv4, config.ipv6],
            stopping: false,
            rng,
            answered: 0,
            failures: 0,
        }
    }

    /// Does what is due, and calls `found` for each peer in a reply. `report` is the content of announces.
    pub(super) fn turn(&mut self, now: Duration, report: &Announce<'_>, mut found: impl FnMut(SocketAddr)) {
        self.client.handle_timeout(now);
        while let Some(event) = self.client.poll_event() {
            if let OwnedEvent::Announced { request, result, .. } = event {
                self.ended(now, request, result, &mut found);
            }
        }
        if let Some(ask) = self.announcer.next(now) {
            self.ask(now, ask, report);
        }
    }

    /// Host names to look up.
    pub(super) fn take_lookups(&mut self) -> impl Iterator<Item = Action> {
        self.lookups.drain(..)
    }

    pub(super) fn status(&self) -> Vec<TrackerStatus> {
        self.places.iter().map(|place| place.status.clone()).collect()
    }

    /// Announces that were answered since the start.
    pub(super) fn answered(&self) -> u32 {
        self.answered
    }

    /// Announces that failed since the start.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    /// The time of the next timeout; `None` if there is none.
    pub(super) fn poll_timeout(&self) -> Option<Duration> {
        self.announcer.poll_timeout().into_iter().chain(self.client.poll_timeout()).min()
    }

    /// See [`Announcer::completed`].
    pub(super) fn completed(&mut self, now: Duration) {
        self.announcer.completed(now);
    }

    /// See [`Announcer::want_peers`].
    pub(super) fn want_peers(&mut self, now: Duration) {
        self.announcer.want_peers(now);
    }

    /// Whether the end of the download is still to be announced, and a tracker has answered before.
    pub(super) fn owes_completed(&self) -> bool {
        self.announcer.owes_completed() && self.answered > 0
    }

    /// Announces `stopped` to the trackers that list us; no other announces from now on.
    pub(super) fn stop(&mut self, now: Duration, report: &Announce<'_>) {
        self.stopping = true;
        self.requests.clear();
        self.looked_up = None;
        self.client = client(HURRIED, &mut self.rng);
        for ask in self.announcer.stop() {
            if !self.places[ask.tracker].addresses.is_empty() {
                self.announce(now, ask, report);
            }
        }
    }

    /// Whether no announce is in progress.
    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    fn ask(&mut self, now: Duration, ask: Ask, report: &Announce<'_>) {
        let place = &mut self.places[ask.tracker];
        place.status.state = TrackerState::Announcing;
        if !place.addresses.is_empty() {
            return self.announce(now, ask, report);
        }
        let Ok(url) = TrackerUrl::parse(&place.status.url) else { return };
        let address = match url.host {
            Host::V4(ip) => SocketAddr::from((ip, url.port)),
            Host::V6(ip) => SocketAddr::from((ip, url.port)),
            Host::Name(name) => {
                let (host, port) = (name.to_string(), url.port);
                self.lookups.push_back(Action::LookUp { tracker: ask.tracker, host, port });
                self.looked_up = Some(ask);
                return;
            }
        };
        self.resolved(now, ask, Ok(vec![address]), report);
    }

    fn resolved(
        &mut self,
        now: Duration,
        ask: Ask,
        addresses: Result<Vec<SocketAddr>, String>,
        report: &Announce<'_>,
    ) {
        if self.stopping {
            return;
        }
        let [ipv4, ipv6] = self.reachable;
        let place = &mut self.places[ask.tracker];
        let error = match addresses {
            Ok(addresses) => {
                let of = |v4: bool| addresses.iter().copied().find(move |address| address.is_ipv4() == v4);
                let reachable = |address: &SocketAddr| if address.is_ipv4() { ipv4 } else { ipv6 };
                place.addresses = of(true).into_iter().chain(of(false)).filter(reachable).collect();
                "no address that can be reached from here".to_owned()
            }
            Err(error) => error,
        };
        if place.addresses.is_empty() {
            warn!("{}: {error}", place.status.url);
            place.status.state = TrackerState::Failed;
            place.status.error = Some(error);
            self.failures += 1;
            self.announcer.failed(now);
        } else {
            self.announce(now, ask, report);
        }
    }

    /// Announces to each of the tracker's addresses, because IPv4 and IPv6 have separate swarms.
    fn announce(&mut self, now: Duration, ask: Ask, report: &Announce<'_>) {
        let Place { status: TrackerStatus { url, .. }, addresses } = &self.places[ask.tracker];
        info!("announcing to {url}: {:?}", ask.event);
        let path_and_query = TrackerUrl::parse(url).map_or("", |url| url.path_and_query);
        let num_want = if ask.event == Event::Stopped { 0 } else { report.num_want };
        let announce = Announce { event: ask.event, num_want, path_and_query, ..*report };
        self.question += 1;
        for address in addresses {
            let request = self.client.announce(now, *address, &announce, PATIENCE);
            self.requests.insert(request, (ask.tracker, self.question));
        }
    }

    fn ended(
        &mut self,
        now: Duration,
        request: RequestId,
        result: Result<Announced, Error>,
        found: &mut impl FnMut(SocketAddr),
    ) {
        let Some((tracker, question)) = self.requests.remove(&request) else { return };
        let Place { status, addresses } = &mut self.places[tracker];
        let error = match result {
            Ok(announced) => {
                debug!("{} sent {} peers", status.url, announced.peers.len());
                status.state = TrackerState::Working;
                status.seeders = announced.counts.map(|counts| counts.seeders);
                status.leechers = announced.counts.map(|counts| counts.leechers);
                status.error = None;
                self.answered += 1;
                announced.peers.iter().copied().for_each(found);
                // The first address that answers counts for the tracker.
                if question == self.question {
                    self.question += 1;
                    self.announcer.answered(now, Duration::from_secs(announced.interval.into()));
                }
                return;
            }
            Err(error) => error.to_string(),
        };
        warn!("{}: {error}", status.url);
        self.failures += 1;
        let is_last = self.requests.values().all(|(_, other)| *other != question);
        if question == self.question && is_last {
            status.state = TrackerState::Failed;
            status.error = Some(error);
            // The tracker may have a new address.
            addresses.clear();
            self.announcer.failed(now);
        }
    }
}

fn client(policy: Policy, rng: &mut StdRng) -> Client {
    let mut ids = StdRng::from_rng(rng);
    ManyTrackers::new(policy, Box::new(move || ids.next_u32()))
}
